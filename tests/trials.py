"""Hardships, run by hand: `python tests/trials.py [kills] [threads] [forks] [inputs]`, by default all four.

    kills    a training is killed (SIGKILL) at a random moment and resumed in a fresh process, again and again; the bits
             at the end are those of a run that nobody disturbed
    threads  concurrent calls of every verb on one model, beside a training of its copy: each answer is right
    forks    children are forked beside threads that compute, and encode: none hangs, each answer is right
    inputs   malformed files, options and arguments, in the shell and in the API: each gives one line and exit code 2,
             and no file is lost or left behind

Each prints one line with what was tried and what went wrong, and the script ends with exit code 1 if anything did.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

import minae
from minae import cli
from minae.training import Adam

SCRIPT = """
import sys, numpy as np
from minae import UndercompleteAutoencoder
X = np.random.default_rng(0).uniform(size=(600, 30)).astype("f")
model = UndercompleteAutoencoder((30, 20, 5), lam=1e-4, seed=2)
path, resume = sys.argv[1], sys.argv[2] == "resume"
model.fit(X, epochs=120, batch_size=25, validation=X[:60], patience=200, checkpoint=path, resume=resume, progress=False)
model.save(sys.argv[3])
"""


def kills(count=100):
    rng, lost, done = np.random.default_rng(0), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path, out, whole = (Path(folder) / name for name in ("c", "m", "whole"))

        def run(path, out, seconds=None):
            how = "resume" if path.exists() else "new"
            process = subprocess.Popen([sys.executable, "-c", SCRIPT, path, how, out], stderr=subprocess.PIPE)
            try:
                _, err = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return False
            if process.returncode:
                raise SystemExit(err.decode())
            return True

        started = time.perf_counter()
        run(Path(folder) / "c0", whole)
        seconds = time.perf_counter() - started
        while done < count:
            path.unlink(missing_ok=True)
            out.unlink(missing_ok=True)
            while True:
                if run(path, out, rng.uniform(0.3, 1.0) * seconds if done < count else None):
                    break
                done += 1
            lost += out.read_bytes() != whole.read_bytes()
        strays = [name for name in os.listdir(folder) if name not in ("c", "m", "whole", "c0", ".c.lock", ".c0.lock")]
        strays = [name for name in strays if not name.startswith(".minae.")]  # what a kill leaves of a file it cut
    return f"{done} kills, {lost} runs whose bits differ, {len(strays)} strange files", lost + len(strays)


def threads(calls=10_000, workers=8):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(64, 30)).astype("f")
    model = minae.VariationalAutoencoder((30, 20, 5), seed=1)
    verbs = {
        "encode": lambda: model.encode(X),
        "reconstruct": lambda: model.reconstruct(X),
        "evaluate": lambda: np.array(list(model.evaluate(X).values())),
        "log_likelihood": lambda: model.log_likelihood(X, samples=2),
        "sample": lambda: model.sample(5),
        "score_samples": lambda: model.score_samples(X),
    }
    right, wrong, stop = {name: call() for name, call in verbs.items()}, [], threading.Event()

    def work(k):
        names = list(verbs)
        for i in range(calls // workers):
            name = names[(i + k) % len(names)]
            if not np.array_equal(verbs[name](), right[name]):
                wrong.append(name)

    def train():
        copy = model.copy()
        while not stop.is_set():
            copy.fit(X, epochs=3, batch_size=16, optimizer=Adam(), progress=False)

    trainer = threading.Thread(target=train)
    pool = [threading.Thread(target=work, args=(k,)) for k in range(workers)]
    for thread in (trainer, *pool):
        thread.start()
    for thread in pool:
        thread.join()
    stop.set()
    trainer.join()
    return f"{calls // workers * workers:,} calls in {workers} threads beside a training, {len(wrong)} wrong", len(
        wrong
    )


def forks(count=200, limit=60):
    X = np.random.default_rng(0).uniform(size=(300, 100)).astype("f")
    model, stop = minae.UndercompleteAutoencoder((100, 60, 10), seed=1), threading.Event()
    right = model.encode(X)

    def busy():
        copy = model.copy()
        while not stop.is_set():
            copy.encode(X)

    workers = [threading.Thread(target=busy) for _ in range(2)]
    for worker in workers:
        worker.start()
    hung = wrong = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of every fork beside threads
        for _ in range(count):
            child = os.fork()
            if child == 0:
                os._exit(0 if np.array_equal(model.encode(X), right) else 3)
            deadline = time.monotonic() + limit
            while True:
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    wrong += status != 0
                    break
                if time.monotonic() > deadline:
                    hung += 1
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    break
                time.sleep(0.002)
    stop.set()
    for worker in workers:
        worker.join()
    return f"{count} forks beside two busy threads, {hung} hung, {wrong} wrong", hung + wrong


def malformed_files(folder):
    """Write files that are no data; returns their names."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(20, 16)).astype("f")
    good = io.BytesIO()
    np.save(good, X)
    good = good.getvalue()
    arrays = {
        "nan": np.where(X > 0.9, np.nan, X), "inf": np.where(X > 0.9, np.inf, X), "empty": X[:0], "none": X[:, :0],
        "one": X[:1, 0], "scalar": np.float32(3), "complex": X.astype(complex), "text": X.astype(str),
        "dates": (X * 9).astype("M8[s]"), "huge": X.astype(float) * 1e300, "negative": -X, "pixels": X * 255,
        "structured": np.zeros(3, [("a", "f4")]),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "pickled.npy", np.array([{}, []], object), allow_pickle=True)
    np.savez(folder / "several.npz", a=X, b=X)
    np.savez(folder / "bare.npz")
    texts = {
        "words.csv": "a,b\nc,d\n", "ragged.csv": "1,2\n3\n", "blank.csv": "", "header.csv": "a,b\n",
        "gap.csv": "1,\n2,3\n",
        "quoted.csv": '"1,2\n', "semicolon.csv": "1;2\n3;4\n", "tab.tsv": "1,2\n3,4\n", "nan.csv": "1,nan\n2,3\n",
        "bytes.csv": "\udcff\udcfe", "x.txt": "1 2\n", "x.parquet": "PAR1", "x.json": "[1]", "x.png": "no picture",
        "x.mat": "no matrix", "x.idx": "\0\0\b\1", "x.npz": "PK", "x.csv.gz": "no gzip",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    for k in (0, 5, 60, len(good) // 2, len(good) - 1):
        (folder / f"cut{k}.npy").write_bytes(good[:k])
    (folder / "images").mkdir()
    names = [
        *(f"{name}.npy" for name in arrays),
        "pickled.npy",
        "several.npz",
        "bare.npz",
        *texts,
        "images",
        "nowhere.npy",
    ]
    return [*names, *(f"cut{k}.npy" for k in (0, 5, 60, len(good) // 2, len(good) - 1)), "", "/", "\n", "a" * 300]


OPTIONS = """"--sizes 0|--sizes -3|--sizes x|--sizes|--epochs -1|--epochs x|--epochs 1.5|--epochs nan|--batch-size 0
--batch-size 21|--batch-size x|--lr 0|--lr -1|--lr nan|--lr x|--optimizer x|--optimizer lbfgs --lr 1|--model x
--activation x|--loss x|--lam -1|--lam x|--lam nan|--seed -1|--seed x|--dtype float16|--backend x
--backend cupy|--scale 0|--scale -1|--scale nan|--scale x|--validation nowhere.npy|--validation 1.5
--validation 0|--patience 2|--patience 0 --validation 0.2|--patience x|--checkpoint nowhere/c
--checkpoint images|--every 0|--every x|--resume|--continue nowhere|--continue x.npz|--channels 0|--image 3
--tied --channels 4|--drop 99|--drop x|--array x|--unknown|--unknown 3|--code x|--model sparse --rho 2
--model sparse --penalty x|--model variational --beta -1|--model denoising --level 5
--model denoising --corruption x|--model k_sparse|--model k_sparse --k 999|--model contractive --probes -1
--model classifier|--model lista|--model adversarial --hidden 0|--import nowhere.py|--import x.png"""


def inputs():
    tried, faults = 0, []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        X = np.random.default_rng(0).uniform(size=(20, 16)).astype("f")
        np.save("X.npy", X)
        assert cli.main("train X.npy --sizes 3 --epochs 1 -o m.safetensors --checkpoint c.safetensors".split()) == 0
        names, whole = malformed_files(Path(folder)), Path("m.safetensors").read_bytes()
        rng = np.random.default_rng(1)
        for k in range(30):
            damaged = bytearray(whole)
            damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
            Path(f"flip{k}.safetensors").write_bytes(bytes(damaged))
        for k in (0, 1, 9, 100, len(whole) // 2, len(whole) - 1):
            Path(f"cut{k}.safetensors").write_bytes(whole[:k])
        commands = [["train", name, "--sizes", "3", "-o", "n.safetensors"] for name in names]
        for verb in ("encode", "reconstruct", "score"):
            some = [name for name in names if name not in ("negative.npy", "pixels.npy") or verb == "score"]
            commands += [[verb, "m.safetensors", name, "-o", "out.npy"] for name in some]
        models = [name for name in os.listdir() if name.startswith(("flip", "cut")) and name.endswith(".safetensors")]
        commands += [["encode", name, "X.npy", "-o", "out.npy"] for name in [*models, *names]]
        commands += [["info", name] for name in [*models, *names]]
        commands += [f"train X.npy --sizes 3 -o n.safetensors {options}".split()
                     for options in OPTIONS.replace("\n", "|").split("|")]  # fmt: skip
        commands += [["train", "X.npy", "-o", name] for name in ("n.txt", "", "/", "nowhere/n.safetensors", "images")]
        commands += [["encode", "m.safetensors", "X.npy", "-o", name] for name in ("h.txt", "", "/", "nowhere/h.npy")]
        commands += [["run", "99.9"], ["check", "x"], ["options", "x"], ["x"], ["results", "images", "-o", "r.md"],
                     ["derive", "x"], ["bench", "x"]]  # fmt: skip
        before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        for command in commands:
            out, err = io.StringIO(), io.StringIO()
            tried += 1
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    code = cli.main(command)
            except SystemExit as stop:
                code = stop.code
            except BaseException as error:
                code = f"{type(error).__name__}: {error}"
            lines = [line for line in err.getvalue().splitlines() if not line.startswith("minae: warning")]
            after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
            if code != 2 or len(lines) != 1 or not lines[0].startswith("minae: ") or after != before:
                changed = sorted(str(path) for path in after.keys() ^ before.keys())
                faults.append(f"minae {' '.join(command)!r}: code {code}, {lines or out.getvalue()[-200:]!r} {changed}")
                for path in after.keys() - before.keys():
                    path.unlink()
    sys.path.insert(0, str(Path(__file__).parent))
    import test_doors

    counted, refused = [0], test_doors.refused

    def count(call, what):
        counted[0] += 1
        refused(call, what)

    test_doors.refused = count
    data = np.random.default_rng(0).uniform(size=(12, 7)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        for name in minae.models.registry():
            test_doors.test_every_option_of_every_model(name)
        test_doors.test_every_declared_argument_of_every_verb(data, Path(folder))
        for how in test_doors.ARRAYS:
            for name in test_doors.MODELS:
                test_doors.test_arrays_that_are_no_data(name, how, data)
    for fault in faults:
        print("  " + fault)
    return (
        f"{tried} malformed commands and {counted[0]:,} malformed arguments, {len(faults)} not refused by one line",
        len(faults),
    )


if __name__ == "__main__":
    trials = {"kills": kills, "threads": threads, "forks": forks, "inputs": inputs}
    failed = 0
    for name in sys.argv[1:] or trials:
        started = time.perf_counter()
        words, bad = trials[name]()
        failed += bad
        print(f"{name:8} {words} ({time.perf_counter() - started:.0f} s)", flush=True)
    sys.exit(1 if failed else 0)
