r"""The reconstruction error as a negative log-likelihood: L = −log p_decoder(x | h).     (14.13)

The decoder's last layer gives s, the natural parameters of p (logits, or the mean of a Gaussian); a loss is never given
a clipped probability. Called as `L, ds = loss(s, x, weight)`: L is summed over features and averaged over the batch,
ds is weight · ∂L/∂s; in one pass, because the two share their exponential. `loss.mean(s)` is r = g(h), the mean of p.

| loss        | p(x ∣ h)            | x                    | L for one example                  | its ∂/∂s         |
| ----------- | ------------------- | -------------------- | ---------------------------------- | ---------------- |
| Gaussian    | N(x; s, I)          | any                  | ½ Σ (s − x)², ½ n log 2π left out   | s − x            |
| Bernoulli   | Bernoulli(x; σ(s))  | in [0, 1]            | Σ softplus(s) − x s                | σ(s) − x         |
| Categorical | Cat(x; softmax(s))  | ≥ 0, rows sum to 1   | −Σ x log softmax(s)                | softmax(s) − x   |
"""

from minae import ops
from minae.backend import dot, namespace, uniform
from minae.errors import InputError


class Loss:
    """`weight` scales ds, not L: a cost is J = Σ_k weight_k · term_k, and its terms are reported as they are."""

    def __init__(self, arena):
        self.arena = arena

    def check(self, x, low, high, what):
        """Refuse rows that p(x | h) gives no probability to; low and high are their smallest and largest value."""


class Gaussian(Loss):
    """L = ½ ‖s − x‖²: squared error is the likelihood of a Gaussian of unit variance.     (5.5.1)"""

    def __call__(self, s, x, weight=1.0):
        xp, B = namespace(s), s.shape[0]
        ds = xp.subtract(s, x, out=self.arena.empty(*s.shape))
        L = 0.5 * dot(ds, ds) / B
        ds *= weight / B
        return L, ds

    @staticmethod
    def mean(s):
        return s

    @staticmethod
    def rows(s, x):
        """L of each example, (B,)."""
        return 0.5 * ((s - x) * (s - x)).sum(axis=1)


class Bernoulli(Loss):
    """L = −Σ x log σ(s) + (1 − x) log(1 − σ(s)) = Σ softplus(s) − x s,  ds = σ(s) − x;  by minae.kernels.bernoulli."""

    def __call__(self, s, x, weight=1.0):
        from minae.kernels import bernoulli

        ds = self.arena.empty(*s.shape)
        return bernoulli.loss(s, x, ds, weight), ds

    @staticmethod
    def mean(s):
        return ops.sigmoid(s)

    @staticmethod
    def rows(s, x):
        """L of each example, (B,)."""
        return (ops.softplus(s) - x * s).sum(axis=1)

    def sample(self, s, rng):
        """One draw x ~ p(x | h), (B, n)."""
        p = ops.sigmoid(s, out=self.arena.empty(*s.shape))
        u = uniform(rng, out=self.arena.empty(*s.shape))
        return namespace(s).less(u, p, out=u)

    def check(self, x, low, high, what):
        if low < 0 or high > 1:
            raise InputError(
                f"{what} has values in [{low:g}, {high:g}]; the Bernoulli loss takes [0, 1]: "
                "scale the data (pixels: divide by 255), or use loss='gaussian'"
            )


class Categorical(Loss):
    """L = −Σ x log softmax(s);  ds = softmax(s) − x where the rows of x sum to 1.     (6.2.2.3)"""

    def __call__(self, s, x, weight=1.0):
        xp, B = namespace(s), s.shape[0]
        y = ops.log_softmax(s, out=self.arena.empty(*s.shape), work=self.arena.empty(*s.shape))
        L = -dot(x, y) / B
        ds = xp.exp(y, out=y)
        ds -= x
        ds *= weight / B
        return L, ds

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
        below = xp.exp(ops.log_softmax(s)).cumsum(axis=1) <= uniform(rng, self.arena.empty(len(s), 1))
        chosen = xp.minimum(below.sum(axis=1), s.shape[1] - 1)  # how many classes the draw has passed
        return (chosen[:, None] == xp.arange(s.shape[1])).astype(s.dtype)

    def check(self, x, low, high, what):
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
