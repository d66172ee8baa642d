import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guard
from minae.backend import Arena, Backend, get_backend, namespace
from minae.errors import InputError


def test_import_loads_nothing_heavy():
    code = (
        "import sys, minae; print({'numba', 'matplotlib', 'cupy', 'scipy', 'PIL', 'tqdm', 'pooch'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.parametrize("given", [{}, {"OPENBLAS_THREAD_TIMEOUT": "26"}])
def test_import_sets_one_environment_variable_where_the_user_has_not(given):
    code = "import os; before = dict(os.environ); import minae; print(dict(os.environ.items() - before.items()))"
    env = {key: value for key, value in os.environ.items() if key != "OPENBLAS_THREAD_TIMEOUT"} | given
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ("{}" if given else "{'OPENBLAS_THREAD_TIMEOUT': '16'}")


def test_backend_by_name_environment_and_default(monkeypatch):
    monkeypatch.delenv("MINAE_BACKEND", raising=False)
    assert get_backend().name == "numpy"
    monkeypatch.setenv("MINAE_BACKEND", "guard")
    assert get_backend().name == "guard"
    assert get_backend("numpy").name == "numpy"
    assert get_backend("auto").name in ("numpy", "cupy")
    with pytest.raises(InputError, match="unknown backend 'cuda'"):
        get_backend("cuda")


def test_namespace(backend):
    assert namespace(backend.from_numpy(np.zeros(3))) is backend.xp
    assert namespace(np.float32(1)) is np


def test_the_guard_refuses_what_cupy_refuses():
    x = guard.ndarray(np.ones((2, 3)))
    for wrong in (
        lambda: np.asarray(x),
        lambda: np.tanh(x),
        lambda: x + np.ones((2, 3)),
        lambda: np.ones((2, 3)) * x,
        lambda: guard.matmul(x, np.ones((3, 2))),
        lambda: x.__setitem__(0, np.ones(3)),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(AttributeError, match="does CuPy have it"):
        guard.nonsense  # noqa: B018


def test_arena_gives_the_same_memory_in_the_next_step_and_new_memory_outside(backend):
    arena = Arena(backend, "float32")
    kept = []
    for _ in range(2):
        with arena:
            a, b = arena.empty(4, 3), arena.empty(2)
            a[...], b[...] = 1, 2
            assert float(a.sum()) == 12 and float(b.sum()) == 4  # a and b do not overlap
            kept.append(a)
    kept[0][...] = 5
    assert float(kept[1].sum()) == 60
    outside = arena.empty(4, 3)
    outside[...] = 7
    assert float(kept[0].sum()) == 60


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=6))
def test_arena_of_changing_shapes(shapes):
    arena = Arena(Backend(), "float64")
    for step in (shapes, shapes[::-1], shapes):
        with arena:
            arrays = [arena.empty(*shape) for shape in step]
            for k, array in enumerate(arrays):
                array[...] = k
            assert [array.shape for array in arrays] == step
            assert all((array == k).all() for k, array in enumerate(arrays))


def test_random_streams_are_a_function_of_their_key():
    a = Backend().generator(0, 1).standard_normal(5)
    assert (a == Backend().generator(0, 1).standard_normal(5)).all()
    for other in (
        (1, 0),
        (0,),
        (0, 0),
        (0, 1, 0),
        (0, 1, 0, 0),
    ):  # SeedSequence((0, 1, 0)) would be SeedSequence((0, 1))
        assert (a != Backend().generator(*other).standard_normal(5)).any()
    assert (Backend().generator(0).standard_normal(5) != Backend().generator(0, 0).standard_normal(5)).any()


def test_cupy_without_a_gpu_says_what_to_do():
    try:
        get_backend("cupy")
    except InputError as error:
        assert "\n" not in str(error) and "numpy" in str(error)
    else:
        pytest.skip("a GPU answers here")


def test_environment_variable_reaches_a_fresh_process():
    code = "import minae; minae.UndercompleteAutoencoder((3, 2))"
    env = {**os.environ, "MINAE_BACKEND": "nonsense"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert "unknown backend 'nonsense'" in result.stderr
