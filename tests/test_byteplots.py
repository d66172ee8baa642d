"""Files as pictures: what is read, what is skipped, parts that share no file, and the models that read bytes."""

import os
from collections import Counter

import numpy as np
import pytest

from minae import (
    ByteClassifier,
    ByteDenoising,
    InputError,
    UndercompleteAutoencoder,
    checks,
    copy_shared,
)
from minae.arena import Arena
from minae.data import byteplots
from minae.data.byteplots import Byteplots, Known, apart, histogram, picture, read_folder, resized, windows
from minae.layers import Convolution, Flatten
from minae.networks import Branches, inception
from minae.parameters import Parameters

# ---- pictures


def test_a_picture_has_64_rows_of_neighbours_from_the_first_byte_to_the_last(rng):
    data = rng.integers(256, size=10_001, dtype=np.uint8)
    image, a = picture(data.tobytes()), data
    np.testing.assert_array_equal(image[0], a[:64])
    np.testing.assert_array_equal(image[-1], a[-64:])
    np.testing.assert_array_equal(image[7], a[7 * 9937 // 63 :][:64])
    np.testing.assert_array_equal(picture(data[:4096].tobytes()), data[:4096].reshape(64, 64))
    with pytest.raises(InputError, match="data has 63 bytes: expected at least 64"):
        picture(bytes(63))


def test_windows_are_spread_over_a_long_file():
    K = byteplots.WINDOW
    assert windows(K) == [(0, K)] and windows(5000, 4) == [(0, 5000)]
    assert windows(10 * K, 1) == [(0, K)]
    assert windows(10 * K, 4) == [(0, K), (3 * K, K), (6 * K, K), (9 * K, K)]
    assert windows(2 * K + 1, 9) == [(0, K), (K + 1, K)]


def test_the_histogram_and_its_entropy():
    even = np.arange(4096, dtype=np.uint16).astype(np.uint8).reshape(1, 64, 64)
    rows = histogram(np.concatenate([even, np.zeros((1, 64, 64), np.uint8)]))
    assert rows.shape == (2, 257) and rows[0, -1] == 8 and rows[1, -1] == 0
    np.testing.assert_array_equal(rows[:, :-1].sum(axis=1), 1)
    for wrong in (even.astype(float), even[0], even[:0], even[:, :32]):
        with pytest.raises(InputError, match=r"images is .* expected uint8 \(n, 64, 64\)"):
            histogram(wrong)


@pytest.mark.parametrize("length", [5000, 20_000, 50_000, 90_000, 150_000, 300_000, 700_000, 2_000_000])
def test_resized_pictures_are_of_one_size(length):
    image = resized(bytes([7]) * length)
    assert image.shape == (64, 64) and (image == 7).all()


# ---- folders


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "below" / "deep").mkdir(parents=True)
    for name in ("a", "below/b", "below/deep/c"):
        (tmp_path / name).write_bytes(rng.integers(256, size=6000, dtype=np.uint8).tobytes())
    (tmp_path / "copy").write_bytes((tmp_path / "a").read_bytes())
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "short").write_bytes(b"x" * 4095)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "circle").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_a_folder_is_read_with_all_below_it_and_what_is_skipped_is_counted(folder):
    plots, skipped = read_folder(folder)
    names = [name.partition(":")[2] for name in plots.source]
    assert names == ["a@0", "below/b@0", "below/deep/c@0"] and (plots.length == 6000).all()
    assert skipped == {"copies": 1, "empty": 1, "shorter than 4096 bytes": 1, "links": 2,
                       "devices, pipes and sockets": 1}  # fmt: skip
    assert "\n" not in byteplots.in_words(skipped) and "2 links" in byteplots.in_words(skipped)
    assert byteplots.in_words(Counter()) == "nothing was skipped"


def test_what_may_not_be_read_is_counted(folder, monkeypatch):
    """As for a user without rights; the tests may run as one who has them all."""
    listdir, status = os.listdir, type(folder).lstat

    def refused(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    def vanished(path):
        if path.name == "b":
            raise FileNotFoundError(2, "No such file or directory")
        return status(path)

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(type(folder), "lstat", vanished)
    plots, skipped = read_folder(folder)
    assert len(plots.images) == 1 and skipped["unreadable"] == 2


def test_one_file_is_a_folder_of_one_and_a_long_one_has_windows(tmp_path, rng):
    (tmp_path / "long").write_bytes(rng.integers(256, size=5 * byteplots.WINDOW, dtype=np.uint8).tobytes())
    plots, _ = read_folder(tmp_path / "long", each=3)
    assert list(plots.file) == ["long:long"] * 3
    plots, skipped = read_folder(tmp_path, each=3, most=2)
    assert len(plots.images) == 2 and skipped == {"pictures over 2": 1}


def test_bad_folders_are_one_line(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        read_folder(tmp_path / "none")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match=r"no file that can be looked at \(skipped: 1 empty\)") as error:
        read_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_families_without_the_folder_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("MINAE_DATA", raising=False)
    with pytest.raises(InputError, match=r"MINAE_DATA is not set; .*python_files"):
        byteplots.families()
    monkeypatch.setenv("MINAE_DATA", str(tmp_path))
    (tmp_path / "byteplots").mkdir()
    arrays = dict(images=np.zeros((3, 8, 8), "u1"), family=np.zeros(3), family_names=["a"], source=["a"] * 3)
    np.savez(tmp_path / byteplots.FAMILIES, **arrays)
    with pytest.raises(InputError, match=r"expected uint8 \(n, 64, 64\)"):
        byteplots.families()
    images = np.random.default_rng(0).integers(256, size=(3, 64, 64), dtype=np.uint8)
    arrays |= dict(images=images, family=np.array([2, 0, 2]), family_names=["a", "b", "c"], source=["p:f@0"] * 3)
    np.savez(tmp_path / byteplots.FAMILIES, **arrays)
    plots = byteplots.families()
    assert plots.families == ["a", "c"] and list(plots.family) == [1, 0, 1] and plots.source[0] == "p:f@0"


# ---- parts, and what is unusual


def made(rng, families=3, packages=4, files=3, each=2):
    """Pictures whose source says all: families of packages of files of windows."""
    rows = [(f, p, n, w) for f in range(families) for p in range(packages) for n in range(files) for w in range(each)]
    source = np.array([f"{f}p{p}:file{n}@{w}" for f, p, n, w in rows])
    images = rng.integers(256, size=(len(rows), 64, 64), dtype=np.uint8)
    family = np.array([row[0] for row in rows])
    return Byteplots(images, family, list("abcdef"[:families]), source, np.full(len(rows), 9000))


def test_parts_share_no_file_and_no_package(rng):
    plots = made(rng)
    by_file, by_package = (apart(plots, 0.25, rng, by=by) for by in ("file", "package"))
    assert not set(plots.file[by_file]) & set(plots.file[~by_file])
    assert not set(plots.package[by_package]) & set(plots.package[~by_package])
    assert set(plots.family[by_file]) == set(plots.family[by_package]) == {0, 1, 2}
    assert by_package.sum() == 18
    lone = plots._replace(source=np.array([f"one:{k // 2}@{k % 2}" for k in range(len(plots.source))]))
    held = apart(lone, 0.25, rng, by="package")
    assert 0 < held.sum() < len(held) and not set(lone.file[held]) & set(lone.file[~held])
    with pytest.raises(InputError, match="choose 'file' or 'package'"):
        apart(plots, 0.25, rng, by="window")


def test_near_copies_are_found(rng):
    images = rng.integers(256, size=(5, 64, 64), dtype=np.uint8)
    others = images[2:].copy()
    others[0, :3] = 0  # 3 of 64 rows
    assert list(byteplots.near_copies(images, others)) == [False, False, True, True, True]


def test_known_bytes_are_near_and_a_packed_program_has_a_reason(rng):
    """Pictures of few bytes are known; noise behind the head of a program is not."""
    plots = made(rng)
    images = (plots.images % 16 + 16 * plots.family[:, None, None]).astype(np.uint8)
    images[:, 0, :4] = np.frombuffer(b"\x7fELF", np.uint8)
    plots = plots._replace(images=images)
    known = Known(plots)
    assert known.distance(images).max() == 0 and (known.nearest(images) == plots.family).all()
    assert 0 < known.limit < 0.2  # compared with other files: within one file it would be 0, too, where windows agree
    noise = rng.integers(256, size=(1, 64, 64), dtype=np.uint8)
    assert known.distance(noise)[0] > 0.8 and len(known.reasons(noise)[0]) == 1
    noise[0, 0, :4] = images[0, 0, :4]
    bytes_, program = known.reasons(noise)[0]
    assert "bytes would have to change" in bytes_ and "compressed, encrypted or packed" in program
    assert sum(map(bool, known.reasons(images))) <= 2


def test_varied_pictures_have_the_bytes_of_their_own(rng):
    images = rng.integers(256, size=(3, 64, 64), dtype=np.uint8)
    more = byteplots.varied(images, 4, rng, share=0.02)
    assert more.shape == (12, 64, 64) and len({image.tobytes() for image in more}) == 12
    for k, image in enumerate(more):
        rolled = [(np.roll(images[k % 3], -shift, axis=1) == image).mean() for shift in range(64)]
        assert 0.97 < max(rolled) < 0.99 and np.median(rolled) < 0.1


def test_files_that_are_odd_on_purpose(rng):
    data = b"\x7fELF" + bytes(20_000) + rng.integers(256, size=20_000, dtype=np.uint8).tobytes()
    for method in ("deflate", "lzma"):
        small = byteplots.packed(data, b"s" * 4000, method)
        assert small[:176] == data[:176] and small[176:2224] == b"s" * 2048 and len(small) < 0.7 * len(data)
    with pytest.raises(InputError, match="'deflate' or 'lzma'"):
        byteplots.packed(data, b"", "zip")
    for _ in range(6):
        changed = byteplots.tampered(data, b"code", rng)
        assert 1.05 < len(changed) / len(data) < 1.31 and changed[:4] == data[:4]


def test_the_files_of_this_python():
    plots = byteplots.python_files(most=12, each=2)
    assert {"source", "machine code"} <= set(plots.families) and plots.images.shape[1:] == (64, 64)
    assert plots.length.min() >= 4096 and len(set(plots.source)) == len(plots.source)
    odd = byteplots.odd_python_files(6)
    assert odd.families == ["packed", "tampered"] and np.bincount(odd.family).tolist() == [6, 6]
    assert byteplots.entropy(odd.images[odd.family == 0]).min() > 6
    assert byteplots.is_machine_code(odd.images[odd.family == 0]).all()


# ---- the models


def classifier(**options):
    return ByteClassifier((64, 8), **dict(width=3, classes=4, seed=0) | options)


def test_bytes_are_names(rng):
    """With the bytes renamed and the rows of the table renamed alike, the answers are the same."""
    model, X, pi = classifier(), rng.integers(256, size=(9, 8, 8)), rng.permutation(256)
    before, E = model.probabilities(X), model.parameters["E"].copy()
    assert abs(model.probabilities(pi[X]) - before).max() > 0
    model.parameters["E"][pi] = E
    np.testing.assert_array_equal(model.probabilities(pi[X]), before)


def test_a_share_of_the_bytes_is_drawn_anew(backend, rng):
    model = ByteDenoising((64, 8, 3), level=0.25, seed=0, backend=backend)
    x = backend.from_numpy(np.full((500, 8, 8), 77, np.int32))
    with model.arena:
        u = model.draw({"x": x}, 0, "check")["u"]
        x_tilde = backend.to_numpy(model.spoiled(x, u))
    new = x_tilde[x_tilde != 77]
    assert abs(len(new) / x_tilde.size - 0.25) < 0.01 and new.min() == 0 and new.max() == 255
    assert abs(new.mean() - 127.5) < 3 and x_tilde.dtype == np.int32


def test_denoising_pictures_lowers_their_error(rng):
    """Of an even grey each, which 8 by 8 bytes tell twice over."""
    X = np.repeat(rng.integers(256, size=64), 64).reshape(64, 8, 8)
    model = ByteDenoising((64, 8, 4), loss="gaussian", seed=0)
    before = model.score_samples(X).mean()
    model.fit(X, epochs=60, batch_size=16)
    assert model.score_samples(X).mean() > before / 2 and model.reconstruct(X).shape == X.shape
    assert model.encode(X).shape == (64, 4)


def test_layers_are_copied_by_their_names(backend, rng):
    source = ByteDenoising((64, 8, 16, 3), seed=1)
    source.fit(rng.integers(256, size=(20, 8, 8)), epochs=1)
    target = ByteClassifier((64, 8, 16, 8), classes=4, seed=2, backend=backend)
    before = backend.to_numpy(target.parameters["K3a"]).copy()
    names = copy_shared(source, target)
    assert {"E", "K1a", "k2d", "G2"} <= set(names) and not {"V1", "W1", "K3a"} & set(names)
    for name in ("E", "K2c", "g1"):
        np.testing.assert_array_equal(backend.to_numpy(target.parameters[name]), source.parameters[name])
    np.testing.assert_array_equal(backend.to_numpy(target.state["G2.mean"]), source.state["G2.mean"])
    assert abs(source.state["G2.mean"]).max() > 0
    np.testing.assert_array_equal(backend.to_numpy(target.parameters["K3a"]), before)
    with pytest.raises(InputError, match="share no layer"):
        copy_shared(classifier(), UndercompleteAutoencoder((7, 3)))
    with pytest.raises(InputError, match=r"E of the source has shape \(256, 8\), the target's \(256, 3\)"):
        copy_shared(source, classifier())


@pytest.mark.parametrize(
    "sizes, message",
    [((60, 8), "sizes begins with 60"), ((36, 8, 8), "multiple of 4"), ((64, 12), "multiple of 8")],
)
def test_sizes_that_do_not_fit(sizes, message):
    with pytest.raises(InputError, match=message):
        ByteClassifier(sizes)


# ---- branches


def of_numbers(layer, backend):
    parameters = Parameters(layer.shapes(), Arena(backend, np.dtype("float64")), {})
    layer.bind(parameters, {})
    layer.initialize(np.random.default_rng(0))
    return layer


def test_the_backward_pass_of_branches_is_the_adjoint_and_a_wrong_order_is_seen(backend, rng):
    """⟨y, dy⟩ = ⟨x, dx⟩ for convolutions without bias; with two slices of dy exchanged it does not hold."""
    maps = [[Convolution(f"K{k}", f"k{k}", (6, 4, 3), 2, k, padding=k // 2)] for k in (1, 3, 5)]
    layer = of_numbers(Branches(*maps), backend)
    x, dy = (backend.from_numpy(rng.standard_normal((5, 6, 4, c))) for c in (3, 6))
    y, caches = layer.forward(x)
    right = float((y * dy).sum())
    assert float((x * layer.backward(dy, caches)).sum()) == pytest.approx(right, rel=1e-12)
    layer.slices = layer.slices[::-1]
    assert float((x * layer.backward(dy, caches)).sum()) != pytest.approx(right, rel=1e-3)


def test_branches_of_unlike_shapes_are_refused():
    with pytest.raises(InputError, match="expected them alike but for the last axis"):
        Branches([Convolution("A", "a", (4, 4, 1), 2, 1)], [Flatten((4, 4, 1))])
    with pytest.raises(InputError, match="expected even sides, and a multiple of 8"):
        inception(1, (5, 4, 3), 8, "relu")


def test_the_gradient_through_branches_does_not_stop():
    """Every parameter of every branch gets a gradient."""
    _, model, batch = checks.case(ByteClassifier, "two blocks, weight decay")
    report = checks.check_case(model, batch, entries=6)[0]
    assert report and all(row.analytic != 0 for row in report.rows if row.terms == "L" and row.parameter[0] in "KGE")
