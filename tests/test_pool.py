"""The pool of threads: products and loops that are cut into parts, whichever thread does them."""

import inspect
import itertools
import os
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
import scipy.special
import threadpoolctl

from minae.arena import Arena
from minae.backend import Backend
from minae.kernels import (
    activations,
    adam,
    bernoulli,
    contraction,
    noise,
    pool,
    products,
    rows,
    shrinkage,
    top_k,
)

WIDTHS = (1, 2, 3, 5)
needs_openblas = pytest.mark.skipif(products.blas() is None, reason="NumPy's BLAS is not the OpenBLAS of its wheels")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


@pytest.fixture
def width(monkeypatch):
    """A function that gives the pool so many threads; afterwards it has as many as before."""
    blas = products.blas()

    def resize(threads):
        if blas:
            monkeypatch.setattr(products, "blas", lambda: lambda: threads)
        pool.pool.resize(threads)

    before = pool.pool.width
    yield resize
    monkeypatch.undo()
    pool.pool.resize(before)


def train(seed, steps=6, shape=(300, 200, 120)):
    """The parameters of a small network after some steps, made of the kernels alone."""
    rng = np.random.default_rng(seed)
    B, n, m = shape
    flat, state = 0.1 * rng.standard_normal(2 * n * m, "f"), np.zeros((2, 2 * n * m), "f")
    grad = np.empty_like(flat)
    W, V = flat.reshape(2, n, m)[0], flat.reshape(2, n, m)[1].T
    dW, dV = grad.reshape(2, n, m)[0], grad.reshape(2, n, m)[1].T
    x, ds, da = rng.random((B, n), "f"), np.empty((B, n), "f"), np.empty((B, m), "f")
    for t in range(1, steps + 1):
        h = activations.phi(products.matmul(x, W), "sigmoid")
        bernoulli.loss(products.matmul(h, V), x, ds, 1.0)
        products.matmul(h.T, ds, dV)
        activations.backward(products.matmul(ds, V.T), h, "sigmoid", da)
        products.matmul(x.T, da, dW)
        adam.update(flat, grad, *state, t, 1e-2, 0.9, 0.999, 1e-8, 0.0)
    return flat


def matrix(rng, shape, dtype, transposed):
    return rng.standard_normal(shape[::-1]).astype(dtype).T if transposed else rng.standard_normal(shape).astype(dtype)


@pytest.mark.slow
@pytest.mark.parametrize("threads", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", [(128, 784, 500), (65, 1001, 77), (1, 2000, 2000), (2000, 2000, 1), (7, 70_000, 3)])
def test_products(m, k, n, dtype, threads, width, rng):
    width(threads)
    for At, Bt in itertools.product([False, True], repeat=2):
        A, B = matrix(rng, (m, k), dtype, At), matrix(rng, (k, n), dtype, Bt)
        out = np.full((m, n), np.nan, dtype)
        assert products.matmul(A, B, out) is out
        error = np.abs(out - A.astype("float64") @ B.astype("float64")).max()
        # one row or column: BLAS sums a narrow tile in order, up to 63 √k ε on one of our machines, where numpy.matmul,
        # which takes another routine for a vector, has 29 √k ε
        limit = (100 if 1 in (m, n) else 60) * np.sqrt(k) * np.finfo(dtype).eps
        assert error < limit
        np.testing.assert_array_equal(products.matmul(A, B), out)
        b = rng.standard_normal(n).astype(dtype)
        np.testing.assert_array_equal(products.matmul(A, B, bias=b), out + b)
        total = rng.standard_normal((m, n)).astype(dtype)
        for order in "CF":
            to = np.array(total, order=order)
            products.add_matmul(A, B, to, Arena(Backend(), dtype))
            np.testing.assert_allclose(to, total + out, atol=limit)


@pytest.mark.parametrize("threads", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows, columns", [(3840, 250), (700, 83), (9000, 16), (300, 301)])
def test_products_of_a_matrix_with_its_transpose(rows, columns, dtype, threads, width, rng):
    width(threads)
    X = rng.standard_normal((rows, columns)).astype(dtype)
    for A, B in ((X.T, X), (X[:400], X[:400].T)):
        S = products.matmul(A, B, np.full((len(A), len(A)), np.nan, dtype))
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(S, A.astype("float64") @ B, rtol=20 * eps, atol=60 * np.sqrt(rows) * eps)
        np.testing.assert_array_equal(S, S.T)


@needs_openblas
def test_a_view_of_the_same_memory_is_no_product_with_itself(width, rng):
    width(2)
    X = rng.standard_normal((300, 300))
    np.testing.assert_allclose(products.matmul(X, X), X @ X, atol=1e-10)
    np.testing.assert_allclose(products.matmul(X.T, X.T), X.T @ X.T, atol=1e-10)


def test_other_products_are_numpys(rng):
    a, b = rng.standard_normal((100, 100)), rng.standard_normal((100, 200))
    np.testing.assert_array_equal(products.matmul(a, b[:, ::2]), a @ b[:, ::2])
    np.testing.assert_array_equal(products.matmul(a.astype("float32"), b), a.astype("float32") @ b)
    assert products.matmul(a[:0], b).shape == (0, 200)
    np.testing.assert_array_equal(products.matmul(a[:, :0], b[:0]), np.zeros((100, 200)))
    for bias in (np.ones(1), np.ones(2)):  # a bias of another length
        x, W = np.ones((100, 100)), np.ones((100, 2))
        np.testing.assert_array_equal(products.matmul(x, W, bias=bias), x @ W + bias)
    with pytest.raises(ValueError):
        products.matmul(np.ones((200, 200)), np.ones((201, 200)))
    with pytest.raises(ValueError):
        products.matmul(np.ones((200, 200)), np.ones((200, 200)), bias=np.ones(3))
    with pytest.raises(ValueError):
        products.dot(np.ones(20_000), np.ones(20_001))


@pytest.mark.parametrize("threads", WIDTHS)
def test_factors_that_may_not_be_written_and_results_by_columns(threads, width, rng):
    width(threads)
    A, B = rng.random((150, 100)), rng.random((100, 130))
    A.flags.writeable = B.flags.writeable = False
    out = np.empty((130, 150)).T
    assert products.matmul(A, B, out).base is out.base
    np.testing.assert_allclose(out, A @ B, rtol=1e-13)


@needs_openblas
def test_a_limit_of_one_thread_does_not_make_threads_wait_for_each_other(width, rng):
    width(1)
    a, done = rng.random((300, 300)), threading.Event()
    worker = threading.Thread(target=lambda: (products.matmul(a, a), done.set()))
    original = products.plain

    def waits(*arguments):
        if threading.current_thread() is threading.main_thread():
            worker.start()
            assert done.wait(20)
        return original(*arguments)

    products.plain = waits
    try:
        products.matmul(a, a)
    finally:
        products.plain = original
        worker.join()


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("size", [0, 1, 63, 100_003])
def test_dot(size, dtype, tolerance, rng):
    a, b = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    assert abs(products.dot(a, b) - np.dot(a.astype("float64"), b)) <= tolerance * np.sqrt(size)


@pytest.mark.parametrize("threads", WIDTHS)
def test_parts_are_everything_once(threads):
    for size, align in itertools.product([0, 1, 2, 63, 64, 65, 1000, 784_001], [1, 8, 64]):
        places = [pool.boundary(part, threads, size, align) for part in range(threads + 1)]
        assert places[0] == 0 and places[-1] == size and places == sorted(places)
        assert all(place % align == 0 for place in places[:-1] if place < size)
    for n in range(1, 100):
        corners = [products.corner(part, threads, n) for part in range(threads + 1)]
        assert corners[0] == 0 and corners[-1] == n and corners == sorted(corners)


def loops(rng, dtype):
    """Calls of every loop that is cut, on arrays large enough for five parts: name -> function() -> results."""
    B, n, k = 131, 701, 40
    a, q, h, y, x = (rng.random((B, n)).astype(dtype) for _ in range(5))
    near, W, t, w = np.clip(h + 0.01, 0, 1), rng.random((n, n)).astype(dtype), np.ones(B, dtype), np.ones(n, dtype)
    dA, C, p, dp = (rng.random(shape).astype(dtype) for shape in ((31, 60, 50), (31, 60, 50), (31, 50), (31, 50)))
    p_top, WT, dp_top, dWT = (rng.random(shape).astype(dtype) for shape in ((31, 60), (60, 50), (31, 60), (60, 50)))
    unit, value = np.empty((B, k), np.int32), np.empty((B, k), dtype)
    top_k.top_k(h, k, unit, value)
    flat = [rng.random(100_003).astype(dtype) for _ in range(4)]
    copied = {  # name -> function, and the arrays that it is given copies of
        "sigmoid": (lambda a: activations.phi(a, "sigmoid"), a),
        "sigmoid in place": (lambda a: activations.phi(a, "sigmoid", a), a),
        "softplus": (lambda a: activations.phi(a, "softplus"), a),
        "relu": (lambda a: activations.phi(a, "relu"), a),
        "bernoulli": (lambda a, out: bernoulli.loss(a, x, out, 0.5), a, y),
        "backward": (lambda a, out: activations.backward(a, h, "softplus", out), a, y),
        "prime": (lambda out: activations.prime(h, "sigmoid", out), a),
        "second": (lambda out: activations.second(h, "tanh", out), a),
        "times second": (lambda d: activations.times_second(d, h, "sigmoid"), a),
        "adam": (lambda w, g, s, r: adam.update(w, g, s, r, 3, 0.1, 0.9, 0.99, 1e-8, 0.0), *flat),
        "norms": (lambda out: contraction.norms(W, out), w),
        "squares": (lambda out: contraction.squares(h, "sigmoid", out), w),
        "slope gradient": (lambda out: contraction.slope_gradient(h, "sigmoid", w, 0.1, out), a),
        "change": (lambda out: contraction.change_squares(h, near, "sigmoid", out), w),
        "its gradient": (lambda a, b: contraction.change_gradient(h, near, "sigmoid", w, 0.1, a, b), a, q),
        "add scaled": (lambda dW: contraction.add_scaled(dW, W, w), W),
        "chain": (lambda dA, dp: contraction.chain_backward(dA, C, p, dp), dA, dp),
        "its top": (lambda dp, dWT: contraction.top_backward(C, p_top, WT, dp, dWT), dp_top, dWT),
        "shrinkage": (lambda a, h, y, t: shrinkage.step(a, q, 0.1, h, y, t, True), a, h, y, t),
        "top k": (lambda unit, value: top_k.top_k(h, k, unit, value), unit, value),
        "combine": (lambda y: rows.combine(unit, value, W, y), y),
        "scatter_add": (lambda dR: rows.scatter_add(unit, value, y, dR), W),
        "project": (lambda value: rows.project(unit, y, W, value), value),
        "gather": (lambda value: rows.gather(unit, h, value), value),
        "dot": (lambda a: products.dot(a, h), a),
        "mask": (lambda a: noise.mask(a, h, 0.3), a),
    }
    for name, (function, *arrays) in copied.items():

        def call(function=function, arrays=arrays):
            copies = [array.copy() for array in arrays]
            return [function(*copies), *copies]

        yield name, call


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_loop_has_the_same_bits_in_any_number_of_parts(dtype, rng):
    before = pool.pool.width
    try:
        for name, call in loops(rng, dtype):
            pool.pool.resize(1)
            whole = call()
            for threads in (2, 3, 5):
                pool.pool.resize(threads)
                for a, b in zip(whole, call(), strict=True):
                    np.testing.assert_array_equal(a, b, err_msg=f"{name}, {threads} threads")
    finally:
        pool.pool.resize(before)


def test_the_same_run_has_the_same_bits_whether_workers_sleep_or_not(width):
    width(3)
    results = []
    for pause in (0.0, 0.0, 0.02):  # a worker is asleep after a millisecond
        time.sleep(pause)
        results.append(train(0))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_threads_of_the_user_do_not_disturb_each_other(width):
    width(2)
    alone, together = {seed: train(seed) for seed in range(3)}, {}
    threads = [threading.Thread(target=lambda seed=seed: together.update({seed: train(seed)})) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(3):
        np.testing.assert_array_equal(alone[seed], together[seed])


# ---- the pool harms nobody


def threads_of_numpy():
    (blas,) = [library for library in threadpoolctl.threadpool_info() if "numpy.libs" in library["filepath"]]
    return blas["num_threads"]


@pytest.mark.slow
@needs_openblas
def test_limits_of_threadpoolctl_are_exact_beside_a_thread_that_computes(rng):
    a, done = rng.random((300, 300)), threading.Event()
    before = threads_of_numpy()

    def compute():
        while not done.is_set():
            products.matmul(a, a)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for k in range(99):
            limit = 1 + k % 3
            with threadpoolctl.threadpool_limits(limit):
                assert threads_of_numpy() == limit
                np.matmul(a, a)
                assert threads_of_numpy() == limit
            assert threads_of_numpy() == before
    finally:
        done.set()
        thread.join()


@needs_openblas
def test_a_limit_holds_for_the_pool(rng, monkeypatch):
    a, before = rng.random((300, 300)), pool.pool.width
    tasks = []
    for name in ("multiply", "symmetric"):
        monkeypatch.setattr(products, name, lambda *_: tasks.append(pool.pool.width))
    for limit in (2, 1, 3):
        with threadpoolctl.threadpool_limits(limit):
            products.matmul(a, a)
            products.matmul(a, a.T)
            assert pool.pool.width == limit
    assert tasks == [2, 2, 3, 3]  # with one thread the product is NumPy's
    pool.pool.resize(before)


@needs_openblas
def test_the_private_blas_has_no_threads_of_its_own_and_is_seen_by_nobody():
    program = """
import os, threadpoolctl
import numpy as np
from minae.kernels import pool, products
pool.pool.resize(2)
count, known = len(os.listdir("/proc/self/task")), len(threadpoolctl.threadpool_info())
assert products.blas() is not None
a = np.ones((300, 300))
for _ in range(3):
    products.matmul(a, a), products.matmul(a, a.T)
assert len(os.listdir("/proc/self/task")) == count + max(products.blas()() - 2, 0)
assert len(threadpoolctl.threadpool_info()) == known
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_without_a_private_blas_products_are_numpys(monkeypatch, rng):
    a, before = rng.random((300, 300)), pool.pool.width
    monkeypatch.setattr(products, "blas", lambda: None)
    np.testing.assert_array_equal(products.matmul(a, a), np.matmul(a, a))
    assert pool.pool.width == 1
    monkeypatch.undo()
    pool.pool.resize(before)


@pytest.mark.parametrize("missing", ["memfd_create", "sendfile"])
def test_a_copy_that_cannot_be_loaded_is_no_error(missing):
    program = f"""
import os
del os.{missing}
from minae.kernels import products
assert products.blas() is None
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


FORKS = """
import os, signal, sys, threading
import numpy as np
from minae.kernels import activations, pool, products

a = np.random.default_rng(0).random((200, 200), dtype="float32")
expected, done = products.matmul(a, a), threading.Event()

def compute():
    while not done.is_set():
        products.matmul(a, a)
        activations.phi(a, "sigmoid")

thread = threading.Thread(target=compute)
thread.start()
failed = 0
for _ in range(100):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that hangs
        same = np.array_equal(products.matmul(a, a), expected)
        activations.phi(a, "softplus")
        os._exit(0 if same else 3)
    failed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
done.set()
thread.join()
sys.exit(failed)
"""


@pytest.mark.slow
@needs_fork
def test_a_fork_beside_a_busy_thread_does_not_hang():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=300)


COMPILES = """
import os, signal, sys, threading
import numba, numpy as np
from minae.kernels import activations, products

done = threading.Event()

def compute():
    while not done.is_set():
        numba.njit(lambda x: x + 1)(1.0)

thread = threading.Thread(target=compute)
thread.start()
failed = 0
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(numba.njit(lambda x: x - 1)(1.0) != 0.0)
    failed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
done.set()
thread.join()
sys.exit(failed)
"""


@pytest.mark.slow
@needs_fork
def test_a_fork_beside_a_thread_that_compiles_does_not_hang():
    subprocess.run([sys.executable, "-W", "ignore", "-c", COMPILES], check=True, timeout=300)


USES = """
import os, sys, time
import numpy as np
from minae.kernels import pool, products
a = np.random.default_rng(0).random((400, 300), dtype="float32")
first = products.matmul(a, a.T)
pool.pool.resize(2)
"""
FORK = """
child = os.fork()
same = np.array_equal(products.matmul(a, a.T), first)
if child == 0:
    os._exit(0 if same else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not same)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "end", ["", "time.sleep(0.05)", pytest.param(FORK, marks=needs_fork)], ids=["awake", "asleep", "fork"]
)
def test_a_process_with_a_pool_ends(end):
    command = [sys.executable, "-W", "ignore", "-c", USES + end]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# ---- noise


def test_philox_is_that_of_the_paper():
    """The known answers that its authors publish with their code."""
    F = 0xFFFFFFFF
    for given, expected in {
        (0, 0, 0, 0, 0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        (F, F, F, F, F, F): (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0): (
            0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
        ),
    }.items():  # fmt: skip
        assert tuple(int(word) for word in noise.philox(*map(np.uint64, given))) == expected


@pytest.mark.parametrize("draw", [noise.uniform, noise.standard_normal])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 100, 262_147])
def test_noise(draw, size, width):
    draws = []
    for threads in WIDTHS:
        width(threads)
        draws.append(draw(np.random.default_rng(7), np.full(size, np.nan, "float32")))
        np.testing.assert_array_equal(draws[0], draws[-1])
    u = draws[0]
    assert np.isfinite(u).all() and np.unique(u).size >= 0.98 * size
    if draw is noise.standard_normal:
        u = scipy.special.ndtr(u.astype("float64"))  # uniform, if u is normal
    assert np.all((u >= 0) & (u < 1))
    if size > 100:
        deviation = 5 / np.sqrt(size)
        assert abs(u.mean() - 1 / 2) < deviation * np.sqrt(1 / 12) and abs((u**2).mean() - 1 / 3) < deviation
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < deviation
        quarters = u[: size // 4 * 4].reshape(4, -1)  # what one counter gave
        assert np.abs(np.corrcoef(quarters) - np.eye(4)).max() < 2 * deviation
        assert np.abs(np.corrcoef((quarters - 0.5) ** 2) - np.eye(4)).max() < 2 * deviation
        assert np.abs(np.histogram(u, 64, (0, 1))[0] / size * 64 - 1).max() < 64 * deviation / 8
        again, other = np.random.default_rng(7), np.random.default_rng(8)
        draw(again, np.empty_like(draws[0]))
        for rng in (again, other):  # the next draw, and another seed's
            assert (draw(rng, np.empty_like(draws[0])) == draws[0]).mean() < 1e-4


@pytest.mark.parametrize("draw", [noise.uniform, noise.standard_normal])
@pytest.mark.parametrize(
    "dtype, shape", [("float32", (0,)), ("float32", (3, 7)), ("float32", (130, 257)), ("float64", (3, 7))]
)
def test_every_backend_draws_the_same(draw, dtype, shape, backend):
    on_host, rng = draw(np.random.default_rng(7), np.empty(shape, dtype)), np.random.default_rng(7)
    on_device = backend.to_numpy(draw(rng, backend.from_numpy(np.full(shape, np.nan, dtype))))
    np.testing.assert_allclose(on_device, on_host, atol=1e-5 if draw is noise.standard_normal else 0)
    by_columns = draw(np.random.default_rng(7), np.empty(shape[::-1], dtype).T)
    assert by_columns.shape == shape and np.isfinite(by_columns).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 7), (130, 257)])
def test_mask(shape, dtype, backend, rng):
    u, x = rng.random(shape, dtype=dtype), rng.standard_normal(shape).astype(dtype)
    u.reshape(-1)[:1] = 0.25  # the edge belongs to what is kept
    masked = noise.mask(backend.from_numpy(u.copy()), backend.from_numpy(x), 0.25)
    np.testing.assert_array_equal(backend.to_numpy(masked), np.where(u >= 0.25, x, 0))


def test_normals_are_those_of_box_and_muller(rng):
    """Word for word, at the ends of their range too; where u is near 1, it has 24 bits."""
    edges = [0, 1, 2, 3, 2**30, 2**31 - 1, 2**31, 2**31 + 1, 3 * 2**30, 2**32 - 2, 2**32 - 1]
    pairs = np.concatenate([np.array(list(itertools.product(edges, edges))), rng.integers(0, 2**32, (20_000, 2))])
    c, c_next = pairs.astype(np.uint64).T
    u = np.float32((c >> np.uint64(1)).astype("int32").astype("float32") + np.float32(0.5)) * 2.0**-31
    w = c_next.astype("uint32").view("int32").astype("float32").astype("float64") * 2.0**-31
    radius = np.sqrt(-2 * np.log(u.astype("float64")))
    pair = numba.njit(lambda c, c_next: noise.pair(c, c_next))
    numbers = np.array([pair(a, b) for a, b in zip(c, c_next, strict=True)])
    assert abs(numbers).max() < 6.7
    np.testing.assert_allclose(numbers[:, 0], radius * np.cos(np.pi * w), rtol=5e-7, atol=1e-9)
    np.testing.assert_allclose(numbers[:, 1], radius * np.sin(np.pi * w), rtol=5e-7, atol=1e-9)


def test_what_is_written_out_has_no_lines_in_the_file():
    """Python 3.13 raises an error where a function's lines are those of another text; Numba expects OSError alone."""
    names = {}
    exec(pool.written("def f():\n    return 1\n", pool.__file__), names)
    with pytest.raises(OSError):
        inspect.getsourcelines(names["f"])
    assert names["f"]() == 1 and names["f"].__code__.co_filename == pool.__file__
