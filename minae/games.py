"""The costs of a game: a discriminator d tells draws of one distribution from those of another, a generator makes the
second like the first.     (20.10.4; Goodfellow et al. 2014)

`t` are the logits that the discriminator gives, (B, 1). A game is called twice in a step: `discriminator(t_real,
t_fake)` for the player d, `generator(t_fake)` for the player that made the fakes. Each gives its cost, a mean over the
batch, and the gradients by its arguments.
"""

from typing import Any

from minae import kernels
from minae.arena import Arena
from minae.errors import InputError
from minae.penalties import Term


class Game(Term):
    r"""L_D = mean a(t_real) + mean b(t_fake),   L_G = mean c(t_fake), each by functions of one number.

    Derivation: every logit stands in one term of a mean over B of them. The parameters of d and those of the generator
    belong to two players, and each player differentiates the cost that it minimises.
        ∂L_D/∂t_real = a'(t_real)/B,    ∂L_D/∂t_fake = b'(t_fake)/B,    ∂L_G/∂t_fake = c'(t_fake)/B
    non_saturating: a = ζ(−t), b = ζ(t), c = ζ(−t) with softplus ζ, whose slopes are −σ(−t), σ(t) and −σ(−t). Where d
    wins, t_fake → −∞, the slope of c stays −1, while that of the saturating −ζ(t), −σ(t), would vanish. For known
    densities the best d is log p_real − log p_fake: a'(t) p_real + b'(t) p_fake = 0 at every point.
    least_squares: a = ½ (t − 1)², b = ½ t², c = ½ (t − 1)², with slopes t − 1, t and t − 1.     (Mao et al. 2017)
    hinge: a = max(0, 1 − t), b = max(0, 1 + t), c = −t, with slopes −[t < 1], [t > −1] and −1.     (Lim and Ye 2017)

    kind: one of GAMES;  weights: where the weights of the terms "L_D" and "L_G" are kept
    """

    def __init__(self, kind: Any, arena: Arena, weights: dict[str, float] | None = None):
        if kind not in GAMES:
            raise InputError(f"unknown game {kind!r}: choose one of {', '.join(GAMES)}")
        super().__init__("L_D", weights if weights is not None else {"L_D": 1.0, "L_G": 1.0})
        self.real, self.fake, self.made = GAMES[kind]
        self.arena = arena

    def discriminator(self, t_real: Any, t_fake: Any) -> Any:
        """L_D, ∂J/∂t_real and ∂J/∂t_fake."""
        a, da = self._mean(self.real, t_real, self.weights["L_D"])
        b, db = self._mean(self.fake, t_fake, self.weights["L_D"])
        return a + b, da, db

    def generator(self, t_fake: Any) -> Any:
        """L_G and ∂J/∂t_fake."""
        return self._mean(self.made, t_fake, self.weights["L_G"])

    def _mean(self, function, t, weight):
        value, slope = function(self.arena.ws, t)
        slope *= weight / len(t)
        return value.sum() / len(t), slope


def _softplus(sign):
    """ζ(± t) and its slope ± σ(± t)."""

    def function(ws, t):
        signed = ws.multiply(t, sign)
        slope = kernels.activations.phi(signed, "sigmoid", out=ws.multiply(signed, 1))
        return kernels.activations.phi(signed, "softplus", out=signed), ws.multiply(slope, sign)

    return function


def _square(target):
    """½ (t − target)² and its slope."""

    def function(ws, t):
        d = ws.subtract(t, target)
        return ws.multiply(ws.multiply(d, d), 0.5), d

    return function


def _margin(sign):
    """max(0, 1 ± t) and its slope."""

    def function(ws, t):
        room = ws.maximum(ws.add(ws.multiply(t, sign), 1), 0)
        return room, ws.multiply(ws.sign(room), sign)

    return function


def _minus(ws, t):
    """−t and its slope."""
    return ws.negative(t), ws.subtract(ws.multiply(t, 0), 1)


GAMES = {  # kind -> a, b and c
    "non_saturating": (_softplus(-1), _softplus(1), _softplus(-1)),
    "least_squares": (_square(1), _square(0), _square(1)),
    "hinge": (_margin(-1), _margin(1), _minus),
}
