"""Each kernel's plain NumPy form against its Numba form, float32, in turns within one process.

    python tests/bench/kernels.py [--repeats 200]

µs a call: median, and the 5 % and 95 % quantiles of the repeats. `plain/numba` is the median of the ratios of
neighbours.
"""

import argparse
import itertools
import statistics
import time

import minae  # noqa: F401  (before NumPy: sets up its threads)

# isort: split
import numpy as np

from minae import kernels
from minae.kernels import adam, bernoulli, contraction, hamming, kl_sparsity, sigmoid, slopes, sparse_rows, top_k

LAYERS = [(128, 500), (128, 784)]
CODES = [(100, 30), (128, 500)]  # of 784-30 and 784-500
CHAIN = (64, 30, 128)  # (B, m, n) of 784-128-30
PARAMETERS = 784_000
KEPT, BITS = (128, 8192, 784, 32), 10**6  # (B, m, n, k) of a k-sparse 784-8192; number of codes


def plainly(function):
    """The same call by the plain form of the kernels in it."""

    def call():
        form, kernels.form = kernels.form, lambda *_: "plain"
        try:
            function()
        finally:
            kernels.form = form

    return call


def cases(rng):
    """name, plain form, Numba form: calls without arguments that write to arrays of their own."""
    for shape in LAYERS:
        a = rng.standard_normal(shape, "f")
        one, two = np.empty_like(a), np.empty_like(a)
        yield (
            f"sigmoid {shape[0]} x {shape[1]}",
            lambda a=a, out=one: sigmoid.plain(a, out),
            lambda a=a, out=two: sigmoid.sigmoid(a, out),
        )
    for shape in LAYERS:
        s, x = rng.standard_normal(shape, "f"), rng.random(shape, "f")
        one, two = np.empty_like(s), np.empty_like(s)
        yield (
            f"bernoulli {shape[0]} x {shape[1]}",
            lambda s=s, x=x, ds=one: bernoulli.plain(s, x, ds, 1.0),
            lambda s=s, x=x, ds=two: bernoulli.loss(s, x, ds, 1.0),
        )
    g = rng.standard_normal(PARAMETERS, "f") * np.float32(1e-2)
    one, two = ([rng.standard_normal(PARAMETERS, "f"), np.zeros_like(g), np.zeros_like(g)] for _ in range(2))

    def plain(w=one[0], s=one[1], r=one[2]):  # the same scalars as adam.update at a late t
        adam.plain(w, g, s, r, 0.0, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-3, 1.0, 1e-8)

    def fused(w=two[0], s=two[1], r=two[2]):
        adam.update(w, g, s, r, 10_000, 1e-3, 0.9, 0.999, 1e-8, 0.0)

    yield f"adam {PARAMETERS}", plain, fused


def penalties(rng):
    """The same for the kernels of the penalties: what one training step does."""
    for B, m in CODES:
        h, dh, out, da = (rng.random((B, m), "f") for _ in range(4))
        W, dW, w, c = rng.random((784, m), "f"), np.zeros((784, m), "f"), np.ones(m, "f"), np.ones(m, "f")

        def sparsity(h=h, dh=dh):
            kl_sparsity.value(h, 0.1)
            kl_sparsity.backward(h, dh, 0.1, 1e-9)

        def contract(h=h, dh=dh, out=out, da=da, W=W, dW=dW, w=w, c=c):
            contraction.squares(h, "sigmoid", out=c)
            contraction.norms(W, out=w)
            contraction.slope_gradient(h, "sigmoid", w, 1e-3, out=da)
            contraction.add_scaled(dW, W, c)
            slopes.backward(dh, h, "sigmoid", out, da)

        yield f"kl_sparsity {B} x {m}", plainly(sparsity), sparsity
        yield f"contraction {B} x {m}", plainly(contract), contract
        for activation in ("sigmoid", "softplus"):

            def slope(h=h, dh=dh, out=out, activation=activation):
                slopes.backward(dh, h, activation, out)

            yield f"{activation}' {B} x {m}", plainly(slope), slope
    B, m, n = CHAIN
    dA, C, p_n, p_m, WT = (rng.random(shape, "f") for shape in (CHAIN, CHAIN, (B, n), (B, m), (m, n)))
    dp_n, dp_m, dWT = np.empty_like(p_n), np.empty_like(p_m), np.empty_like(WT)

    def chain():
        contraction.chain_backward(dA, C, p_n, dp_n)
        dA[...] = C  # else it would fall to 0, call by call

    def top():
        contraction.top_backward(C, p_m, WT, dp_m, dWT)

    yield f"chain {B} x {m} x {n}", plainly(chain), chain
    yield f"its top {B} x {m} x {n}", plainly(top), top


def codes(rng):
    """The same for a k-sparse code of which 32 of 8192 units are kept, and for the Hamming distances of 64 bits."""
    B, m, n, k = KEPT
    h, R, y, dR = (rng.standard_normal(shape, "f") for shape in ((B, m), (m, n), (B, n), (m, n)))
    unit, value = np.empty((B, k), np.int32), np.empty((B, k), "f")
    top_k.top_k(h, k, unit, value)
    calls = {
        f"top_k {k} of {m}": lambda: top_k.top_k(h, k, unit, value),
        f"combine {k} rows of {m}": lambda: sparse_rows.combine(unit, value, R, y),
        f"spread {k} rows of {m}": lambda: sparse_rows.spread(unit, value, y, dR),
        f"project {k} rows of {m}": lambda: sparse_rows.project(unit, y, R, value),
    }
    for name, call in calls.items():
        yield name, plainly(call), call
    words, asked = rng.integers(2**63, size=(1, BITS), dtype=np.uint64), np.zeros(1, np.uint64)
    yield "ball of 10⁶ codes", lambda: hamming.ball_plain(words, asked, 16), lambda: hamming.ball(words, asked, 16)


def microseconds(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    print(f"{'kernel':<22} {'plain':>7}  {'5..95 %':>13} {'numba':>7}  {'5..95 %':>13}  plain/numba")
    rng = np.random.default_rng(0)
    for name, plain, fused in itertools.chain(cases(rng), penalties(rng), codes(rng)):
        for _ in range(10):  # compiles, or loads what is compiled
            plain(), fused()
        pairs = [(microseconds(plain), microseconds(fused)) for _ in range(repeats)]
        columns = ""
        for times in zip(*pairs, strict=True):
            low, high = np.quantile(times, [0.05, 0.95])
            columns += f" {statistics.median(times):7.0f}  {f'{low:.0f}..{high:.0f}':>13}"
        print(f"{name:<22}{columns}  {statistics.median(p / q for p, q in pairs):11.1f}")


if __name__ == "__main__":
    main()
