"""Each CUDA form beside its plain form: the cases, and a run of them under Numba's simulator.

    NUMBA_ENABLE_CUDASIM=1 python tests/cuda_forms.py        prints "parity" where all agree

`cases` is used three times: under the simulator, which is chosen when Numba loads and so needs a process of its own; on
a GPU where one answers; and by the test that compiles every launch to PTX, which needs neither.
"""

import contextlib
import warnings

import numpy as np

from minae import kernels, ops
from minae.arena import Arena
from minae.backend import get_backend, namespace
from minae.kernels import (
    activations,
    bernoulli,
    contraction,
    convolution,
    gates,
    kl_sparsity,
    log_softmax,
    normalization,
    reduce,
    rows,
    shrinkage,
    softmax,
    top_k,
)

SHAPES = [(1, 1), (0, 4), (2, 11)]
TYPES = {"float32": 1e-5, "float64": 1e-12}


@contextlib.contextmanager
def served(path, launch=kernels.launch):
    """All kernels by this path, and launches by this function."""
    before = kernels.path, kernels.launch
    kernels.path, kernels.launch = lambda *_: path, launch
    try:
        yield
    finally:
        kernels.path, kernels.launch = before


def cases(dtype, shape, rng):
    """(name, function of arrays, arrays): what is written into the arrays and what is returned is compared."""
    (B, m), n, K = shape, 6, 3

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    h = rng.uniform(0.02, 0.98, shape).astype(dtype)
    yield "KL", lambda h: kl_sparsity.value(h, 0.1), [h]
    if B:
        yield "KL backward", lambda h, dh: kl_sparsity.backward(h, dh, 0.1, 0.5), [h, normal(*shape)]
        ends = h.copy()
        ends[:, 0], ends[:, -1] = 1, 0
        yield "KL at both ends", lambda h: kl_sparsity.value(h, 0.1), [ends]
        yield "KL backward, ends", lambda h, dh: kl_sparsity.backward(h, dh, 0.1, 0.5), [ends, normal(*shape)]
    W, w, out = normal(n, m), rng.random(m).astype(dtype), np.full(m, np.nan, dtype)
    yield "norms", lambda W, out: contraction.norms(W, out), [W, out]
    yield "add_scaled", contraction.add_scaled, [normal(n, m), W, w]
    for name in activations.ACTIVATIONS:
        h, near = (activations.phi(normal(*shape), name) for _ in range(2))
        da, da_near = np.full_like(h, np.nan), np.full_like(h, np.nan)
        yield f"squares, {name}", lambda h, out, name=name: contraction.squares(h, name, out), [h, out]
        yield (
            f"slope_gradient, {name}",
            lambda h, w, da, name=name: contraction.slope_gradient(h, name, w, 0.5, da),
            [h, w, da],
        )
        yield (
            f"change_squares, {name}",
            lambda h, near, out, name=name: contraction.change_squares(h, near, name, out),
            [h, near, out],
        )
        yield (
            f"change_gradient, {name}",
            lambda h, near, w, da, da_near, name=name: contraction.change_gradient(h, near, name, w, 0.5, da, da_near),
            [h, near, w, da, da_near],
        )
    dA, C = normal(B, K, m), normal(B, K, m)
    p, p_K, WT = normal(B, m), normal(B, K), normal(K, m)
    yield "chain_backward", contraction.chain_backward, [dA, C, p, np.full_like(p, np.nan)]
    yield "top_backward", contraction.top_backward, [dA, p_K, WT, np.full_like(p_K, np.nan), np.full_like(WT, np.nan)]

    k = min(m, 3)
    unit = np.sort(np.argsort(rng.random(shape), axis=1)[:, :k], axis=1).astype(np.int32)
    same = np.zeros_like(unit)  # all examples name one row, and twice
    value, R, y = normal(B, k), normal(m, n), normal(B, n)
    yield "gather", rows.gather, [unit, normal(*shape), np.full_like(value, np.nan)]
    for label, chosen in {"": unit, ", all the same": same}.items():
        yield f"combine{label}", rows.combine, [chosen, value, R, y]
        yield f"scatter_add{label}", rows.scatter_add, [chosen, value, y, R]
        yield f"project{label}", rows.project, [chosen, y, R, np.full_like(value, np.nan)]
    inputs = {"": normal(*shape), ", ties": np.round(normal(*shape)), ", one value": np.full(shape, -2, dtype)}
    inputs[", infinities"] = np.where(rng.random(shape) < 0.5, np.inf, -np.inf).astype(dtype)
    inputs[", NaN"] = np.where(rng.random(shape) < 0.2, -np.nan, inputs[""]).astype(dtype)
    for label, a in inputs.items():
        for k in {1, m // 2 + 1, m} if label == ", ties" else {m // 2 + 1}:
            empty = np.full((B, k), -1, np.int32), np.full((B, k), 7, dtype)
            yield (
                f"top_k {k}{label}",
                lambda h, unit, value, k=k: top_k.top_k(h, k, unit, value),
                [a, *empty],
            )

    t = 1 + rng.random(B).astype(dtype)
    a, q, h, y = (normal(*shape) for _ in range(4))  # a is used up; without momentum t has no use
    yield "FISTA", lambda a, q, h, y, t: shrinkage.step(a.copy(), q, 0.3, h, y, t, True), [a, q, h, y, t]
    yield "ISTA", lambda a, q, h, y, t: shrinkage.step(a.copy(), q, 0.3, h, y, t.copy(), False), [a, q, h, y, t]
    yield "shrink", lambda a, kappa, h: shrinkage.shrink(a, kappa, out=h), [normal(*shape), w, normal(*shape)]
    for label, s in {"": 8 * normal(*shape), ", NaN": inputs[", NaN"]}.items():
        yield f"log_softmax{label}", lambda s, y: log_softmax.log_softmax(s, y), [s, np.full_like(s, np.nan)]
    y = log_softmax.log_softmax(normal(*shape))
    yield "log_softmax backward", log_softmax.backward, [normal(*shape), y, np.full_like(y, np.nan)]
    s, x = 8 * normal(*shape), rng.random(shape).astype(dtype)
    if B:
        yield "bernoulli", lambda s, x, ds: bernoulli.loss(s, x, ds, 0.5), [s, x, np.full_like(s, np.nan)]

    for name in ("gru", "gru_backward", "lstm", "lstm_backward"):
        body = getattr(gates, name)
        slices = [*body.slices[0], *body.slices[1]]
        wide = [1 + max(k for each, k in slices if each == array) for array in body.arrays]
        parts = [normal(B, width * m) for width in wide]
        live = body.arrays.index("live")
        parts[live][...] = rng.random((B, 1)) < 0.7
        yield name, lambda *arrays, body=body: body(*arrays), parts
    for label, mask_shape in {"": (B, n, m), ", causal": (1, n, m), ", padding": (B, 1, m)}.items():
        mask = np.where(rng.random(mask_shape) < 0.6, 0, -np.inf).astype(dtype)
        mask[:, :, 0] = 0
        yield f"masked softmax{label}", lambda S, mask: softmax.masked(S, mask, 0.3), [normal(B, K, n, m), mask]
    yield (
        "masked softmax backward",
        lambda dA, A: softmax.backward(dA, A, 0.3),
        [normal(B, K, n, m), normal(B, K, n, m)],
    )
    x, out = 3 + normal(*shape), np.full(shape, np.nan, dtype)
    yield "normalize", normalize, [x, out, out[:, 0].copy(), out[:, 0].copy()]
    yield "normalize backward", normalize_backward, [normal(*shape), normal(*shape), 1 + h[:, 0] ** 2, out]
    frames, channels = (B, 9, shape[1]), (B, shape[1])
    padded = np.arange(9) < 1 + np.arange(B)[:, None] % 9
    for what, live in (("", np.empty((B, 1), bool)), (" of padded steps", padded)):
        # steps at least 1 apart: where two that are live are nearly equal, dividing by σ shows how each form rounds
        x = (rng.random(frames) + 2 * np.arange(9)[:, None]).astype(dtype)
        out, of_channel = np.full(frames, np.nan, dtype), np.full(channels, np.nan, dtype)
        yield f"normalize over time{what}", over_time, [x, live, out, of_channel, of_channel.copy()]
        x_hat = np.where(live[:, :, None], normal(*frames), 0) if what else normal(*frames)
        given = [normal(*frames), x_hat, live, 1 + normal(*channels) ** 2, out]
        yield f"normalize over time backward{what}", over_time_backward, given
    for size, taps, steps in (
        ((5, 7, 3), (3, 2), ((2, 1), (1, 0), (1, 1))),
        ((4, 3, 1), (2, 3), ((1, 3), (2, 1), (2, 1))),
        ((1, 9, 2), (1, 3), ((1, 2), (0, 1), (1, 2))),
    ):
        places = [(s + 2 * p - d * (t - 1) - 1) // step + 1
                  for s, t, step, p, d in zip(size, taps, *steps, strict=False)]  # fmt: skip
        x, cols = normal(B, *size), normal(B, *places, *taps, size[2])
        yield f"im2col {size}", lambda x, cols, steps=steps: convolution.im2col(x, cols, *steps), [x, cols]
        bias = normal(size[2])
        yield f"col2im {size}", lambda c, x, b, steps=steps: convolution.col2im(c, x, *steps, b), [cols, x, bias]


def normalize(x, x_hat, mu, sigma):
    """By the kernel; the plain form is in `ops`, for any axes."""
    if kernels.path(x) != "plain":
        normalization.normalize(x, 1e-5, x_hat, mu, sigma)
        return
    arena = Arena(get_backend("numpy"), x.dtype.name)
    for out, made in zip((x_hat, mu, sigma), ops.normalization.normalize(x, (1,), arena), strict=True):
        out[...] = made.reshape(out.shape)


def normalize_backward(dx_hat, x_hat, sigma, dx):
    if kernels.path(dx_hat) != "plain":
        normalization.backward(dx_hat, x_hat, sigma, dx)
        return
    arena = Arena(get_backend("numpy"), dx.dtype.name)
    dx[...] = ops.normalization.normalize_backward(dx_hat, x_hat, sigma[:, None], (1,), arena)


def over_time(x, live, x_hat, mu, sigma):
    if kernels.path(x) != "plain":
        normalization.normalize_over_time(x, live, 1e-5, x_hat, mu, sigma)
        return
    arena, live = Arena(get_backend("numpy"), x.dtype.name), live[:, :, None] if live.shape[1] > 1 else None
    made = ops.normalization.normalize(x, (1,), arena, live=live)
    for out, array in zip((x_hat, mu, sigma), made, strict=True):
        out[...] = array.reshape(out.shape)


def over_time_backward(dx_hat, x_hat, live, sigma, dx):
    if kernels.path(dx_hat) != "plain":
        means = namespace(dx_hat).empty((len(dx), 2, dx.shape[2]), dx.dtype)
        normalization.backward_over_time(dx_hat, x_hat, live, sigma, dx, means)
        return
    arena, live = Arena(get_backend("numpy"), dx.dtype.name), live[:, :, None] if live.shape[1] > 1 else None
    dx[...] = ops.normalization.normalize_backward(dx_hat, x_hat, sigma[:, None], (1,), arena, live)


def results(function, arrays, put=np.copy, get=np.asarray):
    """What the function returns and what is in the arrays after it."""
    arrays = [put(array) for array in arrays]
    returned = function(*arrays)
    return [get(array) for array in [*([] if returned is None else [returned]), *arrays]]


def compare(dtype, shape, put=np.copy, get=np.asarray, launch=kernels.launch, only=""):
    """The CUDA forms against the plain forms; in float32 a second time, for the same bits.     only: cases so named"""
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        for name, function, arrays in cases(dtype, shape, np.random.default_rng(0)):
            if only not in name:
                continue
            with served("plain"):
                plain = results(function, arrays)
            with served("cuda", launch):
                ours = again = results(function, arrays, put, get)
                if dtype == "float32":
                    again = results(function, arrays, put, get)
            for a, b, c in zip(ours, again, plain, strict=True):
                message = f"{name}, {dtype}, {shape}"
                assert a.dtype == c.dtype and a.tobytes() == b.tobytes(), message
                atol = TYPES[dtype]
                if dtype == "float32" and shape[1] > 100:  # a sum of many is rounded as its terms are large
                    atol *= max(1, np.abs(c[np.isfinite(c)], dtype=float).max(initial=0))
                np.testing.assert_allclose(a, c, rtol=TYPES[dtype], atol=atol, err_msg=message)


def simulated(function, arrays, *scalars, threads=None, block=256):
    """`kernels.launch`, for arrays of the host. A small block is simulated faster, and takes more turns."""
    from numba import cuda

    threads = arrays[0].size if threads is None else threads
    if threads:
        on_device = [cuda.to_device(array) for array in arrays]
        function[-(-threads // 256), block](*on_device, *scalars)
        for array, copy in zip(arrays, on_device, strict=True):
            array[...] = copy.copy_to_host()


def small_blocks(launch, blocks, arrays, *scalars):
    """`reduce.Launch.__call__` with 16 threads a block."""
    simulated(launch.compiled, arrays, *scalars, threads=256 * blocks, block=16)


def small_grids(launch, arrays, *scalars):
    simulated(launch.compiled, arrays, *scalars, threads=256 * -(-arrays[0].size // 16), block=16)


if __name__ == "__main__":
    whole = reduce.Launch.__call__, reduce.Launch.each
    reduce.Launch.__call__, reduce.Launch.each = small_blocks, small_grids
    for dtype in TYPES:
        compare(dtype, SHAPES[-1], launch=simulated)
    for shape in SHAPES[:-1]:
        compare("float32", shape, launch=simulated)
    reduce.Launch.__call__, reduce.Launch.each = whole  # blocks of 256, as on a GPU
    for name in ("KL backward", "scatter_add", "squares, softplus", "log_softmax backward"):
        compare("float32", (2, 3), launch=simulated, only=name)
    print("parity")
