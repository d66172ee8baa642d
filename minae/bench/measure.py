"""Measures one contestant in a process of its own: time of a step, of the first step, its costs, and its memory.

`minae bench` starts these processes. Their argument is a description of the job as JSON, and each line of their output
that begins with MARK is an answer in JSON. minae is the first import of each, as in a user's script.
"""

import contextlib
import ctypes
import dataclasses
import gc
import importlib.util
import inspect
import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import minae
from minae.backend import get_backend
from minae.bench.contestant import SEED, Contestant, Env
from minae.bench.workloads import WORKLOADS

MARK = "minae: "
RIVALS = ("torch", "jax")  # how the names of contestants begin that may fail
WARM_STEPS = 3  # at least, and for a second where a measurement takes as long
ON_GPU = 20  # steps between two readings of the clock on a GPU, since each reading waits for the device


# ---- the jobs


def prepare(job, env, workload):
    """Write what the contestants of a workload share: initial parameters, noise of the first steps, data of its own."""
    workload.prepare(env)
    workload.small().prepare(env)
    return {}


def machine(job, env, workload):
    """Write the data, and give the machine description, without user data: BLAS, and PyTorch and JAX or their lack."""
    np.save(env.folder / "train.npy", np.ascontiguousarray(minae.data.mnist().train, dtype=np.float32))
    blas, missing = np.show_config(mode="dicts")["Build Dependencies"]["blas"], "missing: pip install -e '.[bench]'"
    jax = missing if importlib.util.find_spec("jax") is None else "on the CPU only" if env.backend == "cupy" else None
    answer = {"blas": f"{blas['name']} {blas['version']}", "jax": jax}
    try:
        import torch
    except ImportError:
        return answer | {"torch": missing}
    lacks = env.backend == "cupy" and not torch.cuda.is_available()
    return answer | {"torch": "sees no GPU" if lacks else None}


def turns(job, env, workload):
    """Answers with the time of the first step, the costs, and the length of a step; then, for each line of the input, a
    number of seconds, with the times of the steps that were done in them."""
    contestant, slow = job["contestant"], job["contestant"].removeprefix("torch ") in workload.generic
    try:
        if contestant.startswith("torch"):
            from minae.bench import torch_side  # noqa: F401  (the import of PyTorch is not part of its first step)
        if contestant.startswith("jax"):
            import jax  # noqa: F401
        start = time.perf_counter()
        runner = contestant_of(contestant, workload, env)
        result = runner.step()
        runner.synchronize()
        first = time.perf_counter() - start
        costs = [runner.read(result)] + [runner.read(runner.step()) for _ in range(1 if slow else workload.first - 1)]
        done, end = 0, time.perf_counter() + min(1.0, job["seconds"])
        while not slow and (time.perf_counter() < end or done < (WARM_STEPS if workload.first > 1 else 1)):
            runner.step()
            done += 1
        runner.synchronize()
        chunk = ON_GPU if env.backend == "cupy" and workload.first > 1 and not slow else 1
        fastest = min(_times(runner, chunk, 0.0, slow))
    except Exception as error:
        if not contestant.startswith(RIVALS):
            raise
        yield _failed(error)
        return
    answer = {"first": first * 1e3, "costs": costs, "threads": _threads(), "chunk": chunk, "step": fastest}
    if contestant == "products" and env.backend == "cupy":
        answer["bytes_ms"] = _bytes(workload, env)
    yield answer
    for line in sys.stdin:
        try:
            yield {"times": _times(runner, chunk, float(line), slow)}
        except Exception as error:
            if not contestant.startswith(RIVALS):
                raise
            yield _failed(error)


def _failed(error):
    return {"error": f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0]}"}


def _times(runner, chunk, seconds, slow):
    """ms a step of the steps that fit into so many seconds, one at least. Another contestant has used the caches, so
    the steps of the first 20 ms do not count.     slow: whether one step is all that there is time for"""
    start = time.perf_counter()
    while not slow and time.perf_counter() - start < 0.02:
        runner.step()
    runner.synchronize()
    times, began = [], time.perf_counter()
    while not times or (time.perf_counter() - began < seconds and not slow):
        start = time.perf_counter()
        for _ in range(chunk):
            runner.step()
        runner.synchronize()
        times.append((time.perf_counter() - start) * 1e3 / chunk)
    return times


def memory(job, env, workload):
    """Peak memory above that of the imports and the data, in MB. Both sides have run the workload in miniature before,
    so that code which is loaded at first use does not count. What they have freed since goes back to the system, and so
    every array of the workload counts."""
    name = job["contestant"]
    steps = 2 if name.removeprefix("torch ") in workload.generic or workload.first == 1 else 10
    try:
        warm = contestant_of(name, workload.small(), env)
        warm.read(warm.step()), warm.step(), env.X(1), env.load(workload.name)
        del warm
        gc.collect()
        before = _reset_peak(env)
        runner = contestant_of(name, workload, env)
        for _ in range(steps):
            runner.step()
        runner.synchronize()
    except Exception as error:
        if not name.startswith(RIVALS):
            raise
        return _failed(error)
    return {"mb": (_peak(env) - before) / 2**20}


def allocations(job, env, workload, steps=10):
    """Largest growth of traced memory within one steady-state step of minae, in bytes, by batch: NumPy's arrays are
    traced, so a single array (B, m) that a step allocated would show as 4 B m bytes."""
    import tracemalloc

    grown = {}
    for batch in (workload.batch, 2 * workload.batch):
        runner = dataclasses.replace(workload, batch=batch).minae(env)
        for _ in range(5):
            runner.step()
        growth = []
        tracemalloc.start()
        for _ in range(steps):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            runner.step()
            growth.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
        grown[batch] = max(growth[1:])
    return grown


# ---- the contestants


def contestant_of(name, workload, env):
    if name == "products":
        return products(workload, env)
    side, _, form = name.partition(" ")
    variant = [form.rpartition(" ")[2]] if form.endswith(("plain", "gradient")) else []
    if side == "minae":
        return workload.minae(env, *variant)
    if side == "jax":
        return workload.jax(env, *variant)
    return workload.torch(env, form.removesuffix(" gradient"), *variant)


def products(workload, env):
    """The matrix products of a step and nothing else, with out=."""
    backend, rng, arrays, calls = get_backend(env.backend), np.random.default_rng(SEED), {}, []

    def array(*key):
        """One array for each name, layer and shape: a step reads the same W forward and backward."""
        if key not in arrays:
            arrays[key] = backend.from_numpy(rng.standard_normal(key[2:], dtype=np.float32))
        return arrays[key]

    for layout, m, k, n, layer in settled(workload, env).products:
        if layout == "nn":  # a = x W
            calls.append((array("x", layer, m, k), array("W", layer, k, n), array("x", layer + 1, m, n)))
        elif layout == "tn":  # dW = xᵀ da
            calls.append((array("x", layer, k, m).T, array("da", layer + 1, k, n), array("dW", layer, m, n)))
        else:  # dx = da Wᵀ
            calls.append((array("da", layer + 1, m, k), array("W", layer, n, k).T, array("da", layer, m, n)))

    def step():
        for A, B, out in calls:
            backend.xp.matmul(A, B, out=out)

    return Contestant(step, synchronize=backend.synchronize)


def settled(workload, env):
    """The workload, with what only `prepare` can tell."""
    return workload.settled(env) if hasattr(workload, "settled") else workload


def _bytes(workload, env):
    """On a GPU the floor is the larger of the products and this, in ms: the bytes over the memory's bandwidth, where
    each product reads its factors and writes its result once, and Adam reads θ, g, s and r, and writes θ, s and r."""
    backend, size = get_backend(env.backend), 1 << 31
    a, b = (backend.xp.zeros(size, "uint8") for _ in range(2))
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        b[...] = a
        backend.synchronize()
        best = min(best, time.perf_counter() - start)
    del a, b
    backend.xp.get_default_memory_pool().free_all_blocks()
    numbers = sum(m * k + k * n + m * n for _, m, k, n, _ in settled(workload, env).products)
    if hasattr(workload, "model"):
        numbers += 7 * workload.model("numpy").parameters.flat.size
    return 4e3 * numbers / (2 * size / best)


# ---- what the system says


def _reset_peak(env):
    """Memory in use now, from where on the peak is taken."""
    if env.backend == "cupy":
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()
        if "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()
            sys.modules["torch"].cuda.reset_peak_memory_stats()
        return _peak(env)
    with contextlib.suppress(AttributeError, OSError, TypeError):  # of glibc
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is what is resident now
    return _peak()


def _peak(env=None):
    """Bytes: the largest resident set so far; on a GPU what the library has taken of its memory."""
    if env is not None and env.backend == "cupy":
        import cupy

        torch = sys.modules.get("torch")
        return cupy.get_default_memory_pool().total_bytes() + (torch.cuda.max_memory_reserved() if torch else 0)
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def others(processes):
    """Seconds of CPU that all processes but these have used so far, and the host of a virtual machine has taken; None
    where /proc does not say."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        ours = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13] for pid in processes]
    except OSError:
        return None
    ticks = user + nice + system + irq + softirq + steal - sum(int(tick) for pair in ours for tick in pair)
    return ticks / os.sysconf("SC_CLK_TCK")


def _threads():
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


JOBS = {"machine": machine, "prepare": prepare, "turns": turns, "memory": memory, "allocations": allocations}


def child(argument):
    """The work of a child process: do the job that the argument describes, and print its answers."""
    job = json.loads(argument)
    warnings.simplefilter("ignore")  # a code wider than x, without a penalty, is meant here
    workload = WORKLOADS.get(job.get("workload"))
    if change := job.get("change"):
        change = {key: tuple(value) if isinstance(value, list) else value for key, value in change.items()}
        workload = dataclasses.replace(workload, **change)
    answer = JOBS[job["job"]](job, Env(job), workload)
    for part in answer if inspect.isgenerator(answer) else [answer]:
        print(f"\n{MARK}{json.dumps(part)}", flush=True)
