r"""Faults of public implementations, rebuilt as small mutations of our own classes, each beside its right twin.

`FAULTS` is the table that section 14.0 prints and tests/test_faults.py asserts. Two faults have no row: one-class
thresholds that are fitted on the test data, and encodings of a category by the answers of all rows. There the model is
right and the rows are wrong, which no test of a model sees. Section A.4 finds the second with shuffled answers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minae import (
    ByteDenoising,
    ContractiveAutoencoder,
    CycleConsistent,
    DiffusionModel,
    DiscreteAutoencoder,
    GenerativeAdversarial,
    LanguageModel,
    SparseAutoencoder,
    TabularClassifier,
    TotalCorrelationAutoencoder,
    UndercompleteAutoencoder,
    VariationalAutoencoder,
    ops,
)
from minae.chapters.ch14 import safeguards as tests
from minae.chapters.ch14.safeguards import tiny
from minae.contraction import Contraction
from minae.layers import GRU, Affine, Attention, Embedding, Flatten, InstanceNorm, Reshape
from minae.losses import Gaussian, Loss, TokenLoss
from minae.networks import Branches, Network, mirrored
from minae.penalties import KLSparsity, Laplace, skipped_at_0
from minae.training import SGD


@dataclass(frozen=True)
class Family:
    """make(**changes) of the right model, and the tests that apply to it and to its mutations: layer -> test."""

    right: Callable
    tests: dict

    def row(self, make):
        """layer -> True (caught), False (passed) or None (does not apply)"""
        return {layer: bool(self.tests[layer](make)) if layer in self.tests else None for layer in tests.LAYERS}


@dataclass(frozen=True)
class Fault:
    """seen: what kind of package had it;  layer: the one that is named for it;  make(**changes): a mutated model."""

    name: str
    seen: str
    layer: str
    family: str
    make: Callable

    def row(self):
        return FAMILIES[self.family].row(self.make)


def mutate(Model, **parts):
    """A subclass that replaces attributes of each new model: attribute -> value, or function of the model."""

    class Mutant(Model):
        def build(self):
            super().build()
            for name, part in parts.items():
                setattr(self, name, part(self) if callable(part) else part)

    return Mutant


class MeanOverOutputs(Gaussian):
    """Reports L/n, trains L."""

    def __call__(self, s, x):
        L, ds = super().__call__(s, x)
        return L / x.shape[1], ds


class Upstream(Loss):
    """J = Σ u ⊙ softmax(s), the test of a softmax with upstream gradient u. With u = 1, J = 1 for every s."""

    def __init__(self, arena, weights, u):
        super().__init__(arena, weights)
        self.u = u

    def __call__(self, s, x):
        y, u = np.exp(ops.log_softmax(s)), self.u(s.shape)
        return (u * y).sum() / len(s), self.weight / len(s) * y * (u - (u * y).sum(axis=1, keepdims=True))


class TopLayerOnly(UndercompleteAutoencoder):
    """The optimizer is given the last layer alone."""

    def fit(self, X, optimizer, **options):
        *lower, _ = self.parameters.layers
        return super().fit(X, optimizer=SGD(optimizer.lr, rates=dict.fromkeys(lower, 0.0)), **options)


class TiedOnce(UndercompleteAutoencoder):
    """V is Wᵀ when the model is made, and an array of its own."""

    def decoder(self):
        return mirrored(self.sizes, [self.activation] * (len(self.sizes) - 2) + ["identity"], tied=False)

    def initialize(self, rng):
        self.g.layers[0].W[...] = self.f.layers[0].W.T


class Steps(UndercompleteAutoencoder):
    """h = [p > ½], p = σ(a). The step's derivative is 0 or does not exist, so the backward pass goes straight
    through the step and takes ∂h/∂a as σ'(a) (Bengio et al. 2013).

    Derivation: h = p + c with the constant c = [p > ½] − p, a stopped gradient, is the same hard step. At fixed c,
    ∂h/∂p = 1, so that this is the gradient of the cost with c held fixed.
        dp = dh,    da = σ'(a) dp
    """

    slope = None  # ∂h/∂a: σ'(a), or this number
    held = True  # whether c is a constant of the cost; if not, a difference of the cost takes c anew

    def cost_and_grad(self, x, c=None, mode="train", need_grad=True):
        p, f_cache = self.f.forward(x, mode)  # p = σ(a)
        c = (p > 0.5) - p if c is None else c
        h = p + c
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(s, x)
        cost = self.cost(L=L, constants={"c": c} if self.held else None)
        if not need_grad:
            return cost

        # the same lines, upward
        dh = self.g.backward(ds, g_cache)
        dp = dh if self.slope is None else dh * (self.slope / (p * (1 - p)))  # f.backward makes σ'(a) dp of it
        self.f.backward(dp, f_cache, need_dx=False)
        return cost


class HalfContraction(Contraction):
    """Adds half of ∂Ω/∂θ."""

    def backward(self, caches, cache, near=None, share=1.0):
        return super().backward(caches, cache, near, 0.5 * share)


class FloorContraction(Contraction):
    """`//` for the mean over the batch: whole numbers, whose derivative is 0. Without a cache nothing goes backward."""

    def value(self, caches, near=None, xi=None, need_grad=True):
        Omega, _ = super().value(caches, near, xi, need_grad)
        return None if Omega is None else Omega * len(caches[0]) // len(caches[0]), None


class ContractionOfTheSum(Contraction):
    """‖Σ_j ∇h_j‖² for Σ_j ‖∇h_j‖²: a probe in one direction of the code."""

    def value(self, caches, near=None, xi=None, need_grad=True):
        h = caches[-1]
        return super().value(caches, near, np.ones((len(h), 1, h.shape[1])), need_grad)


class OnSigmoid(Laplace):
    """Ω = Σ_j |σ(h_j)|; the decoder reads h."""

    def value(self, h):
        return super().value(ops.phi(h, "sigmoid"))

    def backward(self, h, dh):
        p = ops.phi(h, "sigmoid")
        dh += self.weight / len(h) * p * (1 - p)


class ExampleByExample(KLSparsity):
    """Mean over the examples of Σ_j KL(ρ ‖ h_bj): another cost, rightly derived."""

    @skipped_at_0
    def value(self, h):
        return sum(KLSparsity.value(self, row[None]) for row in h) / len(h)

    @skipped_at_0
    def backward(self, h, dh):
        dh += self.weight / len(h) * ((1 - self.rho) / (1 - h) - self.rho / h)


class WithoutCoupling(ExampleByExample):
    """The value is of the batch mean; the gradient takes each example for the batch."""

    value = KLSparsity.value


class Variational(VariationalAutoencoder):
    """The variational autoencoder, with four things that one can get wrong as its attributes."""

    power = 0.5  # σ = e^{power · log_var} in the sampler
    with_factor = True  # ∂σ/∂log_var = power · σ in its backward pass, else 1
    capacity = np.inf  # KL is clamped to this
    per_pixel = False

    def cost_and_grad(self, x, eps, mode="train", need_grad=True):
        y, f_cache = self.f.forward(x, mode)
        B, n = x.shape
        m = self.code_size
        mu, log_var = y[:, :m], y[:, m:]
        sigma = np.exp(self.power * log_var)
        s, g_cache = self.g.forward(mu + sigma * eps, mode)
        L, ds = self.loss(s, x)
        scale = 1 / (B * n) if self.per_pixel else 1 / B
        KL = scale * 0.5 * (mu**2 + np.exp(log_var) - log_var - 1).sum()
        if self.capacity < KL:
            KL, scale = self.capacity, 0.0
        cost = self.cost(L=L, KL=KL)
        if not need_grad:
            return cost

        # the same lines, upward
        dz = self.g.backward(ds, g_cache)
        beta = self.weights["KL"] * scale
        dsigma = self.power * sigma if self.with_factor else 1.0
        dlog_var = dz * eps * dsigma + beta * 0.5 * (np.exp(log_var) - 1)
        self.f.backward(np.hstack([dz + beta * mu, dlog_var]), f_cache, need_dx=False)
        return cost


class ColumnWeights(TotalCorrelationAutoencoder):
    """1/N into the first column of W, and not onto its diagonal. The rows of W sum to 1 all the same."""

    def log_weights(self, B):
        W = np.full((B, B), (self.rows - 1) / (self.rows * (B - 1)))
        W[:, 0] = 1 / self.rows
        return np.log(W)


class Normed(UndercompleteAutoencoder):
    """An affine map, and then instance normalisation over its units, as if these were the steps of a signal."""

    norm = InstanceNorm

    def encoder(self):
        n = self.sizes[0]
        layers = [Affine("W0", "b0", n, n), Reshape((n,), (n, 1)), self.norm(1, axis=-1), Flatten((n, 1))]
        return Network([*layers, *super().encoder().layers])


class OverTheBatch(InstanceNorm):
    """Mean and deviation over all examples: what makes one of them different from the others stays."""

    def axes(self):
        return (0, self.position)


class WithoutItsMean(InstanceNorm):
    """1/σ (dx̂ − x̂ mean(dx̂ x̂)), where the mean of dx̂ is lost."""

    def through(self, dx_hat, x_hat, sigma, *_):
        return (dx_hat - x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)) / sigma


class KeepsItsGradient(UndercompleteAutoencoder):
    """Adds to the gradients of all steps before it: `zero_grad` was forgotten."""

    former = 0.0

    def cost_and_grad(self, x, mode="train", need_grad=True):
        cost = super().cost_and_grad(x, mode=mode, need_grad=need_grad)
        if need_grad:
            self.former = self.former + self.parameters.grad
            self.parameters.grad[...] = self.former
        return cost


class Scaled(UndercompleteAutoencoder):
    """L is that of `scale` times s, and ds lacks the factor. The scale is set from outside: no option tells of it."""

    scale = 1.0

    def cost_and_grad(self, x, mode="train", need_grad=True):
        h, f_cache = self.f.forward(x, mode)
        s, g_cache = self.g.forward(h, mode)
        L, ds = self.loss(self.scale * s, x)
        cost = self.cost(L=L)
        if need_grad:
            self.f.backward(self.g.backward(ds, g_cache), f_cache, need_dx=False)
        return cost


class LeavesItsGradient(GenerativeAdversarial):
    """Turn G lets a gradient run into d, where it lies until turn D and is added there: `zero_grad` of one player."""

    left = 0.0

    def cost_and_grad(self, x, z, turn="D", mode="train", need_grad=True):
        cost = super().cost_and_grad(x=x, z=z, turn=turn, mode=mode, need_grad=need_grad)
        if need_grad and turn == "D":
            self.parameters.grad[...] += self.left
        elif need_grad:
            t, d_cache = self.d.forward(self.g.forward(z, mode)[0], mode)
            before = self.parameters.grad.copy()
            self.d.backward(self.game.generator(t)[1], d_cache, need_dx=False)
            self.left = self.parameters.grad - before
            self.parameters.grad[...] = before
        return cost


class SlopePenalty(Contraction):
    r"""P = (‖w‖ − 1)² for a d without hidden units that bend, whose slope ∂d/∂x is w = D_1 D_2 at every row.
    (Gulrajani et al. 2017)

    Derivation: ∂P/∂w = 2 (‖w‖ − 1) w/‖w‖,  then dD_1 = dw D_2ᵀ and dD_2 = D_1ᵀ dw.
    With `of_the_batch` each norm goes over the B rows in place of the n features: it is √B |w_i|, and
        P = 1/n Σ_i (√B |w_i| − 1)²,    ∂P/∂w_i = 2/n (√B |w_i| − 1) √B sign w_i
    """

    of_the_batch = False

    def value(self, caches, near=None, xi=None, need_grad=True):
        (first, second), B = self.affine, len(caches[-1])
        w = first.W @ second.W
        size = np.sqrt(B) * abs(w) if self.of_the_batch else np.linalg.norm(w)
        inner = np.sqrt(B) * np.sign(w) / len(w) if self.of_the_batch else w / size
        P = np.square(size - 1).mean()
        return (P, 2 * (size - 1) * inner) if self.weight else (None, None)

    def backward(self, caches, dw, near=None, share=1.0):
        first, second = self.affine
        if dw is not None:
            first.dW.array[...] += self.weight * dw @ second.W.T
            second.dW.array[...] += self.weight * first.W.T @ dw


class SlopePenaltyOfTheBatch(SlopePenalty):
    of_the_batch = True


class IdentityOfTheSource(CycleConsistent):
    """Identity is ‖G(a) − a‖ + ‖F(b) − b‖: each translator is to leave alone what it has to translate."""

    def leave_alone(self, a, b, mode, need_grad):
        return super().leave_alone(b, a, mode, need_grad)


class Rootless(DiffusionModel):
    """x_t = ᾱ x + √(1 − ᾱ) ε"""

    def noised(self, x, t, eps):
        x_t = super().noised(x, t, eps)
        root = np.cos(np.pi / 2 * t)
        return x_t + (root * root - root) * x


def scaled(**changes):
    model = _deep(Scaled)(**changes)
    model.scale = 3.0
    return model


class MeanWithItself(DiscreteAutoencoder):
    """The baseline is the mean over all draws. It holds 1/K of the draw's own cost, so that 1 − 1/K is left."""

    def reinforced(self, x, a, f_cache, u, b, A, *more):
        if A is None:
            *other, _ = more
            held = super().reinforced(x, a, f_cache, u, b, None, *other, False).constants
            b, A = held["b"], held["A"] * (1 - 1 / self.draws)
        return super().reinforced(x, a, f_cache, u, b, A, *more)


class MeanOverPadding(TokenLoss):
    """The sum over the places that count, divided by the number of all places."""

    def __call__(self, s, x, m=None):
        L, ds = super().__call__(s, x, m)
        return L * m.mean(), ds * m.mean()


class FiniteMask(LanguageModel):
    """A score of −10,000 where a place must not be read."""

    def networks(self):
        nets = super().networks()
        for block in nets["f"].layers:
            for layer in getattr(block, "layers", ()):
                if isinstance(layer, Attention):
                    layer.mask = lambda *given, mask=layer.mask: np.maximum(mask(*given), -1e4)
        return nets


class BiasOutside(GRU):
    """Forward, the bias u is inside of the product with the reset gate r. Backward it is taken for outside:
    du_n = Σ da_n, where Σ r da_n is right."""

    def backward(self, dy, cache, need_dx=True, need_dW=True):
        dx = super().backward(dy, cache, need_dx, need_dW)
        if need_dW:
            *_, db, du = self.gradients
            du.array[...] = db.array
        return dx


class Outside(LanguageModel):
    """Its GRU is that."""

    def networks(self):
        nets = super().networks()
        nets["f"].layers[1] = BiasOutside("W1", "U1", "b1", "u1", self.width, self.width)
        return nets


class KeepsTheUnseen(TabularClassifier):
    """No category is replaced by the unseen one, whose row of E keeps its first values."""

    def networks(self):
        nets = super().networks()
        nets["f"].layers[0].unseen = 0.0
        return nets


class SlicesExchanged(Branches):
    """Backward, the last two branches have each other's channels of dy. They are as many, so no shape tells."""

    def backward(self, dy, caches, need_dx=True, need_dW=True):
        rightly, (*first, a, b) = self.slices, self.slices
        self.slices = [*first, b, a]
        dx = super().backward(dy, caches, need_dx, need_dW)
        self.slices = rightly
        return dx


class AssignedTable(Embedding):
    """dE[tokens] = dy, where places that name one row have to be added up: the last of them is all that is left."""

    def backward(self, dy, tokens, need_dx=True, need_dW=True):
        if need_dW:
            self.dE.array[tokens] = dy


class OfBytes(ByteDenoising):
    """Its first layers are of other classes.     others: class -> the one in its place"""

    others = {}

    def networks(self):
        nets = super().networks()
        for layer in nets["f"].layers:
            layer.__class__ = self.others.get(type(layer), type(layer))
        return nets


# ---- the table


def _plain(Model, **options):
    return tiny(Model, loss="gaussian", **options)


def _deep(Model):
    return _plain(Model, sizes=(7, 5, 3))


def _variational(Model):
    return _plain(Model, sizes=(7, 5, 3), activation="tanh")


def _normed(Layer):
    return type("Mutant", (Normed,), {"norm": Layer})


def _correlated(Model):
    return tiny(Model, sizes=(7, 5, 3), activation="tanh", rows=tests.N, gamma=1.0)


def _contractive(Penalty):
    mutant = mutate(ContractiveAutoencoder, penalty=lambda model: Penalty(model.f, model.weights))
    return tiny(mutant, sizes=(7, 6, 5), lam=1.0)


def _l1(Penalty):
    mutant = mutate(SparseAutoencoder, penalty=lambda model: Penalty(model.weights))
    return tiny(mutant, penalty="l1", code="identity", lam=1.0)


def _kl(Penalty):
    mutant = mutate(SparseAutoencoder, penalty=lambda model: Penalty(0.2, model.weights))
    return tiny(mutant, penalty="kl", rho=0.2, lam=1.0)


def _loss(loss):
    mutant = mutate(UndercompleteAutoencoder, loss=lambda model: loss(model.arena, model.weights))
    return tiny(mutant, sizes=(7, 5, 3))


def _game(Model, **options):
    return tiny(Model, activation="tanh", discriminator=(4,), last="identity", **options)


def _critic(Penalty):
    mutant = mutate(GenerativeAdversarial, contraction=lambda model: Penalty(model.d, model.weights, "R1"))
    return tiny(mutant, activation="identity", discriminator=(4,), last="identity", penalty=1.0)


def _cycle(Model):
    return tiny(Model, sizes=(7, 4, 7), activation="tanh", discriminator=(4,), identity=0.5, loss="gaussian")


def _language(Model, **options):
    """make(**changes), as `tiny` gives it, of a model of tokens."""
    given = dict(vocabulary=7, most=8, width=4, heads=2, blocks=1, seed=1, dtype="float64", backend="numpy") | options

    def make(**changes):
        model = Model(**given | changes)
        model.parameters.flat[...] += 0.3 * np.random.default_rng(1).standard_normal(model.parameters.flat.shape)
        return model

    return make


def _over_padding(model):
    return MeanOverPadding(model.arena, model.weights)


def _tabular(Model):
    return tiny(Model, categories=(3, 2), width=3, activation="tanh", unseen=0.3)


def _reinforced(Model):
    return tiny(Model, sizes=(7, 3), estimator="reinforce", draws=2)


def _bytes(**others):
    kind = type("Mutant", (OfBytes,), {"others": {kind: other for kind, other in others.values()}})
    return tiny(kind, sizes=(64, 8, 3), width=2, activation="tanh")


def at_random(shape):
    return np.random.default_rng(0).standard_normal(shape)


def _family(make, more):
    return Family(make, {"1": tests.gradient, "control": tests.control} | more)


FAMILIES = {
    "undercomplete": _family(_deep(UndercompleteAutoencoder), {"3": tests.layers_move}),
    "tied": _family(_plain(UndercompleteAutoencoder, tied=True), {"3": tests.stays_tied}),
    "straight-through": _family(_plain(Steps), {"3": tests.layers_move}),
    "softmax alone": _family(_loss(lambda arena, weights: Upstream(arena, weights, at_random)), {}),
    "sparse, L1": _family(_l1(Laplace), {"3": tests.code_shrinks}),
    "sparse, KL": _family(_kl(KLSparsity), {"3": tests.rate_is_of_the_batch}),
    "contractive": _family(_contractive(Contraction), {"1 Jf": tests.jacobian, "3": tests.encoder_contracts}),
    "variational": _family(_variational(VariationalAutoencoder), {"2": tests.monte_carlo, "3": tests.kl_acts}),
    "adversarial pair": _family(_game(GenerativeAdversarial), {"3": tests.turns_are_apart}),
    "critic with a slope of 1": _family(_critic(SlopePenalty), {"3": tests.slope_becomes_1}),
    "cycle": _family(_cycle(CycleConsistent), {"3": tests.identity_of_a_perfect_pair}),
    "diffusion": _family(_variational(DiffusionModel), {"2": tests.noise_keeps_the_variance}),
    "total correlation": _family(_correlated(TotalCorrelationAutoencoder), {"2": tests.correlation}),
    "instance normalisation": _family(_deep(Normed), {"3": tests.alone}),
    "discrete": _family(_reinforced(DiscreteAutoencoder), {"2": tests.estimate}),
    "tabular": _family(_tabular(TabularClassifier), {"3": tests.the_unseen_learns}),
    "files as pictures": _family(_bytes(), {}),
    "language, attention": _family(
        _language(LanguageModel), {"3": lambda make: tests.padding_is_free(make) or tests.future_is_hidden(make)}
    ),
    "language, GRU": _family(_language(LanguageModel, body="gru"), {"3": tests.padding_is_free}),
}

# fmt: off
FAULTS = [
    Fault("sampler's backward lacks its forward's factor", "a NumPy VAE package", "1",
          "variational", _variational(mutate(Variational, with_factor=False))),
    Fault("contraction's gradient is half", "a contractive autoencoder in NumPy", "1",
          "contractive", _contractive(HalfContraction)),
    Fault("loss averages over outputs, gradient does not", "a well-known MLP regressor", "1",
          "undercomplete", _loss(MeanOverOutputs)),
    Fault("KL sparsity, gradient example by example", "several sparse autoencoders", "1",
          "sparse, KL", _kl(WithoutCoupling)),
    Fault("straight-through without the slope", "several binary codes", "1",
          "straight-through", _plain(mutate(Steps, slope=1.0))),
    Fault("zero_grad is forgotten", "every student's first model", "1",
          "undercomplete", _deep(KeepsItsGradient)),
    Fault("an argument that no option tells of", "every student's second model", "1",
          "undercomplete", scaled),
    Fault("normalisation's gradient without its mean", "an ML library in C++", "1",
          "instance normalisation", _deep(_normed(WithoutItsMean))),
    Fault("GRU's bias: inside r forward, outside backward", "several GRUs by hand", "1",
          "language, GRU", _language(Outside, body="gru")),
    Fault("channels of two branches exchanged backward", "a student's first Inception", "1",
          "files as pictures", _bytes(branches=(Branches, SlicesExchanged))),
    Fault("rows of a table assigned, not added", "several embeddings by hand", "1",
          "files as pictures", _bytes(table=(Embedding, AssignedTable))),
    Fault("contraction is ‖Σ ∇h_j‖², not Σ ‖∇h_j‖²", "an R package", "1 Jf",
          "contractive", _contractive(ContractionOfTheSum)),
    Fault("noise is scaled by e^log_var", "two VAEs from scratch", "2",
          "variational", _variational(mutate(Variational, power=1.0))),
    Fault("ᾱ for √ᾱ in front of x", "every student's first diffusion", "2",
          "diffusion", _variational(Rootless)),
    Fault("weights of TC in a column, not a diagonal", "β-TCVAE's own code, and copies", "2",
          "total correlation", _correlated(ColumnWeights)),
    Fault("baseline is a mean with the draw itself", "teaching code of REINFORCE", "2",
          "discrete", _reinforced(MeanWithItself)),
    Fault("KL is clamped to a capacity of 0", "a VAE for anomaly detection", "3",
          "variational", _variational(mutate(Variational, capacity=0.0))),
    Fault("KL is divided by the number of pixels", "a framework's own VAE example", "3",
          "variational", _variational(mutate(Variational, per_pixel=True))),
    Fault("// for / in the contraction", "a classic tutorial", "3",
          "contractive", _contractive(FloorContraction)),
    Fault("penalty on σ(z), the decoder reads z", "two sparse-autoencoder packages", "3",
          "sparse, L1", _l1(OnSigmoid)),
    Fault("KL sparsity, cost example by example", "several sparse autoencoders", "3",
          "sparse, KL", _kl(ExampleByExample)),
    Fault("normalisation over the batch, not an example", "voice and image converters", "3",
          "instance normalisation", _deep(_normed(OverTheBatch))),
    Fault("fine-tuning moves the top layer only", "a tutorial on stacked autoencoders", "3",
          "undercomplete", _deep(TopLayerOnly)),
    Fault("weights tied once, then drifting", "a framework's tied layer", "3",
          "tied", _plain(TiedOnce, tied=True)),
    Fault("generator's step leaves gradients in d", "an image translator's training", "3",
          "adversarial pair", _game(LeavesItsGradient)),
    Fault("gradient penalty's norm over the batch", "the first public WGAN-GP, and others", "3",
          "critic with a slope of 1", _critic(SlopePenaltyOfTheBatch)),
    Fault("identity term on the source domain", "five courses on CycleGAN", "3",
          "cycle", _cycle(IdentityOfTheSource)),
    Fault("an unseen category's row never learns", "several click models", "3",
          "tabular", _tabular(KeepsTheUnseen)),
    Fault("mean over padded places", "a textbook's translation model", "3",
          "language, GRU", _language(mutate(LanguageModel, loss=_over_padding), body="gru")),
    Fault("attention mask of −10,000, not −∞", "two libraries of transformers", "3",
          "language, attention", _language(FiniteMask)),
    Fault("upstream gradient of ones through a softmax", "a NumPy library of layers", "control",
          "softmax alone", _loss(lambda arena, weights: Upstream(arena, weights, np.ones))),
]
