"""Tables of words: what becomes of each kind of column, bad files, models of rows, and what is done with p."""

import gzip

import numpy as np
import pytest
from sklearn import metrics as witness

from minae import InputError, TabularAutoencoder, TabularClassifier, copy_encoder, data, load
from minae.arena import Arena
from minae.chapters.applications import classifiers
from minae.corruptions import Swap
from minae.data.preprocessing import Preprocessing
from minae.data.tables import TableEncoding, has, numbers, read_columns, times
from minae.losses import Categorical, CellLoss, Gaussian
from minae.metrics import detection
from minae.training import SGD

TABLE = {
    "phone": ["red", "blue", "red", "", "green"],
    "visits": ["3", "NA", "9", "1", "1e3"],
    "paid": ["0", "10", "-10", "1000", "?"],
    "version": ["7"] * 5,
    "shop": ["a", "a", "a", "a", "b"],
    "sent": ["2019-11-25 23:59:00", "2019-11-26 00:01", "2019-12-02 12:00:00", "", "2019-11-30"],
    "tapped": ["yes", "no", "no", "yes", "no"],
}
SCHEMA = {"number": ["visits", "version"], "log": ["paid"], "time": ["sent"], "category": ["phone", "shop"]}


@pytest.fixture
def encoding():
    return TableEncoding.of(TABLE, SCHEMA, rows=range(4))


def test_what_becomes_of_each_kind_of_column(encoding):
    X = encoding.encode(TABLE)
    assert X.dtype == np.float32 and X.shape == (5, encoding.columns) == (5, 8)
    assert encoding.left_out == ["version", "shop"] and encoding.names == ["phone"]  # shop varies in the last row alone
    by = dict(zip([*encoding.numbers, *encoding.names], X.T, strict=True))
    assert by["phone"].tolist() == [3, 2, 3, 1, 0]  # "", blue, red were seen, and green was not
    visits, there = np.array([3.0, 9, 1]), [0, 2, 3, 4]
    np.testing.assert_allclose(
        by["visits"][there], (np.array([3, 9, 1, 1000]) - visits.mean()) / visits.std(), rtol=1e-5
    )
    assert by["visits"][1] == 0
    assert by["visits is missing"].tolist() == [0, 1, 0, 0, 0] and "paid is missing" not in by
    paid = np.sign([0, 10, -10, 1000]) * np.log1p([0, 10, 10, 1000])
    np.testing.assert_allclose(by["paid"], [*(paid - paid.mean()) / paid.std(), 0], rtol=1e-5, atol=1e-6)
    assert abs(by["paid"][:4].mean()) < 1e-6 and by["paid"][:4].std() == pytest.approx(1)


def test_times_lie_on_two_circles():
    clock = times(TABLE["sent"])
    np.testing.assert_allclose(np.hypot(clock[:, 0], clock[:, 1]), [1, 1, 1, 0, 1])
    assert np.linalg.norm(clock[0, :2] - clock[1, :2]) < 0.01 < 1.9 < np.linalg.norm(clock[0, :2] - clock[2, :2])
    np.testing.assert_allclose(clock[0, 2:], [0, 1], atol=1e-12)  # a Monday, as is the third
    np.testing.assert_array_equal(clock[0, 2:], clock[2, 2:])
    assert not clock[3].any()
    with pytest.raises(InputError, match="row 2 has the time 'noon'"):
        times(["2019-11-25", "noon"])


def test_an_encoding_learns_from_the_rows_that_it_is_given(encoding):
    other = {**TABLE, "visits": [*TABLE["visits"][:4], "77"], "phone": [*TABLE["phone"][:4], "black"]}
    assert TableEncoding.of(other, SCHEMA, rows=range(4)).described() == encoding.described()
    assert TableEncoding.of(other, SCHEMA).described() != encoding.described()


@pytest.mark.parametrize(
    "schema, message",
    [
        ({}, "expected lists of columns by their kind"),
        ({"words": ["phone"]}, "number, log, time, category"),
        ({"category": ["fone"]}, "no column 'fone'.*did you mean 'phone'"),
        ({"category": ["phone"], "number": ["phone"]}, "names 'phone' twice"),
        ({"number": ["version"]}, "no column varies: version"),
        ({"number": ["phone"]}, "row 1 of column 'phone' has 'red': expected a number"),
    ],
)
def test_a_wrong_schema_is_one_line(schema, message):
    with pytest.raises(InputError, match=message) as error:
        TableEncoding.of(TABLE, schema)
    assert "\n" not in str(error.value)


def test_infinite_numbers_are_refused():
    with pytest.raises(InputError, match="infinite numbers in row 2"):
        numbers(["1", "inf"], "a")


@pytest.mark.parametrize("comma, name", [("\t", "a.tsv"), (";", "a.csv"), (",", "a.csv.gz")])
def test_files_are_read_by_their_header(tmp_path, comma, name):
    text = comma.join(TABLE) + "\n" + "\n".join(comma.join(row) for row in zip(*TABLE.values(), strict=True)) + "\n\n"
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert read_columns(tmp_path / name) == TABLE
    assert data.labels(TABLE, "tapped", "yes").tolist() == [1, 0, 0, 1, 0]
    with pytest.raises(InputError, match="has no 'YES': it has no, yes"):
        data.labels(TABLE, "tapped", "YES")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "holds no rows"),
        (b"a,b\n", "holds no rows"),
        (b"a,b\n1,2\n3\n", "has 1 columns in row 3: expected 2"),
        (b"a,a\n1,2\n", "two columns that are called 'a'"),
        (b"a,b\n\xff\xfe,2\n", "no text in UTF-8"),
        (b"\x1f\x8bnothing", "cannot read"),
        (None, "cannot read"),
        ("folder", "is a folder"),
    ],
)
def test_bad_files_are_one_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_columns(path)
    assert "\n" not in str(error.value)


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_dir", refuse)
    with pytest.raises(InputError, match=r"cannot open .*Permission denied.*check the path and its permissions"):
        read_columns(tmp_path / "a.csv")


def test_the_samples_are_there_and_the_rest_says_how_to_get_it(monkeypatch):
    for name, rows, share in (("bank", 13_730, 0.1121), ("shoppers", 6165, 0.1564)):
        columns = data.responses(name)
        y = data.labels(columns, *classifiers.TARGETS[name])
        assert len(y) == rows and y.mean() == pytest.approx(share, abs=1e-4)
        named = [one for kind in classifiers.SCHEMAS[name].values() for one in kind]
        assert set(named) <= set(columns) and "duration" not in named
    monkeypatch.delenv("MINAE_DATA", raising=False)
    assert not has("bandit")
    with pytest.raises(InputError, match="set MINAE_DATA to the folder that holds response/open_bandit"):
        data.responses("bandit", full=True)


# ---- models of rows


def test_a_category_out_of_range_is_refused(encoding, rng):
    model = TabularClassifier((encoding.columns, 4), categories=encoding.categories)
    X = encoding.encode(TABLE)
    for wrong in (-1, 4, 0.5):
        bad = X.copy()
        bad[2, -1] = wrong
        with pytest.raises(InputError, match="expected whole numbers 0 to 3, as a TableEncoding gives them"):
            model.probabilities(bad)
    with pytest.raises(InputError, match="expected at least one column of numbers beside them"):
        TabularClassifier((2, 4), categories=(3, 2))


def test_an_embedding_is_the_product_with_a_one_hot_vector(backend, rng):
    model = TabularClassifier((3, 4), categories=(3, 2), width=5, unseen=0.5, backend=backend, dtype="float64")
    cells, E = model.f.layers[0], backend.to_numpy(model.parameters["E"])
    x = np.column_stack([rng.standard_normal(6), rng.integers(3, size=6), rng.integers(2, size=6)])
    hot = np.hstack([np.eye(3)[x[:, 1].astype(int)], np.eye(2)[x[:, 2].astype(int)]]).reshape(6, 5)
    y = backend.to_numpy(cells.forward(backend.from_numpy(x))[0])
    np.testing.assert_array_equal(y[:, :5] + y[:, 5:10], hot @ E)
    np.testing.assert_array_equal(y[:, 10], x[:, 0])


def test_training_replaces_categories_by_the_unseen_one_and_moves_its_row(rng):
    X = np.column_stack([rng.standard_normal(40), rng.integers(1, 3, size=40)])
    moved = {}
    for unseen in (0.3, 1e-9):
        model = TabularClassifier((2, 4), categories=(3,), unseen=unseen, activation="tanh", dtype="float64")
        before = model.parameters["E"].copy()
        model.fit(X, np.arange(40) % 2, epochs=2, optimizer=SGD(0.1), progress=False)
        moved[unseen] = abs(model.parameters["E"] - before).max(axis=1)
    assert moved[0.3].min() > 1e-4 and moved[1e-9][0] == 0 and moved[1e-9][1:].min() > 1e-4
    p = model.probabilities(X)
    np.testing.assert_array_equal(p, model.probabilities(X))  # nothing is replaced where nothing is learned


def test_swapped_cells_come_from_the_same_column(backend, rng):
    x = backend.from_numpy(np.arange(50.0)[:, None] + 100 * np.arange(4.0))
    x_tilde = backend.to_numpy(Swap(0.3)(x, backend.stream(0, "check")))
    assert (x_tilde // 100 == np.arange(4)).all()
    assert 0.15 < (x_tilde != backend.to_numpy(x)).mean() < 0.45


def test_the_loss_of_a_row_is_that_of_its_parts(backend, rng):
    arena = Arena(backend, "float64")
    loss, to = CellLoss(arena, None, 2, [3, 4]), backend.from_numpy
    s = rng.standard_normal((5, 9))
    x = np.column_stack([rng.standard_normal((5, 2)), rng.integers(3, size=5), rng.integers(4, size=5)])
    L, ds = loss(to(s), to(x))
    parts = [(Gaussian, slice(0, 2), x[:, :2]), (Categorical, slice(2, 5), np.eye(3)[x[:, 2].astype(int)])]
    parts += [(Categorical, slice(5, 9), np.eye(4)[x[:, 3].astype(int)])]
    each = [kind(arena)(to(np.ascontiguousarray(s[:, part])), to(np.ascontiguousarray(y))) for kind, part, y in parts]
    assert float(L) == pytest.approx(sum(float(one) for one, _ in each), rel=1e-12)
    np.testing.assert_allclose(
        backend.to_numpy(ds), np.hstack([backend.to_numpy(one) for _, one in each]), rtol=1e-12, atol=1e-15
    )
    assert float(loss.rows(to(s), to(x)).mean()) == pytest.approx(float(L), rel=1e-12)
    r = backend.to_numpy(loss.mean(to(s)))
    np.testing.assert_array_equal(r[:, 2], s[:, 2:5].argmax(axis=1))
    assert r.shape == x.shape


def test_a_classifier_takes_the_layers_of_an_autoencoder_and_its_file_the_words(encoding, tmp_path):
    X, y = encoding.encode(TABLE), data.labels(TABLE, "tapped", "yes")
    given = dict(categories=encoding.categories, width=3, activation="tanh", seed=1)
    below = TabularAutoencoder((encoding.columns, 5, 4), level=0.3, **given)
    below.fit(X, epochs=2, batch_size=5, progress=False)
    model = TabularClassifier((encoding.columns, 5, 4), **{**given, "seed": 2})
    copy_encoder(below, model)
    np.testing.assert_array_equal(model.encode(X), below.encode(X))
    np.testing.assert_array_equal(model.parameters["E"], below.parameters["E"])
    model.fit(X, y, epochs=2, batch_size=5, progress=False)
    model.preprocessing = Preprocessing(table=encoding)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.preprocessing.table.described() == encoding.described()
    assert repr(again.preprocessing) == "a table of 7 numbers and 1 categories"
    text = "\t".join(TABLE) + "\n" + "\n".join("\t".join(row) for row in zip(*TABLE.values(), strict=True)) + "\n"
    (tmp_path / "new.tsv").write_text(text)
    read = again.preprocessing.read(tmp_path / "new.tsv")
    np.testing.assert_array_equal(again.probabilities(read), model.probabilities(X))
    with pytest.raises(InputError, match="give no --scale"):
        again.preprocessing.read(tmp_path / "new.tsv", scale=2)


# ---- what is done with probabilities


def test_measures_of_probabilities_agree_with_scikit_learn(rng):
    p = rng.random(400).round(2) * 0.98 + 0.01
    y = rng.random(400) < p
    assert detection.log_loss(p, y) == pytest.approx(witness.log_loss(y, p), rel=1e-12)
    promised, came, rows = detection.reliability(p, y, 8)
    assert rows.sum() == 400 and abs(promised - came).max() < 0.2 and (np.diff(promised) > 0).all()
    assert (rows * came).sum() == pytest.approx(y.sum()) and (rows * promised).sum() == pytest.approx(p.sum())
    assert detection.calibration_gap(p, y) == pytest.approx(p.mean() - y.mean())
    assert detection.reliability(np.full(9, 0.5), np.arange(9) < 3)[2].tolist() == [9]
    assert detection.lift_at(np.arange(100), np.arange(100) >= 90, 0.1) == pytest.approx(10)
    assert detection.lift_at(np.zeros(100), np.arange(100) >= 90, 0.1) == pytest.approx(1)
    with pytest.raises(InputError, match=r"p is from .* expected probabilities"):
        detection.log_loss(np.array([0.5, 1.5]), np.array([0, 1]))


def test_a_shift_of_the_logit_multiplies_the_odds(rng):
    p = rng.uniform(0.05, 0.95, 50)
    q = detection.shifted(p, np.log(3))
    np.testing.assert_allclose(q / (1 - q), 3 * p / (1 - p), rtol=1e-12)
    np.testing.assert_allclose(detection.shifted(q, -np.log(3)), p, rtol=1e-12)
    assert detection.shifted(p, detection.shift_to(p, 0.2)).mean() == pytest.approx(0.2, abs=1e-9)


def test_no_threshold_is_better_than_the_break_even(rng):
    p = rng.beta(1, 4, 500)
    t = detection.break_even(1.0, 0.25)
    assert t == pytest.approx(0.2)
    gains = [(p * 1.0 - (1 - p) * 0.25)[p > at].sum() for at in np.linspace(0, 1, 201)]
    assert max(gains) <= (p * 1.0 - (1 - p) * 0.25)[p > t].sum() + 1e-12
    assert max(gains) > (p * 1.0 - (1 - p) * 0.25)[p > 0.5].sum() + 1  # and another one is worse
    act, y = np.array([True, True, False, False]), np.array([1, 0, 1, 0])
    assert detection.profit(act, y, 1.0, 0.25) == pytest.approx(1000 * (1 - 0.25) / 4)


def test_what_follows_uses_no_answer_before_it_is_known(rng):
    p, y = rng.uniform(0.05, 0.2, 100), (rng.random(100) < np.repeat([0.1, 0.6], 50)).astype(int)
    out, blocks = classifiers.following(p, y, 5)
    np.testing.assert_array_equal(out[blocks[0]], p[blocks[0]])
    other = y.copy()
    other[blocks[4]] = 1 - other[blocks[4]]
    np.testing.assert_array_equal(classifiers.following(p, other, 5)[0], out)
    assert abs(out[60:].mean() - 0.6) < abs(p[60:].mean() - 0.6)


def test_rows_are_divided_as_they_say(rng):
    y = (rng.random(1000) < 0.1).astype(int)
    order = classifiers.at_random(y, rng)
    assert sorted(order) == list(range(1000)) and abs(y[order[:500]].sum() - y[order[500:]].sum()) <= 1
    order = classifiers.by_time(y, rng)
    assert sorted(order[:800]) == list(range(800)) and order[800:].tolist() == list(range(800, 1000))


@pytest.mark.parametrize("fault", [False, True])
def test_shuffled_answers_find_an_encoding_that_has_seen_its_own_row(fault, rng):
    y = rng.permutation(np.arange(600) % 2)
    words = [f"user {k}" for k in rng.integers(500, size=600)]
    columns = {"noise": [str(one) for one in rng.standard_normal(600)], "word": rng.choice(["a", "b"], 600).tolist()}
    order = classifiers.at_random(y, rng)
    seen = order if fault else order[:300]
    encoder = classifiers.TargetEncoder([words[k] for k in seen], y[seen])
    columns["share"] = encoder.encode(words)
    schema = {"number": ["noise", "share"], "category": ["word"]}
    parts = classifiers.Parts.of(columns, y, schema, order, shares=(0.5, 0.1))
    area = detection.auroc(classifiers.logistic(parts, strengths=(1.0,)).p(parts.X_test), parts.y_test)
    assert area > 0.8 if fault else abs(area - 0.5) < 0.15


@pytest.mark.parametrize("kind", classifiers.MODELS)
def test_each_model_has_one_face(kind, rng):
    n = 240
    words, x = rng.choice(["a", "b", "c"], n), rng.standard_normal(n)
    y = ((words == "a") + x + 0.3 * rng.standard_normal(n) > 0.5).astype(int)
    columns = {"word": words.tolist(), "x": [repr(float(one)) for one in x]}
    parts = classifiers.Parts.of(columns, y, {"number": ["x"], "category": ["word"]}, classifiers.at_random(y, rng))
    small = {
        "logistic": dict(strengths=(1.0,)), "forest": dict(leaves=(5,), trees=20),
        "boosting": dict(rates=(0.15,), leaves=(8,), trees=15), "embeddings": dict(tries=((1e-2, 1e-4),), epochs=5),
    }  # fmt: skip
    found = classifiers.MODELS[kind](parts, **small[kind])
    p = found.p(parts.X_test)
    assert p.shape == parts.y_test.shape and ((0 <= p) & (p <= 1)).all() and found.setting
    assert detection.auroc(p, parts.y_test) > 0.85
