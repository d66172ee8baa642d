r"""The penalty on the derivatives of the encoder: ‖∂f/∂x‖², and its change from x to a nearby x′.     (14.11, 14.18)"""

from dataclasses import dataclass
from typing import Any

from minae import kernels
from minae.backend import namespace
from minae.errors import InputError
from minae.layers import Activation, Affine
from minae.parameters import Gradient
from minae.penalties import Term


@dataclass
class Sums:
    """Accumulators of the blockwise contraction.

    M: W_1ᵀ W_1, or None;  lowest: Σ A_1ᵀ A_1, or Σ (A_1 W_1ᵀ)ᵀ A_1 where M is None
    dWs: ∂/∂W_l of the layers l ≥ 2;  das: for x, and for x′ where there is one, ∂/∂a_l of every layer and all rows
    """

    M: object
    lowest: Gradient
    dWs: list
    das: list


class Contraction(Term):
    r"""Ω = ‖∂f(x)/∂x‖²_F = Σ_j ‖∇_x h_j‖², mean over the batch.     (14.11, 14.18)

    With `near`, the change of the Jacobian between x and x′ = x + σ ε: Ω = ‖Jf(x) − Jf(x′)‖²_F. For small σ this is the
    size of the second derivatives, ‖σ ε · ∂²f/∂x²‖²     (Rifai et al. 2011b).

    One layer h = φ(x W + b) has Jf = diag φ'(a) Wᵀ, and so, with w_j = ‖W_j‖² for column j,
        Ω = 1/B Σ_b Σ_j φ'(a_bj)² w_j;      for the sigmoid  Σ_j (h_j (1−h_j))² ‖W_j‖².

    Derivation (one layer): Ω depends on W_ij directly, and on a_bj through φ'.
        ∂Ω/∂W_ij = 2/B W_ij Σ_b φ'(a_bj)²
        ∂Ω/∂a_bj = 2/B w_j φ'(a_bj) φ''(a_bj)
    With φ'(a_bj) − φ'(a′_bj) in the place of φ'(a_bj), the same two lines are those of the change, and a′_bj gets
    −(2/B) w_j (φ'(a_bj) − φ'(a′_bj)) φ''(a′_bj).

    A deep encoder has layers l = 1 … D. The Jacobian is built from the code's side down, with P_l = diag φ'(a_l):
        Jf  = P_D W_Dᵀ ⋯ P_1 W_1ᵀ
        A_D = S P_D;   C_l = A_{l+1} W_{l+1}ᵀ;   A_l = C_l P_l;   S Jf = A_1 W_1ᵀ
        ‖S Jf‖² = ‖A_1 W_1ᵀ‖² = tr(A_1 M A_1ᵀ),   M = W_1ᵀ W_1
    S = I gives ‖Jf‖². A few random rows ξ_k ~ N(0, I), divided by √K, give an estimate of it: E ‖S Jf‖² = tr(Jfᵀ E[SᵀS]
    Jf) and E[SᵀS] = I (Hutchinson 1990). The (B, m, n) Jacobian itself is not written; but where its rows are few, as
    with S = ξ/√K, A_1 W_1ᵀ costs less than M and is taken.

    Derivation (deep): let F = ½ ‖A_1 W_1ᵀ‖², summed over the batch, so that Ω = 2 F/B. Each line upward undoes one
    above.
        F = ½ tr(W_1 A_1ᵀA_1 W_1ᵀ):   dA_1 = A_1 M,   dW_1 = W_1 A_1ᵀA_1
        A_l = C_l P_l:                dC_l = dA_l P_l,   dφ'(a_l)_i = Σ_k dA_ki C_ki,   da_l = dφ'(a_l) φ''(a_l)
        C_l = A_{l+1} W_{l+1}ᵀ:       dW_{l+1} = dC_lᵀ A_{l+1},   dA_{l+1} = dC_l W_{l+1}
    For the change, A_1 − A′_1 stands in the place of A_1, and A′_1 gets the negative of its gradient.

    A_l holds m numbers for each unit of layer l and each row. So the batch goes through in blocks of rows whose A_1
    stays in the caches, and each block gives F and its gradient before the next one takes its memory. With S = I, A_D
    is diagonal and no product is spent on it. The passes that are no products are those of minae.kernels.contraction.
    """

    def __init__(self, network: Any, weights: dict[str, float] | None = None, term: str = "Omega"):
        super().__init__(term, weights)
        pairs = list(zip(network.layers[::2], network.layers[1::2], strict=False))
        if len(network.layers) % 2 or not all(isinstance(a, Affine) and isinstance(h, Activation) for a, h in pairs):
            raise InputError(
                "the contraction is derived for layers φ(x W + b): build the encoder of these, without channels"
            )
        self.affine, self.names = [a for a, _ in pairs], [h.name for _, h in pairs]
        self.network = network

    def value(self, caches: Any, near: Any = None, xi: Any = None, need_grad: bool = True) -> Any:
        """Ω, and what its backward pass needs.

        caches: of f's forward pass at x;  near: at x′, or None;  xi: (B, K, m) random rows, or None for S = I
        A weight of 0 gives None for both.
        """
        if not self.weight:
            return None, None
        passes = [caches[1::2]] if near is None else [caches[1::2], near[1::2]]  # h_1, …, h_D at x, and at x′
        B = len(caches[0])
        if len(self.affine) == 1 and xi is None:
            total, cache = self._one_layer(*(hs[0] for hs in passes))
            return total / B, cache
        twice_F, sums = 0.0, self._sums(passes, B, xi)
        for rows in self._blocks(passes[0], B, xi):
            with self.arena:
                blocks = [[h[rows] for h in hs] for hs in passes]
                chains = [self.chain(hs, xi if xi is None else xi[rows]) for hs in blocks]
                A = chains[0][1][0]
                if near is not None:
                    A = self.arena.ws.subtract(A, chains[1][1][0])
                dA = self._times_M(A, sums, need_grad)
                twice_F += kernels.products.dot(dA, A)
                if need_grad:
                    dA_near = None if near is None else self.arena.ws.negative(dA)
                    self.chain_backward(blocks[0], chains[0], dA, sums.dWs, [da[rows] for da in sums.das[0]])
                    if near is not None:
                        self.chain_backward(blocks[1], chains[1], dA_near, sums.dWs, [da[rows] for da in sums.das[1]])
        return twice_F / B, sums

    def backward(self, caches: Any, cache: Any, near: Any = None, share: float = 1.0) -> Any:
        """dW += λ ∂Ω/∂W. Returns the gradients that join f's backward pass, layer -> λ ∂Ω/∂a_l; with near, for x and
        x′.

        cache: what `value` gave with Ω;  share: of λ, where the term is a mean over several points x′
        """
        if cache is None:
            return {}
        scale = 2 * self.weight * share / len(caches[0])
        if isinstance(cache, Sums):
            das = self._scaled(cache, scale)
        else:
            das = self._one_layer_backward(cache, scale, caches[1], near and near[1])
        joins = [{2 * k: da for k, da in enumerate(of_layers)} for of_layers in das]
        return joins[0] if near is None else joins

    # ---- one layer

    def _one_layer(self, h, h_near=None):
        """Σ_b Σ_j φ'(a_bj)² w_j, and the two vectors Σ_b φ'(a_bj)² and w that it is made of."""
        (layer,), (name,), empty = self.affine, self.names, self.arena.empty
        if h_near is None:
            squares = kernels.contraction.squares(h, name, out=empty(layer.m))
        else:
            squares = kernels.contraction.change_squares(h, h_near, name, out=empty(layer.m))
        w = kernels.contraction.norms(layer.W, out=empty(layer.m))
        return namespace(h).vdot(squares, w), (squares, w)

    def _one_layer_backward(self, cache, scale, h, h_near=None):
        (squares, w), (layer,), (name,) = cache, self.affine, self.names
        squares *= scale
        layer.dW.add_scaled(layer.W, squares)
        da = self.arena.empty(*h.shape)
        if h_near is None:
            return [[kernels.contraction.slope_gradient(h, name, w, scale, out=da)]]
        da_near = self.arena.empty(*h.shape)
        kernels.contraction.change_gradient(h, h_near, name, w, scale, da, da_near)
        return [[da], [da_near]]

    # ---- deep

    @property
    def arena(self) -> Any:
        return self.network.arena

    def chain(self, hs: Any, xi: Any = None) -> Any:
        """φ'(a_l), A_l and C_l of all layers, l = 1 … D, and W_Dᵀ.     hs: h_1 … h_D;  A_l: (B, K, n_l)

        With S = I, K is m, and A_D and C_D, which are P_D and I, stay None. Lists count layers from 0.
        """
        empty, ws, B, last = self.arena.empty, self.arena.ws, len(hs[0]), self.affine[-1]
        K = last.m if xi is None else xi.shape[1]
        slopes = [kernels.activations.prime(h, name, empty(*h.shape)) for h, name in zip(hs, self.names, strict=True)]
        A, C, WT = [None], [None], None
        if xi is None:
            WT = empty(K, last.n)
            WT[...] = last.W.T
        else:
            C[0] = ws.multiply(xi, K**-0.5)  # S
            A[0] = ws.multiply(C[0], slopes[-1][:, None, :])
        for k in reversed(range(len(self.affine) - 1)):
            after = self.affine[k + 1]
            if A[0] is None:
                C_k = ws.multiply(slopes[-1][:, :, None], WT)  # C_{D−1} = P_D W_Dᵀ
            else:
                C_k = empty(B, K, after.n)
                kernels.products.matmul(flatten(A[0]), after.W.T, flatten(C_k))
            C.insert(0, C_k)
            A.insert(0, ws.multiply(C_k, slopes[k][:, None, :]))
        return slopes, A, C, WT

    def chain_backward(self, hs: Any, chain: Any, dA: Any, dWs: Any, das: Any) -> None:
        """From dA = ∂F/∂A_1, whose memory is used: dW_l += … for l ≥ 2, and ∂F/∂a_l of every layer, in das."""
        empty, (slopes, A, C, WT) = self.arena.empty, chain
        for k, (h, name, da) in enumerate(zip(hs, self.names, das, strict=True)):
            if A[k] is not None:
                kernels.contraction.chain_backward(dA, C[k], slopes[k], da)  # da holds dφ'(a_l); dA becomes dC_l
            else:  # A_D = P_D: dA is still dC_{D−1}
                dWT = kernels.contraction.top_backward(dA, slopes[k], WT, da, dWT=empty(*WT.shape))
                dWs[k - 1].add(dWT.T)
            kernels.activations.times_second(da, h, name)  # da_l = dφ'(a_l) φ''(a_l)
            if k + 1 < len(A) and A[k + 1] is not None:
                after, dC = self.affine[k + 1], flatten(dA)
                dWs[k].add_product(dC.T, flatten(A[k + 1]))
                dA = empty(*A[k + 1].shape)
                kernels.products.matmul(dC, after.W, flatten(dA))

    def _sums(self, passes, B, xi):
        """Accumulators, and M where the way through it is the shorter one."""
        arena, first = self.arena, self.affine[0]
        n, m, R = first.n, first.m, B * (self.affine[-1].m if xi is None else xi.shape[1])
        M = None
        if 2 * n * m + 2 * R * m < 3 * R * n:  # M, A M, AᵀA and W AᵀA, against A Wᵀ, (A Wᵀ) W and (A Wᵀ)ᵀ A
            M = kernels.products.matmul(first.W.T, first.W, arena.empty(m, m))
        lowest = Gradient(arena.empty(n if M is None else m, m), arena)
        dWs = [Gradient(arena.empty(layer.n, layer.m), arena) for layer in self.affine[1:]]
        return Sums(M, lowest, dWs, [[arena.empty(*h.shape) for h in hs] for hs in passes])

    def _times_M(self, A, sums, need_grad):
        """dA = A M, (rows, K, m); and AᵀA, or (A W_1ᵀ)ᵀ A where M is None, is added to its sum."""
        W, M, dA = self.affine[0].W, sums.M, self.arena.empty(*A.shape)
        A = flatten(A)
        left = A if M is not None else kernels.products.matmul(A, W.T, self.arena.empty(len(A), len(W)))
        kernels.products.matmul(left, W if M is None else M, flatten(dA))
        if need_grad:
            sums.lowest.add_product(left.T, A)
        return dA

    def _blocks(self, hs, B, xi):
        """Slices of rows, as many at a time as keep A_1 within the caches."""
        K, backend = self.affine[-1].m if xi is None else xi.shape[1], self.arena.backend
        widths = [layer.m for layer in self.affine]
        count = min(B, max(1, backend.block // (K * max(widths))))
        need, have = 3 * count * K * sum(widths) * hs[0].dtype.itemsize, backend.memory()
        if need > have:
            raise InputError(
                f"‖Jf‖² of {count} rows takes {need / 2**30:.3g} GiB and the machine has {have / 2**30:.3g}: "
                "use the estimate, probes=1"
            )
        return [slice(start, start + count) for start in range(0, B, count)]

    def _scaled(self, sums, scale):
        """Add what the blocks have summed to the gradients, times `scale`. Returns the das, scaled."""
        first, arrays = self.affine[0], [sums.lowest.array, *(dW.array for dW in sums.dWs)]
        for array in [*arrays, *(da for of_layers in sums.das for da in of_layers)]:
            array *= scale
        if sums.M is None:
            first.dW.add(sums.lowest.array)
        else:
            first.dW.add_product(first.W, sums.lowest.array)
        for layer, dW in zip(self.affine[1:], sums.dWs, strict=True):
            layer.dW.add(dW.array)
        return sums.das


def flatten(A: Any) -> Any:
    """(B, K, n) -> (B·K, n)"""
    return A.reshape(-1, A.shape[-1])
