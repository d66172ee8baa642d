"""The contestants in turns: rounds, the ones that other processes disturbed, and what follows from them."""

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
from datetime import date
from pathlib import Path

import minae
from minae.bench.measure import MARK, others
from minae.bench.workloads import CURVES, WORKLOADS
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

    def child(self, job, **more):
        """The answer of a process that does this job."""
        with Child(self, job, **more) as child:
            return child.answer()

    def environment(self):
        libraries = ("OPENBLAS", "OMP", "MKL", "NUMBA")
        here = str(Path(minae.__file__).parents[1])  # a checkout that is not installed
        paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
        return os.environ | {f"{name}_NUM_THREADS": str(self.threads) for name in libraries} | {"PYTHONPATH": paths}

    def rivals(self, workload):
        """PyTorch's practical forms that can take part."""
        if self.torch:
            return []
        hows = [how for how in workload.torch_hows if self.compiled or "compiled" not in how]
        return [f"torch {how}" for how in hows if how != "graph" or self.backend == "cupy"]

    def generic(self, workload):
        return [] if self.torch else [f"torch {how}" for how in workload.generic]

    def gradients(self, workload):
        """The same without the optimizer's step."""
        return [f"{name} gradient" for name in ["minae", *self.rivals(workload)]]

    def contestants(self, workload):
        return [
            "minae",
            *self.rivals(workload),
            *(["minae plain"] if "plain" in workload.beside else []),
            *(self.gradients(workload) if "gradient" in workload.beside else []),
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
    """A process that does steps when it is its turn."""

    def __init__(self, settings, name, few, where):
        super().__init__(settings, "turns", contestant=name, seconds=settings.seconds, **where)
        try:
            self.said = self.answer()
        except BaseException:
            self.__exit__()
            raise
        fit = 1 if few or "error" in self.said else settings.seconds * 1e3 / (4 * self.said["step"])
        self.turns = max(turns for turns in SHARES if turns <= max(1, fit))  # short ones, but of four steps
        self.seconds = settings.seconds / self.turns

    def turn(self, k):
        """ms a step, of the k-th of TURNS turns of a round; nothing where it leaves that one out, or has failed."""
        if "error" in self.said or k % (TURNS // self.turns):
            return []
        with contextlib.suppress(BrokenPipeError):  # `answer` says why
            self.process.stdin.write(f"{self.seconds}\n")
            self.process.stdin.flush()
        answer = self.answer()
        if "error" in answer:
            self.said = answer
        return answer.get("times", [])

    def row(self, times, busy):
        """What is kept of a round."""
        if "error" in self.said:
            return self.said
        row = {"median": statistics.median(times), "min": min(times), "steps": len(times) * self.said["chunk"]}
        row |= {"others": busy, **self.said}
        if "bytes_ms" in row:  # on a GPU
            row |= {"products_ms": row["median"], "median": max(row["median"], row["bytes_ms"])}
        return row


def bench(names=(), *, rounds=5, seconds=1.5, backend="numpy", compiled=True, curves=False, each=print):
    """Measure these workloads, by default all. each(kind, name, result) is called as results come. Returns the report.

    Raises InputError for an unknown workload, AssertionError where minae and PyTorch do not train the same model.
    """
    if unknown := sorted(set(names) - set(WORKLOADS)):
        raise InputError(f"unknown workload {', '.join(unknown)}: choose of {', '.join(WORKLOADS)}")
    if rounds < 1 or not 0 < seconds < math.inf:
        raise InputError(f"rounds is {rounds} and seconds {seconds}: expected rounds ≥ 1 and seconds > 0")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(rounds, seconds, minae.backend.get_backend(backend).name, compiled, _threads(), folder)
        said = settings.child("machine")
        settings.torch = said["torch"]
        report = {
            "machine": _machine(settings, said["blas"]),
            "date": date.today().isoformat(),
            "backend": settings.backend,
            "threads": settings.threads,
            "rounds": rounds,
            "seconds": seconds,
            "torch": settings.torch or importlib.metadata.version("torch"),
            "torch_takes_part": not settings.torch,
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
    rivals, generic = settings.rivals(workload), settings.generic(workload)
    memory = {
        one: settings.child("memory", workload=name, contestant=one)
        for one in ["minae", *(how for how in rivals if "compiled" not in how), *generic]
    }
    result = {
        "results": results,
        "thrown_rounds": thrown,
        "ratios": _ratios(results, rivals, generic),
        "difference": _difference(results, name),
        "memory_mb": {one: row.get("mb") for one, row in memory.items()},
    }
    mb = result["memory_mb"]
    for key, hows in {"minae / torch": rivals + generic, "minae / generic": generic}.items():
        if taken := [mb[how] for how in hows if mb.get(how)]:
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
    rivals = settings.rivals(workload)
    results, thrown = _rounds(settings, ["minae", *rivals, "products"], workload=workload, **where)
    _difference(results, f"{axis} {value}")
    return {
        "minae": [row["median"] for row in results["minae"]],
        "torch": _best(results, rivals),
        "products": [row["median"] for row in results["products"]],
        "thrown_rounds": thrown,
    }


def _rounds(settings, contestants, **where):
    """name -> one row a round, and how many rounds were thrown away because other processes were busy meanwhile. As
    many rounds again may be thrown away; after that a round is kept as it is.

    All contestants are there the whole time, and in a round they take TURNS short turns each, but those whose steps are
    long: so what disturbs this machine for a second or for a minute disturbs all of them."""
    results, thrown, generic = {name: [] for name in contestants}, 0, settings.generic(where["workload"])
    where = where | {"workload": where["workload"].name}
    with contextlib.ExitStack() as stack:
        there = {name: stack.enter_context(Competitor(settings, name, name in generic, where)) for name in contestants}
        own, cores = [os.getpid(), *(one.process.pid for one in there.values())], os.cpu_count() or 1
        while len(results["minae"]) < settings.rounds:
            times, before, began = {name: [] for name in there}, others(own), time.perf_counter()
            for k in range(TURNS):
                for name in (
                    contestants[k % len(there) :] + contestants[: k % len(there)]
                ):  # another neighbour each time
                    times[name] += there[name].turn(k)
            elapsed, after = (time.perf_counter() - began) * cores, others(own)
            busy = None if None in (before, after) else min(1.0, max(0.0, (after - before) / elapsed))
            if thrown < settings.rounds and (busy or 0) > BUSY:
                thrown += 1
                continue
            for name, one in there.items():
                results[name].append(one.row(times[name], busy))
    return results, thrown


def _best(results, names):
    """The fastest of these in each round, in ms; None where none of them ran."""
    rounds = zip(*(results[name] for name in names), strict=True)
    times = [[row["median"] for row in rows if "median" in row] for rows in rounds]
    return [min(row) for row in times] if times and all(times) else None  # a form that fails has no time


def _ratios(results, rivals, generic):
    """Within each round."""
    ours = [row["median"] for row in results["minae"]]
    pairs = {
        "minae / torch": _best(results, rivals + generic),  # generic only where it is the faster one
        "minae / products": _best(results, ["products"] if "products" in results else []),
        "minae / plain step": _best(results, ["minae plain"] if "minae plain" in results else []),
        "generic / minae": _best(results, generic),
    }
    gradients = [f"{name} gradient" for name in rivals if f"{name} gradient" in results]
    ratios = {key: [a / b for a, b in zip(ours, other, strict=True)] for key, other in pairs.items() if other}
    if "generic / minae" in ratios:
        ratios["generic / minae"] = [1 / ratio for ratio in ratios["generic / minae"]]
    if other := gradients and _best(results, gradients):
        own = [row["median"] for row in results["minae gradient"]]
        ratios["minae / torch, gradient"] = [a / b for a, b in zip(own, other, strict=True)]
    return ratios


def _difference(results, name):
    """Largest relative difference of a cost of PyTorch's from minae's, over the first steps; None without PyTorch."""
    worst = None
    for one in (one for one in results if one.startswith("torch")):
        ours = results["minae gradient" if one.endswith(" gradient") else "minae"][0]["costs"]
        for row in results[one]:
            for mine, theirs in zip(ours, row.get("costs", []), strict=False):  # a generic form does fewer steps
                for a, b in zip(mine, theirs, strict=True):
                    off = abs(b - a) / abs(a) if a and math.isfinite(b) else 0.0 if a == b else math.inf
                    worst = max(worst or 0.0, off)
    if worst is not None and not worst <= TOLERANCE:
        raise AssertionError(f"{name}: the costs of minae and torch differ by {worst:.1e}: they train different models")
    return worst


def summary(report):
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
    for package in ("numpy", "numba", "torch") + (("numba-cuda",) if settings.backend == "cupy" else ()):
        try:
            packages.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            packages.append(f"{package} missing")
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''} of {os.cpu_count()} cores"
    python, load = f"Python {platform.python_version()}", f"load {os.getloadavg()[0]:.1f} at the start"
    gpu = [] if settings.backend == "numpy" else [_gpu()]
    return ", ".join([f"minae {minae.__version__}", cpu, *gpu, threads, python, *packages, blas, load])


def _gpu():
    from minae import doctor

    return doctor._cupy()[2]
