"""Runs the contestants in interleaved rounds; repeats disturbed rounds; derives ratios."""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import minae
from minae.bench.measure import MARK, RIVALS, others
from minae.bench.workloads import CURVES, WORKLOADS
from minae.doctor import gpu
from minae.errors import InputError

TOLERANCE = 1e-4  # of the costs of the first steps, relative
BUSY = 0.05  # a round in which other processes took more of the machine than this is measured again
MB = 1.0  # the least memory that is told apart
TURNS = 10  # of a contestant in a round; one whose steps are long takes fewer and longer ones
SHARES = (1, 2, 5, 10)


@dataclasses.dataclass
class Settings:
    rounds: int
    seconds: float  # of each contestant in each round
    backend: str
    compiled: bool
    threads: int
    folder: str
    torch: str | None = None  # why PyTorch cannot take part, or None
    jax: str | None = None  # the same of JAX

    def child(self, job, **more):
        """The answer of a process that does this job."""
        with Child(self, job, **more) as child:
            return child.answer()

    def environment(self):
        libraries = ("OPENBLAS", "OMP", "MKL", "NUMBA")
        return os.environ | {f"{name}_NUM_THREADS": str(self.threads) for name in libraries}

    def practical(self, workload):
        """PyTorch's practical forms that can take part."""
        if self.torch:
            return []
        forms = [form for form in workload.torch_forms if self.compiled or "compiled" not in form]
        return [f"torch {form}" for form in forms if form != "graph" or self.backend == "cupy"]

    def generic(self, workload):
        """PyTorch's forms by an automatic Jacobian."""
        return [] if self.torch else [f"torch {form}" for form in workload.generic]

    def jitted(self, workload):
        """JAX, where it can take part."""
        return ["jax"] if getattr(workload, "jax", None) and not self.jax else []

    def gradients(self, workload):
        """All sides without the optimizer's step."""
        return [f"{name} gradient" for name in ["minae", *self.practical(workload), *self.jitted(workload)]]

    def contestants(self, workload):
        return [
            "minae",
            *self.practical(workload),
            *self.jitted(workload),
            *(["minae plain"] if "plain" in workload.variants else []),
            *(self.gradients(workload) if "gradient" in workload.variants else []),
            *(["products"] if workload.products else []),
            *self.generic(workload),
        ]


class Child:
    """A process that does a job of `measure`, until it is closed."""

    def __init__(self, settings, job, environment=None, **more):
        self.job = {"job": job, "folder": settings.folder, "backend": settings.backend, "threads": settings.threads}
        self.job |= more
        code = "from minae.bench import measure as m; import sys; m.child(sys.argv[1])"
        command, pipe = [sys.executable, "-c", code, json.dumps(self.job)], subprocess.PIPE
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        options = dict(stdin=pipe, stdout=pipe, stderr=self.errors, text=True, start_new_session=os.name == "posix")
        self.process = subprocess.Popen(command, env=settings.environment() | (environment or {}), **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):  # gone already
            # with it go the processes that torch.compile starts, which are of its session
            os.killpg(self.process.pid, signal.SIGKILL) if os.name == "posix" else self.process.kill()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()

    def answer(self):
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        self.errors.seek(0)
        raise RuntimeError(f"the benchmark's process {json.dumps(self.job)} failed:\n{self.errors.read()}")


class Competitor(Child):
    """A process that does steps in its turns of a round. `start` is the answer of its first steps, or its error."""

    def __init__(self, settings, name, slow, where):
        super().__init__(settings, "turns", contestant=name, seconds=settings.seconds, **where)
        try:
            self.start = self.answer()
        except BaseException:
            self.__exit__()
            raise
        fit = 1 if slow or "error" in self.start else settings.seconds * 1e3 / (4 * self.start["step"])
        self.turns = max(turns for turns in SHARES if turns <= max(1, fit))  # short ones, but of four steps
        self.seconds = settings.seconds / self.turns

    def turn(self, k):
        """ms a step in the k-th of TURNS turns of a round; [] where the process leaves this turn out, or has failed."""
        if "error" in self.start or k % (TURNS // self.turns):
            return []
        with contextlib.suppress(BrokenPipeError):  # `answer` says why
            self.process.stdin.write(f"{self.seconds}\n")
            self.process.stdin.flush()
        answer = self.answer()
        if "error" in answer:
            self.start = answer
        return answer.get("times", [])

    def row(self, times, busy):
        """The result of a round."""
        if "error" in self.start:
            return self.start
        row = {"median": statistics.median(times), "min": min(times), "steps": len(times) * self.start["chunk"]}
        row |= {"others": busy, **self.start}
        if "bytes_ms" in row:  # on a GPU
            row |= {"products_ms": row["median"], "median": max(row["median"], row["bytes_ms"])}
        return row


def bench(
    names: Sequence[str] = (),
    *,
    rounds: int = 5,
    seconds: float = 1.5,
    backend: str | None = "numpy",
    compiled: bool = True,
    curves: bool = False,
    each: Callable[..., Any] = print,
) -> dict[str, Any]:
    """Measure these workloads, by default all. each(kind, name, result) is called as results come. Returns the report.

    Raises InputError for an unknown workload, AssertionError where minae and PyTorch do not train the same model.
    """
    if unknown := sorted(set(names) - set(WORKLOADS)):
        raise InputError(f"unknown workload {', '.join(unknown)}: choose of {', '.join(WORKLOADS)}")
    if rounds < 1 or not 0 < seconds < math.inf:
        raise InputError(f"rounds is {rounds} and seconds {seconds}: expected rounds ≥ 1 and seconds > 0")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(rounds, seconds, minae.backend.get_backend(backend).name, compiled, _threads(), folder)
        machine = settings.child("machine")
        settings.torch, settings.jax = machine["torch"], machine["jax"]
        report = {
            "machine": _machine(settings, machine["blas"]),
            "date": date.today().isoformat(),
            "backend": settings.backend,
            "threads": settings.threads,
            "rounds": rounds,
            "seconds": seconds,
            "torch": settings.torch or importlib.metadata.version("torch"),
            "torch_takes_part": not settings.torch,
            "jax": settings.jax or importlib.metadata.version("jax"),
            "compiled": compiled,
            "import_ms": _import(settings),
            "workloads": {},
            "curves": {},
        }
        each("machine", None, report)
        for name in names or WORKLOADS:
            report["workloads"][name] = result = _workload(settings, name)
            each("workload", name, result)
        for axis in CURVES if curves else ():
            report["curves"][axis] = {value: _point(settings, axis, value) for value in CURVES[axis]}
            each("curve", axis, report["curves"][axis])
    return report


def _import(settings):
    """ms that `import minae` takes: the fastest of five processes, as the others wait for the disk."""
    code = "import time; t = time.perf_counter(); import minae; print((time.perf_counter() - t) * 1e3)"
    options = dict(env=settings.environment(), capture_output=True, text=True, check=True)
    return min(float(subprocess.run([sys.executable, "-c", code], **options).stdout) for _ in range(5))


def _workload(settings, name):
    workload = WORKLOADS[name]
    settings.child("prepare", workload=name)
    contestants = settings.contestants(workload)
    results, thrown = _rounds(settings, contestants, workload=workload)
    practical, generic = settings.practical(workload), settings.generic(workload)
    memory = {
        contestant: settings.child("memory", workload=name, contestant=contestant)
        for contestant in ["minae", *(form for form in practical if "compiled" not in form), *generic]
    }
    result = {
        "model": getattr(workload, "kind", None),
        "results": results,
        "thrown_rounds": thrown,
        "ratios": _ratios(results, practical, generic),
        "difference": difference(results, name),
        "memory_mb": {contestant: row.get("mb") for contestant, row in memory.items()},
    }
    mb = result["memory_mb"]
    for key, forms in {"minae / torch": practical + generic, "minae / generic": generic}.items():
        if taken := [mb[form] for form in forms if mb.get(form)]:
            result.setdefault("memory_ratios", {})[key] = max(mb["minae"], MB) / max(min(taken), MB)
    if hasattr(workload, "model") and settings.backend == "numpy":
        result["allocated_bytes"] = settings.child("allocations", workload=name)
        job = dict(workload=name, contestant="minae", seconds=0.0)
        with tempfile.TemporaryDirectory() as cold:
            result["cold_ms"] = settings.child("turns", environment={"NUMBA_CACHE_DIR": cold}, **job)["first"]
        result["warm_ms"] = statistics.median(settings.child("turns", **job)["first"] for _ in range(3))
    return result


def _point(settings, axis, value):
    """One point of a curve: ms a step of minae, of the best of PyTorch, and of the products."""
    workload = WORKLOADS["784-500"]
    change = dict(CURVES[axis][value])
    where = {"rows": change.pop("rows", None), "change": {"name": f"{axis}.{value}", **change}}
    settings.child("prepare", workload=workload.name, **where)
    practical = settings.practical(workload)
    results, thrown = _rounds(settings, ["minae", *practical, "products"], workload=workload, **where)
    difference(results, f"{axis} {value}")
    return {
        "minae": [row["median"] for row in results["minae"]],
        "torch": _best(results, practical),
        "products": [row["median"] for row in results["products"]],
        "thrown_rounds": thrown,
    }


def _rounds(settings, contestants, **where):
    """name -> one row a round, and how many rounds were thrown away because other processes were busy meanwhile. As
    many rounds again may be thrown away; after that a round is kept as it is.

    The processes of all contestants live the whole time. In a round each contestant takes TURNS short turns, or fewer
    where its steps are long. So what disturbs this machine for a second or for a minute disturbs all of them."""
    results, thrown, generic = {name: [] for name in contestants}, 0, settings.generic(where["workload"])
    where = where | {"workload": where["workload"].name}
    with contextlib.ExitStack() as stack:
        competitors = {
            name: stack.enter_context(Competitor(settings, name, name in generic, where)) for name in contestants
        }
        processes = [os.getpid(), *(competitor.process.pid for competitor in competitors.values())]
        cores = os.cpu_count() or 1
        while len(results["minae"]) < settings.rounds:
            times, before, began = {name: [] for name in contestants}, others(processes), time.perf_counter()
            for k in range(TURNS):
                first = k % len(contestants)  # each contestant gets another neighbour in each turn
                for name in contestants[first:] + contestants[:first]:
                    times[name] += competitors[name].turn(k)
            elapsed, after = (time.perf_counter() - began) * cores, others(processes)
            busy = None if None in (before, after) else min(1.0, max(0.0, (after - before) / elapsed))
            if thrown < settings.rounds and (busy or 0) > BUSY:
                thrown += 1
                continue
            for name, competitor in competitors.items():
                results[name].append(competitor.row(times[name], busy))
    return results, thrown


def _best(results, names):
    """The time of the fastest of these contestants in each round, in ms; None where none of them ran."""
    rounds = zip(*(results[name] for name in names), strict=True)
    times = [[row["median"] for row in rows if "median" in row] for rows in rounds]
    return [min(row) for row in times] if times and all(times) else None  # a form that fails has no time


def _ratios(results, practical, generic):
    """name of a ratio -> the ratio within each round"""
    ours = [row["median"] for row in results["minae"]]
    pairs = {
        "minae / torch": _best(results, practical + generic),  # a generic form only where it is the fastest
        "minae / jax": _best(results, ["jax"] if "jax" in results else []),
        "minae / products": _best(results, ["products"] if "products" in results else []),
        "minae / plain step": _best(results, ["minae plain"] if "minae plain" in results else []),
        "generic / minae": _best(results, generic),
    }
    gradients = [f"{name} gradient" for name in practical if f"{name} gradient" in results]
    ratios = {key: [a / b for a, b in zip(ours, other, strict=True)] for key, other in pairs.items() if other}
    if "generic / minae" in ratios:
        ratios["generic / minae"] = [1 / ratio for ratio in ratios["generic / minae"]]
    if other := gradients and _best(results, gradients):
        ours = [row["median"] for row in results["minae gradient"]]
        ratios["minae / torch, gradient"] = [a / b for a, b in zip(ours, other, strict=True)]
    return ratios


def difference(results: dict[str, list[dict[str, Any]]], workload: str) -> float | None:
    """Largest relative difference of a cost of PyTorch's or JAX's from minae's, over the first steps; None without."""
    worst = None
    for name, rows in results.items():
        if not name.startswith(RIVALS):
            continue
        ours = results["minae gradient" if name.endswith(" gradient") else "minae"][0]["costs"]
        for row in rows:
            for mine, theirs in zip(ours, row.get("costs", []), strict=False):  # a generic form does fewer steps
                for a, b in zip(mine, theirs, strict=True):
                    off = abs(b - a) / abs(a) if a and math.isfinite(b) else 0.0 if a == b else math.inf
                    worst = max(worst or 0.0, off)
    if worst is not None and not worst <= TOLERANCE:
        raise AssertionError(
            f"{workload}: the costs of minae and a rival differ by {worst:.1e}: they train different models"
        )
    return worst


def summary(report: dict[str, Any]) -> list[float] | None:
    """The geometric mean over the practical rows, by round; None without PyTorch."""
    rows = [result["ratios"].get("minae / torch") for result in report["workloads"].values()]
    rows = [row for row in rows if row]
    return [statistics.geometric_mean(column) for column in zip(*rows, strict=True)] if rows else None


def _threads():
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit() and int(os.environ[name]):
            return int(os.environ[name])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _machine(settings, blas):
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    packages = []
    for package in ("numpy", "numba", "torch", "jax") + (("numba-cuda",) if settings.backend == "cupy" else ()):
        try:
            packages.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            packages.append(f"{package} missing")
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''} of {os.cpu_count()} cores"
    python, load = f"Python {platform.python_version()}", f"load {os.getloadavg()[0]:.1f} at the start"
    device = [] if settings.backend == "numpy" else [gpu()]
    return ", ".join([f"minae {minae.__version__}", cpu, *device, threads, python, *packages, blas, load])
