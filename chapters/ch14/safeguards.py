r"""The layers of tests for a model whose gradient is derived by hand. Each is `test(make) -> caught`, where
`make(**changes)` builds a model, tiny and in float64.

    1        finite differences: every cost term alone, B > 1, all constants of the cost frozen
    1 Jf     Ω against the norm of a Jacobian that is written out
    2        Monte Carlo: the sampler's variance is the KL's, the KL is E[log q(z | x) − log p(z)], and a density
             that batches estimate is that of all rows; or an exact mean
    3        effects: a weight, a step or a tie does what it is there for
    control  a reversed gradient is noticed, term by term

NumPy only: this is about mathematics, not about devices.
"""

import numpy as np

from minae import InputError, check_gradient, enumerated, ops
from minae.fields import Row, Tokens
from minae.training import SGD, Adam

LAYERS = {"1": "differences", "1 Jf": "Jacobian", "2": "Monte Carlo", "3": "effects", "control": "reversed"}
_rng = np.random.default_rng(0)
LINES = [np.array(line, np.int32) for line in ([3, 5, 4, 0], [6, 3, 0], [5, 4, 3, 6, 0], [4, 0])]  # of tokens
PICTURES = np.random.default_rng(0).integers(256, size=(4, 8, 8))  # of bytes
X = ops.phi(_rng.standard_normal((64, 2)) @ (2 * _rng.standard_normal((2, 7))), "sigmoid")  # a surface in 7 dimensions

TABLE = np.hstack([X[:, :5], np.arange(64)[:, None] % 3, np.arange(64)[:, None] % 2])  # two categories in the end


def tiny(Model, sizes=(7, 5), **options):
    """make(**changes) -> a small model whose biases are off zero."""

    def make(**changes):
        model = Model(**dict(sizes=sizes, seed=1, dtype="float64", backend="numpy") | options | changes)
        model.parameters.flat[...] += 0.3 * np.random.default_rng(1).standard_normal(model.parameters.flat.shape)
        return model

    return make


def data_of(model, rows=4):
    """The first rows of X, of the lines or pictures where a model reads tokens, or of a table with categories."""
    field = next(iter(model.fields.values()))
    if isinstance(field, Tokens):
        return (LINES if field.ragged else PICTURES)[:rows]
    return (TABLE if isinstance(field, Row) else X)[:rows]


def reports(model, rows=4, **settings):
    """What central differences say of a model's gradient, turn by turn. A second domain, b, has the last rows of X, and
    every second answer y is a yes."""
    others = {"b": X[-rows:], "y": np.arange(rows) % 2}
    others = {name: array for name, array in others.items() if name in model.fields}
    for turn in model.turns or [None]:
        yield check_gradient(model, data_of(model, rows), turn=turn, entries=12, **others, **settings)


def gradient(make, rows=4):
    """1. Central differences of a term, or of all together, are not its gradient; or the check refuses the model, since
    its cost is random, or its copy's is another."""
    try:
        return not all(reports(make(), rows))
    except InputError:
        return True


def jacobian(make):
    """Layer 1 Jf: whether Ω is off ‖Jf‖², mean over the batch, with Jf written out.     (14.18)"""
    model = make()
    exact = np.square(model.jacobian(X[:4])).sum() / 4
    return abs(float(model.cost_and_grad(X[:4])["Omega"]) / exact - 1) > 1e-10


def monte_carlo(make, draws=20_000):
    """2. Var z is not e^log_var, or KL is not the mean of log q(z | x) − log p(z): off by five standard errors."""
    model, x, decoded = make(), np.repeat(X[:1], draws, axis=0), []
    forward = model.g.forward

    def spy(z, *more):
        decoded.append(z)
        return forward(z, *more)

    model.g.forward = spy
    KL = float(model.cost_and_grad(x, need_grad=False, **model.draw({"x": x}, 0, "check"))["KL"])
    (mu, log_var), z = model.posterior(X[:1]), decoded[0]
    sigma = np.exp(0.5 * log_var)
    variance = z.var(axis=0) / sigma[0] ** 2
    log_ratio = 0.5 * (z**2 - ((z - mu) / sigma) ** 2 - log_var).sum(axis=1)  # log N(z; mu, sigma²) − log N(z; 0, 1)
    errors = [abs(variance - 1).max() / np.sqrt(2 / draws), abs(log_ratio.mean() - KL) / log_ratio.std() * draws**0.5]
    return max(errors) > 5


N = 400  # rows of the data whose total correlation is known


def correlation(make, B=32, batches=1000):
    """2. The density that TC takes from a batch, over all batches, is not q(z) = 1/N Σ_j q(z | x_j), which can be
    written down: off by five standard errors."""
    rng, model, sigma = np.random.default_rng(0), make(), 0.3
    mu = rng.standard_normal((N, 3))
    z = mu + sigma * rng.standard_normal(mu.shape)
    q = np.exp(-0.5 * np.square((z[:, None] - mu) / sigma).sum(axis=2))  # q(z_i | x_j), but for a constant
    W, rows = np.exp(model.log_weights(B)), [rng.permutation(N)[:B] for _ in range(batches)]
    ratio = np.array([((W * q[np.ix_(k, k)]).sum(axis=1) / q[k].mean(axis=1)).mean() for k in rows])
    return abs(ratio.mean() - 1) / ratio.std() * batches**0.5 > 5


def alone(make):
    """3. The code of an example is another one in company."""
    model = make()
    return not np.allclose(model.encode(X[:4])[:1], model.encode(X[:1]), rtol=1e-10)


def estimate(make):
    """2. The mean over all pairs of codes of the gradient that REINFORCE gives, each pair with its probability, is not
    the gradient of the expected cost over all codes."""
    model = make()
    x, m = X[:1], model.code_size
    logits = model.f.forward(x)[0][0]
    codes = (np.arange(2**m)[:, None] >> np.arange(m) & 1).astype(float)

    def cost(b):
        return float(model.loss.rows(model.g.forward(b[None])[0], x)[0])

    p, mean = np.where(codes == 1, ops.phi(logits, "sigmoid"), 1 - ops.phi(logits, "sigmoid")).prod(axis=1), 0.0
    for i, first in enumerate(codes):
        for j, second in enumerate(codes):
            model.cost_and_grad(x, u=np.zeros((1, 2, m)), b=np.stack([first, second])[None])
            mean = mean + p[i] * p[j] * model.parameters.views(model.parameters.grad)["b1"]
    exact = enumerated(cost, logits)[1]
    return np.linalg.norm(mean - exact) > 1e-10 * np.linalg.norm(exact)


def padding_is_free(make):
    """3. Padding behind the lines of a batch changes the cost or its gradient."""
    model, found = make(), []
    for more in (0, 3):
        x = np.zeros((4, 5 + more), np.int32)
        for row, line in zip(x, LINES, strict=True):
            row[: len(line)] = line
        J = float(model.cost_and_grad(x, np.array([len(line) for line in LINES], np.int32)))
        found.append(np.append(model.parameters.grad, J))
    return abs(found[0] - found[1]).max() > 1e-12


def future_is_hidden(make):
    """3. What a causal model with weights as large as training may make them says of a place depends on later ones."""
    model = make()
    model.parameters["W1"][...] *= 1000
    x, length = np.array([[3, 5, 4, 6, 3]], np.int32), np.array([5], np.int32)
    other = x.copy()
    other[:, 2:] = [6, 3, 5]
    return not np.array_equal(model.log_p(x, length)[:, :3], model.log_p(other, length)[:, :3])


def _halves(make, measure, **levels):
    """Whether training at the higher of two levels of a weight leaves less than half of what the lower one leaves."""
    ((weight, pair),) = levels.items()
    models = [make(**{weight: level}) for level in pair]
    for model in models:
        model.fit(X, epochs=100, optimizer=Adam(0.05), progress=False)
    return measure(models[1]) < 0.5 * measure(models[0])


def encoder_contracts(make):
    """3. λ does not lower ‖Jf‖²."""
    return not _halves(make, lambda model: np.square(model.jacobian(X)).sum(), lam=(0.0, 10.0))


def code_shrinks(make):
    """3. λ does not lower the mean |h_j| of the code that the decoder reads."""
    return not _halves(make, lambda model: abs(model.encode(X)).mean(), lam=(0.0, 1.0))


def kl_acts(make):
    """3. β does not lower the KL; or twice the pixels change the KL of the same q(z | x)."""

    def KL(model):
        mu, log_var = model.posterior(X)
        return 0.5 * (mu**2 + np.exp(log_var) - log_var - 1).sum()

    reported = []
    for n in (7, 14):
        model = make(sizes=(n, 3))
        model.parameters.flat[...] = 0
        model.parameters["b1"][...] = [1, 2, 3, 0, 0, 0]  # mu and log_var, whatever x is
        reported.append(float(model.cost_and_grad(np.zeros((2, n)), eps=np.zeros((2, 3)))["KL"]))
    return reported[0] != reported[1] or not _halves(make, KL, beta=(0.1, 10.0))


def rate_is_of_the_batch(make):
    """3. Ω of a batch is not below the mean of its examples' Ω, as it is where ρ̂ is a mean: KL is convex in ρ̂."""
    model = make()
    alone = np.mean([float(model.cost_and_grad(X[k : k + 1])["Omega"]) for k in range(4)])
    return not float(model.cost_and_grad(X[:4])["Omega"]) < (1 - 1e-6) * alone


def layers_move(make):
    """3. A training step leaves some weight matrix where it was."""
    model = make()
    layers = model.f.trained() + model.g.trained()
    before = [layer.W.copy() for layer in layers]
    model.fit(X, epochs=1, optimizer=SGD(0.1), progress=False)
    return any(np.array_equal(layer.W, W) for layer, W in zip(layers, before, strict=True))


def the_unseen_learns(make):
    """3. The row of E for a category that training never saw stays as it was born."""
    model = make()
    before = model.parameters["E"][0].copy()
    model.fit(np.maximum(TABLE, [0] * 5 + [1, 1]), np.arange(64) % 2, epochs=1, optimizer=SGD(0.1), progress=False)
    return np.array_equal(model.parameters["E"][0], before)


def stays_tied(make):
    """3. After a step V is no longer Wᵀ."""
    model = make()
    model.fit(X, epochs=1, optimizer=SGD(0.1), progress=False)
    return not np.array_equal(model.g.layers[0].W, model.f.layers[0].W.T)


def noise_keeps_the_variance(make, rows=20_000):
    """2. x_t = √ᾱ x + √(1 − ᾱ) ε has not the variance of x, where x has the variance of ε: off by five errors."""
    model, rng = make(), np.random.default_rng(0)
    x, eps, t = rng.standard_normal((rows, 1)), rng.standard_normal((rows, 1)), rng.uniform(size=(rows, 1))
    return abs(model.noised(x, t, eps).var() - 1) > 5 * np.sqrt(2 / rows)


def turns_are_apart(make):
    """3. A turn of the generator before it changes the gradient of the discriminator's turn."""
    model, found = make(), []
    z = np.random.default_rng(0).standard_normal((4, model.sizes[-1]))
    for turn in ("D", "G", "D"):
        model.cost_and_grad(X[:4], z=z, turn=turn)
        found.append(model.parameters.grad.copy())
    return not np.array_equal(found[0], found[2])


def slope_becomes_1(make):
    """3. A large weight of the gradient penalty does not bring the slope of d, which is linear, to 1."""
    model = make(penalty=100.0)
    model.fit(X, epochs=300, batch_size=32, optimizer={"D": Adam(0.01), "G": SGD(1e-6)}, progress=False)
    return abs(np.linalg.norm(model.d.layers[0].W @ model.d.layers[2].W) - 1) > 0.1


def identity_of_a_perfect_pair(make):
    """3. Identity is not 0 for translators that are right: a is 0 always, b is 1 always, G(x) = 1 and F(x) = 0."""
    model = make()
    model.parameters.flat[...] = 0
    model.G.layers[-2].b[...] = 1
    cost = model.cost_and_grad(np.zeros((4, 7)), b=np.ones((4, 7)), turn="G")
    return abs(float(cost["Identity"])) > 1e-12


def control(make):
    """Some term passes layer 1 with its gradient reversed: the gradient is 0, and to pass proves nothing."""
    model = make()

    class Reversed(type(model)):
        def cost_and_grad(self, mode="train", need_grad=True, **given):
            cost = super().cost_and_grad(mode=mode, need_grad=need_grad, **given)
            if need_grad:
                np.negative(self.parameters.grad, out=self.parameters.grad)
            return cost

    backwards = Reversed(**model.config, dtype="float64", backend="numpy")
    backwards.parameters.flat[...] = model.parameters.flat
    backwards.weights.update(model.weights)
    if not model.turns:
        terms = [name for name, weight in model.weights.items() if weight]
        return any(report for name in terms for report in reports(backwards, terms=[(name,)]))
    return any(reports(backwards))  # a turn has some of the terms alone
