"""One pair for batch, layer, instance and adaptive instance normalisation: they differ in the axes alone."""

from typing import Any

from minae import kernels
from minae.backend import namespace


def normalize(x: Any, axes: Any, arena: Any, delta: float = 1e-5, live: Any = None) -> Any:
    r"""x̂ = (x − μ)/σ,  μ = mean x,  σ = √(δ + mean (x − μ)²), means over `axes`.     (8.35–8.37)

    -> x̂ of x's shape, and μ and σ with the axes kept. The mean of squares is biased, 1/N and not 1/(N − 1).

    Derivation: let i and k count the N numbers of one mean, and σ² = δ + 1/N Σ_k (x_k − μ)². All x̂_i depend on x_k,
    through x_i where i = k, through μ and through σ. Since Σ_i (x_i − μ) = 0, σ depends on x_k by its own square alone:
        ∂μ/∂x_k = 1/N,    ∂σ/∂x_k = 1/(2σ) · 2/N (x_k − μ) = x̂_k/N
        ∂x̂_i/∂x_k = ([i = k] − 1/N)/σ − (x_i − μ)/σ² · x̂_k/N = 1/σ ([i = k] − 1/N − x̂_i x̂_k/N)
    The matrix is symmetric: it takes the mean out, and (but for δ) what lies along x̂. The chain rule sums over i:
        dx_k = Σ_i dx̂_i ∂x̂_i/∂x_k = 1/σ (dx̂_k − mean(dx̂) − x̂_k mean(dx̂ x̂))
    With y = G x̂ + b and one G for the N numbers, dx̂ = G dy, and G stands before the bracket. So Σ_k dx_k = 0, as a
    constant added to x changes nothing; and Σ_k dx_k x̂_k = (1 − mean x̂²)/σ Σ dx̂ x̂ = δ/σ³ Σ dx̂ x̂, which is O(δ).
    Where μ and σ are running averages, as in evaluation, they do not depend on x: dx = dx̂/σ, and no mean is taken.

    live: 1 for the x that count and 0 for padded ones, of a shape that broadcasts to x. The means are then over the N
    live ones, x̂ is 0 at the others, and so is dx: no live x̂ depends on a padded x.
    """
    over_time = _over_time(x, axes, arena, live)
    if live is not None and over_time is None:
        return _normalize_live(x, axes, arena, delta, live)
    rows, N = _as_rows(x, axes)
    x_hat, shape = arena.empty(*x.shape), _kept(x, axes)
    mu, sigma = arena.empty(*shape), arena.empty(*shape)
    if over_time is not None:
        kernels.normalization.normalize_over_time(x, over_time, delta, x_hat, mu[:, 0], sigma[:, 0])
        return x_hat, mu, sigma
    if rows:
        flat = mu.reshape(-1), sigma.reshape(-1)
        kernels.normalization.normalize(x.reshape(-1, N), delta, x_hat.reshape(-1, N), *flat)
        return x_hat, mu, sigma
    xp, ws = namespace(x), arena.ws
    x.mean(axis=axes, keepdims=True, out=mu)
    _joint(mu, axes, arena)
    xp.subtract(x, mu, out=x_hat)
    ws.multiply(x_hat, x_hat).mean(axis=axes, keepdims=True, out=sigma)
    _joint(sigma, axes, arena)
    sigma += delta
    xp.sqrt(sigma, out=sigma)
    x_hat /= sigma
    return x_hat, mu, sigma


def _normalize_live(x, axes, arena, delta, live):
    ws, xp, N = arena.ws, namespace(x), _count(live, axes, arena)
    mu, sigma = (arena.empty(*_kept(x, axes)) for _ in range(2))
    ws.multiply(x, live).sum(axis=axes, keepdims=True, out=mu)
    mu /= N
    x_hat = ws.multiply(ws.subtract(x, mu), live)
    ws.multiply(x_hat, x_hat).sum(axis=axes, keepdims=True, out=sigma)
    sigma /= N
    sigma += delta
    xp.sqrt(sigma, out=sigma)
    x_hat /= sigma
    return x_hat, mu, sigma


def normalize_backward(dx_hat: Any, x_hat: Any, sigma: Any, axes: Any, arena: Any, live: Any = None) -> Any:
    """dx = 1/σ (dx̂ − mean(dx̂) − x̂ mean(dx̂ x̂)), the means over the live ones"""
    over_time = _over_time(dx_hat, axes, arena, live)
    if over_time is not None:
        dx, (B, _, C) = arena.empty(*x_hat.shape), x_hat.shape
        means = arena.scratch(B, 2, C)
        kernels.normalization.backward_over_time(dx_hat, x_hat, over_time, sigma[:, 0], dx, means)
        return dx
    if live is not None:
        ws, N, shape = arena.ws, _count(live, axes, arena), sigma.shape
        inner = ws.multiply(dx_hat, x_hat).sum(axis=axes, keepdims=True, out=arena.empty(*shape))  # x̂ is 0 elsewhere
        dx = ws.multiply(dx_hat, live)
        dx -= ws.divide(dx.sum(axis=axes, keepdims=True, out=arena.empty(*shape)), N)
        dx -= ws.multiply(x_hat, ws.divide(inner, N))
        dx *= live
        dx /= sigma
        return dx
    rows, N = _as_rows(dx_hat, axes)
    if rows:
        dx = arena.empty(*x_hat.shape)
        flat = dx_hat.reshape(-1, N), x_hat.reshape(-1, N)
        kernels.normalization.backward(*flat, sigma.reshape(-1), dx.reshape(-1, N))
        return dx
    ws, shape = arena.ws, sigma.shape
    inner = ws.multiply(dx_hat, x_hat).mean(axis=axes, keepdims=True, out=arena.empty(*shape))
    mean = dx_hat.mean(axis=axes, keepdims=True, out=arena.empty(*shape))
    _joint(inner, axes, arena, backward=True)
    _joint(mean, axes, arena, backward=True)
    dx = ws.subtract(dx_hat, mean)
    dx -= ws.multiply(x_hat, inner)
    dx /= sigma
    return dx


def _count(live, axes, arena):
    return live.sum(axis=axes, keepdims=True, out=arena.empty(*_kept(live, axes)))


def _joint(means, axes, arena, backward=False):
    """Over the rows of all ranks, where the means go over the batch (`minae.world`).

    backward: the means of dx̂ = ∂J_r/∂x̂, which is B/B_r times ∂J/∂x̂. So each is weighted by B_r/B once more, and what
    comes out is taken B/B_r-fold again.
    """
    if 0 not in axes or arena.world.size == 1:
        return
    if backward:
        means *= arena.world.weight
    arena.world.mean(means)
    if backward:
        means /= arena.world.weight


def _kept(x, axes):
    return tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))


def _as_rows(x, axes):
    """Whether the fast form serves, whose means go along the last axis; and its length."""
    return axes == (x.ndim - 1,) and kernels.path(x) != "plain", x.shape[-1]


def _over_time(x, axes, arena, live):
    """Where the fast form serves whose means go over the steps of sequences (B, T, C): `live` as it takes it, (B, T),
    or (B, 1), unread, where no step is padded. None elsewhere."""
    if axes != (1,) or x.ndim != 3 or kernels.path(x) == "plain":
        return None
    if live is None:
        return arena.empty(len(x), 1, dtype=bool)
    return live.reshape(x.shape[:2]) if live.shape == (*x.shape[:2], 1) else None
