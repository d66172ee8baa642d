r"""Time of one training step: minae, PyTorch (eager and compiled), and the bare matrix products as the floor.

    python tests/bench/steps.py [--rounds 5] [--json FILE] [WORKLOAD ...]

Workloads: sigmoid units, Bernoulli loss on logits (sum over pixels, mean over batch), Adam lr 1e-3, float32, the MNIST
sample that ships with minae, full batches only. Each contestant runs in a process of its own; they take turns in every
round, with the same number of threads. Ratios are taken within a round, so that a slow phase of the machine hits both.
Column `others`: the largest share of the machine that other processes took while a contestant was measured. BLAS
threads wait for each other, so a disturbed round says little; it is measured again, and the report says how many were.

    minae           what minae.training.fit does in a step: take the rows, cost_and_grad, optimizer.step
    torch eager     the same batches from the same initial parameters; backward, fused Adam
    torch compiled  the same, with torch.compile of forward and loss
    products        np.matmul alone, with out=: x W, xᵀ da, and da Wᵀ except at the first layer

The losses of the first five steps of minae and torch must agree to a relative 1e-4. `allocations` counts what a
steady-state step of minae allocates.
"""

# Only the standard library here: minae has to be the first import of its process, as in a user's script, and a child's
# ru_maxrss starts from that of the process that spawned it.
import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

BATCH = {"784-500": 128, "784-1000": 256, "784-30": 100, "784-1000-500-250-30": 128}
LR, SEED, FIRST, WARM_STEPS, WARM_SECONDS, SECONDS, TOLERANCE = 1e-3, 0, 5, 20, 1.0, 1.5, 1e-4
BUSY = 0.05  # a round in which other processes took more of the machine than this is measured again
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

# ---- contestants: each gives step(index) -> loss or None, and batches() -> index, index, …


def minae_step(sizes, batch, folder):
    import minae  # first, before NumPy

    warnings.simplefilter("ignore")  # 784-1000 is wider than x, without a penalty
    from minae.data.rows import Rows

    X = _train(folder)
    model, optimizer = minae.UndercompleteAutoencoder(sizes, seed=SEED), minae.optimizers.Adam(lr=LR)
    rows = Rows(model, X, "X")

    def step(index):
        with model.arena:
            x = rows.take(index)
            cost = model.cost_and_grad(x)
            optimizer.step(model.parameters)
        return cost["L"]

    return step, _batches(len(X), batch)


def torch_step(sizes, batch, folder, compiled=False):
    import numpy as np
    import torch

    torch.set_num_threads(THREADS)
    X, saved, depth = torch.from_numpy(_train(folder)), np.load(folder / f"{_name(sizes)}.npz"), len(sizes) - 1
    layers = []
    for W, b in [(f"W{k}", f"b{k}") for k in range(1, depth + 1)] + [(f"V{k}", f"c{k}") for k in range(1, depth + 1)]:
        n, m = saved[W].shape
        layer = torch.nn.Linear(n, m)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(saved[W].T))
            layer.bias.copy_(torch.from_numpy(saved[b]))
        layers += [layer, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)

    def loss(x):
        s = model(x)
        return torch.nn.functional.binary_cross_entropy_with_logits(s, x, reduction="sum") / x.shape[0]

    loss = torch.compile(loss) if compiled else loss

    def step(index):
        L = loss(X[index])
        L.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return L

    return step, map(torch.from_numpy, _batches(len(X), batch))


def products_step(sizes, batch, folder):
    import minae  # noqa: F401  (first: sets up NumPy's threads)

    # isort: split
    import numpy as np

    rng, matmul, widths = np.random.default_rng(SEED), np.matmul, [*sizes, *sizes[-2::-1]]
    W = [(rng.standard_normal((n, m)) / n**0.5).astype("f") for n, m in itertools.pairwise(widths)]
    dW = [np.zeros_like(w) for w in W]
    a = [rng.standard_normal((batch, n)).astype("f") for n in widths]  # a[0] is x
    da = [rng.standard_normal((batch, n)).astype("f") for n in widths]
    depth = len(W)

    def step(index):
        for k in range(depth):
            matmul(a[k], W[k], out=a[k + 1])
        for k in reversed(range(depth)):
            matmul(a[k].T, da[k + 1], out=dW[k])
            if k:
                matmul(da[k + 1], W[k].T, out=da[k])

    return step, iter(int, 1)


CONTESTANTS = {
    "minae": minae_step,
    "torch eager": torch_step,
    "torch compiled": lambda *args: torch_step(*args, compiled=True),
    "products": products_step,
}


def _train(folder):
    import numpy as np

    return np.load(folder / "train.npy")


def _batches(n, batch):
    """Full slices of an order that is shuffled anew each epoch, as in minae.training.fit."""
    import numpy as np

    epoch = 0
    while True:
        order = np.random.default_rng((SEED, epoch)).permutation(n)
        yield from (order[k : k + batch] for k in range(0, n - batch + 1, batch))
        epoch += 1


def _name(sizes):
    return "-".join(map(str, sizes))


# ---- what a child process does; its last line of output is JSON


def prepare(workloads, folder):
    """Write the data and minae's initial parameters; returns the versions behind NumPy."""
    import minae

    # isort: split
    import numpy as np

    np.save(folder / "train.npy", np.ascontiguousarray(minae.data.mnist().train, dtype="f"))
    for name in workloads:
        model = minae.UndercompleteAutoencoder(_sizes(name), seed=SEED)
        np.savez(folder / f"{name}.npz", **{key: model.parameters[key] for key in model.parameters})
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"blas": f"{blas['name']} {blas['version']}"}


def measure(contestant, workload, folder):
    try:
        step, batches = CONTESTANTS[contestant](_sizes(workload), BATCH[workload], folder)
        losses = [step(next(batches)) for _ in range(FIRST)]
    except Exception as error:
        if contestant != "torch compiled":
            raise
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    done, end = 0, time.perf_counter() + WARM_SECONDS
    while done < WARM_STEPS or time.perf_counter() < end:
        step(next(batches))
        done += 1
    times, others, start_all = [], _others(), time.perf_counter()
    end = start_all + SECONDS
    while not times or time.perf_counter() < end:
        index = next(batches)
        start = time.perf_counter()
        step(index)
        times.append((time.perf_counter() - start) * 1e3)
    elapsed = (time.perf_counter() - start_all) * (os.cpu_count() or 1)
    return {
        "median": statistics.median(times),
        "min": min(times),
        "steps": len(times),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        "losses": [] if losses[0] is None else [float(L) for L in losses],
        "threads": _threads(),
        "others": None if others is None else max(0.0, (_others() - others) / elapsed),
    }


def _others():
    """Seconds of CPU that other processes and the host have used so far, or None where /proc does not say."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return None
    own = os.times()
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def allocations(workload, folder, steps=20):
    """Largest growth of traced memory within one steady-state step, in bytes, at the workload's batch and at twice it.

    tracemalloc sees NumPy's arrays: a single array (B, m) that a step allocated would show as 4 B m bytes.
    """
    import tracemalloc

    grown = {}
    for batch in (BATCH[workload], 2 * BATCH[workload]):
        step, batches = minae_step(_sizes(workload), batch, folder)
        for _ in range(WARM_STEPS):
            step(next(batches))
        growth = []
        tracemalloc.start()
        for _ in range(steps):
            index = next(batches)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            step(index)
            growth.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
        grown[batch] = max(growth[1:])
    return grown


def _sizes(workload):
    return tuple(map(int, workload.split("-")))


def _threads():
    if "torch" in sys.modules:
        return sys.modules["torch"].get_num_threads()
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


# ---- the parent


def child(what, *args):
    command = [sys.executable, __file__, "--child", what, *args]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def machine(blas):
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
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return ", ".join([cpu, f"{THREADS} cores", f"Python {platform.python_version()}", *packages, blas, load])


def rounds_of(workload, rounds, folder):
    """name -> one row a round, and how many rounds were thrown away because other processes were busy meanwhile.

    As many rounds again may be thrown away; after that a round is kept as it is.
    """
    results, thrown = {name: [] for name in CONTESTANTS}, 0
    while len(results["minae"]) < rounds:
        rows = {name: child(name, workload, str(folder)) for name in CONTESTANTS}
        if thrown < rounds and any((row.get("others") or 0) > BUSY for row in rows.values()):
            thrown += 1
            continue
        for name, row in rows.items():
            results[name].append(row)
    return results, thrown


def largest_difference(results):
    """Largest relative difference of a torch loss from minae's, over the first steps."""
    minae = results["minae"][0]["losses"]
    rivals = [row["losses"] for name in ("torch eager", "torch compiled") for row in results[name] if "losses" in row]
    return max(abs(L - M) / abs(M) for losses in rivals for L, M in zip(losses, minae, strict=True))


def ratios(results):
    """Within each round: minae / products, and minae / the faster torch."""
    rounds = range(len(results["minae"]))
    median = lambda name, k: results[name][k].get("median", float("inf"))  # noqa: E731
    best = [min(median("torch eager", k), median("torch compiled", k)) for k in rounds]
    return {
        "minae / products": [median("minae", k) / median("products", k) for k in rounds],
        "minae / best torch": [median("minae", k) / best[k] for k in rounds],
    }


def table(workload, results):
    lines = [f"{workload}, batch {BATCH[workload]}", ""]
    lines += ["contestant          ms/step   min..max of rounds   fastest step   peak RSS   threads   others"]
    for name, rows in results.items():
        errors = [row["error"] for row in rows if "error" in row]
        if errors:
            lines.append(f"{name:<18}  failed: {errors[0]}")
            continue
        medians = [row["median"] for row in rows]
        spread = f"{min(medians):.3f}..{max(medians):.3f}"
        rss, threads = statistics.median(row["rss_mb"] for row in rows), rows[0]["threads"]
        others = max((row["others"] for row in rows if row["others"] is not None), default=None)
        lines.append(
            f"{name:<18}  {statistics.median(medians):7.3f}   {spread:>18}   {min(row['min'] for row in rows):12.3f}"
            f"   {rss:5.0f} MB   {threads if threads else '?':>7}"
            f"   {'?' if others is None else f'{others:.0%}':>6}"
        )
    lines.append("")
    for name, values in ratios(results).items():
        lines.append(f"{name:<18}  {statistics.median(values):7.2f}   {f'{min(values):.2f}..{max(values):.2f}':>18}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workloads", metavar="WORKLOAD", nargs="*", help=f"of {', '.join(BATCH)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure of every round here")
    options = parser.parse_args()
    workloads = options.workloads or list(BATCH)
    if unknown := set(workloads) - set(BATCH):
        parser.error(f"unknown workload {', '.join(sorted(unknown))}: choose of {', '.join(BATCH)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")

    with tempfile.TemporaryDirectory() as folder:
        line = machine(child("prepare", " ".join(workloads), folder)["blas"])
        report = {"machine": line, "rounds": options.rounds, "workloads": {}}
        print(line, flush=True)
        for workload in workloads:
            results, thrown = rounds_of(workload, options.rounds, folder)
            print(f"\n{table(workload, results)}")
            print(f"{options.rounds} rounds; {thrown} more were disturbed by other processes and measured again")
            difference = largest_difference(results)
            print(f"losses of the first {FIRST} steps: largest relative difference {difference:.1e}")
            assert difference <= TOLERANCE, f"{workload}: minae and torch do not train the same model"
            grown = child("allocations", workload, folder)
            print("a step of minae allocates at most", ", ".join(f"{v} bytes (batch {k})" for k, v in grown.items()))
            sys.stdout.flush()
            report["workloads"][workload] = {
                "results": results,
                "thrown_rounds": thrown,
                "ratios": ratios(results),
                "loss_difference": difference,
                "allocated_bytes": grown,
            }
        if options.json:
            options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        what, argument, folder = sys.argv[2], sys.argv[3], Path(sys.argv[4])
        if what == "prepare":
            answer = prepare(argument.split(), folder)
        elif what == "allocations":
            answer = allocations(argument, folder)
        else:
            answer = measure(what, argument, folder)
        print(json.dumps(answer))
    else:
        main()
