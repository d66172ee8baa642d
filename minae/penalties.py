"""Ω: what is added to the reconstruction error.     J = L(x, g(f(x))) + λ Ω     (14.2, 14.10)

The book's Ω(h) contains λ; here a penalty reports Ω without it, and its backward pass adds weight · ∂Ω to the gradients
that it is given.
"""

from dataclasses import dataclass

from minae.backend import dot, matmul, namespace
from minae.errors import InputError
from minae.parameters import Gradient


class WeightDecay:
    """Ω = ½ Σ ‖W‖²_F over the weight matrices, biases left alone.     (7.1.1)"""

    def __init__(self, parameters):
        self.parameters = parameters
        self.names = [name for name, shape in parameters.shapes.items() if len(shape) > 1]

    def value(self):
        W = [self.parameters[name] for name in self.names]
        return 0.5 * sum(dot(w, w) for w in W)

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


@dataclass
class Sums:
    """What the blocks of a contraction add up to: Σ A_1ᵀA_1, or Σ (A_1 W_1ᵀ)ᵀA_1 where G is None; dW_l of the layers
    l ≥ 2; and ∂Ω/∂a_l, of all rows, of every layer."""

    G: object
    lowest: Gradient
    dWs: list
    das: list


class Contraction:
    r"""Ω = ‖∂f(x)/∂x‖²_F = Σ_i ‖∇_x h_i‖², mean over the batch     (14.11, 14.18)

    With p_l = φ'(a_l), the Jacobian of an encoder of l = 1 … L layers is
        Jf = diag(p_L) W_Lᵀ ⋯ diag(p_1) W_1ᵀ.

    One layer:  ‖Jf‖² = Σ_j p_j² Σ_i W_ij²,  for the sigmoid  Σ_j (h_j (1−h_j))² ‖W_j‖².

    Deep, from the code's side down, with S = I (or with probes v for rows: E‖vᵀ Jf‖² = ‖Jf‖², Hutchinson 1990):
        A_L = S diag(p_L);   C_l = A_{l+1} W_{l+1}ᵀ,   A_l = C_l diag(p_l);   Jf = A_1 W_1ᵀ
        ‖Jf‖² = ‖A_1 W_1ᵀ‖² = tr(A_1 G A_1ᵀ),   G = W_1ᵀ W_1,
    so the (B, m, n) Jacobian itself is not written; but where its rows are few, as with probes, A_1 W_1ᵀ costs less
    than G and is taken. With S = I, A_L is diagonal, and no product is spent on it.

    A_l holds m numbers for each unit of layer l, row by row of the batch. So the batch goes through in blocks of rows
    whose A_1 stays in the caches, and each block gives Ω and its gradient before the next one takes its memory.

    The passes that are no products are those of minae.kernels.contraction.
    """

    def __init__(self, network, arena):
        self.layers, self.arena = network.layers, arena

    def value(self, cache, v=None, need_grad=True):
        """Ω, and what its backward pass needs. cache: x, h_1, …, h_L;  v: (B, K, m) or None."""
        xp, B, layer = namespace(cache[0]), cache[0].shape[0], self.layers[0]
        if len(self.layers) == 1 and v is None:
            from minae.kernels import contraction

            c = contraction.squares(cache[1], layer.activation, out=self.arena.empty(layer.m))  # Σ_b φ'(a_bj)²
            w = contraction.norms(layer.W, out=self.arena.empty(layer.m))  # ‖W_j‖²
            return xp.vdot(c, w) / B, (c, w)
        Omega, sums = 0.0, self._sums(cache, v)
        for rows in self._blocks(cache, v):
            block = [h[rows] for h in cache]
            chain = self.chain(block, v if v is None else v[rows])
            A = chain[1][0]
            AG = self._times_G(A, sums, need_grad)
            Omega += dot(AG, A)
            if need_grad:  # ½ ∂Ω/∂A_1 = A_1 G
                self.chain_backward(block, chain, AG, sums.dWs, [da[rows] for da in sums.das])
        return Omega / B, sums

    def backward(self, cache, kept, weight):
        """dW += weight ∂Ω/∂W; returns weight ∂Ω/∂a_l of every layer, which joins the backward pass of f there."""
        scale, layer = 2 * weight / cache[0].shape[0], self.layers[0]
        if not isinstance(kept, Sums):  # one layer
            from minae.kernels import contraction

            (c, w), h = kept, cache[1]
            c *= scale
            layer.dW.add_scaled(layer.W, c)
            return [contraction.slope_gradient(h, layer.activation, w, scale, out=self.arena.empty(*h.shape))]
        self._add(kept, scale)
        return kept.das

    def chain(self, cache, v=None):
        """p_l, A_l and C_l of all layers, l = 1 … L, and W_Lᵀ. A: (B, K, n_l), with K = m where v is None: then A_L and
        C_L, which are diag(p_L) and I, stay None."""
        xp, empty, layers, (B, _) = namespace(cache[0]), self.arena.empty, self.layers, cache[0].shape
        K = layers[-1].m if v is None else v.shape[1]
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
                matmul(_rows(A[0]), after.W.T, _rows(C_l))
            C.insert(0, C_l)
            A.insert(0, xp.multiply(C_l, p_l[:, None, :], out=empty(B, K, layer.m)))  # A_l = C_l diag(p_l)
        return p, A, C, WT

    def chain_backward(self, cache, chain, dA, dWs, das):
        """From dA = ∂J/∂A_1, which is overwritten: dW_l += … for l ≥ 2, and ∂J/∂a_l of every layer l, in das."""
        from minae.kernels import contraction, slopes

        empty, (p, A, C, WT) = self.arena.empty, chain
        for k, (layer, h, dp) in enumerate(zip(self.layers, cache[1:], das, strict=True)):
            if A[k] is not None:
                contraction.chain_backward(dA, C[k], p[k], dp)  # A_k = C_k diag(p_k); dA becomes dC
            else:
                dWT = contraction.top_backward(dA, p[k], WT, dp, dWT=empty(*WT.shape))  # dA is still the dC of below
                dWs[k - 1].add(dWT.T)
            slopes.times_second(dp, h, layer.activation)
            if k + 1 < len(A) and A[k + 1] is not None:  # C_k = A_{k+1} W_{k+1}ᵀ
                after, dC = self.layers[k + 1], _rows(dA)
                dWs[k].add_product(dC.T, _rows(A[k + 1]))
                dA = empty(*A[k + 1].shape)
                matmul(dC, after.W, _rows(dA))

    def _sums(self, cache, v=None):
        """Room for what the blocks add up to, and G where the way through it is the shorter one."""
        arena, first, (B, n) = self.arena, self.layers[0], cache[0].shape
        G, m, R = None, first.m, B * (self.layers[-1].m if v is None else v.shape[1])
        if 2 * n * m + 2 * R * m < 3 * R * n:  # G, A G, AᵀA and W AᵀA, against A Wᵀ, (A Wᵀ) W and (A Wᵀ)ᵀ A
            G = matmul(first.W.T, first.W, arena.empty(m, m))
        shapes = [(n if G is None else m, m), *((layer.n, layer.m) for layer in self.layers[1:])]
        lowest, *dWs = (Gradient(arena.empty(*shape), arena) for shape in shapes)
        return Sums(G, lowest, dWs, [arena.empty(*h.shape) for h in cache[1:]])

    def _times_G(self, A, sums, need_grad):
        """A G, (rows, K, m); and AᵀA, or (A W_1ᵀ)ᵀ A where G is None, joins its sum."""
        W, G, AG = self.layers[0].W, sums.G, self.arena.empty(*A.shape)
        A = _rows(A)
        left = A if G is not None else matmul(A, W.T, self.arena.empty(len(A), len(W)))
        matmul(left, W if G is None else G, _rows(AG))
        if need_grad:
            sums.lowest.add_product(left.T, A)
        return AG

    def _blocks(self, cache, v=None):
        """Slices of rows, as many at a time as keep A_1 within the caches. Each takes the memory of the one before."""
        K, B, backend = self.layers[-1].m if v is None else v.shape[1], cache[0].shape[0], self.arena.backend
        widths = [layer.m for layer in self.layers]
        count = min(B, max(1, backend.block // (K * max(widths))))
        self._fits(3 * count * K * sum(widths) * cache[0].dtype.itemsize, count)
        mark = self.arena.mark()
        for start in range(0, B, count):
            self.arena.rewind(mark)
            yield slice(start, start + count)
        self.arena.rewind(mark)

    def _add(self, sums, scale):
        """What the blocks have added up to goes to the gradients, times `scale`; das are scaled in place."""
        for array in (sums.lowest.array, *(dW.array for dW in sums.dWs), *sums.das):
            array *= scale
        if sums.G is None:
            self.layers[0].dW.add(sums.lowest.array)
        else:
            self.layers[0].dW.add_product(self.layers[0].W, sums.lowest.array)
        for layer, dW in zip(self.layers[1:], sums.dWs, strict=True):
            layer.dW.add(dW.array)

    def _fits(self, need, rows):
        have = self.arena.backend.memory()
        if need > have:
            raise InputError(
                f"‖Jf‖² of {rows} rows takes {need / 2**30:.3g} GiB and the machine has {have / 2**30:.3g}: "
                "use the estimate, probes=1"
            )


class ContractionChange(Contraction):
    r"""Ω = ‖Jf(x) − Jf(x′)‖²_F, mean over the batch, x′ = x + ε: for small ε, ‖ε · ∂²f/∂x²‖².     (Rifai et al. 2011b)

    One layer:  Σ_j (p_j − p′_j)² ‖W_j‖².   Deep:  ‖D W_1ᵀ‖² = tr(D G Dᵀ),  D = A_1 − A′_1, G = W_1ᵀ W_1.
    """

    def value(self, cache, near, need_grad=True):
        """Ω, and what its backward pass needs.  cache, near: x, h_1, …, h_L at x and at x′."""
        from minae.kernels import contraction

        xp, B, layer, empty = namespace(cache[0]), cache[0].shape[0], self.layers[0], self.arena.empty
        if len(self.layers) == 1:
            c = contraction.change_squares(cache[1], near[1], layer.activation, out=empty(layer.m))  # Σ_b (p − p′)²
            w = contraction.norms(layer.W, out=empty(layer.m))
            return xp.vdot(c, w) / B, (c, w)
        Omega, sums = 0.0, self._sums(cache)
        das_near = [empty(*h.shape) for h in near[1:]]
        for rows in self._blocks(cache):
            block, block_near = ([h[rows] for h in hs] for hs in (cache, near))
            chain, chain_near = self.chain(block), self.chain(block_near)
            A, A_near = chain[1][0], chain_near[1][0]
            D = xp.subtract(A, A_near, out=empty(*A.shape))
            dA = self._times_G(D, sums, need_grad)
            Omega += dot(dA, D)
            if need_grad:  # ½ ∂Ω/∂A_1 = D G, and −D G at x′
                dA_near = xp.negative(dA, out=empty(*A.shape))
                self.chain_backward(block, chain, dA, sums.dWs, [da[rows] for da in sums.das])
                self.chain_backward(block_near, chain_near, dA_near, sums.dWs, [da[rows] for da in das_near])
        return Omega / B, (sums, das_near)

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
        sums, das_near = kept
        self._add(sums, scale)
        for da in das_near:
            da *= scale
        return sums.das, das_near


def _rows(A):
    """(B, K, n) -> (B·K, n)"""
    return A.reshape(-1, A.shape[-1])
