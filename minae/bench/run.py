"""The contestants in turns: rounds, the ones that other processes disturbed, and what follows from them."""

import dataclasses
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import minae
from minae.bench.workloads import CURVES, WORKLOADS
from minae.errors import InputError

TOLERANCE = 1e-4  # of the costs of the first steps, relative
BUSY = 0.05  # a round in which other processes took more of the machine than this is measured again


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
        job = {"job": job, "folder": self.folder, "backend": self.backend, "threads": self.threads, **more}
        command = [sys.executable, "-c", "from minae.bench import measure as m; import sys; m.child(sys.argv[1])"]
        done = subprocess.run([*command, json.dumps(job)], capture_output=True, text=True, env=self.environment())
        if done.returncode:
            raise RuntimeError(f"the benchmark's process {json.dumps(job)} failed:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

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

    def contestants(self, workload):
        return [
            "minae",
            *self.rivals(workload),
            *(["minae plain"] if workload.beside_plain else []),
            *(["products"] if workload.products else []),
            *self.generic(workload),
        ]


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


def _workload(settings, name):
    workload = WORKLOADS[name]
    settings.child("prepare", workload=name)
    contestants = settings.contestants(workload)
    results, thrown = _rounds(settings, contestants, workload=name)
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
            result.setdefault("memory_ratios", {})[key] = mb["minae"] / min(taken)
    if hasattr(workload, "model") and settings.backend == "numpy":
        result["allocated_bytes"] = settings.child("allocations", workload=name)
    return result


def _point(settings, axis, value):
    """One point of a curve: ms a step of minae, of the best of PyTorch, and of the products."""
    workload = WORKLOADS["784-500"]
    change = dict(CURVES[axis][value])
    where = {"workload": workload.name, "rows": change.pop("rows", None)}
    where["change"] = {"name": f"{axis}.{value}", **change}
    settings.child("prepare", **where)
    rivals = settings.rivals(workload)
    results, thrown = _rounds(settings, ["minae", *rivals, "products"], **where)
    _difference(results, f"{axis} {value}")
    return {
        "minae": [row["median"] for row in results["minae"]],
        "torch": _best(results, rivals),
        "products": [row["median"] for row in results["products"]],
        "thrown_rounds": thrown,
    }


def _rounds(settings, contestants, **where):
    """name -> one row a round, and how many rounds were thrown away because other processes were busy meanwhile. As
    many rounds again may be thrown away; after that a round is kept as it is."""
    results, thrown = {name: [] for name in contestants}, 0
    while len(results["minae"]) < settings.rounds:
        rows = {name: settings.child("timed", contestant=name, seconds=settings.seconds, **where) for name in results}
        if thrown < settings.rounds and any((row.get("others") or 0) > BUSY for row in rows.values()):
            thrown += 1
            continue
        for name, row in rows.items():
            results[name].append(row)
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
    ratios = {key: [a / b for a, b in zip(ours, other, strict=True)] for key, other in pairs.items() if other}
    if "generic / minae" in ratios:
        ratios["generic / minae"] = [1 / ratio for ratio in ratios["generic / minae"]]
    return ratios


def _difference(results, name):
    """Largest relative difference of a cost of PyTorch's from minae's, over the first steps; None without PyTorch."""
    ours, worst = results["minae"][0]["costs"], None
    for rows in (rows for one, rows in results.items() if one.startswith("torch")):
        for row in rows:
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
    for package in ("numpy", "numba", "torch"):
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
