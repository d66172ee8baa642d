r"""The reconstruction error as a negative log-likelihood: L = −log p_decoder(x | h).     (14.13)

The decoder's last layer gives s, the natural parameters of p (logits, or the mean of a Gaussian); a loss is never given
a clipped probability. Called as `L, ds = loss(s, x)`: L is summed over features and averaged over the batch, and ds is
weight · ∂L/∂s; in one pass, because the two share their exponential. `loss.mean(s)` is r = g(h), the mean of p.

| loss        | p(x ∣ h)            | x                    | L for one example                  | its ∂/∂s         |
| ----------- | ------------------- | -------------------- | ---------------------------------- | ---------------- |
| Gaussian    | N(x; s, I)          | any                  | ½ Σ (s − x)², ½ n log 2π left out   | s − x            |
| Bernoulli   | Bernoulli(x; σ(s))  | in [0, 1]            | Σ softplus(s) − x s                | σ(s) − x         |
| Categorical | Cat(x; softmax(s))  | ≥ 0, rows sum to 1   | −Σ x log softmax(s)                | softmax(s) − x   |
"""

from minae import kernels, ops
from minae.backend import namespace
from minae.errors import InputError
from minae.fields import OneHot, Real
from minae.penalties import Term


class Loss(Term):
    """A loss scales ds by its weight, and not L: a cost is J = Σ_k weight_k · term_k, and reports its terms as they
    are.

    arena: where ds lies;  weights, term: where the weight is kept; alone, it is 1
    """

    def __init__(self, arena, weights=None, term="L"):
        super().__init__(term, weights)
        self.arena = arena

    def field(self, *shape):
        """The field of x: its shape, and what p(x | h) gives no probability to."""
        return Real(*shape, check=self.check)

    @staticmethod
    def check(x, low, high, what):
        """Refuse rows that p(x | h) gives no probability to; low and high are their smallest and largest value."""


class Gaussian(Loss):
    """L = ½ ‖s − x‖²: squared error is the likelihood of a Gaussian of unit variance.     (5.5.1)

    Derivation: −log N(x; s, I) = ½ Σ_i (s_i − x_i)² + ½ n log 2π, and the last term does not depend on s.
        ∂L/∂s_bi = 1/B (s_bi − x_bi)
    """

    def __call__(self, s, x):
        ds = namespace(s).subtract(s, x, out=self.arena.empty(*s.shape))
        L = 0.5 * kernels.products.dot(ds, ds) / len(s)
        ds *= self.weight / len(s)
        return L, ds

    @staticmethod
    def mean(s):
        return s

    @staticmethod
    def rows(s, x):
        """L of each example, (B,)."""
        return 0.5 * ((s - x) * (s - x)).sum(axis=1)


class Bernoulli(Loss):
    """L = −Σ x log σ(s) + (1 − x) log(1 − σ(s)) = Σ softplus(s) − x s,  ds = σ(s) − x.     (6.2.2.2)

    Derivation: log σ(s) = s − softplus(s) and log(1 − σ(s)) = −softplus(s); the factor of softplus is x + (1 − x) = 1.
    Since softplus'(s) = σ(s),
        ∂L/∂s_bi = 1/B (σ(s_bi) − x_bi)
    Computed by minae.kernels.bernoulli.
    """

    def __call__(self, s, x):
        ds = self.arena.empty(*s.shape)
        return kernels.bernoulli.loss(s, x, ds, self.weight), ds

    @staticmethod
    def mean(s):
        return ops.phi(s, "sigmoid")

    @staticmethod
    def rows(s, x):
        """L of each example, (B,)."""
        return kernels.bernoulli.component.plain(s, x)[0].sum(axis=1)

    def sample(self, s, rng):
        """One draw x ~ p(x | h), (B, n)."""
        p = ops.phi(s, "sigmoid", out=self.arena.empty(*s.shape))
        u = kernels.noise.uniform(rng, out=self.arena.empty(*s.shape))
        return namespace(s).less(u, p, out=u)

    @staticmethod
    def check(x, low, high, what):
        if low < 0 or high > 1:
            raise InputError(
                f"{what} has values in [{low:g}, {high:g}]; the Bernoulli loss takes [0, 1]: "
                "scale the data (pixels: divide by 255), or use loss='gaussian'"
            )


class Categorical(Loss):
    """L = −Σ x log softmax(s);  ds = softmax(s) − x where the rows of x sum to 1.     (6.2.2.3)

    Derivation: by `ops.log_softmax` with dy_i = −x_i, and Σ_i x_i = 1,
        ∂L/∂s_bk = 1/B (−x_bk + softmax(s)_bk Σ_i x_bi) = 1/B (softmax(s)_bk − x_bk)
    """

    def __call__(self, s, x):
        xp = namespace(s)
        y = ops.log_softmax(s, out=self.arena.empty(*s.shape), work=self.arena.empty(*s.shape))
        L = -kernels.products.dot(x, y) / len(s)
        ds = xp.exp(y, out=y)
        ds -= x
        ds *= self.weight / len(s)
        return L, ds

    def field(self, *shape):
        return OneHot(*shape, check=self.check)

    @staticmethod
    def mean(s):
        return namespace(s).exp(ops.log_softmax(s))

    @staticmethod
    def rows(s, x):
        """L of each example, (B,)."""
        return -(x * ops.log_softmax(s)).sum(axis=1)

    def sample(self, s, rng):
        """One draw x ~ p(x | h), one-hot rows (B, n), by the inverse of the cumulative distribution."""
        xp = namespace(s)
        u = kernels.noise.uniform(rng, self.arena.empty(len(s), 1))
        below = xp.exp(ops.log_softmax(s)).cumsum(axis=1) <= u
        chosen = xp.minimum(below.sum(axis=1), s.shape[1] - 1)  # how many classes the draw has passed
        return (chosen[:, None] == xp.arange(s.shape[1])).astype(s.dtype)

    @staticmethod
    def check(x, low, high, what):
        advice = "encode the classes, or use loss='gaussian'"
        if low < 0 or high > 1:
            raise InputError(
                f"{what} has values in [{low:g}, {high:g}]; the categorical loss takes one-hot rows or rows of "
                f"probabilities: {advice}"
            )
        off = float(abs(x.sum(axis=1, dtype="float64") - 1).max())
        if off > 1e-3:
            raise InputError(f"{what} has rows whose sum is off 1 by {off:g}; categorical rows must sum to 1: {advice}")


LOSSES = {"gaussian": Gaussian, "bernoulli": Bernoulli, "categorical": Categorical}
