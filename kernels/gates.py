r"""The gates of recurrent cells, one pass a step forward and one backward.

A step's matrix product gives the logits of all gates side by side, (B, k m). A body of `packed` has a parameter for
each slice of m columns: the second mention of an array in its signature is the array's second slice, and so on.

    @packed("h a a a g g g -> a a a y")          h, y (B, m);  a, g (B, 3m), a is overwritten

`minae.ops.sequence` has the formulas of the cells, and derives what goes backward.
"""

import numpy as np
from numpy import expm1, where

from minae import kernels
from minae.kernels import pool
from minae.kernels.activations import sigmoid
from minae.kernels.fused import Fused, _lazy, fused

# The compiler asks before a vectorised loop whether slices overlap. It would ask once for all rows, where those of one
# array do, so the row is a number that it cannot foresee, and it asks for each row.
LOOP = """
def {name}(_start, _stop, {arrays}):
    _m = _unsigned({first}.shape[1])
    for _k in range(_start, _stop):
        _b = _unsigned(_real(_k))
        for _j in range(_m):
            {results} = _scalar({inputs})
"""
LAUNCH = """
def {name}({arrays}):
    _i, _m = cuda.grid(1), {first}.shape[1]
    if _i < {first}.size:
        _b, _j = _i // _m, _i % _m
        {results} = _scalar({inputs})
"""


class Packed:
    """A scalar body that runs over slices of columns; to call it is to run it on arrays, see `packed`."""

    def __init__(self, signature, body):
        inputs, results = (side.split() for side in signature.split("->"))
        self.arrays = list(dict.fromkeys(inputs + results))
        self.slices = [[(array, side[:k].count(array)) for k, array in enumerate(side)] for side in (inputs, results)]
        self.body = Fused(list(body.__code__.co_varnames[: len(inputs)]), [f"_y{k}" for k in range(len(results))], body)

    def __call__(self, *arrays):
        path = kernels.path(*arrays)
        if path == "cpu":
            self.cpu_loop(*arrays)
        elif path == "cuda":
            kernels.launch(self.cuda_launch, arrays)
        else:
            self.write_plain(*arrays)

    def write_plain(self, *arrays):
        named, m = dict(zip(self.arrays, arrays, strict=True)), arrays[0].shape[1]
        inputs, results = ([named[a][:, k * m : (k + 1) * m] for a, k in side] for side in self.slices)
        for part, result in zip(results, self.body.plain(*inputs), strict=True):
            part[...] = result

    @_lazy
    def cpu_loop(self):
        loop = self._written_out(LOOP, _scalar=self.body.scalar, _unsigned=np.uint64, _real=np.float64)
        return pool.parallel(grain=1 << 10, error_model="numpy", fastmath={"contract"})(loop)

    @_lazy
    def cuda_launch(self):
        """A thread has one unit of one example: it reads its number of each slice, and writes its results."""
        from numba import cuda

        return cuda.jit(self._written_out(LAUNCH, _scalar=self.body.device, cuda=cuda))

    def _written_out(self, template, **names):
        inputs, results = (", ".join(f"{a}[_b, {'_m + ' * k}_j]" for a, k in side) for side in self.slices)
        text = dict(name=f"{self.body.__name__}_rows", arrays=", ".join(self.arrays), first=self.arrays[0])
        names["__name__"] = self.body.body.__module__
        return self.body._compiled(template.format(**text, inputs=inputs, results=results), text["name"], names)


def packed(signature):
    """Decorate a body by the arrays of its parameters and results; the first array is one slice wide."""
    return lambda body: Packed(signature, body)


@fused("a -> h")
def squash(a):
    """tanh(a) = ∓q / (2 + q) with q = e^−2|a| − 1, by the exponential that vectorises and keeps q's digits near 0"""
    q = expm1(-2 * abs(a))
    return where(a < 0, q, -q) / (2 + q)


@packed("h live a a a g g g -> a a a y")
def gru(h, live, a_r, a_z, a_n, g_r, g_z, g_n):
    """r, z, n, and h' = (1 − z) n + z h;  h' = h where live is 0"""
    r = sigmoid(a_r + g_r)
    z = sigmoid(a_z + g_z)
    n = squash(a_n + r * g_n)
    return r, z, n, where(live > 0, n + z * (h - n), h)


@packed("dh dy live h s s s g g g -> da da da dg dg dg dh")
def gru_backward(dh, dy, live, h, r, z, n, g_r, g_z, g_n):
    """The gradients of the logits a and g; of dh, what goes to h beside the product with Uᵀ"""
    total = dh + dy
    of_cell = live * total
    da_n = of_cell * (1 - z) * (1 - n * n)
    da_z = of_cell * (h - n) * z * (1 - z)
    da_r = da_n * g_n * r * (1 - r)
    return da_r, da_z, da_n, da_r, da_z, da_n * r, total - of_cell + of_cell * z


@packed("h c live a a a a -> a a a a t new y")
def lstm(h, c, live, a_i, a_f, a_g, a_o):
    """i, f, g, o, tanh c', c' = f c + i g, h' = o tanh c';  c and h stay where live is 0"""
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    g = squash(a_g)
    o = sigmoid(a_o)
    new = where(live > 0, f * c + i * g, c)
    t = squash(new)
    return i, f, g, o, t, new, where(live > 0, o * t, h)


@packed("dh dc dy live c t s s s s -> da da da da dc dh")
def lstm_backward(dh, dc, dy, live, c, t, i, f, g, o):
    """The gradients of the logits and of c; of dh, what passes a step that is not live"""
    total = dh + dy
    of_cell = live * total
    dc_new = live * dc + of_cell * o * (1 - t * t)
    da_i = dc_new * g * i * (1 - i)
    da_f = dc_new * c * f * (1 - f)
    da_g = dc_new * i * (1 - g * g)
    da_o = of_cell * t * o * (1 - o)
    return da_i, da_f, da_g, da_o, dc - live * dc + dc_new * f, total - of_cell
