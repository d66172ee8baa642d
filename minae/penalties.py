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
    r"""Ω = Σ_j |h_j|, mean over the batch: −log p(h) of a Laplace prior p(h_j) = λ/2 e^{−λ|h_j|}, but for a constant.
    (14.5–14.7)"""

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
    r"""Ω = ‖∂f(x)/∂x‖²_F, mean over the batch     (14.18)

    With p_l = φ'(a_l), the Jacobian of an encoder of l = 1 … L layers is
        Jf = diag(p_L) W_Lᵀ ⋯ diag(p_1) W_1ᵀ.

    One layer:  ‖Jf‖² = Σ_j p_j² Σ_i W_ij²,  for the sigmoid  Σ_j (h_j (1−h_j))² ‖W_j‖².

    Deep, from the code's side down, with S = I (or with probes v for rows: E‖vᵀ Jf‖² = ‖Jf‖², Hutchinson 1990):
        A_L = S diag(p_L);   C_l = A_{l+1} W_{l+1}ᵀ,   A_l = C_l diag(p_l);
        ‖Jf‖² = ‖A_1 W_1ᵀ‖² = tr(A_1 G A_1ᵀ),   G = W_1ᵀ W_1,
    so the (B, m, n) Jacobian itself is never written.
    """

    def __init__(self, network):
        self.layers = network.layers

    def value(self, cache, v=None):
        """Ω, and what its backward pass needs. cache: x, h_1, …, h_L;  v: (B, K, m) or None."""
        p = [layer.phi_prime(h) for layer, h in zip(self.layers, cache[1:], strict=True)]
        xp, B, W = namespace(cache[0]), cache[0].shape[0], self.layers[0].W
        if len(p) == 1 and v is None:
            w = (W * W).sum(axis=0)  # ‖W_j‖², (m,)
            return ((p[0] * p[0]) @ w).sum() / B, (p, w)
        K = p[-1].shape[1] if v is None else v.shape[1]
        S = xp.eye(K, dtype=W.dtype)[None] if v is None else v * K**-0.5
        A, C = [S * p[-1][:, None, :]], [S]  # (B, K, n_L)
        for layer, p_l in zip(self.layers[:0:-1], p[-2::-1], strict=True):
            C.append(A[-1] @ layer.W.T)  # (B, K, n_l)
            A.append(C[-1] * p_l[:, None, :])
        G = W.T @ W
        AG = A[-1] @ G
        return xp.vdot(AG, A[-1]) / B, (p, A[::-1], C[::-1], AG)

    def backward(self, cache, chain, weight):
        """dW += weight ∂Ω/∂W; returns weight ∂Ω/∂a_l of every layer, which joins the backward pass of f there."""
        B, W = cache[0].shape[0], self.layers[0].W
        if len(chain) == 2:
            p, w = chain
            dp = [(2 * weight / B) * p[0] * w]
            dW = self.layers[0].dW.array
            dW += W * ((2 * weight / B) * (p[0] * p[0]).sum(axis=0))
        else:
            p, A, C, E = chain
            E = E * (2 * weight / B)  # ∂Ω/∂A_1 = 2 A_1 G
            flat = [a.reshape(-1, a.shape[-1]) for a in A]
            self.layers[0].dW.add_product(W, (2 * weight / B) * (flat[0].T @ flat[0]))  # tr(A G Aᵀ), G = WᵀW: 2 W AᵀA
            dp = []
            for k in range(len(self.layers)):
                dp.append((E * C[k]).sum(axis=1))  # A_k = C_k diag(p_k)
                if k + 1 < len(self.layers):
                    E = E * p[k][:, None, :]  # ∂Ω/∂C_k, and C_k = A_{k+1} W_{k+1}ᵀ
                    after = self.layers[k + 1]
                    after.dW.add_product(E.reshape(-1, E.shape[-1]).T, flat[k + 1])
                    E = E @ after.W
        return [d * layer.phi_second(h) for d, layer, h in zip(dp, self.layers, cache[1:], strict=True)]
