r"""One scalar formula, compiled three ways: the body that a reader checks is the code that every backend runs.

    @fused("dh h -> da")
    def backward(dh, h):
        "da = dh h (1 − h)"
        return dh * h * (1 - h)

    backward(dh, h, da)            # three arrays of one shape, of any backend

The parameters before the arrow are arrays, and the other parameters are numbers that hold for all components; a number
marked `: int` stays an integer, others take the type of the arrays. A result whose name is also a parameter is written
in place; for each other result the call takes an array at its end. That array should not be one of the others: a loop
with the same memory twice gives the right numbers, but the compiler does not vectorise it. A body computes with + − × /
and comparisons, with the functions in `CPU` below, and with other fused bodies, which give their results instead of
writing them. `where(condition, a, b)` chooses, and an `if` may depend on an integer, not on arrays. From this text come

    plain     the body itself on whole arrays: its functions are those of `xp`, NumPy or CuPy
    scalar    the body of one component in Numba's code, also for loops that are written by hand
    device    the same in CUDA's code, one thread a component

A constant such as 1 takes the type of the first argument, since Numba would compute `1 - h` of a float32 in float64.
"""

import ast
import functools
import inspect
import math
import textwrap
import types

import numba

from minae import kernels
from minae.backend import namespace
from minae.kernels import exponential, pool

CPU = dict(exp=exponential.exp, expm1=exponential.expm1, log1p=exponential.log1p)
CPU |= dict(log=math.log, sqrt=math.sqrt, tanh=math.tanh)
CPU |= dict(maximum=max, minimum=min, where=None)
CUDA = CPU | dict(exp=math.exp, expm1=math.expm1, log1p=math.log1p)

# The texts that a body is written into. Their own names begin with _, so that a body may call its arrays i or path.
CALL = """
def {name}({arguments}):
    _path = _kernels.path({arrays})
    _number = {first}.dtype.type
    if _path == "cpu":
        _body.cpu_loop({flat}, {numbers})
    elif _path == "cuda":
        _kernels.launch(_body.cuda_launch, [{flat}], {numbers})
    else:
        _body.write_plain({arguments})
"""
LOOP = """
def {name}(_start, _stop, {arrays}, {scalars}):
    for _i in range(_start, _stop):
        {results} = _scalar({components})
"""
LAUNCH = """
def {name}({arrays}, {scalars}):
    _i = cuda.grid(1)
    if _i < {first}.size:
        {results} = _scalar({components})
"""


def fused(signature):
    """Decorate a scalar body by the names of its arrays and of its results, such as "w g s r -> w s r"."""
    inputs, results = (side.split() for side in signature.split("->"))
    return functools.partial(Fused, inputs, results)


class _lazy:
    """An attribute that is made at its first use. functools.cached_property has a lock in Python 3.11, shared by all
    instances, and a fork beside a thread that makes one would leave it taken in the child."""

    def __init__(self, make):
        self.make = make

    def __get__(self, instance, owner):
        value = instance.__dict__[self.make.__name__] = self.make(instance)
        return value


class Fused:
    """A body with its compiled forms; to call it is to run it on arrays."""

    def __init__(self, inputs, results, body):
        functools.update_wrapper(self, body)
        parameters = inspect.signature(body).parameters
        scalars = [name for name in parameters if name not in inputs]
        new = [name for name in results if name not in inputs]
        self.body, self.inputs, self.results, self.new = body, inputs, results, new
        self._text = dict(
            name="_".join([body.__name__, *results]),
            first=inputs[0],
            arguments=", ".join([*parameters, *new]),
            arrays=", ".join(inputs + new),
            flat=", ".join(f"{array}.reshape(-1)" for array in inputs + new),
            scalars=", ".join(scalars),
            numbers=", ".join(s if parameters[s].annotation is int else f"_number({s})" for s in scalars),
            components=", ".join([f"{array}[_i]" for array in inputs] + scalars),
            results=", ".join(f"{array}[_i]" for array in results),
        )
        self._call = self._written_out(CALL, _body=self, _kernels=kernels)

    def __call__(self, *arguments):
        self._call(*arguments)

    def plain(self, *arguments):
        """The reference: the results of the body on whole arrays."""
        xp = namespace(arguments[0])
        functions = {name: getattr(xp, name) for name in CPU if name in self.body.__code__.co_names}
        return types.FunctionType(self.body.__code__, self._names(functions, lambda inner: inner.plain))(*arguments)

    @_lazy
    def scalar(self):
        """The body of one component, for Numba's loops."""
        return numba.njit(inline="always", error_model="numpy")(self._typed(CPU, lambda inner: inner.scalar))

    @_lazy
    def device(self):
        """The body of one component, for CUDA's functions."""
        from numba import cuda

        return cuda.jit(device=True)(self._typed(CUDA, lambda inner: inner.device))

    @_lazy
    def cpu_loop(self):
        parallel = pool.parallel(align=64, error_model="numpy", fastmath={"contract"})
        return parallel(self._written_out(LOOP, _scalar=self.scalar))

    @_lazy
    def cuda_launch(self):
        from numba import cuda

        return cuda.jit(self._written_out(LAUNCH, _scalar=self.device, cuda=cuda))

    def write_plain(self, *arguments):
        names = [*inspect.signature(self.body).parameters, *self.new]
        arrays = dict(zip(names, arguments, strict=True))
        results = self.plain(*arguments[: len(arguments) - len(self.new)])
        for name, result in zip(self.results, results if len(self.results) > 1 else [results], strict=True):
            arrays[name][...] = result

    def _names(self, functions, form):
        """The names that the body knows: those of its module, these functions, and its inner bodies in this form."""
        names = self.body.__globals__ | functions
        inner = {name: names[name] for name in self.body.__code__.co_names if isinstance(names.get(name), Fused)}
        return names | {name: form(body) for name, body in inner.items()}

    def _typed(self, functions, form):
        """The body with its constants in the type of the first argument, and `where` as an expression of Python."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.body)))
        definition = tree.body[0]
        definition.decorator_list = []
        of_type = ast.parse(f"_T = type({self.inputs[0]})").body
        definition.body = of_type + [_Typed().visit(statement) for statement in definition.body]
        return self._compiled(ast.fix_missing_locations(tree), definition.name, self._names(functions, form))

    def _written_out(self, template, **names):
        names["__name__"] = self.body.__module__
        return self._compiled(template.format(**self._text), self._text["name"], names)

    def _compiled(self, source, name, names):
        """The function of this source, as if it stood in the file of the body, beside which Numba keeps its code."""
        exec(pool.written(source, self.body.__code__.co_filename), names)
        return names[name]


class _Typed(ast.NodeTransformer):
    def visit_Constant(self, node):
        number = isinstance(node.value, int | float)
        return ast.Call(ast.Name("_T", ast.Load()), [node], []) if number else node

    def visit_Subscript(self, node):  # an index stays an integer
        node.value = self.visit(node.value)
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        return ast.IfExp(*node.args) if getattr(node.func, "id", "") == "where" else node
