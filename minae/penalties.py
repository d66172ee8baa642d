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

    def __init__(self, arena=None):
        self.arena = arena

    def value(self, h):
        return namespace(h).abs(h, out=self._like(h)).sum() / h.shape[0]

    def backward(self, h, dh, weight):
        """dh += weight/B sign(h);  at h = 0 the derivative is taken as 0"""
        step = namespace(h).sign(h, out=self._like(h))
        step *= weight / h.shape[0]
        dh += step

    def _like(self, h):
        return self.arena.empty(*h.shape) if self.arena else namespace(h).empty_like(h)


class KLSparsity:
    r"""Ω = Σ_j KL(ρ ‖ ρ̂_j) = Σ_j ρ log(ρ/ρ̂_j) + (1−ρ) log((1−ρ)/(1−ρ̂_j)),   ρ̂_j = 1/B Σ_b h_bj.   (Ng, UFLDL notes)

    h in (0, 1). ρ̂ is the mean over the BATCH, so every example has a part in every other's gradient:
    ∂Ω/∂h_bj = 1/B ((1−ρ)/(1−ρ̂_j) − ρ/ρ̂_j), the same for all b.     By minae.kernels.kl_sparsity.
    """

    def __init__(self, rho):
        if not 0 < rho < 1:
            raise InputError(f"rho is {rho}: the sparsity target is a rate in (0, 1)")
        self.rho = rho

    def value(self, h):
        from minae.kernels import kl_sparsity

        return kl_sparsity.value(h, self.rho)

    def backward(self, h, dh, weight):
        """dh += weight ∂Ω/∂h"""
        from minae.kernels import kl_sparsity

        kl_sparsity.backward(h, dh, self.rho, weight)


class Contraction:
    r"""Ω = ‖∂f(x)/∂x‖²_F = Σ_i ‖∇_x h_i‖², mean over the batch     (14.11, 14.18)

    With p_l = φ'(a_l), the Jacobian of an encoder of l = 1 … L layers is
        Jf = diag(p_L) W_Lᵀ ⋯ diag(p_1) W_1ᵀ.

    One layer:  ‖Jf‖² = Σ_j p_j² Σ_i W_ij²,  for the sigmoid  Σ_j (h_j (1−h_j))² ‖W_j‖².

    Deep, from the code's side down, with S = I (or with probes v for rows: E‖vᵀ Jf‖² = ‖Jf‖², Hutchinson 1990):
        A_L = S diag(p_L);   C_l = A_{l+1} W_{l+1}ᵀ,   A_l = C_l diag(p_l);   Jf = A_1 W_1ᵀ
        ‖Jf‖² = ‖A_1 W_1ᵀ‖² = tr(A_1 G A_1ᵀ),   G = W_1ᵀ W_1,
    so the (B, m, n) Jacobian itself is never written. With S = I, A_L is diagonal, and no product is spent on it.

    The passes that are no products are those of minae.kernels.contraction.
    """

    def __init__(self, network, arena):
        self.layers, self.arena = network.layers, arena

    def value(self, cache, v=None):
        """Ω, and what its backward pass needs. cache: x, h_1, …, h_L;  v: (B, K, m) or None."""
        B, layer = cache[0].shape[0], self.layers[0]
        if len(self.layers) == 1 and v is None:
            from minae.kernels import contraction

            c = contraction.squares(cache[1], layer.activation, out=self.arena.empty(layer.m))  # Σ_b φ'(a_bj)²
            w = contraction.norms(layer.W, out=self.arena.empty(layer.m))  # ‖W_j‖²
            return namespace(c).vdot(c, w) / B, (c, w)
        chain = self.chain(cache, v)
        A = chain[1][0]
        AG = self._times_G(A)
        return namespace(A).vdot(AG, A) / B, (chain, AG)

    def backward(self, cache, kept, weight):
        """dW += weight ∂Ω/∂W; returns weight ∂Ω/∂a_l of every layer, which joins the backward pass of f there."""
        scale, layer = 2 * weight / cache[0].shape[0], self.layers[0]
        if len(self.layers) == 1 and not isinstance(kept[0], tuple):  # not a chain of probes
            from minae.kernels import contraction

            (c, w), h = kept, cache[1]
            c *= scale
            layer.dW.add_scaled(layer.W, c)
            return [contraction.slope_gradient(h, layer.activation, w, scale, out=self.arena.empty(*h.shape))]
        chain, AG = kept
        self._add_W_times(chain[1][0], scale)  # tr(A G Aᵀ), G = WᵀW: 2 W AᵀA
        AG *= scale
        return self.chain_backward(cache, chain, AG)  # ∂Ω/∂A_1 = 2 A_1 G

    def chain(self, cache, v=None):
        """p_l, A_l and C_l of all layers, l = 1 … L, and W_Lᵀ. A: (B, K, n_l), with K = m where v is None: then A_L and
        C_L, which are diag(p_L) and I, stay None."""
        xp, empty, layers, (B, _) = namespace(cache[0]), self.arena.empty, self.layers, cache[0].shape
        K = layers[-1].m if v is None else v.shape[1]
        self._fits(K * sum(layer.m for layer in layers) * 3 * B * layers[0].W.dtype.itemsize)
        p = [layer.phi_prime(h, out=empty(*h.shape)) for layer, h in zip(layers, cache[1:], strict=True)]
        A, C, WT = [None], [None], None
        if v is None:
            WT = empty(K, layers[-1].n)
            WT[...] = layers[-1].W.T
        else:
            C[0] = xp.multiply(v, K**-0.5, out=empty(*v.shape))  # S
            A[0] = xp.multiply(C[0], p[-1][:, None, :], out=empty(*v.shape))
        for layer, after, p_l in zip(layers[-2::-1], layers[:0:-1], p[-2::-1], strict=True):
            C_l = empty(B, K, after.n)
            if A[0] is None:
                xp.multiply(p[-1][:, :, None], WT, out=C_l)  # C_l = A_{l+1} W_{l+1}ᵀ
            else:
                xp.matmul(_rows(A[0]), after.W.T, out=_rows(C_l))
            C.insert(0, C_l)
            A.insert(0, xp.multiply(C_l, p_l[:, None, :], out=empty(B, K, layer.m)))  # A_l = C_l diag(p_l)
        return p, A, C, WT

    def chain_backward(self, cache, chain, dA):
        """From dA = ∂J/∂A_1, which is overwritten: dW_l += … for l ≥ 2, and returns ∂J/∂a_l of every layer."""
        from minae.kernels import contraction, slopes

        xp, empty, (p, A, C, WT), da = namespace(dA), self.arena.empty, chain, []
        for k, (layer, h) in enumerate(zip(self.layers, cache[1:], strict=True)):
            dp = empty(*h.shape)
            if A[k] is not None:
                contraction.chain_backward(dA, C[k], p[k], dp)  # A_k = C_k diag(p_k); dA becomes dC
            else:
                dWT = contraction.top_backward(dA, p[k], WT, dp, dWT=empty(*WT.shape))  # dA is still the dC of below
                layer.dW.add(dWT.T)
            da.append(slopes.times_second(dp, h, layer.activation))
            if k + 1 < len(A) and A[k + 1] is not None:  # C_k = A_{k+1} W_{k+1}ᵀ
                after, dC = self.layers[k + 1], _rows(dA)
                after.dW.add_product(dC.T, _rows(A[k + 1]))
                dA = empty(*A[k + 1].shape)
                xp.matmul(dC, after.W, out=_rows(dA))
        return da

    def _times_G(self, A):
        """A G = A W_1ᵀ W_1, (B, K, n_1)"""
        xp, W, AG = namespace(A), self.layers[0].W, self.arena.empty(*A.shape)
        G = xp.matmul(W.T, W, out=self.arena.empty(W.shape[1], W.shape[1]))
        xp.matmul(_rows(A), G, out=_rows(AG))
        return AG

    def _add_W_times(self, A, scale):
        """dW_1 += scale W_1 AᵀA"""
        layer, A = self.layers[0], _rows(A)
        AA = namespace(A).matmul(A.T, A, out=self.arena.empty(layer.m, layer.m))
        AA *= scale
        layer.dW.add_product(layer.W, AA)

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
        from minae.kernels import contraction

        B, layer, empty = cache[0].shape[0], self.layers[0], self.arena.empty
        if len(self.layers) == 1:
            c = contraction.change_squares(cache[1], near[1], layer.activation, out=empty(layer.m))  # Σ_b (p − p′)²
            w = contraction.norms(layer.W, out=empty(layer.m))
            return namespace(c).vdot(c, w) / B, (c, w)
        chains = self.chain(cache), self.chain(near)
        A, A_near = chains[0][1][0], chains[1][1][0]
        D = namespace(A).subtract(A, A_near, out=empty(*A.shape))
        DG = self._times_G(D)
        return namespace(D).vdot(DG, D) / B, (*chains, D, DG)

    def backward(self, cache, near, kept, weight):
        """dW += weight ∂Ω/∂W; returns weight ∂Ω/∂a_l and weight ∂Ω/∂a′_l of every layer."""
        from minae.kernels import contraction

        scale, layer, empty = 2 * weight / cache[0].shape[0], self.layers[0], self.arena.empty
        if len(self.layers) == 1:
            (c, w), h, h_near = kept, cache[1], near[1]
            c *= scale
            layer.dW.add_scaled(layer.W, c)
            da, da_near = empty(*h.shape), empty(*h.shape)
            contraction.change_gradient(h, h_near, layer.activation, w, scale, da, da_near)
            return [da], [da_near]
        chain, chain_near, D, dA = kept
        self._add_W_times(D, scale)
        dA *= scale
        dA_near = namespace(dA).negative(dA, out=empty(*dA.shape))
        return self.chain_backward(cache, chain, dA), self.chain_backward(near, chain_near, dA_near)


def _rows(A):
    """(B, K, n) -> (B·K, n)"""
    return A.reshape(-1, A.shape[-1])
