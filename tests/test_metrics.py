"""Scores of codes: on codes that are right by construction, on codes that know nothing, and beside scikit-learn's."""

import numpy as np
import pytest

from minae import InputError, data
from minae.chapters.applications import maps
from minae.metrics.clustering import distances_kept, moved, neighbours, silhouette, trustworthiness
from minae.metrics.detection import auroc, average_precision, precision_at
from minae.metrics.disentanglement import (
    disentanglement_completeness_informativeness,
    factor_vae_score,
    higgins_score,
    mutual_information_gap,
    separated_attribute_predictability,
)

FACTORS = np.stack(np.meshgrid(np.arange(3), np.arange(6), np.arange(8), indexing="ij"), axis=-1).reshape(-1, 3)
FACTORS = np.tile(FACTORS, (10, 1))  # 1440 rows
TURN = np.linalg.qr(np.array([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]]).T)[0]  # every unit mixes the factors


def codes(rng, kind):
    """Codes of FACTORS that are one factor a unit, those turned by a rotation, or noise."""
    h = FACTORS / FACTORS.max(axis=0) + 0.02 * rng.standard_normal(FACTORS.shape)
    if kind == "turned":
        return (h - h.mean(axis=0)) @ TURN
    return h if kind == "axes" else rng.standard_normal(FACTORS.shape)


SCORES = {
    "MIG": lambda h: mutual_information_gap(h, FACTORS).score,
    "SAP": lambda h: separated_attribute_predictability(h, FACTORS, ordered=[1, 2]).score,
    "disentanglement": lambda h: disentanglement_completeness_informativeness(h, FACTORS, trees=10).disentanglement,
    "completeness": lambda h: disentanglement_completeness_informativeness(h, FACTORS, trees=10).completeness,
    "FactorVAE": lambda h: factor_vae_score(h, FACTORS, draws=400),
}


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_high_for_one_factor_a_unit_lower_for_a_rotation_and_low_for_noise(name, rng):
    score, guess = SCORES[name], 1 / 3 if name == "FactorVAE" else 0
    axes, turned, noise = (score(codes(rng, kind)) for kind in ("axes", "turned", "noise"))
    assert axes > 0.85 and axes > turned + 0.1 and abs(noise - guess) < 0.12, (axes, turned, noise)
    order = rng.permutation(3)
    assert abs(score(codes(rng, "axes")[:, order]) - axes) < 0.05  # the order of the units does not matter
    assert abs(score(5 - 3 * codes(rng, "axes")) - axes) < 0.05  # nor their scale, sign and zero


def test_higgins_score_forgives_a_rotation_and_no_ignorance(rng):
    """What the paper's later critics say of it, measured: this is why there are other scores."""
    axes, turned, noise = (higgins_score(codes(rng, kind), FACTORS, draws=600) for kind in ("axes", "turned", "noise"))
    assert axes > 0.9 and turned > 0.75 and noise < 0.5


def test_information_is_that_of_a_known_table():
    """A unit that is the factor has the gap 1; two that both are have none; one that halves it has log 2/log 4."""
    v = np.tile(np.arange(4), 48)[:, None]
    other = np.repeat(np.arange(2), 96)[:, None]
    factors = np.hstack([v, other])
    unrelated = np.tile(np.repeat([0.0, 1.0], 4), 24)[:, None]
    gaps = mutual_information_gap(np.hstack([v, unrelated]).astype(float), factors, bins=4)
    np.testing.assert_allclose(gaps.by_factor, [1, 0], atol=1e-12)
    gaps = mutual_information_gap(np.hstack([v, 7 - 2 * v]).astype(float), factors, bins=4)
    np.testing.assert_allclose(gaps.by_factor[0], 0, atol=1e-12)
    gaps = mutual_information_gap(np.hstack([v // 2, unrelated]).astype(float), factors, bins=4)
    np.testing.assert_allclose(gaps.by_factor[0], 0.5, atol=1e-12)


def test_few_rows_find_information_in_noise(rng):
    """By about (bins − 1)(values − 1)/(2 rows), Miller 1955: which is why a random code's score is printed."""
    rows, bins, values = 5000, 20, 8
    v, other = rng.integers(values, size=(2, rows))
    u = rng.random((rows, 1))
    found = mutual_information_gap(u, np.stack([v, other], axis=1), bins).table[0, 0]
    expected = (bins - 1) * (values - 1) / (2 * rows) / np.log(values)
    assert 0.6 * expected < found < 1.4 * expected


def test_a_unit_that_hardly_moves_does_not_win_votes(rng):
    h = np.hstack([codes(rng, "axes"), 1e-4 * rng.standard_normal((len(FACTORS), 3))])
    assert factor_vae_score(h, FACTORS, draws=400) > 0.95
    assert factor_vae_score(h, FACTORS, draws=400, least=0.05) >= factor_vae_score(h, FACTORS, draws=400, least=0)


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(h=np.full((30, 2), np.nan)), "NaN"),
        (dict(h=np.zeros(30)), r"expected codes, numbers \(rows, m\)"),
        (dict(factors=np.zeros((30, 2), int)), "factor 0 has the values 0 to 0: expected two or more"),
        (dict(factors=np.ones((29, 2), int)), r"expected whole numbers \(30, K\)"),
        (dict(factors=np.ones((30, 2))), "factors is float64"),
    ],
)
def test_what_is_no_code_or_no_factor(change, words, rng):
    given = dict(h=rng.standard_normal((30, 2)), factors=rng.integers(2, size=(30, 2))) | change
    for score in (
        mutual_information_gap,
        separated_attribute_predictability,
        disentanglement_completeness_informativeness,
        factor_vae_score,
        higgins_score,
    ):
        with pytest.raises(InputError, match=words):
            score(**given)


def test_huge_codes_and_labels_are_no_trouble(rng):
    """Squares of 1e300 overflow, and a table with a row for each number up to 10⁹ would not fit."""
    h = codes(rng, "axes")
    for score in (
        lambda h, v: mutual_information_gap(h, v).score,
        lambda h, v: separated_attribute_predictability(h, v).score,
        lambda h, v: factor_vae_score(h, v, draws=100),
    ):
        assert abs(score(1e300 * h, 10**9 * FACTORS) - score(h, FACTORS)) < 1e-6
    with pytest.raises(InputError, match="whose squares overflow"):
        trustworthiness(1e300 * h[:50], h[:50])


def test_what_a_score_cannot_do(rng):
    h, factors = rng.standard_normal((30, 2)), rng.integers(2, size=(30, 2))
    with pytest.raises(InputError, match="h has 30 rows and bins is 40: expected more rows than bins"):
        mutual_information_gap(h, factors, bins=40)
    with pytest.raises(InputError, match="expected indices of factors, 0 to 1"):
        separated_attribute_predictability(h, factors, ordered=[2])
    with pytest.raises(InputError, match="factor 0 has a value on too few rows"):
        separated_attribute_predictability(h, np.stack([np.arange(30), factors[:, 1]], axis=1))
    with pytest.raises(InputError, match="no unit of h varies"):
        factor_vae_score(np.ones((30, 2)), factors)


# ---- neighbourhoods and groups


def test_silhouette_and_trustworthiness_are_those_of_scikit_learn(rng):
    manifold, metrics = pytest.importorskip("sklearn.manifold"), pytest.importorskip("sklearn.metrics")
    X, labels = rng.standard_normal((200, 10)), rng.integers(4, size=200)
    X[labels == 2] += 2
    h = X[:, :2]
    np.testing.assert_allclose(silhouette(h, labels), metrics.silhouette_samples(h, labels), atol=1e-12)
    for k in (1, 10, 50):
        assert abs(trustworthiness(X, h, k) - manifold.trustworthiness(X, h, n_neighbors=k)) < 1e-12
    assert trustworthiness(X, X) == 1 and abs(trustworthiness(X, rng.standard_normal((200, 2))) - 0.5) < 0.06
    assert abs(silhouette(h, rng.permutation(labels)).mean()) < 0.1
    alone = np.where(np.arange(200) == 7, 4, labels)
    np.testing.assert_allclose(silhouette(h, alone), metrics.silhouette_samples(h, alone), atol=1e-12)


def test_neighbours_of_held_out_rows_are_those_of_the_definition(rng):
    """Counted pair by pair; and the worst map of all has neither trustworthiness nor continuity."""
    X, h, X_new, h_new = (rng.standard_normal(shape) for shape in ((40, 6), (40, 2), (25, 6), (25, 2)))
    k, lost, common = 7, [0, 0], 0
    for x, z in zip(X_new, h_new, strict=True):
        by_X, by_h = (np.linalg.norm(a - b, axis=1).argsort().tolist() for a, b in ((X, x), (h, z)))
        lost[0] += sum(by_X.index(j) + 1 - k for j in by_h[:k] if j not in by_X[:k])
        lost[1] += sum(by_h.index(j) + 1 - k for j in by_X[:k] if j not in by_h[:k])
        common += len(set(by_X[:k]) & set(by_h[:k]))
    worst = 25 * k * (2 * 40 - 3 * k + 1) / 2
    found = neighbours(X, h, k, X_new, h_new)
    np.testing.assert_allclose(found, [1 - lost[0] / worst, 1 - lost[1] / worst, common / (25 * k)], atol=1e-12)
    line = np.arange(10.0, 20)[:, None]  # the far ones of X are the near ones of the mirror
    assert neighbours(line, -line, 3, [[9.5]], [[-100.0]]) == pytest.approx((0, 0, 0), abs=1e-12)


def test_neighbours_are_all_kept_by_a_copy_and_by_chance_in_noise(rng):
    X, noise = rng.standard_normal((400, 5)), rng.standard_normal((400, 2))
    assert neighbours(X, 3 - 2 * X) == (1, 1, 1) and neighbours(X, X, 5, X[:50] + 1e-9, X[:50] + 1e-9).kept == 1
    found = neighbours(X, noise)
    assert abs(found.kept - 10 / 399) < 0.01 and abs(found.continuity - 0.5) < 0.06
    assert found.continuity == trustworthiness(noise, X) and trustworthiness(X, noise) == found.trustworthiness
    same = np.repeat(X[:20], 20, axis=0)  # rows that coincide
    assert neighbours(same, same).kept == 1


def test_the_order_of_distances_and_how_far_a_map_moved(rng):
    """Beside SciPy; a monotone change of all distances does not count, nor does a rotation of a map."""
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    X, h = rng.standard_normal((60, 4)), rng.standard_normal((60, 2))
    assert distances_kept(X, h + X[:, :2]) == pytest.approx(spearmanr(pdist(X), pdist(h + X[:, :2])).statistic)
    assert distances_kept(X, 7 * X @ np.linalg.qr(rng.standard_normal((4, 4)))[0] + 1) == pytest.approx(1)
    assert abs(distances_kept(X, h)) < 0.15
    turn = np.array([[0.0, 1.0], [1.0, 0.0]])  # a mirror
    assert moved(h, 5 * h @ turn - 2) == pytest.approx(0, abs=1e-12) and moved(h, h[::-1] + 0) > 0.8
    a, b = (x - x.mean(axis=0) for x in (h, h + 0.5 * rng.standard_normal(h.shape)))
    share = 1 - np.linalg.svd(a.T @ b)[1].sum() ** 2 / (np.square(a).sum() * np.square(b).sum())
    assert moved(a, b) == pytest.approx(share) and 0 < share < moved(h, rng.standard_normal(h.shape))


def test_auroc_counts_pairs_and_halves_of_ties(rng):
    scores, positive = rng.integers(5, size=200).astype(float), rng.random(200) < 0.3
    above = scores[positive][:, None] > scores[~positive]
    tied = scores[positive][:, None] == scores[~positive]
    assert abs(auroc(scores, positive) - (above + tied / 2).mean()) < 1e-12
    assert auroc(positive.astype(float), positive) == 1 and auroc(np.zeros(200), positive) == 0.5


@pytest.mark.parametrize("values", [5, 10**9], ids=["ties", "no ties"])
def test_scores_of_rare_rows_do_not_depend_on_their_order(rng, values):
    """And average precision is that of scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    scores, positive = rng.integers(values, size=300).astype(float), rng.random(300) < 0.1
    scores[positive] += values / 4
    order = np.argsort(positive, kind="stable")  # positive rows last, which would help them where the order counts
    for measure in (average_precision, lambda s, p: precision_at(s, p, 30), auroc):
        assert measure(scores[order], positive[order]) == pytest.approx(measure(scores, positive), abs=1e-12)
    expected = metrics.average_precision_score(positive, scores)
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)
    assert average_precision(np.zeros(300), positive) == pytest.approx(positive.mean())
    assert precision_at(np.zeros(300), positive, 30) == pytest.approx(positive.mean())
    assert precision_at(positive.astype(float), positive, int(positive.sum())) == 1


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda h, y: silhouette(h, np.zeros(len(h), int)), "labels has the one value 0"),
        (lambda h, y: silhouette(h, y[:3]), r"expected whole numbers from 0 on, \(20,\)"),
        (lambda h, y: trustworthiness(h, h, k=10), "expected k < 10, half of them"),
        (lambda h, y: trustworthiness(h[:5], h), "X has 5 rows and h 20"),
        (lambda h, y: neighbours(h, h, 5, h), "X_new and h_new belong together"),
        (lambda h, y: neighbours(h, h, 5, h[:, :2], h), "X_new has 2 columns and X 3"),
        (lambda h, y: neighbours(h, h, 5, h, h[:4]), "X_new has 20 rows and h_new 4"),
        (lambda h, y: distances_kept(h, np.zeros((20, 2))), "between the rows of h are equal"),
        (lambda h, y: distances_kept(h[:1], h[:1]), "between the rows of X are equal"),
        (lambda h, y: moved(h, h[:, :2]), "h has 3 columns and other 2"),
        (lambda h, y: moved(h, np.ones((20, 3))), "all rows of other are at one place"),
        (lambda h, y: auroc(h[:, 0], y), "expected 0 and 1 for each of 20"),
        (lambda h, y: precision_at(h[:, 0], y == 2, 21), "k is 21 and there are 20 rows"),
        (lambda h, y: average_precision(h[:, 0], np.zeros(20)), "0 positive rows and 20 negative ones"),
        (lambda h, y: auroc(h[:, 0], np.ones(20)), "20 positive rows and 0 negative ones"),
    ],
)
def test_what_neighbourhoods_cannot_say(call, words, rng):
    with pytest.raises(InputError, match=words):
        call(rng.standard_normal((20, 3)), 2 + np.arange(20) % 3)


# ---- the pictures whose factors are known


def test_every_combination_is_drawn_once_and_no_two_are_alike():
    X, factors, names, sizes = data.sprites(width=16, scales=3, rotations=4, places=5)
    assert X.shape == (3 * 3 * 4 * 25, 256) and names == ("shape", "scale", "rotation", "x", "y")
    assert len(np.unique(factors, axis=0)) == len(X) == np.prod(sizes)
    assert X.min() == 0 and X.max() == 1 and len(np.unique(X, axis=0)) == len(X)
    mass = X.sum(axis=1).reshape(36, 25)  # of each figure at its 25 places: none is cut off at an edge
    assert (np.ptp(mass, axis=1) / mass.mean(axis=1) < 0.12).all()


def test_a_factor_moves_what_it_says():
    X, factors, _, _ = data.sprites(width=24, shapes=2, scales=3, rotations=2, places=4)
    pictures, pixels = X.reshape(-1, 24, 24), np.arange(24) + 0.5
    mass = pictures.sum(axis=(1, 2))
    x = (pictures.sum(axis=1) @ pixels) / mass
    y = (pictures.sum(axis=2) @ pixels) / mass
    for values, k in ((mass, 1), (x, 3), (y, 4)):
        by_value = [values[factors[:, k] == value].mean() for value in range(factors[:, k].max() + 1)]
        assert (np.diff(by_value) > 0.5).all()
    assert abs(np.corrcoef(x, factors[:, 4])[0, 1]) < 1e-6  # and nothing else
    with pytest.raises(InputError, match="shapes is 4: expected 1 to 3"):
        data.sprites(shapes=4)
    with pytest.raises(InputError, match="more than 4 GiB"):
        data.sprites(width=64, places=500)


# ---- the tables and maps of section A.1


def test_a_row_of_affinities_has_the_perplexity_and_does_not_see_the_scale(rng):
    X = rng.standard_normal((50, 4))
    p = maps.affinities(X, 12)
    np.testing.assert_allclose(np.exp(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)), 12, rtol=1e-9)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(maps.affinities(1000 * X - 7, 12), p, atol=1e-9)
    assert abs(maps.affinities(X * [1, 1, 1, 30], 12) - p).max() > 0.05  # another shape is another p
    with pytest.raises(InputError, match="perplexity is 49 and there are 50 rows"):
        maps.affinities(X, 49)


def test_a_table_is_encoded_by_the_rows_to_learn_from(rng):
    columns = {
        "seconds": np.exp(3 * rng.standard_normal(200)),
        "share": rng.random(200),
        "always": np.ones(200),
        "month": rng.choice(["Feb", "May", "Nov"], 200),
    }
    encoding = maps.Encoding(columns)
    X = encoding(columns)
    assert encoding.names == ["seconds", "share", "month=Feb", "month=May", "month=Nov"] and X.dtype == np.float32
    np.testing.assert_allclose(X[:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(X[:, :2].std(axis=0), 1, atol=1e-6)
    assert encoding.scale["seconds"][0] and not encoding.scale["share"][0]  # the first one alone is skewed
    new = {name: values[:1] for name, values in columns.items()} | {"month": np.array(["Dec"])}
    assert (encoding(new)[0, 2:] == 0).all() and (X[:, 2:].sum(axis=1) == 1).all()
    assert maps.Encoding(columns, plain=True)(columns)[0, 0] == np.float32(columns["seconds"][0])
    with pytest.raises(InputError, match="the table has no column share"):
        encoding({"seconds": columns["seconds"], "month": columns["month"]})
    with pytest.raises(InputError, match="all columns of the table are constant"):
        maps.Encoding({"always": np.ones(5)})


def test_centred_rows_have_one_scale_and_a_way_back(rng):
    X, more = 5 + rng.random((40, 3)), rng.random((7, 3))
    Z, z, back = maps.centred(X, more)
    assert Z.var(axis=0).sum() == pytest.approx(50, rel=1e-5) and abs(Z.mean(axis=0)).max() < 1e-4
    np.testing.assert_allclose(back(z), more, atol=1e-5)
    with pytest.raises(InputError, match="all rows of X are the same"):
        maps.centred(np.ones((4, 2)))
