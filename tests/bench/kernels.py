"""Each kernel's plain NumPy form against its Numba form, float32, in turns within one process.

    python tests/bench/kernels.py [--repeats 200]

µs a call: median, and the 5 % and 95 % quantiles of the repeats. `plain/numba` is the median of the ratios of
neighbours.
"""

import argparse
import statistics
import time

import minae  # noqa: F401  (before NumPy: sets up its threads)

# isort: split
import numpy as np

from minae.kernels import adam, bernoulli, sigmoid

LAYERS = [(128, 500), (128, 784)]
PARAMETERS = 784_000


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
        adam.plain(w, g, s, r, 0.0, 0.9, 0.999, 1e-3, 1.0, 1e-8)

    def fused(w=two[0], s=two[1], r=two[2]):
        adam.update(w, g, s, r, 10_000, 1e-3, 0.9, 0.999, 1e-8, 0.0)

    yield f"adam {PARAMETERS}", plain, fused


def microseconds(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    print(f"{'kernel':<22} {'plain':>7}  {'5..95 %':>13} {'numba':>7}  {'5..95 %':>13}  plain/numba")
    for name, plain, fused in cases(np.random.default_rng(0)):
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
