"""A stand-in for CuPy on a machine without a GPU: this module is the `xp`, `guard.ndarray` its array.

Like CuPy's, its arrays refuse to become NumPy arrays unasked, refuse NumPy arrays as operands, and reductions give 0-d
arrays on the device instead of scalars. It has the functions named below and no others, each of which CuPy has too. And
it counts in `waits` how often a GPU would have to be waited for, because the host wants to know a number.
"""

import numpy as np

from minae.backend import Backend

FUNCTIONS = """
abs add argmax argmin argsort arange broadcast_to clip concatenate cos divide dot einsum empty empty_like equal exp
expm1 eye float32 float64 full_like greater greater_equal isfinite isnan less log log1p logaddexp matmul maximum mean
minimum multiply negative ones ones_like partition repeat rint sign sin sqrt square stack subtract sum take
take_along_axis tanh transpose vdot where zeros zeros_like
""".split()
METHODS = "cumsum sum max min mean copy astype reshape argmax argmin all any transpose view".split()
OPERATORS = "add sub mul truediv pow matmul lt le gt ge eq ne and or xor rshift".split()
waits = 0


def _wait(value):
    global waits
    waits += 1
    return value


class ndarray:
    __array_ufunc__ = None
    __array_priority__ = 1000
    __hash__ = None

    def __init__(self, array):
        self._array = array

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: ndarray(self._array.T))

    def __len__(self):
        return len(self._array)

    def __float__(self):
        return _wait(float(self._array))

    def __bool__(self):
        return _wait(bool(self._array))

    def __neg__(self):
        return ndarray(-self._array)

    def __abs__(self):
        return ndarray(abs(self._array))

    def __getitem__(self, index):
        return ndarray(np.asarray(self._array[_index(index)]))

    def __setitem__(self, index, value):
        self._array[_index(index)] = _inside(value)

    def __repr__(self):
        return f"guard.{self._array!r}"


def _inside(value):
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(_inside(item) for item in value)
    return value


def _index(index):
    """How many numbers a mask chooses, only the device knows."""
    return _wait(index._array) if isinstance(index, ndarray) and index.dtype == bool else _inside(index)


def _outside(value):
    return ndarray(np.asarray(value)) if isinstance(value, np.ndarray | np.generic) else value


def _guarded(function):
    def guarded(*args, **options):
        out = options.get("out")
        result = function(*_inside(args), **{key: _inside(value) for key, value in options.items()})
        return out if out is not None else _outside(result)

    if isinstance(function, np.ufunc):
        guarded.at = lambda *args: function.at(*_inside(args))
    return guarded


def _operator(name, in_place=False):
    def operate(self, other):
        result = getattr(self._array, name)(_inside(other))
        if result is NotImplemented:
            return result
        if in_place:
            return self
        return _outside(result)

    return operate


for _name in OPERATORS:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in "add sub mul truediv pow matmul".split():
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(ndarray, f"__i{_name}__", _operator(f"__i{_name}__", in_place=True))
for _name in METHODS:
    setattr(ndarray, _name, _guarded(getattr(np.ndarray, _name)))


def asarray(array):
    """The way in that CuPy has, too: a copy of an array of the host."""
    return array if isinstance(array, ndarray) else ndarray(np.array(array))


def __getattr__(name):
    if name not in FUNCTIONS:
        raise AttributeError(f"module 'guard' has no attribute {name!r}: does CuPy have it?")
    attribute = getattr(np, name)
    return attribute if isinstance(attribute, type) else _guarded(attribute)


class GuardBackend(Backend):
    name = "guard"

    def __init__(self):
        import guard

        self.xp = guard

    def owns(self, array):
        return isinstance(array, ndarray)

    def from_numpy(self, array):
        if isinstance(array, ndarray):
            raise TypeError("already on the device")
        return ndarray(np.array(array))

    def to_numpy(self, array):
        if not isinstance(array, ndarray):
            raise TypeError("not on the device")
        return _wait(array._array.copy())
