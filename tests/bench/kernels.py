"""Each kernel's plain form against the kernel, float32, in turns within one process.

    python tests/bench/kernels.py [--repeats 200] [--backend cupy]
    python tests/bench/kernels.py --count      launches and bytes of the CUDA and the plain forms; needs no GPU

A table for kernels/README.md, in µs a call of the plain form, of the kernel on one thread and of the kernel: median,
and the 5 % and 95 % quantiles of the repeats; then the median of the ratios of plain form and kernel, and for a kernel
that walks through its arrays once, the bytes that it moves in a second.
"""

import argparse
import itertools
import math
import statistics
import time

import minae  # noqa: F401  (before NumPy: sets up its threads)

# isort: split
import numpy as np

from minae import kernels
from minae.backend import get_backend
from minae.kernels import (
    activations,
    adam,
    bernoulli,
    contraction,
    convolution,
    gates,
    hamming,
    kl_sparsity,
    log_softmax,
    noise,
    pool,
    products,
    rows,
    shrinkage,
    softmax,
    top_k,
)

LAYERS = [(128, 500), (128, 784)]
CODES = [(100, 30), (128, 500)]  # of 784-30 and 784-500
WINDOWS = [((128, 28, 28, 1), 3), ((128, 14, 14, 16), 3), ((128, 14, 14, 16), 4)]  # x, kernel; stride 2, padding 1
CHAIN = (64, 30, 128)  # (B, m, n) of 784-128-30
FISTA = (1000, 256)  # rows, atoms
PARAMETERS = 784_000
SPARSE, CODES_STORED = (128, 8192, 784, 32), 10**6  # (B, m, n, k) of a k-sparse 784-8192; number of packed codes


def plainly(function):
    """The same call by the plain form of the kernels in it."""

    def call():
        path, kernels.path = kernels.path, lambda *_: "plain"
        try:
            function()
        finally:
            kernels.path = path

    return call


def narrow(function):
    """The same call on one thread. A product asks NumPy's BLAS how many it may use, and stays as it is."""

    def call():
        width, pool.pool.width = pool.pool.width, 1
        try:
            function()
        finally:
            pool.pool.width = width

    return call


def matrices(rng):
    """Products by OpenBLAS's threads, and by the pool."""
    for name, A, B in (
        ("x W 128 × 784 × 500", rng.random((128, 784), "f"), rng.random((784, 500), "f")),
        ("xᵀ da 784 × 128 × 500", rng.random((128, 784), "f").T, rng.random((128, 500), "f")),
        ("x W 100 × 784 × 30", rng.random((100, 784), "f"), rng.random((784, 30), "f")),
    ):
        out = np.empty((len(A), B.shape[1]), "f")
        yield (
            name,
            lambda A=A, B=B, out=out: np.matmul(A, B, out=out),
            lambda A=A, B=B, out=out: products.matmul(A, B, out),
        )
    A = rng.random((3840, 500), "f")
    yield "AᵀA 500 × 3840 × 500", lambda: np.matmul(A.T, A), lambda: products.matmul(A.T, A)
    u, x = np.empty((128, 784), "f"), rng.random((128, 784), "f")
    yield "uniform 128 × 784", lambda: rng.random(dtype=u.dtype, out=u), lambda: noise.uniform(rng, u)
    yield "mask 128 × 784", plainly(lambda: noise.mask(u, x, 0.25)), lambda: noise.mask(u, x, 0.25), 3 * u.size
    yield (
        "normal 128 × 784",
        lambda: rng.standard_normal(dtype=u.dtype, out=u),
        lambda: noise.standard_normal(rng, u),
    )


def elementwise(rng, backend):
    """name, plain form, the kernel, and how many numbers the kernel reads and writes."""
    put, xp = backend.from_numpy, backend.xp
    gpu = [(8192, 4096)] if backend.name == "cupy" else []
    for shape in [*LAYERS, *gpu]:
        s, x, out = put(rng.standard_normal(shape, "f")), put(rng.random(shape, "f")), put(np.empty(shape, "f"))
        h, size = put(rng.random(shape, "f")), math.prod(shape)
        calls = {  # the activation's slope reads h and dh
            "sigmoid": (lambda s=s, out=out: activations.phi(s, "sigmoid", out), 2),
            "relu": (lambda s=s, out=out: activations.phi(s, "relu", out), 2),
            "softplus": (lambda s=s, out=out: activations.phi(s, "softplus", out), 2),
            "bernoulli": (lambda s=s, x=x, out=out: bernoulli.loss(s, x, out, 1.0), 3),
            "sigmoid'": (lambda x=x, h=h, out=out: activations.backward(x, h, "sigmoid", out), 3),
            "softplus'": (lambda x=x, h=h, out=out: activations.backward(x, h, "softplus", out), 3),
        }
        for name, (call, numbers) in calls.items():
            yield f"{name} {shape[0]} × {shape[1]}", plainly(call), call, numbers * size
    for size in [PARAMETERS, *(math.prod(shape) for shape in gpu)]:
        w, g, s, r = put(rng.standard_normal(size, "f")), *(xp.full(size, 1e-3, "f") for _ in range(3))

        def step(w=w, g=g, s=s, r=r):
            adam.update(w, g, s, r, 10_000, 1e-3, 0.9, 0.999, 1e-8, 0.0)

        yield f"adam {size}", plainly(step), step, 7 * size


def penalties(rng, backend):
    """The same for the kernels of the penalties: what one training step does."""
    put = backend.from_numpy
    for B, m in CODES:
        h, dh, out, da = (put(rng.random((B, m), "f")) for _ in range(4))
        W, dW, w, c = map(put, (rng.random((784, m), "f"), np.zeros((784, m), "f"), np.ones(m, "f"), np.ones(m, "f")))

        def sparsity(h=h, dh=dh):
            kl_sparsity.value(h, 0.1)
            kl_sparsity.backward(h, dh, 0.1, 1e-9)

        def contract(h=h, dh=dh, out=out, da=da, W=W, dW=dW, w=w, c=c):
            contraction.squares(h, "sigmoid", out=c)
            contraction.norms(W, out=w)
            contraction.slope_gradient(h, "sigmoid", w, 1e-3, out=da)
            contraction.add_scaled(dW, W, c)
            out += activations.backward(dh, h, "sigmoid", da)

        yield f"kl_sparsity {B} × {m}", plainly(sparsity), sparsity
        yield f"contraction {B} × {m}", plainly(contract), contract
    a, q, h, y = (put(rng.standard_normal(FISTA, "f")) for _ in range(4))
    t = put(np.ones(FISTA[0], "f"))

    def descend():
        shrinkage.step(a, q, 0.1, h, y, t, True)

    yield f"shrinkage {FISTA[0]} × {FISTA[1]}", plainly(descend), descend
    B, m, n = CHAIN
    dA, C, p_n, p_m, WT = (put(rng.random(shape, "f")) for shape in (CHAIN, CHAIN, (B, n), (B, m), (m, n)))
    dp_n, dp_m, dWT = (backend.xp.empty_like(array) for array in (p_n, p_m, WT))

    def chain():
        contraction.chain_backward(dA, C, p_n, dp_n)
        dA[...] = C  # else it would fall to 0, call by call

    def top():
        contraction.top_backward(C, p_m, WT, dp_m, dWT)

    yield f"chain {B} × {m} × {n}", plainly(chain), chain
    yield f"its top {B} × {m} × {n}", plainly(top), top


def windows(rng, backend):
    """The same for the windows of images: those of the workload `convolutional`."""
    for (B, H, W, C), k in WINDOWS:
        steps, x = ((2, 2), (1, 1), (1, 1)), backend.from_numpy(rng.standard_normal((B, H, W, C), "f"))
        cols = backend.xp.empty((B, (H - k) // 2 + 2, (W - k) // 2 + 2, k, k, C), "f")

        def gather(x=x, cols=cols, steps=steps):
            convolution.im2col(x, cols, *steps)

        def add(x=x, cols=cols, steps=steps):
            convolution.col2im(cols, x, *steps)

        numbers, of = x.size + cols.size, f"{k} × {k} of {B} × {H} × {W} × {C}"
        yield f"im2col {of}", plainly(gather), gather, numbers
        yield f"col2im {of}", plainly(add), add, numbers


def codes(rng, backend):
    """The same for a k-sparse code with 32 of 8192 units on, and for the Hamming distances of 64 bits."""
    B, m, n, k = SPARSE
    put, empty = backend.from_numpy, backend.xp.empty
    h, R, y, dR = (put(rng.standard_normal(shape, "f")) for shape in ((B, m), (m, n), (B, n), (m, n)))
    unit, value = empty((B, k), np.int32), empty((B, k), "f")
    units, values = empty((B, 2 * k), np.int32), empty((B, 2 * k), "f")
    top_k.top_k(h, k, unit, value)
    top_k.top_k(h, 2 * k, units, values)
    calls = {
        f"top_k {k} of {m}": lambda: top_k.top_k(h, k, unit, value),
        f"combine {k} rows of {m}": lambda: rows.combine(unit, value, R, y),
        f"combine {2 * k} rows of {m}": lambda: rows.combine(units, values, R, y),
        f"scatter_add {k} rows of {m}": lambda: rows.scatter_add(unit, value, y, dR),
        f"project {k} rows of {m}": lambda: rows.project(unit, y, R, value),
    }
    for name, call in calls.items():
        yield name, plainly(call), call
    if backend.name != "numpy":
        return
    packed, query = rng.integers(2**63, size=(1, CODES_STORED), dtype=np.uint64), np.zeros(1, np.uint64)
    yield (
        "10 nearest of 10⁶ codes",
        lambda: hamming.nearest_plain(packed, query, 10),
        lambda: hamming.nearest(packed, query, 10),
    )
    yield "ball of 10⁶ codes", lambda: hamming.ball_plain(packed, query, 16), lambda: hamming.ball(packed, query, 16)


class Counted(np.ndarray):
    """An array whose passes are counted: each function of NumPy's is a launch of CuPy's, which reads what it is given
    and writes what it gives. A mean is two here, and may be one there."""

    launches = moved = 0

    def count(*arrays):
        Counted.launches += 1
        Counted.moved += sum(array.nbytes for array in arrays if isinstance(array, np.ndarray | np.generic))

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        bare = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        if out is not None:
            options["out"] = tuple(x.view(np.ndarray) for x in out)
        result = getattr(ufunc, method)(*bare, **options)
        Counted.count(*(bare[1:] + bare[2:] * 2 if method == "at" else [*bare, result]))
        return out[0] if out is not None else result.view(Counted) if isinstance(result, np.ndarray) else result

    def __array_function__(self, function, kinds, arguments, options):
        bare = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in arguments]
        options = {key: x.view(np.ndarray) if isinstance(x, Counted) else x for key, x in options.items()}
        result = function(*bare, **options)
        if function is np.take_along_axis:
            Counted.count(bare[1], result, result)
        elif function not in (np.empty_like, np.broadcast_to):
            Counted.count(*bare, result)
        return result.view(Counted) if isinstance(result, np.ndarray) else result

    def __getitem__(self, index):
        result = super().__getitem__(index)
        if isinstance(index, np.ndarray):  # a gather
            Counted.count(index, result, result)
        return result

    def __setitem__(self, index, value):
        super().__setitem__(index, value)
        Counted.count(value, self.view(np.ndarray)[index])


def counted():
    """(name and size, call, arrays that the CUDA form reads and writes, each once) in float32."""
    B, m, n, (rows_, K, width) = 128, 500, 784, CHAIN
    rng = np.random.default_rng(0)

    def new(*shape):
        return rng.uniform(0.1, 0.9, shape).astype("f").view(Counted)

    h, near, dh, da, da_near, W, dW, row = *(new(B, m) for _ in range(5)), new(n, m), new(n, m), new(m)
    yield "kl_sparsity.value", lambda: kl_sparsity.value(h, 0.1), [h, row, row]
    yield "kl_sparsity.backward", lambda: kl_sparsity.backward(h, dh, 0.1, 0.5), [h, dh, dh]
    yield "contraction.norms", lambda: contraction.norms(W, row), [W, row]
    yield "contraction.squares", lambda: contraction.squares(h, "sigmoid", row), [h, row]
    yield "contraction.slope_gradient", lambda: contraction.slope_gradient(h, "sigmoid", row, 1.0, da), [h, row, da]
    yield "contraction.change_squares", lambda: contraction.change_squares(h, near, "sigmoid", row), [h, near, row]
    yield (
        "contraction.change_gradient",
        lambda: contraction.change_gradient(h, near, "sigmoid", row, 1.0, da, da_near),
        [h, near, row, da, da_near],
    )
    yield "contraction.add_scaled", lambda: contraction.add_scaled(dW, W, row), [dW, dW, W, row]
    C, dA, p, p_K, WT, dWT, dp, dp_K = (
        *(new(rows_, K, width) for _ in range(2)), new(rows_, width), new(rows_, K), new(K, width), new(K, width),
        new(rows_, width), new(rows_, K),
    )  # fmt: skip
    yield "contraction.chain_backward", lambda: contraction.chain_backward(dA, C, p, dp), [dA, dA, C, p, dp]
    yield (
        "contraction.top_backward",
        lambda: contraction.top_backward(C, p_K, WT, dp_K, dWT),
        [C, C, p_K, WT, dp_K, dWT],
    )
    B, m, n, k = SPARSE
    h, R, y = new(B, m), new(m, n), new(B, n)
    unit = np.sort(rng.permuted(np.tile(np.arange(m, dtype=np.int32), (B, 1)), axis=1)[:, :k]).view(Counted)
    value, of_R = new(B, k), np.empty((B * k, n), "f")  # the rows of R that are named
    yield f"top_k.top_k {k} of {m}", lambda: top_k.top_k(h, k, unit, value), [h, unit, value]
    yield "rows.gather", lambda: rows.gather(unit, h, value), [unit, value, value]
    yield "rows.combine", lambda: rows.combine(unit, value, R, y), [unit, value, of_R, y, y]
    yield "rows.scatter_add", lambda: rows.scatter_add(unit, value, y, R), [unit, value, y, of_R, of_R]
    yield "rows.project", lambda: rows.project(unit, y, R, value), [unit, y, of_R, value]
    a, q, h, y, t = *(new(*FISTA) for _ in range(4)), new(FISTA[0])
    kappa = new(FISTA[1])
    yield "shrinkage.step", lambda: shrinkage.step(a, q, 0.1, h, y, t, True), [a, a, q, h, h, y, y, t, t]
    yield "shrinkage.shrink", lambda: shrinkage.shrink(a, kappa, out=h), [a, h, kappa]
    s, out, work = new(128, 1000), new(128, 1000), new(128, 1000)
    yield "log_softmax", lambda: log_softmax.log_softmax(s, out, work), [s, out]
    yield "log_softmax.backward", lambda: log_softmax.backward(s, out, work), [s, out, work]
    B, m = 64, 128  # of the workload `gru`, a step
    for name in ("gru", "gru_backward", "lstm", "lstm_backward"):
        body = getattr(gates, name)
        read, written = body.slices
        wide = {array: 1 + max(k for each, k in read + written if each == array) for array in body.arrays}
        arrays = {array: new(B, k * m) for array, k in wide.items()}
        moved = [arrays[array][:, :m] for array, _ in read + written]
        yield f"gates.{name}", lambda body=body, arrays=arrays: body(*arrays.values()), moved
    S, dA, mask = new(64, 4, 32, 32), new(64, 4, 32, 32), new(64, 1, 32)  # of `attention`
    yield "softmax.masked", lambda: softmax.masked(S, mask, 0.2), [S, S, mask]
    yield "softmax.backward", lambda: softmax.backward(dA, S, 0.2), [dA, dA, S]
    x, cols, steps = new(128, 14, 14, 16), new(128, 7, 7, 3, 3, 16), ((2, 2), (1, 1), (1, 1))  # of `convolutional`
    yield "convolution.im2col", lambda: convolution.im2col(x, cols, *steps), [x, cols]
    yield "convolution.col2im", lambda: convolution.col2im(cols, x, *steps, x[0, 0, 0]), [x, cols]


def count():
    print("| kernel | array | plain launches | plain MB | CUDA launches | CUDA MB |\n| --- |" + " --- |" * 5)
    launches = []
    path, launch = kernels.path, kernels.launch
    kernels.launch = lambda *_, **__: launches.append(1)
    np.seterr(all="ignore")
    for name, call, arrays in counted():
        kernels.path = lambda *_: "plain"
        Counted.launches = Counted.moved = 0
        call()
        plain, moved = Counted.launches, Counted.moved
        kernels.path = lambda *_: "cuda"
        launches.clear()
        call()
        of_kernel = sum(array.nbytes for array in arrays)
        ours = len(launches) + (name == "kl_sparsity.value")  # CuPy's sum of m numbers
        shape = " × ".join(map(str, arrays[0].shape))
        print(f"| {name} | {shape} | {plain} | {moved / 1e6:.2f} | {ours} | {of_kernel / 1e6:.2f} |")
    kernels.path, kernels.launch = path, launch


def microseconds(call, backend):
    """Of the second of two calls, as the first may find workers asleep, which in a training step they are not."""
    call()
    backend.synchronize()
    start = time.perf_counter()
    call()
    backend.synchronize()
    return (time.perf_counter() - start) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--backend", default="numpy", help="numpy, or cupy: the kernels that have a CUDA form")
    parser.add_argument("--count", action="store_true", help="count launches and bytes, and time nothing")
    args = parser.parse_args()
    if args.count:
        count()
        return
    print("| kernel, size | plain | one thread | kernel | plain / kernel | GB/s |\n| --- |" + " --- |" * 5)
    rng, backend = np.random.default_rng(0), get_backend(args.backend)
    products.matmul(np.ones((100, 100)), np.ones((100, 100)))  # the pool gets its threads
    on_host = [matrices(rng)] if backend.name == "numpy" else []
    parts = elementwise(rng, backend), windows(rng, backend), *on_host, penalties(rng, backend), codes(rng, backend)
    for name, plain, fused, *numbers in itertools.chain(*parts):
        for _ in range(10):  # compiles, or loads what is compiled
            plain(), fused()
        calls = plain, narrow(fused), fused
        repeats = [[microseconds(call, backend) for call in calls] for _ in range(args.repeats)]
        columns = ""
        for times in zip(*repeats, strict=True):
            low, high = np.quantile(times, [0.05, 0.95])
            columns += f" {statistics.median(times):.0f} ({low:.0f}–{high:.0f}) |"
        speed = f"{4e-3 * numbers[0] / statistics.median(row[2] for row in repeats):.0f}" if numbers else ""
        print(f"| {name} |{columns} {statistics.median(p / q for p, _, q in repeats):.1f} | {speed} |", flush=True)


if __name__ == "__main__":
    main()
