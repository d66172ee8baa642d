"""Examines what works on this machine: findings (part, state, finding, advice); a state is ok, missing or broken."""

import importlib.metadata
import importlib.util
import os
import platform
import time
import warnings

import numpy as np

from minae import UndercompleteAutoencoder, __version__, data, kernels
from minae.backend import get_backend
from minae.errors import InputError
from minae.training import Adam

Finding = tuple[str, str, str, str]


def examine() -> list[Finding]:
    """The findings of every part of the engine. A part that fails is a finding too."""
    parts = (_python, _blas, _threads, _kernels, _kernel_cache, _cupy, _numba_cuda, _crossover, _sample, _mnist)
    findings = []
    for part in parts:
        try:
            finding = part()
        except Exception as error:  # whatever breaks is reported, and the other parts are examined
            finding = part.__name__.strip("_"), "broken", f"{type(error).__name__}: {error}", ""
        findings += [finding] if finding else []
    return findings


def gpu() -> str:
    """The GPU that CuPy uses, CuPy and the driver in words. Raises InputError where no GPU answers."""
    xp = get_backend("cupy").xp
    device = xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    driver = xp.cuda.runtime.driverGetVersion()
    return f"{device}, CuPy {xp.__version__}, CUDA driver {driver // 1000}.{driver % 1000 // 10}"


def _python():
    versions = {"minae": __version__, "Python": platform.python_version(), "NumPy": np.__version__}
    for name in ("numba", "scipy", "matplotlib", "safetensors"):
        versions[name] = importlib.metadata.version(name)
    return "versions", "ok", ", ".join(f"{name} {version}" for name, version in versions.items()), ""


def _blas():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    a = np.ones((1024, 1024), np.float32)
    np.matmul(a, a)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.matmul(a, a)
        times.append(time.perf_counter() - start)
    speed = 2 * 1024**3 / min(times) / 1e9
    advice = "" if speed > 10 else "a fast BLAS is the floor of every step: install NumPy from a wheel or from conda"
    return "matrix products", "ok", f"{blas['name']} {blas['version']}, {speed:.0f} GFLOP/s in float32", advice


def _threads():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ}
    limit = ", ".join(f"{name}={value}" for name, value in limits.items()) or "no limit set"
    if kernels.products.blas():
        pool = "one pool of threads for products and loops; products use a private instance of NumPy's OpenBLAS"
    else:
        pool = "NumPy's BLAS is not the OpenBLAS of its wheels, so products are NumPy's and loops have one thread"
    return "threads", "ok", f"{cores} cores for this process, {limit}; {pool}", ""


def _kernels():
    a = np.linspace(-4, 4, 9, dtype=np.float32)
    start = time.perf_counter()
    error = np.abs(kernels.activations.phi(a, "sigmoid", np.empty_like(a)) - 1 / (1 + np.exp(-a))).max()
    seconds = time.perf_counter() - start
    if error > 1e-6:
        return "CPU kernels", "broken", f"σ(a) is off by {error:.1e}", "reinstall numba"
    return "CPU kernels", "ok", f"Numba compiles and agrees with NumPy; the first call took {seconds:.2f} s", ""


def _kernel_cache():
    if kernels.jit_is_off():
        return (
            "kernel cache",
            "missing",
            "NUMBA_DISABLE_JIT is set: the plain formulas serve",
            "unset NUMBA_DISABLE_JIT",
        )
    path = kernels.pool.run_parts.stats.cache_path
    if path and os.access(path, os.W_OK):
        return "kernel cache", "ok", path, ""
    return "kernel cache", "missing", f"{path} cannot be written: kernels compile anew each time", "set NUMBA_CACHE_DIR"


def _cupy():
    try:
        return "GPU", "ok", gpu(), ""
    except InputError as error:
        return "GPU", "missing", str(error), "" if "pip install" in str(error) else "everything runs on backend='numpy'"


def _numba_cuda():
    if importlib.util.find_spec("cupy") is None:
        return "CUDA kernels", "missing", "need CuPy and numba-cuda", "pip install -e '.[cuda12]' or '.[cuda13]'"
    if kernels.cuda_works():
        separate = importlib.util.find_spec("numba_cuda") is not None  # older Numba has a CUDA target of its own
        compiler = f"numba-cuda {importlib.metadata.version('numba-cuda')}" if separate else "Numba"
        return "CUDA kernels", "ok", f"{compiler} compiles for this driver", ""
    advice = "the plain CuPy formulas serve instead"
    if not hasattr(np, "row_stack"):  # which numba-cuda asks for when it compiles
        advice = f"pip install 'numpy<2.5', until numba-cuda takes NumPy {np.__version__}; {advice}"
    return "CUDA kernels", "missing", "numba-cuda does not work here", advice


def _crossover(gpu="cupy", widths=(16, 64, 256, 1024, 4096)):
    """From which width of the code on a training step is faster on the GPU; None where there is none."""
    try:
        get_backend(gpu)
    except InputError:
        return None
    slower = [m for m in widths if _step("numpy", m) < _step(gpu, m)]
    if not slower:
        return "CPU or GPU", "ok", f"a step of 784-m, batch 128, is faster on the GPU from m = {widths[0]} on", ""
    at = next((f"from m = {m} on" for m in widths if m > slower[-1]), "for no m that was tried")
    advice = f"backend='numpy' for codes of {slower[-1]} and less"
    return "CPU or GPU", "ok", f"a step of 784-m, batch 128, is faster on the GPU {at}", advice


def _step(backend, m, steps=20):
    """Seconds of a training step of 784-m, batch 128: the best of three times `steps`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a code wider than x, without a penalty, is meant here
        model = UndercompleteAutoencoder((784, m), backend=backend)
    x, optimizer, times = model.backend.from_numpy(np.full((128, 784), 0.5, np.float32)), Adam(), []
    for _ in range(4):  # the first compiles
        start = time.perf_counter()
        for _ in range(steps):
            with model.arena:
                model.cost_and_grad(x)
                optimizer.step(model.parameters)
        model.backend.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:]) / steps


def _sample():
    ok = data.cache_status()["sample"]
    return "sample of MNIST", "ok" if ok else "broken", "in the package" if ok else "not in the package", ""


def _mnist():
    status = data.cache_status()
    present = {name: file for name, file in status["files"].items() if file["path"]}
    where = f"cache {status['cache']}, MINAE_DATA={status['MINAE_DATA'] or 'not set'}"
    bad = [name for name, file in present.items() if not file["ok"]]
    if bad:
        return (
            "full MNIST",
            "missing",
            f"{', '.join(bad)}: wrong checksum; {where}",
            "delete the file; it downloads anew",
        )
    if len(present) < len(status["files"]):
        advice = "downloads when first asked for, or put the four IDX files under MINAE_DATA/mnist"
        return "full MNIST", "missing", f"{len(present)} of {len(status['files'])} files; {where}", advice
    return "full MNIST", "ok", where, ""
