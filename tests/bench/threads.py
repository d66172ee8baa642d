"""A training step under several settings of threads: alone, beside one busy process, after a product of NumPy's own.

    python tests/bench/threads.py [--rounds 3] [--seconds 1] [SETTING ...]

A table for kernels/README.md: ms a step, median of the rounds' medians, and their range. Each measurement is a process
of its own, in turns. "minae first" is what a script does that imports minae, and then perhaps NumPy.
"""

import argparse
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETWORKS = ("784-30", "784-500")
WITHOUT = "without the pool"  # products by OpenBLAS's threads, loops by one
SETTINGS = {  # name -> modules in the order of their import, environment, contestant
    "minae first": (["minae"], {}, "minae"),
    "NumPy first": (["numpy", "minae"], {}, "minae"),
    "PyTorch first": (["torch", "minae"], {}, "minae"),
    "they spin for 2¹⁶": (["minae"], {"OPENBLAS_THREAD_TIMEOUT": "16"}, "minae"),
    "they sleep at once": (["minae"], {"OPENBLAS_THREAD_TIMEOUT": "4"}, "minae"),
    "one thread": (["minae"], {"OPENBLAS_NUM_THREADS": "1"}, "minae"),
    WITHOUT: (["minae"], {"OPENBLAS_THREAD_TIMEOUT": "20"}, "minae"),
    "PyTorch eager": (["torch"], {}, "torch eager"),
}


def child(case):
    for name in case["imports"]:
        importlib.import_module(name)
    import numpy as np

    from minae.bench import measure
    from minae.bench.workloads import WORKLOADS

    if case["name"] == WITHOUT:
        from minae.kernels import products

        products.matmul = products.plain
    own = np.ones((300, 300), np.float32)
    runner = measure.contestant_of(case["contestant"], WORKLOADS[case["network"]], measure.Env(case))
    for _ in range(20):
        runner.step()
    times, end = [], time.perf_counter() + case["seconds"]
    while time.perf_counter() < end or len(times) < 20:
        if case["own"]:
            np.matmul(own, own)
        start = time.perf_counter()
        runner.step()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps(statistics.median(times)))


def measured(case, environment):
    command = [sys.executable, __file__, "--child", json.dumps(case)]
    return float(subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE).stdout)


@contextlib.contextmanager
def busy():
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=", ".join(SETTINGS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args.child)

    import numpy as np

    from minae import data
    from minae.bench import measure
    from minae.bench.workloads import WORKLOADS

    chosen = args.settings or SETTINGS
    if unknown := set(chosen) - set(SETTINGS):
        parser.error(f"unknown setting {', '.join(unknown)}: choose of {', '.join(SETTINGS)}")
    places = {"alone": contextlib.nullcontext, "beside one": busy, "after an own": contextlib.nullcontext}
    times = {(name, network, place): [] for name in chosen for network in NETWORKS for place in places}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "train.npy"), np.ascontiguousarray(data.mnist().train, dtype=np.float32))
        case = {"folder": folder, "backend": "numpy", "threads": os.cpu_count(), "seconds": args.seconds}
        for network in NETWORKS:
            WORKLOADS[network].prepare(measure.Env(case))
        for _ in range(args.rounds):
            for name, network, place in times:
                imports, environment, contestant = SETTINGS[name]
                run = case | {"imports": imports, "contestant": contestant, "network": network}
                run |= {"name": name, "own": place == "after an own"}
                with places[place]():
                    times[name, network, place].append(measured(run, environment))
    columns = [(network, place) for network in NETWORKS for place in places]
    print(f"| setting | {' | '.join(f'{network}, {place}' for network, place in columns)} |")
    print("| --- |" + " --- |" * len(columns))
    for name in chosen:
        cells = [times[name, *column] for column in columns]
        cells = [f"{statistics.median(row):.2f} ({min(row):.2f}–{max(row):.2f})" for row in cells]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
