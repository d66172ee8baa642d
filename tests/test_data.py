"""minae.data: the sample, the full set wherever it comes from, and the readers with every bad input."""

import gzip
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import minae
from minae import files
from minae.data import Digits, Scaled, cache_status, digits, mnist, read
from minae.errors import InputError

FIELDS = Digits._fields
quick = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def idx_bytes(X):
    """X in the IDX format, written here a second time, after its description."""
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[X.dtype.str[1:]]
    head = bytes([0, 0, code, X.ndim]) + b"".join(n.to_bytes(4, "big") for n in X.shape)
    return head + X.astype(X.dtype.newbyteorder(">")).tobytes()


def refuses(*words, call=read, args=()):
    """The call raises InputError, whose one line holds each of the words; returns the line."""
    with pytest.raises(InputError) as caught:
        call(*args)
    line = str(caught.value)
    assert len(line.splitlines()) == 1 and line.isprintable()
    for word in words:
        assert re.search(word, line), line
    return line


def refuses_file(path, *words):
    return refuses(re.escape(path.name), *words, args=(path,))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---------------------------------------------------------------------------------------------- the sample
def test_sample():
    data = mnist()
    assert isinstance(data, Digits)
    for images, labels, n in ((data.train, data.train_labels, 6000), (data.test, data.test_labels, 1000)):
        assert images.shape == (n, 784) and images.dtype == np.float32
        assert images.min() == 0 and images.max() == 1 and images.flags.writeable
        assert labels.shape == (n,) and labels.dtype == np.uint8 and set(labels) == set(range(10))
    assert data.train_labels[:3].tolist() == [5, 3, 4]
    assert np.array_equal(read("sample"), data.train)
    assert np.array_equal(read("sample", scale=1), data.train * 255)


def test_sample_is_small():
    assert digits.SAMPLE.stat().st_size < 1.6e6


def test_missing_sample(monkeypatch, tmp_path):
    monkeypatch.setattr(digits, "SAMPLE", tmp_path / "gone.npz")
    refuses("gone.npz", "install", call=mnist)
    assert cache_status()["sample"] is False


def test_sample_is_every_tenth_row_of_the_full_set():
    folder = os.environ.get("MINAE_DATA")
    if not folder or not all(digits._user_file(name) for name, _ in digits.FILES.values()):
        pytest.skip("MINAE_DATA does not hold the four files of MNIST")
    for key in FIELDS:
        assert np.array_equal(digits.raw_array(key, full=True)[::10], digits.raw_array(key, full=False))


def test_import_is_light():
    code = "import sys, minae.data; print({'PIL', 'pooch', 'requests', 'tqdm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == "set()", done.stderr


# -------------------------------------------------------- the full set: a stand-in of 20 and 10 tiny images
@pytest.fixture
def tiny(monkeypatch, tmp_path, rng):
    """Four small IDX files with their sums in place of MNIST's; no MINAE_DATA, an empty cache, no mirror answers."""
    arrays = {
        "train": rng.integers(0, 256, (20, 4, 3), np.uint8),
        "train_labels": rng.integers(0, 10, 20, np.uint8),
        "test": rng.integers(0, 256, (10, 4, 3), np.uint8),
        "test_labels": rng.integers(0, 10, 10, np.uint8),
    }
    names = {key: digits.FILES[key][0] for key in FIELDS}
    raw = {names[key]: idx_bytes(X) for key, X in arrays.items()}
    sums = {key: (name, hashlib.sha256(raw[name]).hexdigest()) for key, name in names.items()}
    monkeypatch.setattr(digits, "FILES", sums)
    monkeypatch.setattr(digits, "MIRRORS", ())
    monkeypatch.delenv("MINAE_DATA", raising=False)
    monkeypatch.setenv("MINAE_CACHE", str(tmp_path / "cache"))
    return arrays, raw


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server over a new folder: yields (folder, its address, the requests so far)."""
    folder, asked = tmp_path / "web", []
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{web.server_port}/", asked
        web.shutdown()
        thread.join()


def put(folder, raw, pack=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in raw.items():
        (folder / (name + ".gz" * pack)).write_bytes(gzip.compress(data) if pack else data)


def same(data, arrays):
    for key in FIELDS:
        X, want = getattr(data, key), arrays[key]
        if want.ndim > 1:
            want = want.reshape(len(want), -1).astype(np.float32) / np.float32(255)
        assert X.dtype == want.dtype and np.array_equal(X, want)


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("place", ["mnist", "."])
def test_full_from_minae_data(tiny, tmp_path, monkeypatch, place, pack):
    arrays, raw = tiny
    put(tmp_path / "mine" / place, raw, pack)
    monkeypatch.setenv("MINAE_DATA", str(tmp_path / "mine"))
    same(mnist(full=True), arrays)
    assert np.array_equal(read("mnist"), mnist(full=True).train)
    status = cache_status()
    assert all(found["ok"] and "mine" in found["path"] for found in status["files"].values())
    assert status["MINAE_DATA"] == str(tmp_path / "mine") and status["cache"] == str(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b + b"x", lambda b: b"", lambda b: b[:40] + b"~" + b[41:]]
)
def test_damaged_file_in_minae_data_is_refused_and_kept(tiny, tmp_path, monkeypatch, damage):
    _, raw = tiny
    put(tmp_path / "mine", raw)
    monkeypatch.setenv("MINAE_DATA", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    refuses("train-images-idx3-ubyte.gz", "SHA-256", "replace it", call=mnist, args=(True,))
    assert path.read_bytes() == before
    assert cache_status()["files"]["train-images-idx3-ubyte"] == {"path": str(path), "ok": False}


def test_download_then_cache(tiny, server, tmp_path, monkeypatch, capsys):
    arrays, raw = tiny
    folder, address, asked = server
    put(folder, raw)
    monkeypatch.setattr(digits, "MIRRORS", (address + "nowhere/", address))  # the first answers 404
    monkeypatch.setenv("MINAE_DATA", str(tmp_path / "no such folder"))
    assert not any(found["path"] for found in cache_status()["files"].values())
    same(mnist(full=True), arrays)
    assert "100%" in capsys.readouterr().err  # the progress bar
    assert sorted(p.name for p in (tmp_path / "cache" / "mnist").iterdir()) == sorted(f"{name}.gz" for name in raw)
    count = len(asked)
    same(mnist(full=True), arrays)
    assert len(asked) == count  # nothing is fetched twice
    assert all(found["ok"] for found in cache_status()["files"].values())


def test_one_name_fetches_one_file(tiny, server, monkeypatch):
    _, raw = tiny
    folder, address, asked = server
    put(folder, raw)
    monkeypatch.setattr(digits, "MIRRORS", (address,))
    assert read("mnist").shape == (20, 12)
    assert {path.strip("/") for path in asked} == {"train-images-idx3-ubyte.gz"}


def test_half_downloaded_file_in_the_cache_is_replaced(tiny, server, tmp_path, monkeypatch):
    arrays, raw = tiny
    folder, address, asked = server
    put(folder, raw)
    put(tmp_path / "cache" / "mnist", raw)
    cached = tmp_path / "cache" / "mnist" / "t10k-images-idx3-ubyte.gz"
    whole = cached.read_bytes()
    cached.write_bytes(whole[: len(whole) // 2])
    line = refuses("the cached file is damaged", "MINAE_DATA/mnist", call=mnist, args=(True,))  # no mirror yet
    assert "t10k-images" in line and cached.exists()
    monkeypatch.setattr(digits, "MIRRORS", (address,))
    same(mnist(full=True), arrays)
    assert {path.strip("/") for path in asked} == {cached.name}
    assert gzip.decompress(cached.read_bytes()) == raw["t10k-images-idx3-ubyte"]


@pytest.mark.parametrize("served", ["truncated", "another file", "a login page"])
def test_wrong_download_is_thrown_away(tiny, server, tmp_path, monkeypatch, served):
    _, raw = tiny
    folder, address, _ = server
    put(folder, raw)
    path = folder / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[:50], "another file": gzip.compress(b"no"), "a login page": b"<html>"}[served])
    monkeypatch.setattr(digits, "MIRRORS", (address,))
    refuses("wrong checksum", "MINAE_DATA/mnist", "sample", call=mnist, args=(True,))
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_interrupted_download_leaves_nothing(tiny, tmp_path, monkeypatch):
    import pooch

    def interrupt(self, url, path, *args):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mnist(full=True)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_no_network(tiny, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(digits, "MIRRORS", ("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/"))
    refuses("cannot download", "Error, .*Error", "MINAE_DATA/mnist", "sample", call=mnist, args=(True,))


def test_cache_folder_that_cannot_be_made(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MINAE_CACHE", str(tmp_path / "file"))
    refuses("cannot write", "MINAE_CACHE", call=mnist, args=(True,))


def test_default_cache_folder(monkeypatch):
    monkeypatch.delenv("MINAE_CACHE", raising=False)
    assert "minae" in cache_status()["cache"]


# --------------------------------------------------------------------------------------- readers, round trips
reals = st.one_of(hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(), hnp.boolean_dtypes())
tables = hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)


@quick
@given(X=hnp.arrays(reals, tables), fortran=st.booleans())
def test_npy(tmp_path, X, fortran):
    path = tmp_path / "x.npy"
    np.save(path, np.asfortranarray(X) if fortran else X)
    flat, Y = X.reshape(len(X), -1), read(path)
    assert Y.shape == flat.shape and Y.ndim == 2
    if X.dtype.isnative:
        assert isinstance(Y, np.memmap) and Y.dtype == X.dtype
        assert not Y.flags.writeable or (fortran and X.ndim > 2)  # only these are copied, to be flattened
        assert np.array_equal(Y, flat, equal_nan=X.dtype.kind == "f")
    else:
        assert isinstance(Y, Scaled)  # another machine's byte order: float32, row by row


@quick
@given(X=hnp.arrays(reals, tables), name=st.sampled_from(["X", "x", "data", "train", "arr_0", "anything"]))
def test_npz(tmp_path, X, name):
    np.savez(tmp_path / "x.npz", **{name: X})
    Y = read(tmp_path / "x.npz")
    assert Y.dtype == X.dtype and np.array_equal(Y, X.reshape(len(X), -1), equal_nan=X.dtype.kind == "f")


@pytest.mark.parametrize("name", ["X", "x", "data", "train"])
def test_npz_with_several_arrays(tmp_path, name):
    np.savez_compressed(tmp_path / "x.npz", labels=np.arange(3), **{name: np.ones((3, 2))})
    assert read(str(tmp_path / "x.npz")).shape == (3, 2)


@quick
@given(
    X=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    header=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_csv(tmp_path, X, header, newline, bom):
    lines = [",".join(f'"name, {j}"' for j in range(X.shape[1]))] * header + [
        ",".join(map(repr, r)) for r in X.tolist()
    ]
    (tmp_path / "x.csv").write_bytes((newline.join(lines) + newline).encode("utf-8-sig" if bom else "utf-8"))
    Y = read(tmp_path / "x.csv")
    assert Y.dtype == np.float32 and np.array_equal(Y, X)


def test_csv_ways_of_writing(tmp_path):
    (tmp_path / "x.CSV").write_text('\n1, -2e3\n\n"3",.5')
    assert read(tmp_path / "x.CSV").tolist() == [[1, -2000], [3, 0.5]]


@quick
@given(
    X=hnp.arrays(st.sampled_from([np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]), tables),
    pack=st.booleans(),
    name=st.sampled_from(["a-images-idx3-ubyte", "x.gz", "x.idx", "x", "x.bin"]),
)
def test_idx(tmp_path, X, pack, name):
    raw = idx_bytes(X)
    (tmp_path / name).write_bytes(gzip.compress(raw) if pack else raw)
    Y, flat = read(tmp_path / name), X.reshape(len(X), -1)
    if X.dtype == np.uint8:
        assert Y.dtype == np.float32 and np.array_equal(Y, flat.astype(np.float32) / np.float32(255))
    else:
        assert Y.dtype == X.dtype and np.array_equal(Y, flat, equal_nan=X.dtype.kind == "f")


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "PNG", "pgm"])
def test_folder_of_images(tmp_path, rng, suffix):
    X = rng.integers(0, 256, (3, 5, 4), np.uint8)
    for name, image in zip("cab", X, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.{suffix}")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / f".hidden.{suffix}").write_text("nor this")
    Y = read(tmp_path)
    assert Y.dtype == np.float32 and np.array_equal(Y, X[[1, 2, 0]].reshape(3, -1).astype(np.float32) / np.float32(255))


def test_images_become_grey(tmp_path):
    Image.new("RGB", (4, 4), (255, 255, 255)).save(tmp_path / "a.jpg", quality=100)
    Image.new("RGBA", (4, 4), (255, 255, 255, 9)).save(tmp_path / "b.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "c.png")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "d.png", transparency=b"\x05\x80")  # Pillow warns if this goes to grey directly
    assert np.array_equal(read(tmp_path), np.ones((4, 16), np.float32))


def test_home_and_text_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    np.save(tmp_path / "x.npy", np.eye(2))
    assert read("~/x.npy").shape == (2, 2)


# ----------------------------------------------------------------------------------------------------- scale
def test_memory_map_is_scaled_lazily(tmp_path, rng):
    X = rng.integers(0, 256, (6, 2, 3), np.uint8)
    np.save(tmp_path / "x.npy", X)
    want = X.reshape(6, 6).astype(np.float32) / np.float32(255)
    Y = read(tmp_path / "x.npy", scale=255)
    assert isinstance(Y, Scaled) and isinstance(Y.X, np.memmap)
    assert (Y.shape, Y.ndim, Y.dtype, len(Y)) == ((6, 6), 2, np.float32, 6)
    for rows in (slice(1, 4), slice(None, None, -2), np.array([5, 0, 0]), [2], np.arange(6) > 3, slice(0, 0)):
        assert type(Y[rows]) is np.ndarray and Y[rows].dtype == np.float32 and np.array_equal(Y[rows], want[rows])
    assert np.array_equal(np.asarray(Y), want) and np.array_equal(np.asarray(Y, np.float64), want)
    batch = Y[:2]
    batch[:] = 7  # a batch is the caller's own: neither the file nor the next batch changes
    assert np.array_equal(Y[:2], want[:2])


def test_a_large_memory_map_is_not_read(tmp_path):
    path = tmp_path / "x.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (1 << 22, 8, 32)).flush()  # 4 GiB, sparse
    assert path.stat().st_size > 1 << 32
    for X in (read(path), read(path, scale=2)):
        assert X.shape == (1 << 22, 256) and not np.any(X[np.array([0, 77, (1 << 22) - 1])])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64, np.float16, np.float64, bool])
def test_arrays_are_scaled_at_once(tmp_path, dtype):
    X = np.arange(6).reshape(2, 3).astype(dtype)
    np.savez(tmp_path / "x.npz", X)
    Y = read(tmp_path / "x.npz", scale=4)
    assert type(Y) is np.ndarray and Y.dtype == np.float32 and np.array_equal(Y, X.astype(np.float32) / 4)


def test_a_given_scale_replaces_the_usual_one(tmp_path):
    (tmp_path / "x").write_bytes(idx_bytes(np.array([[0, 128, 255]], np.uint8)))
    assert read(tmp_path / "x", scale=1).tolist() == [[0, 128, 255]]
    assert np.array_equal(read(tmp_path / "x", scale=255), read(tmp_path / "x"))
    (tmp_path / "x.csv").write_text("0,5\n")
    assert read(tmp_path / "x.csv", scale=np.float32(5)).tolist() == [[0, 1]]


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "255", 1j, [255]])
def test_bad_scale(scale):
    refuses("scale is", "expected a number > 0", args=("sample", scale))


# ------------------------------------------------------------------------------------------------- bad input
def save(name):
    return partial({"npy": np.save, "npz": np.savez}[name])


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize(
    "X, word",
    [
        (np.arange(3.0), r"shape \(3,\).*two dimensions"),
        (np.array(1.0), "two dimensions"),
        (np.empty((0, 5)), "empty"),
        (np.empty((5, 0)), "empty"),
        (np.empty(0), "empty"),
        (np.array([["a", "b"]]), "dtype <U1"),
        (np.array([[b"a", b"b"]]), "dtype"),
        (np.ones((2, 2), complex), "complex128"),
        (np.ones((2, 2), "datetime64[s]"), "datetime64"),
        (np.ones((2, 2), [("a", "f4"), ("b", "i4")]), "real numbers"),
        (np.array([[1, None]], object), "cannot read"),
    ],
)
def test_arrays_that_are_no_tables(tmp_path, kind, X, word):
    path = tmp_path / f"x.{kind}"
    save(kind)(path, X)
    refuses_file(path, word)


def test_pickles_are_never_loaded(tmp_path):
    import pickle

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    for name in ("x.npy", "x.npz", "x.csv", "x.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
        refuses_file(tmp_path / name)
    for name in ("npy", "npz"):
        save(name)(tmp_path / f"y.{name}", np.array([[Trap()]], object))
        refuses_file(tmp_path / f"y.{name}")
    assert not (tmp_path / "sprung").exists()


def test_npz_without_a_clear_array(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, images=np.eye(2), labels=np.eye(2))
    refuses_file(path, "'images', 'labels'", "X, x, data, train")
    np.savez(path, X=np.eye(2), data=np.eye(2))
    refuses_file(path, "'X', 'data'")
    np.savez(path)
    refuses_file(path, r"\[\]")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x", "x.gz"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    refuses_file(tmp_path / name)


@quick
@given(cut=st.floats(0, 0.999), kind=st.sampled_from(["npy", "npz", "idx", "idx.gz"]))
def test_truncated_file(tmp_path, cut, kind):
    path = tmp_path / f"x.{kind}"
    X = np.random.default_rng(1).integers(0, 256, (9, 4, 4), np.uint8)
    if kind in ("npy", "npz"):
        save(kind)(path, X)
    else:
        path.write_bytes(gzip.compress(idx_bytes(X)) if kind == "idx.gz" else idx_bytes(X))
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    refuses_file(path)


@quick
@given(noise=st.binary(max_size=200), kind=st.sampled_from(["npy", "npz", "csv", "idx", "gz", "png"]))
def test_garbage_gives_one_line(tmp_path, noise, kind):
    start = {"npy": b"\x93NUMPY\x01\x00", "npz": b"PK\x03\x04", "idx": b"\0\0\x08\x03", "gz": b"\x1f\x8b\x08"}
    (tmp_path / f"x.{kind}").write_bytes(start.get(kind, b"\xff") + noise)
    refuses(args=(tmp_path / f"x.{kind}",) if kind != "png" else (tmp_path,))


def test_idx_that_promises_too_much(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\x08\x04" + b"\xff" * 16)  # 2**128 bytes
    refuses_file(path, "20 bytes", "truncated or corrupt")
    path.write_bytes(idx_bytes(np.eye(3, dtype=np.uint8)) + b"more")
    refuses_file(path, "header promises 21")
    path.write_bytes(idx_bytes(np.arange(9, dtype=np.uint8)))
    refuses_file(path, r"shape \(9,\)")  # labels are no table


@pytest.mark.parametrize(
    "text, words",
    [
        ("1,2\n3,four\n", ["row 2, column 2 is 'four'"]),
        ("a,b\n1,2\n3,\n", ["row 3, column 2 is ''"]),
        ("a,b\n\n1,2\nnan,1\n", ["row 4, column 1 is 'nan'"]),
        ("nan,nan\n1,2\n", ["row 1, column 1 is 'nan'"]),
        (",\n1,2\n", ["row 1, column 1 is ''"]),
        ("1,b\n3,4\n", ["row 1, column 2 is 'b'"]),
        ("1,inf\n", ["row 1, column 2 is 'inf'"]),
        ("1,1e39\n", ["row 1, column 2 is '1e39'"]),
        ("1,1_000\n", ["row 1, column 2 is '1_000'"]),
        ("1,2\n3,4,5\n", ["row 2 has 3 columns: expected 2"]),
        ("1,2\n3\n", ["row 2 has 1 columns: expected 2"]),
        ("1;2\n3;4\n", ["row 2, column 1 is '3;4'"]),
        ("a,b\n", ["no rows"]),
        ("\n\n", ["no rows"]),
        ('1,"2\n3\n', ["column"]),
        ("1,\0\n", ["row 1|csv"]),
    ],
)
def test_csv_faults(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    refuses_file(tmp_path / "x.csv", *words)


def test_csv_in_another_encoding(tmp_path):
    (tmp_path / "x.csv").write_bytes("größe,b\n1,2\n".encode("latin-1"))
    refuses_file(tmp_path / "x.csv", "utf-8")


def test_images_of_two_sizes(tmp_path):
    for name, size in (("a", (4, 4)), ("b", (4, 4)), ("c", (5, 4))):
        Image.new("L", size).save(tmp_path / f"{name}.png")
    refuses(r"c\.png.* 5 x 4 pixels", r"'a\.png' has 4 x 4", "resize", args=(tmp_path,))


def test_damaged_image(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    refuses(r"b\.png", "remove or replace", args=(tmp_path,))
    (tmp_path / "b.png").write_bytes(b"no image")
    refuses(r"b\.png", "remove or replace", args=(tmp_path,))


def test_image_of_16_bits(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "a.png")
    refuses(r"a\.png", "I;16", "8 bits", args=(tmp_path,))


def test_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").touch()
    refuses("no images", "png", args=(tmp_path,))


@pytest.mark.parametrize(
    "path", ["no/such/file.npy", "line\nbreak.npy", "nul\0byte.npy", "", "MNIST!", "~nobody/x.npy"]
)
def test_missing_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if path:
        refuses("there is no file", "sample", args=(path,))
    else:
        refuses(args=(path,))


@pytest.mark.parametrize("path", [None, 3, b"x.npy", np.eye(2), ["a.npy"]])
def test_a_path_that_is_none(path):
    refuses("path is", "expected", args=(path,))


@pytest.mark.parametrize("name", ["x.txt", "x.parquet", "x"])
def test_unknown_kind(tmp_path, name):
    (tmp_path / name).write_text("some words")
    refuses_file(tmp_path / name, "unknown kind", r"\.npz")


def test_a_file_that_may_not_be_read(tmp_path):
    for name in ("x.npy", "x.csv", "x"):
        (tmp_path / name).write_bytes(idx_bytes(np.eye(2, dtype=np.uint8)))
        (tmp_path / name).chmod(0)
        if os.access(tmp_path / name, os.R_OK):
            pytest.skip("this user may read every file")
        refuses_file(tmp_path / name, "ermission")


def test_nothing_stays_open(tmp_path):
    import gc

    for name in ("x.npy", "x.npz", "x.csv", "x"):
        (tmp_path / name).write_bytes(b"\0\0\x08\x02" + b"PK")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            refuses_file(tmp_path / name)
            gc.collect()
        assert not caught


# ------------------------------------------------------------------------------------------------- more kinds
def test_tables_of_other_kinds(tmp_path, rng):
    from scipy.io import savemat

    X = rng.standard_normal((9, 4)).astype("float32")
    text = "\n".join("\t".join(f"{value:.9g}" for value in row) for row in X)
    (tmp_path / "x.tsv").write_text(text)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text.replace("\t", ",").encode()))
    savemat(tmp_path / "x.mat", {"data": X, "other": np.zeros(3)})
    np.savez(tmp_path / "x.npz", a=X, b=X + 1)
    for path in ("x.tsv", "x.csv.gz", "x.mat"):
        np.testing.assert_array_equal(read(tmp_path / path), X)
    np.testing.assert_array_equal(read(tmp_path / "x.npz", array="b"), X + 1)
    refuses_file(tmp_path / "x.npz", "say which one", "--array")
    with pytest.raises(InputError, match=r"has no array 'c': it holds \['a', 'b'\]"):
        read(tmp_path / "x.npz", array="c")
    with pytest.raises(InputError, match="holds one array: leave out the name"):
        read(tmp_path / "x.tsv", array="a")


def test_one_image(tmp_path, rng):

    pixels = rng.integers(256, size=(6, 5)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read(tmp_path / "x.png"), pixels.reshape(1, 30).astype("f") / np.float32(255))
    assert read(tmp_path / "x.png", images=True).shape == (1, 1, 6, 5)


def test_columns_are_left_out_by_name_and_by_number(tmp_path):
    (tmp_path / "x.csv").write_text("id,a,b\nx1,1,2\nx2,3,4\n")
    np.testing.assert_array_equal(read(tmp_path / "x.csv", drop=["id"]), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(read(tmp_path / "x.csv", drop=[1, "b"]), [[1], [3]])
    with pytest.raises(InputError, match="column 1 is 'x1'"):
        read(tmp_path / "x.csv")
    for drop, words in (("c", "no column 'c'"), (4, "no column 4"), (0, "no column 0"), ([1, 2, 3], "all 3 columns")):
        with pytest.raises(InputError, match=words):
            read(tmp_path / "x.csv", drop=drop)
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(read(tmp_path / "x.npy", drop=2), [[0, 2], [3, 5]])


@pytest.mark.parametrize("first", ["0,1,2", "1,2,3"])
def test_a_header_of_numbers_is_told(first, tmp_path):
    (tmp_path / "x.csv").write_text(f"{first}\n.5,.2,.1\n.3,.4,.6\n")
    with pytest.warns(UserWarning, match="as a header does, and is read as an example"):
        assert read(tmp_path / "x.csv").shape == (3, 3)


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_one_download_serves_all_who_wait(tiny, server, monkeypatch):
    folder, address, asked = server
    put(folder, tiny[1])
    monkeypatch.setattr(digits, "MIRRORS", (address,))
    found = []
    threads = [threading.Thread(target=lambda: found.append(read("mnist"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 and all(np.array_equal(X, found[0]) for X in found) and len(asked) == 1


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_each_has_the_file_to_itself(tmp_path):
    """The one before takes the lock's file away while the next looks at it; threads that change often meet there."""
    errors, inside = [], []

    def work():
        try:
            for _ in range(200):
                with files.claimed(tmp_path / "a", "another thread has", wait=True):
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()
        except BaseException as error:
            errors.append(error)

    every = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(every)
    assert not errors and not list(tmp_path.iterdir())


def test_a_mapped_file_that_became_shorter(tmp_path, rng):
    """To read behind its end would be a bus error, which ends the process without a word."""
    np.save(tmp_path / "x.npy", rng.uniform(size=(20_000, 16)).astype("f"))
    model = minae.UndercompleteAutoencoder((16, 3))
    X = read(tmp_path / "x.npy")
    for part in (X, X[100:], read(tmp_path / "x.npy", scale=2)):
        assert model.encode(part).shape[0] == len(part)
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(5000)
    for part in (X, X[100:], X[:50]):
        with pytest.raises(InputError, match="became shorter while it was read"):
            model.encode(part)


def test_a_column_is_standardised_whatever_its_unit(tmp_path, rng):
    """Currents of 1e-15 vary; years around 2,000,000 keep their digits; a column that does not vary becomes 0."""
    z = rng.standard_normal((500, 3))
    X = z * [1e-15, 0.5, 0] + [0, 2e6 + 1 / 3, 0.1]
    np.save(tmp_path / "x.npy", X)
    Z, kept = minae.data.Preprocessing.of(tmp_path / "x.npy", standardise=True)
    expected = (z - z.mean(axis=0)) / z.std(axis=0)
    for rows in (np.asarray(Z), kept.standardise(X), np.asarray(kept.read(tmp_path / "x.npy"))):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows[:, :2], expected[:, :2], atol=1e-5)
        np.testing.assert_allclose(rows[:, 2], 0, atol=1e-12)


def test_digits_and_characters_of_the_users_folder(monkeypatch, tmp_path, rng):
    monkeypatch.delenv("MINAE_DATA", raising=False)
    for reader in (minae.data.kannada_digits, minae.data.omniglot):
        with pytest.raises(InputError, match="MINAE_DATA is not set"):
            reader()
    monkeypatch.setenv("MINAE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="there are no Kannada digits: no file"):
        minae.data.kannada_digits()
    images = rng.integers(256, size=(6, 28, 28)).astype(np.uint8)
    for name in ("kannada_mnist", "omniglot_small"):
        (tmp_path / name).mkdir()
    path = tmp_path / "kannada_mnist" / "kannada_mnist_10k.npz"
    np.savez(path, images=images, labels=np.arange(6))
    X, y = minae.data.kannada_digits()
    assert X.dtype == np.float32 and X.shape == (6, 784) and X.max() <= 1 and y.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(X[3], images[3].ravel() / 255, rtol=1e-6)
    np.savez(path, images=images, labels=np.arange(5))
    with pytest.raises(InputError, match=r"labels \(5,\): expected"):
        minae.data.kannada_digits()
    np.savez(path, images=images)
    with pytest.raises(InputError, match="expected arrays images, labels"):
        minae.data.kannada_digits()
    path = tmp_path / "omniglot_small" / "omniglot_small.npz"
    parts = dict(images28=images, char=[0, 0, 1, 1, 2, 2], drawer=[0, 1] * 3, alphabet_names=["Greek", "Latin"])
    np.savez(path, char_alphabet=[0, 0, 1], **parts)
    drawings = minae.data.omniglot()
    assert drawings.alphabet.tolist() == [0, 0, 0, 0, 1, 1] and drawings.alphabets == ["Greek", "Latin"]
    np.savez(path, char_alphabet=[0, 0], **parts)
    with pytest.raises(InputError, match="do not fit"):
        minae.data.omniglot()
