"""The CUDA kernels without a GPU: under Numba's simulator, and compiled to PTX; on a GPU where one answers."""

import sys
import types

import cuda_forms
import numpy as np
import pytest
from conftest import in_background

from minae import backend as backends
from minae import kernels
from minae.kernels import activations, adam, noise, reduce
from minae.kernels.fused import Fused

OLDEST = (7, 5)  # compute capability that CUDA 13 compiles for; without it the driver would be asked


def simulate(out):
    return [sys.executable, cuda_forms.__file__], {"NUMBA_ENABLE_CUDASIM": "1"}


@pytest.mark.slow
@in_background(simulate, minutes=4)
def test_the_cuda_forms_under_the_simulator(ended):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    result, _ = ended
    assert result.stdout.strip() == "parity", result.stderr


def test_a_launch_that_does_not_run_is_found():
    """The negative control of the comparison, case by case."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    for name in {name for name, *_ in cuda_forms.cases("float32", (3, 7), np.random.default_rng(0))}:
        if "NaN" not in name and name not in ("KL", "KL at both ends"):  # whose sum is of memory as it was left
            with pytest.raises(AssertionError):
                cuda_forms.compare("float32", (3, 7), launch=lambda *_, **__: None, only=name)


@pytest.mark.parametrize("dtype", cuda_forms.TYPES)
@pytest.mark.parametrize("shape", [*cuda_forms.SHAPES, (129, 785), (65, 8192)])
def test_the_cuda_forms_on_cupy(shape, dtype):
    try:
        cupy = backends.get_backend("cupy")
    except backends.InputError as error:
        pytest.skip(f"no GPU: {error}")
    cuda_forms.compare(dtype, shape, cupy.from_numpy, cupy.to_numpy)


@pytest.fixture
def ptx(monkeypatch):
    """(function, types) -> its PTX; skips where the two libraries are missing. No driver is asked for."""
    cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    from numba import float32
    from numba.cuda import dispatcher

    # the functions that a kernel calls ask the driver what they are compiled for
    device = types.SimpleNamespace(compute_capability=OLDEST)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)

    def nothing(x):
        pass

    try:
        cuda.compile_ptx(nothing, (float32[::1],), cc=OLDEST)
    except Exception as error:  # of cuda-pathfinder
        pytest.skip(f"NVVM and NVRTC are missing, pip install -e '.[ptx]' ({str(error).splitlines()[0][:80]})")
    return lambda function, arguments: cuda.compile_ptx(function, arguments, cc=OLDEST)[0]


def launches():
    """Every CUDA launch of the kernels: name -> Launch or Fused."""
    modules = [getattr(kernels, name) for name in kernels.MODULES]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, reduce.Launch)]
    return {launch.function.__module__ + "." + launch.function.__name__: launch for launch in found}


def packed():
    """The launches of the gates, which are written out from their bodies."""
    return {value.cuda_launch for value in vars(kernels.gates).values() if isinstance(value, kernels.gates.Packed)}


def recorded(dtype):
    """function -> its arguments as types, for every launch of the cases; nothing runs."""
    from numba import from_dtype, typeof
    from numba.core.types import Array

    seen = {}

    def record(function, arrays, *scalars, threads=None):
        array_types = [Array(from_dtype(array.dtype), array.ndim, "C") for array in arrays]
        seen[function] = (*array_types, *map(typeof, scalars))

    with cuda_forms.served("cuda", record), np.errstate(all="ignore"):
        for _, function, arrays in cuda_forms.cases(dtype, (3, 7), np.random.default_rng(0)):
            cuda_forms.results(function, arrays)
        a, b, c, d = (np.zeros(5, dtype) for _ in range(4))
        adam.update(a, b, c, d, 2, 0.1, 0.9, 0.99, 1e-8, 0.1)
        noise.mask(a, b, 0.3)
        noise.uniform(np.random.default_rng(0), a)
        for name in activations.ACTIVATIONS:
            activations.phi(a, name, b)
            activations.backward(a, b, name, c)
            activations.prime(a, name, b)
            activations.second(a, name, b)
            activations.times_second(a, b, name)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_launch_compiles_to_ptx_without_a_gpu(dtype, ptx):
    seen = recorded(dtype)
    compiled = {launch.compiled for launch in launches().values()}
    assert compiled | packed() <= set(seen)  # the cases reach every launch
    fused = {value.cuda_launch for value in vars(activations).values() if isinstance(value, Fused) and value.new}
    assert len(fused & set(seen)) >= 5
    for function, arguments in seen.items():
        text = ptx(function.py_func, arguments)
        assert ".entry" in text
        if dtype == "float32" and function is not noise.cuda_launch():  # the C library's cosine of large angles
            assert not doubles(text), (function.py_func.__name__, doubles(text)[:5])


def doubles(text):
    return [line.strip() for line in text.splitlines() if ".f64" in line]


def test_a_launch_that_computes_in_float64_is_found(ptx):
    """The negative control of the test above: a constant of Python's is a float64."""
    from numba import cuda, float32

    def doubled(x):
        i = cuda.grid(1)
        x[i] = 0.1 * x[i]

    assert doubles(ptx(doubled, (float32[::1],)))


def test_lessons():
    """Each file with a launch says what a block does."""
    for launch in launches().values():
        text = launch.__doc__ or sys.modules[launch.function.__module__].__doc__
        assert len(text) > 20, launch.function.__name__
