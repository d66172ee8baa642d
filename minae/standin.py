r"""A backend whose arrays hold numbers of any kind: 60 digits (`minae.exact`) or symbols (`minae.derive`).

The pages, layers, ops and plain forms of the kernels are written against `xp`, and ask of a number no more than
arithmetic, comparisons and a few functions. So whoever brings a kind of number with these runs every page on it:

    class Arithmetic
        number(value)       the number of a Python int, float or bool; a number stays as it is
        exp, log, …         functions of one number, as FUNCTIONS names them

A `StandIn` array is an object array of such numbers, which calls itself float64, or an array of integers or booleans.
Integers with integers stay integers; where a number or a float takes part, all that takes part becomes a number.
Memory that nobody has written to holds None, so that reading it is an error and no zero.
"""

from types import MappingProxyType

import numpy as np

from minae.backend import Backend

FUNCTIONS = "exp expm1 log log1p sqrt tanh sin cos sign".split()  # of one number, which an Arithmetic has
UFUNCS = MappingProxyType({name: getattr(np, name) for name in """
add subtract multiply divide power negative abs square maximum minimum matmul greater greater_equal less less_equal
equal not_equal bitwise_and bitwise_or bitwise_xor right_shift
""".split()})  # fmt: skip
PASSED = """
argmax argmin argsort broadcast_to concatenate cumsum einsum max min partition reshape stack sum take take_along_axis
transpose
""".split()  # NumPy's own functions, which work on numbers of any kind
METHODS = "sum max min mean cumsum argmax argmin reshape transpose".split()
OPERATORS = dict(
    add="add", sub="subtract", mul="multiply", truediv="divide", pow="power", matmul="matmul", lt="less",
    le="less_equal", gt="greater", ge="greater_equal", eq="equal", ne="not_equal", rshift="right_shift",
)  # fmt: skip
OPERATORS |= {"and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}
MIXED = set(UFUNCS) - {"power"} | {"concatenate", "stack", "einsum", "where"}  # whose arguments become alike


class StandIn:
    """An array of a namespace `xp`: see above."""

    __array_ufunc__ = None
    __array_priority__ = 1000
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array, xp):
        self._array, self.xp = array, xp

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: np.dtype("float64") if self._array.dtype.kind == "O" else self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: StandIn(self._array.T, self.xp))

    def __len__(self):
        return len(self._array)

    def __float__(self):
        return float(self._array.item())

    def __bool__(self):
        return bool(self._array)

    def __neg__(self):
        return self.xp.negative(self)

    def __abs__(self):
        return self.xp.abs(self)

    def __getitem__(self, index):
        return self.xp.outside(self._array[_inside(index)])

    def __setitem__(self, index, value):
        self._array[_inside(index)] = self.xp.kept_as(self._array.dtype, _inside(value))

    def __repr__(self):
        return f"{self.xp.__name__}.{self._array!r}"

    def all(self, axis=None):
        return self.xp.outside(self._array.astype(bool).all(axis))

    def any(self, axis=None):
        return self.xp.outside(self._array.astype(bool).any(axis))

    def copy(self):
        return StandIn(self._array.copy(), self.xp)

    def astype(self, dtype, copy=True):
        return StandIn(self.xp.kept_as(_kept(dtype), self._array).copy(), self.xp)


def _inside(value):
    if isinstance(value, StandIn):
        return value._array
    if isinstance(value, tuple | list):
        return type(value)(_inside(item) for item in value)
    return value


def _kept(dtype):
    """How arrays of this type are kept."""
    dtype = np.dtype(dtype)
    return np.dtype(object) if dtype.kind == "f" else dtype


def _operator(name, swapped=False):
    def operate(self, other):
        first, second = (other, self) if swapped else (self, other)
        return getattr(self.xp, name)(first, second)

    return operate


def _in_place(name):
    return lambda self, other: getattr(self.xp, name)(self, other, out=self)


def _method(name):
    def method(self, *arguments, **options):
        if name in ("reshape", "transpose"):  # NumPy's functions take the shape or the axes as one argument
            arguments = [arguments[0] if len(arguments) == 1 else arguments]
        return getattr(self.xp, name)(self, *arguments, **options)

    return method


for _sign, _name in OPERATORS.items():
    setattr(StandIn, f"__{_sign}__", _operator(_name))
for _sign in "add sub mul truediv pow matmul".split():
    setattr(StandIn, f"__r{_sign}__", _operator(OPERATORS[_sign], swapped=True))
for _sign in "add sub mul truediv matmul and or xor".split():
    setattr(StandIn, f"__i{_sign}__", _in_place(OPERATORS[_sign]))
for _name in METHODS:
    setattr(StandIn, _name, _method(_name))


class Memory:
    """Bytes from which an arena cuts its arrays: numbers of any kind have no bytes, so each cut is an array anew."""

    def __init__(self, size, xp):
        self.size, self.xp = size, xp

    def __getitem__(self, part):
        return Memory(len(range(*part.indices(self.size))), self.xp)

    def view(self, dtype):
        return self.xp.empty(self.size // np.dtype(dtype).itemsize, dtype)


class Namespace:
    """The `xp` of one kind of number: the functions of NumPy's that the pages use, with `out`."""

    def __init__(self, arithmetic, name):
        self.arithmetic, self.number, self.__name__ = arithmetic, arithmetic.number, name
        self._of_each = np.frompyfunc(arithmetic.number, 1, 1)
        for function, ufunc in UFUNCS.items():
            setattr(self, function, self._function(ufunc, function))
        for function in PASSED:
            setattr(self, function, self._function(getattr(np, function), function))
        for function in FUNCTIONS:
            of_each = np.frompyfunc(getattr(arithmetic, function), 1, 1)
            setattr(self, function, self._function(of_each, function))
        self.where = self._function(np.where, "where")
        self.add.at = lambda array, index, values: np.add.at(array._array, _inside(index), _inside(values))

    # ---- arrays that are made

    def empty(self, shape, dtype="float64"):
        return Memory(int(shape), self) if np.dtype(dtype) == np.uint8 else StandIn(np.empty(shape, _kept(dtype)), self)

    def zeros(self, shape, dtype="float64"):
        return self.full(shape, 0, dtype)

    def ones(self, shape, dtype="float64"):
        return self.full(shape, 1, dtype)

    def full(self, shape, value, dtype="float64"):
        array = self.empty(shape, dtype)
        array[...] = value
        return array

    def empty_like(self, array):
        return self.empty(array.shape, array.dtype)

    def zeros_like(self, array):
        return self.zeros(array.shape, array.dtype)

    def ones_like(self, array):
        return self.ones(array.shape, array.dtype)

    def arange(self, *limits, dtype=None):
        return self.asarray(np.arange(*limits, dtype=dtype))

    def eye(self, n, dtype="float64"):
        return self.asarray(np.eye(n, dtype=dtype))

    def asarray(self, array):
        """The way in: each float becomes the number that it is, to its last bit."""
        if isinstance(array, StandIn):
            return array
        array = np.array(array)
        return StandIn(self.kept_as(_kept(array.dtype), array), self)

    # ---- functions that NumPy does not have for numbers of any kind

    def mean(self, array, axis=None, keepdims=False, out=None):
        total = self.sum(array, axis=axis, keepdims=keepdims)
        count = array.size // (total.size if isinstance(total, StandIn) else 1)
        return self.divide(total, count, out=out)

    def vdot(self, a, b):
        return (a.reshape(-1) * b.reshape(-1)).sum()

    def clip(self, array, low, high, out=None):
        return self.minimum(self.maximum(array, low), high, out=out)

    def isnan(self, array):
        return self.not_equal(array, array)

    # ---- what arrays are made of

    def numbers(self, value):
        """The number of a scalar; an array of the host, with its numbers."""
        if not isinstance(value, np.ndarray):
            return self.number(value)
        return value if value.dtype.kind == "O" else np.asarray(self._of_each(value), dtype=object)

    def kept_as(self, dtype, value):
        """The value as an array of this type of the host keeps it."""
        if dtype.kind == "O":
            return self.numbers(value)
        return value.astype(dtype) if isinstance(value, np.ndarray) else value

    def outside(self, value):
        return StandIn(value, self) if isinstance(value, np.ndarray) else value

    def _alike(self, values):
        """All of them numbers, where one of them is a number or a float."""
        kinds = [v.dtype if isinstance(v, np.ndarray | np.generic) else type(v) for v in values]
        whole = (bool, int)
        if all(k in whole or (isinstance(k, np.dtype) and k.kind in "iub") for k in kinds):
            return values
        return [self.numbers(v) for v in values]

    def _function(self, function, name):
        numeric = name in FUNCTIONS or name == "divide"

        def on_arrays(*arguments, out=None, **options):
            values = _inside(arguments)
            if name in ("concatenate", "stack"):
                values = [self._alike(values[0]), *values[1:]]
            elif name == "where":
                values = [values[0].astype(bool), *self._alike(values[1:])]
            elif name == "einsum":
                values = [values[0], *self._alike(values[1:])]
            elif numeric:
                values = [self.numbers(v) for v in values]
            elif name in MIXED:
                values = self._alike(values)
            result = function(*values, **options)
            if out is None:
                return self.outside(result)
            out._array[...] = self.kept_as(out._array.dtype, result)
            return out

        return on_arrays


class StandInBackend(Backend):
    """A backend whose numbers are those of an arithmetic."""

    def __init__(self, arithmetic, name):
        self.name, self.xp = name, Namespace(arithmetic, name)

    def owns(self, array):
        return isinstance(array, StandIn) and array.xp is self.xp

    def from_numpy(self, array):
        return self.xp.asarray(array)

    def to_numpy(self, array):
        return array._array.astype(array.dtype)

    def __reduce__(self):
        raise TypeError(f"the backend {self.name!r} is made for one check, and is not copied")
