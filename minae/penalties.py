"""Ω: what is added to the reconstruction error.     J = L(x, g(f(x))) + λ Ω     (14.2, 14.10)

The book's Ω(h) contains λ; here a penalty reports Ω without it, and its backward pass adds weight · ∂Ω to the gradients
that it is given.
"""

from minae.backend import namespace
from minae.errors import InputError


class WeightDecay:
    """Ω = ½ Σ ‖W‖²_F over the weight matrices, biases left alone.     (7.1.1)"""

    def __init__(self, parameters):
        self.parameters = parameters
        self.names = [name for name, shape in parameters.shapes.items() if len(shape) > 1]

    def value(self):
        W = [self.parameters[name] for name in self.names]
        return 0.5 * sum(namespace(w).vdot(w, w) for w in W)

    def backward(self, weight):
        """dW += weight · W"""
        for name in self.names:
            W, dW = self.parameters[name], self.parameters.gradient(name).array
            dW += namespace(W).multiply(W, weight, out=self.parameters.arena.empty(*W.shape))


class Laplace:
    r"""Ω = Σ_j |h_j|, mean over the batch; λ Ω is −log p(h) of a Laplace prior p(h_j) = λ/2 e^{−λ|h_j|}, but for a
    constant.     (14.5–14.7)"""

    def value(self, h):
        return abs(h).sum() / h.shape[0]

    def backward(self, h, dh, weight):
        """dh += weight/B sign(h);  at h = 0 the derivative is taken as 0"""
        step = namespace(h).sign(h)
        step *= weight / h.shape[0]
        dh += step


class KLSparsity:
    r"""Ω = Σ_j KL(ρ ‖ ρ̂_j) = Σ_j ρ log(ρ/ρ̂_j) + (1−ρ) log((1−ρ)/(1−ρ̂_j)),   ρ̂_j = 1/B Σ_b h_bj.   (Ng, UFLDL notes)

    h in (0, 1). ρ̂ is the mean over the BATCH, so every example has a part in every other's gradient:
    ∂Ω/∂h_bj = 1/B ((1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j).
    """

    def __init__(self, rho):
        if not 0 < rho < 1:
            raise InputError(f"rho is {rho}: the sparsity target is a rate in (0, 1)")
        self.rho = rho

    def value(self, h):
        xp, rho, rho_hat = namespace(h), self.rho, h.mean(axis=0)
        return (rho * xp.log(rho / rho_hat) + (1 - rho) * xp.log((1 - rho) / (1 - rho_hat))).sum()

    def backward(self, h, dh, weight):
        rho, rho_hat = self.rho, h.mean(axis=0)
        dh += weight / h.shape[0] * ((1 - rho) / (1 - rho_hat) - rho / rho_hat)


class Contraction:
    r"""Ω = ‖∂f(x)/∂x‖²_F = Σ_i ‖∇_x h_i‖², mean over the batch     (14.11, 14.18)

    With p_l = φ'(a_l), the Jacobian of an encoder of l = 1 … L layers is
        Jf = diag(p_L) W_Lᵀ ⋯ diag(p_1) W_1ᵀ.

    One layer:  ‖Jf‖² = Σ_j p_j² Σ_i W_ij²,  for the sigmoid  Σ_j (h_j (1−h_j))² ‖W_j‖².

    Deep, from the code's side down, with S = I (or with probes v for rows: E‖vᵀ Jf‖² = ‖Jf‖², Hutchinson 1990):
        A_L = S diag(p_L);   C_l = A_{l+1} W_{l+1}ᵀ,   A_l = C_l diag(p_l);   Jf = A_1 W_1ᵀ
        ‖Jf‖² = ‖A_1 W_1ᵀ‖² = tr(A_1 G A_1ᵀ),   G = W_1ᵀ W_1,
    so the (B, m, n) Jacobian itself is never written.
    """

    def __init__(self, network, arena):
        self.layers, self.arena = network.layers, arena

    def value(self, cache, v=None):
        """Ω, and what its backward pass needs. cache: x, h_1, …, h_L;  v: (B, K, m) or None."""
        B, W = cache[0].shape[0], self.layers[0].W
        if len(self.layers) == 1 and v is None:
            p, w = self.layers[0].phi_prime(cache[1]), (W * W).sum(axis=0)  # φ'(a), (B, m), and ‖W_j‖², (m,)
            return ((p * p) @ w).sum() / B, (p, w)
        chain = self.chain(cache, v)
        A = chain[1][0]
        AG = A @ (W.T @ W)
        return namespace(A).vdot(AG, A) / B, (chain, AG)

    def backward(self, cache, kept, weight):
        """dW += weight ∂Ω/∂W; returns weight ∂Ω/∂a_l of every layer, which joins the backward pass of f there."""
        B, W, dW = cache[0].shape[0], self.layers[0].W, self.layers[0].dW
        if len(self.layers) == 1 and not isinstance(kept[0], tuple):  # not a chain of probes
            p, w = kept
            dW_1 = dW.array
            dW_1 += W * ((2 * weight / B) * (p * p).sum(axis=0))
            return [(2 * weight / B) * p * w * self.layers[0].phi_second(cache[1])]
        chain, AG = kept
        A = _rows(chain[1][0])
        dW.add_product(W, (2 * weight / B) * (A.T @ A))  # tr(A G Aᵀ), G = WᵀW: 2 W AᵀA
        return self.chain_backward(cache, chain, AG * (2 * weight / B))  # ∂Ω/∂A_1 = 2 A_1 G

    def chain(self, cache, v=None):
        """p_l, A_l and C_l of all layers, l = 1 … L. A: (B, K, n_l), with K = m where v is None."""
        p = [layer.phi_prime(h) for layer, h in zip(self.layers, cache[1:], strict=True)]
        xp, W = namespace(cache[0]), self.layers[0].W
        K = p[-1].shape[1] if v is None else v.shape[1]
        self._fits(K * sum(layer.m for layer in self.layers) * 3 * cache[0].shape[0] * W.dtype.itemsize)
        S = xp.eye(K, dtype=W.dtype)[None] if v is None else v * K**-0.5
        A, C = [S * p[-1][:, None, :]], [S]  # (B, K, n_L)
        for layer, p_l in zip(self.layers[:0:-1], p[-2::-1], strict=True):
            C.append(A[-1] @ layer.W.T)  # (B, K, n_l)
            A.append(C[-1] * p_l[:, None, :])
        return p, A[::-1], C[::-1]

    def chain_backward(self, cache, chain, dA):
        """From dA = ∂J/∂A_1: dW_l += … for l ≥ 2, and returns ∂J/∂a_l of every layer."""
        p, A, C = chain
        dp = []
        for k in range(len(self.layers)):
            dp.append((dA * C[k]).sum(axis=1))  # A_k = C_k diag(p_k)
            if k + 1 < len(self.layers):
                dC, after = dA * p[k][:, None, :], self.layers[k + 1]  # C_k = A_{k+1} W_{k+1}ᵀ
                after.dW.add_product(_rows(dC).T, _rows(A[k + 1]))
                dA = dC @ after.W
        return [d * layer.phi_second(h) for d, layer, h in zip(dp, self.layers, cache[1:], strict=True)]

    def _fits(self, need):
        have = self.arena.backend.memory()
        if need > have:
            raise InputError(
                f"the exact ‖Jf‖² of this batch takes {need / 2**30:.3g} GiB and the machine has {have / 2**30:.3g}: "
                "use the estimate, probes=1, or a smaller batch"
            )


class ContractionChange(Contraction):
    r"""Ω = ‖Jf(x) − Jf(x′)‖²_F, mean over the batch, x′ = x + ε: for small ε, ‖ε · ∂²f/∂x²‖².     (Rifai et al. 2011b)

    One layer:  Σ_j (p_j − p′_j)² ‖W_j‖².   Deep:  ‖D W_1ᵀ‖² = tr(D G Dᵀ),  D = A_1 − A′_1, G = W_1ᵀ W_1.
    """

    def value(self, cache, near):
        """Ω, and what its backward pass needs.  cache, near: x, h_1, …, h_L at x and at x′."""
        B, W = cache[0].shape[0], self.layers[0].W
        if len(self.layers) == 1:
            layer = self.layers[0]
            d, w = layer.phi_prime(cache[1]) - layer.phi_prime(near[1]), (W * W).sum(axis=0)  # p − p′
            return ((d * d) @ w).sum() / B, (d, w)
        chains = self.chain(cache), self.chain(near)
        D = chains[0][1][0] - chains[1][1][0]
        DG = D @ (W.T @ W)
        return namespace(D).vdot(DG, D) / B, (*chains, D, DG)

    def backward(self, cache, near, kept, weight):
        """dW += weight ∂Ω/∂W; returns weight ∂Ω/∂a_l and weight ∂Ω/∂a′_l of every layer."""
        B, W, dW = cache[0].shape[0], self.layers[0].W, self.layers[0].dW
        if len(self.layers) == 1:
            d, w = kept
            dW_1 = dW.array
            dW_1 += W * ((2 * weight / B) * (d * d).sum(axis=0))
            dp, second = (2 * weight / B) * d * w, self.layers[0].phi_second
            return [dp * second(cache[1])], [-dp * second(near[1])]
        chain, chain_near, D, DG = kept
        dW.add_product(W, (2 * weight / B) * (_rows(D).T @ _rows(D)))
        dA = DG * (2 * weight / B)
        return self.chain_backward(cache, chain, dA), self.chain_backward(near, chain_near, -dA)


def _rows(A):
    """(B, K, n) -> (B·K, n)"""
    return A.reshape(-1, A.shape[-1])
