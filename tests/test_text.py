"""Text: vocabularies and samples; the language models, what they may read and what they write; a code of words."""

import gzip
import itertools

import numpy as np
import pytest

import minae
from minae import AbstractiveAutoencoder, ExtractiveAutoencoder, InputError, LanguageModel, cli, data, enumerated
from minae.chapters.classical import BothSides, NGram
from minae.data import Preprocessing, Vocabulary
from minae.data.text import END, HIDDEN, UNKNOWN, has, split
from minae.layers import Mode
from minae.models.language import next_token
from minae.training import Adam

LINES = ["the cat sat", "the dog sat on the mat", "a cat, a dog", "don't sit on the cat"]


def small(kind=LanguageModel, **options):
    given = dict(vocabulary=12, most=9, width=8, heads=2, seed=1, dtype="float64", backend="numpy")
    if kind is LanguageModel:
        given |= dict(blocks=2)
    model = kind(**given | options)
    model.parameters.flat[...] += 0.3 * np.random.default_rng(0).standard_normal(model.parameters.flat.shape)
    return model


def rows(rng, count=6, least=3, most=8):
    return [np.append(rng.integers(3, 12, size=n), END).astype(np.int32) for n in rng.integers(least, most, size=count)]


# ---- vocabularies and samples


def test_a_vocabulary_goes_there_and_back():
    assert split("Don't sit, A.B. 3") == ["don't", "sit", ",", "a", ".", "b", ".", "3"]
    vocabulary = Vocabulary.of(LINES, size=9, most=8)
    assert vocabulary.words[:5] == ["‹end›", "‹hidden›", "‹unknown›", "the", "cat"] and len(vocabulary) == 9
    tokens = vocabulary.tokens(["the cat purrs"])
    assert tokens[0].tolist() == [3, 4, UNKNOWN, END] and tokens[0].dtype == np.int32
    assert vocabulary.lines(tokens) == ["the cat ‹unknown›"]
    assert Vocabulary.of(LINES[::-1], size=9).words == vocabulary.words  # equal counts by the alphabet
    with pytest.warns(UserWarning, match="1 of 2 lines have more than 7 tokens"):
        cut = vocabulary.tokens(["the " * 9, "cat"])
    assert len(cut[0]) == 8 and cut[0][-1] == END
    for call, message in (
        (lambda: Vocabulary(["a", "b", "c"]), "expected ‹end›"),
        (lambda: Vocabulary([*vocabulary.words, "the"]), "none of them twice"),
        (lambda: Vocabulary.of("one text"), "a list of text"),
        (lambda: vocabulary.tokens([3]), "a list of text"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_samples_ship_with_the_package(monkeypatch, tmp_path):
    lines, table = data.glosses(), data.descriptions()
    assert len(lines) == 15_000 == len(set(lines)) and all(3 <= len(split(line)) <= 11 for line in lines)
    assert len(table.text) == 3600 and table.split.count("test") == 400
    assert not set(table.text[:3200]) & set(table.text[3200:])
    monkeypatch.setenv("MINAE_DATA", str(tmp_path))
    assert not has("glosses")
    with pytest.raises(InputError, match=r"there is no wordnet/glosses\.tsv\.gz: set MINAE_DATA"):
        data.glosses(full=True)
    (tmp_path / "wordnet").mkdir()
    (tmp_path / "wordnet/glosses.tsv.gz").write_bytes(gzip.compress(b'noun\t03\tcat\ta feline; "the cat sat"\n'))
    assert has("glosses") and data.glosses(full=True) == ["a feline"]


# ---- counts


def test_counts_are_probabilities_and_know_their_text(rng):
    X = rows(rng, 40)
    for n in (1, 2, 3):
        counts = NGram(X, 12, n)
        for context in ([5, 7, 0], [11, 0, 0]):
            grams = np.stack([np.append(context[3 - n + 1 :], k) if n > 1 else np.array([k]) for k in range(12)])
            assert counts.p(grams).sum() == pytest.approx(1, abs=1e-12)
    cycle = [np.array([3, 4, 5, 6, 7, 8, END])] * 50
    assert NGram(cycle, 12, 2).perplexity(cycle) < 1.1 < 5 < NGram(cycle, 12, 1).perplexity(cycle)


def test_a_word_between_two_is_exact_in_a_markov_chain(rng):
    both = BothSides(rows(rng, 40), 12, np.arange(12) >= 0)
    joint = both.P[:, :, None] * both.P[None]  # p(w | l) p(r | w): l, w, r
    p = both.between(np.array([4]), np.array([7]))[0]
    np.testing.assert_allclose(p, joint[4, :, 7] / joint[4, :, 7].sum(), rtol=1e-12)


# ---- language models


@pytest.mark.parametrize("body", ["attention", "gru"])
def test_a_causal_model_reads_nothing_that_comes_later(body, rng):
    model = small(body=body)
    model.fit(rows(rng, 20), epochs=3, progress=False)
    x = rng.integers(3, 12, size=(5, 8)).astype(np.int32)
    other, length = x.copy(), np.full(5, 8, np.int32)
    other[:, 4:] = rng.integers(3, 12, size=(5, 4))
    one, two = (np.array(model.log_p(tokens, length)) for tokens in (x, other))
    assert np.array_equal(one[:, :5], two[:, :5]) and not np.array_equal(one[:, 5:], two[:, 5:])
    control = small(body=body, task="masked")
    one, two = (np.array(control.log_p(tokens, length)) for tokens in (x, other))
    assert (one[:, :4] != two[:, :4]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("task", ["masked", "causal"])
@pytest.mark.parametrize("body", ["attention", "gru"])
def test_padding_changes_nothing(task, body, rng):
    model = small(task=task, body=body, hide=0.4)
    x, length = rng.integers(3, 12, size=(3, 6)).astype(np.int32), np.array([6, 4, 1], np.int32)
    x[np.arange(6) >= length[:, None]] = 0
    u = rng.random((3, 8))
    given = [{}, {}] if task == "causal" else [{"u": u[:, :6].copy()}, {"u": u}]
    found = []
    for tokens, constants in zip((x, np.pad(x, ((0, 0), (0, 2)))), given, strict=True):
        found.append([float(model.cost_and_grad(tokens, length, **constants)), model.parameters.grad.copy()])
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-14)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-14)


def test_words_are_hidden_and_marks_are_not(rng):
    model = small(task="masked", hide=0.5)
    x = np.array([[3, UNKNOWN, 4, 5, 6, END], [UNKNOWN, END, 0, 0, 0, 0], [7, 8, END, 0, 0, 0]], np.int32)
    for _ in range(20):
        at, m = model.chosen(x, np.array([6, 2, 3], np.int32), rng.random(x.shape))
        hidden = [set(places[counts == 1]) for places, counts in zip(at, m, strict=True)]
        assert len(hidden[0]) == 2 and hidden[0] <= {0, 2, 3, 4}
        assert hidden[1] == {0} and len(hidden[2]) == 1 and hidden[2] <= {0, 1}


def test_the_embedding_gets_the_gradient_of_both_its_uses(rng):
    """By hand: the rows that were read, and dsᵀ y of the output layer."""
    model, x, length = small(), rng.integers(3, 12, size=(4, 5)).astype(np.int32), np.full(4, 5, np.int32)
    model.cost_and_grad(x, length)
    whole, dE = model.parameters.gradient("E").array.copy(), model.parameters.gradient("E")
    y, cache = model.f.forward(model.moved(x))
    s, _ = model.g.forward(y)
    _, ds = model.loss(s, x, np.ones((4, 5)))
    output = np.einsum("btv,btn->vn", ds, y)
    model.parameters.zero_grad()
    model.f.backward(ds @ model.parameters["E"], cache, need_dx=False)
    np.testing.assert_allclose(output + dE.array, whole, atol=1e-14)
    assert abs(output).max() > 1e-3 < abs(dE.array).max()


def test_what_is_written(rng):
    log_p = np.log(rng.dirichlet(np.ones(12), size=4))
    p = next_token(log_p)
    assert (p[:, [HIDDEN, UNKNOWN]] == 0).all() and np.allclose(p.sum(axis=1), 1)
    assert ((next_token(log_p, top_k=3) > 0).sum(axis=1) == 3).all()
    kept = next_token(log_p, top_p=0.6) > 0
    sums = (p * kept).sum(axis=1)
    least = np.where(kept, p, 2).min(axis=1)
    assert (sums >= 0.6).all() and (sums - least < 0.6).all()  # without its last token it would be too small
    assert (next_token(log_p, temperature=1e-3).max(axis=1) > 0.999).all()
    vocabulary = Vocabulary.of(LINES, size=12, most=9)
    model = LanguageModel(vocabulary=12, most=9, width=8, heads=2, backend="numpy")
    assert all(isinstance(row, np.ndarray) for row in model.sample(2))
    model.preprocessing = Preprocessing(vocabulary=vocabulary)
    written = model.sample(5, seed=3, temperature=2.0, prompt="the cat")
    assert written == model.sample(5, seed=3, temperature=2.0, prompt="the cat") != model.sample(5, seed=4)
    assert len(written) == 5 and all(line.startswith("the cat") for line in written)
    assert not any(mark in " ".join(written) for mark in vocabulary.words[1:3])
    for call, message in (
        (lambda: model.sample(1, prompt="zebra"), "all of them of the vocabulary"),
        (lambda: model.sample(1, temperature=0), "temperature is 0"),
        (lambda: model.sample(0), "count is 0"),
        (lambda: small(task="masked").sample(1), "is of task='causal'"),
        (lambda: small().sample(1, prompt="the"), "has no vocabulary"),
        (lambda: small().guesses([np.array([3, 0])], np.array([2])), "one within each"),
        (lambda: LanguageModel(width=6, heads=4), "expected a multiple of 4"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_log_p_of_a_line_is_the_sum_of_its_steps(rng):
    model, X = small(), rows(rng)
    score = model.score_samples(X)
    for row, value in zip(X, score, strict=True):
        steps = [model.guesses([row], np.array([t]))[0, token] for t, token in enumerate(row)]
        assert value == pytest.approx(sum(steps), abs=1e-12)
    assert model.perplexity(X) == pytest.approx(np.exp(-score.sum() / sum(map(len, X))))


def test_the_command_line_trains_on_a_text(tmp_path, capsys):
    (tmp_path / "corpus.txt").write_text("\n".join(LINES * 5), encoding="utf-8")
    (tmp_path / "x.csv").write_text("1,2\n3,4\n")
    given = ["--model", "language", "--width", "8", "--heads", "2", "--most", "9", "--epochs", "1"]
    out = str(tmp_path / "m.safetensors")
    assert cli.main(["train", str(tmp_path / "corpus.txt"), *given, "--validation", "0.2", "-o", out]) == 0
    model = minae.load(out)
    assert model.preprocessing.vocabulary.words == Vocabulary.of(LINES).words and model.most == 9
    assert model.vocabulary == len(model.preprocessing.vocabulary) < 20
    assert all(isinstance(line, str) for line in model.sample(2))
    assert model.copy().preprocessing.vocabulary is not None
    assert cli.main(["score", out, str(tmp_path / "corpus.txt"), "-o", str(tmp_path / "s.csv")]) == 0
    assert cli.main(["info", out]) == 0 and "tokens, up to 9 a line" in capsys.readouterr().out
    written = str(tmp_path / "w.safetensors")
    given_w = ["--model", "abstractive", "--width", "4", "--epochs", "1", "-o", written]
    assert cli.main(["train", str(tmp_path / "corpus.txt"), *given_w]) == 0
    assert len(minae.load(written).summaries(minae.load(written).preprocessing.vocabulary.tokens(LINES))) == len(LINES)
    capsys.readouterr()
    for argv, message in (
        (["train", str(tmp_path / "x.csv"), *given, "-o", out], "is no text"),
        (["train", str(tmp_path / "corpus.txt"), *given, "--scale", "2", "-o", out], "learns from text"),
        (["train", str(tmp_path / "corpus.txt"), "-o", out], "--model language"),
        (["score", out, str(tmp_path / "x.csv"), "-o", str(tmp_path / "s.csv")], "learned from text"),
    ):
        assert cli.main(argv) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


# ---- a code of words


def test_the_pointer_s_estimate_is_exact_on_average(rng):
    """Over all pairs of codes of four words; with the draw in its own baseline, half is left."""
    model = small(ExtractiveAutoencoder, most=9, k=1, draws=2)
    x, length, u = np.array([[3, 8, 4, 6]], np.int32), np.array([4], np.int32), np.zeros((1, 2, 1))
    a = model.pointer(x, length)[0]

    def page(i, j, A=None):
        y = np.array([[[i], [j]]], np.int32)
        cost = model.cost_and_grad(x, length, u, y, A)
        return float(cost["L"]), model.parameters.views(model.parameters.grad)["Wa"].copy()

    L = np.array([page(i, i)[0] for i in range(4)])
    q, mean, biased = np.exp(a), 0.0, 0.0
    for i, j in itertools.product(range(4), repeat=2):
        A = np.array([[L[i] - L[j], L[j] - L[i]]])
        mean = mean + q[i] * q[j] * page(i, j)[1]
        biased = biased + q[i] * q[j] * page(i, j, A / 2)[1]
    expected, da = enumerated(lambda b: L[int(b[0].argmax())], a[None])
    assert expected == pytest.approx(q @ L)
    _, cache = model.f.forward(x)
    model.parameters.zero_grad()
    model.f.backward(da[0][None, :, None], cache, need_dx=False)
    exact = model.parameters.views(model.parameters.grad)["Wa"]
    np.testing.assert_allclose(mean, exact, atol=1e-12)
    np.testing.assert_allclose(biased, exact / 2, atol=1e-12)


def test_what_the_pointer_chooses(rng):
    X = [row[:-1] for row in rows(rng, 10)]
    model = small(ExtractiveAutoencoder, k=2)
    places = model.encode(X)
    assert places.shape == (10, 2) and (places[:, 0] != places[:, 1]).all()
    first = model.first(X)
    for row, at, moved in zip(X, places, first, strict=True):
        assert row[at].tolist() == moved[:2].tolist() and sorted(row) == sorted(moved)
    reader = small(ExtractiveAutoencoder, k=2, choice="first")
    for name in reader.parameters:
        reader.parameters[name][...] = model.parameters[name]
    assert model.cross_entropy(X) == pytest.approx(reader.evaluate(first)["L"])
    shuffled = [np.concatenate([row[:2], row[:1:-1]]) for row in first]
    assert reader.evaluate(shuffled)["L"] == pytest.approx(reader.evaluate(first)["L"])  # a bag
    with pytest.raises(InputError, match="has a text of 1 words"):
        model.encode([np.array([3])])
    with pytest.raises(InputError, match="has no vocabulary"):
        model.summaries(X)
    model.preprocessing = Preprocessing(vocabulary=Vocabulary.of(LINES, size=12))
    assert all(len(line.split()) == 2 for line in model.summaries(X))


# ---- a code that is written


def writer(**options):
    given = dict(vocabulary=5, k=2, width=4, seed=1, dtype="float64", backend="numpy") | options
    model = AbstractiveAutoencoder(**given)
    model.parameters.flat[...] += 0.5 * np.random.default_rng(0).standard_normal(model.parameters.flat.shape)
    return model


TEXT = np.array([[3, 4, 3, 2], [4, 2, 0, 0]], np.int32), np.array([4, 2], np.int32)
CODES = np.array(list(itertools.product(range(5), repeat=2)), np.int32)


def test_a_pointer_generator_has_a_probability_and_draws_from_it():
    """Over all codes of two words p adds up to 1; drawn words have the frequencies that p says."""
    x, length = TEXT
    w, mode = writer().w, Mode(length=length)
    log_p, _ = w.forward(x, np.tile(CODES, (2, 1, 1)), mode)  # (2, 25, 2)
    p = np.exp(log_p.sum(axis=2))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    first = np.exp(log_p[:, ::5, 0])  # of the five words at the first place
    grid = (np.arange(200) + 0.5) / 200
    u = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(1, -1, 1, 2).repeat(2, axis=0)
    y = w.draw(x, u, mode)[:, :, 0]
    drawn = np.array([np.bincount(row, minlength=5) for row in y]) / len(grid) ** 2
    np.testing.assert_allclose(drawn, first, atol=0.01)
    assert (first.argmax(axis=1) == w.write(x, 1, mode)[:, 0, 0]).all()
    alone, _ = w.forward(x[1:, :2], CODES[None], Mode())  # a text without its padding
    np.testing.assert_allclose(alone[0], log_p[1], atol=1e-12)
    without = w.forward(x, np.tile(CODES, (2, 1, 1)), Mode())[0]
    assert abs(without[1] - log_p[1]).max() > 1e-3  # the negative control: padding that is read


def test_the_writer_s_estimate_is_exact_on_average():
    """Over all pairs of codes: the gradient of Σ_y q(y) L(y) by the writer. Half is left where a draw is in its own
    baseline."""
    model, (x, length) = writer(), (a[:1] for a in TEXT)
    u, of_w = np.zeros((1, 2, 2, 2)), np.zeros(0)
    of_w = np.concatenate([
        np.full(view.size, name in model.w.names)
        for name, view in model.parameters.views(model.parameters.flat).items()
    ])  # fmt: skip
    codes = np.array([code for code in CODES if code[0] or not code[1]])  # behind ‹end› stands ‹end›

    def page(i, j, scale=1.0):
        y = codes[[i, j]][None]
        A = None if scale == 1 else scale * np.array([[L[i] - L[j], L[j] - L[i]]])
        cost = model.cost_and_grad(x, length, u=u, y=y, A=A)
        return float(cost["L"]), model.parameters.grad * of_w

    def log_q():
        each = model.w.forward(x, codes[None], Mode(length=length))[0][0]
        return each[:, 0] + np.where(codes[:, 0] == END, 0, each[:, 1])

    def expected(t):
        model.parameters.flat[...] = theta + t * v
        q = np.exp(log_q())
        model.parameters.flat[...] = theta
        return q @ L

    model.weights["L"] = 0.0  # R's own gradient aside, which the mask takes away as well
    L = np.zeros(len(codes))
    L = np.array([page(i, i)[0] for i in range(len(codes))])
    q, theta = np.exp(log_q()), model.parameters.flat.copy()
    assert q.sum() == pytest.approx(1)
    v = np.random.default_rng(2).standard_normal(len(theta)) * of_w
    v /= np.linalg.norm(v)
    mean = biased = 0.0
    for i, j in itertools.product(range(len(codes)), repeat=2):
        mean = mean + q[i] * q[j] * page(i, j)[1]
        biased = biased + q[i] * q[j] * page(i, j, 0.5)[1]
    difference = (expected(1e-4) - expected(-1e-4)) / 2e-4
    assert mean @ v == pytest.approx(difference, rel=1e-6)
    np.testing.assert_allclose(biased, mean / 2, atol=1e-12)


def test_what_stands_behind_the_end_of_a_code_does_not_count(rng):
    model = writer(readable=0.3, vocabulary=12, k=4)
    x, length = TEXT
    human, words = np.array([[5, 6, 0], [7, 0, 0]], np.int32), np.array([3, 2], np.int32)
    ended = rng.integers(3, 12, (2, 2, 4)).astype(np.int32)
    ended[:, :, 1] = END
    other = ended.copy()
    other[:, :, 2:] = 5
    given = x, length, human, words, np.zeros((2, 2, 4, 2))
    for turn in ("G", "D"):
        costs, gradients = [], []
        for y in (ended, other):
            costs.append(model.cost_and_grad(*given, y, turn=turn))
            gradients.append(model.parameters.grad.copy())
        assert float(costs[0]) == pytest.approx(float(costs[1]), abs=1e-12)
        np.testing.assert_allclose(*gradients, atol=1e-12)
    other[:, :, 0] = 6  # the negative control: a word before it
    assert float(model.cost_and_grad(*given, other, turn="D")) != float(costs[0])


def test_a_writer_learns_to_copy_the_first_words(rng):
    """Texts are random, so the words can only be copied by their place; and their reader gives them back."""
    X = [np.append(rng.permutation(np.arange(3, 23))[:6], END).astype(np.int32) for _ in range(512)]
    given = dict(vocabulary=23, k=4, width=32, seed=0, backend="numpy")
    model = AbstractiveAutoencoder(**given, choice="first")
    lead = np.array([[*row[:3], END] for row in X])
    assert (model.encode(X) == lead).all()
    other = AbstractiveAutoencoder(**given)
    model.fit(X, epochs=40, batch_size=64, optimizer=Adam(1e-2), seed=0, progress=False)
    other.restore({name: np.array(array) for name, array in model.tensors().items()})
    assert (other.encode(X)[:, :3] == lead[:, :3]).mean() > 0.9
    told = other.decode(other.encode(X), most=7)
    assert (told[:, :3] == lead[:, :3]).mean() > 0.7
    assert other.told(X, other.encode(X)) < other.told(X, np.roll(other.encode(X), 1, axis=0))
    for Y in (np.full((1, 4), 23), np.full((1, 4), -1), np.zeros((1, 3), int), np.zeros((1, 4)), np.zeros((0, 4), int)):
        for call in (lambda Y=Y: other.decode(Y), lambda Y=Y: other.told(X[:1], Y)):
            with pytest.raises(InputError, match=r"Y (is|has)"):
                call()
    with pytest.raises(InputError, match="Y has 2 codes"):
        other.told(X[:1], lead[:2])
    with pytest.raises(InputError, match="has no vocabulary"):
        other.summaries(X)
    with pytest.raises(InputError, match="set one only"):
        AbstractiveAutoencoder(choice="first", readable=1.0)
