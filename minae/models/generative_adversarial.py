from typing import Any

import numpy as np

from minae.contraction import Contraction
from minae.errors import InputError
from minae.fields import Real, host_array
from minae.games import GAMES, Game
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost, Model
from minae.networks import dense, mirrored
from minae.options import Choice, Count, Sizes, Weight, Widths, door


class GenerativeAdversarial(Model):
    r"""A generator and a discriminator.     (20.10.4; section 15.3; Goodfellow et al. 2014)

        x̂ = g(z, c)               z ~ N(0, I), drawn outside; c a condition that comes with x, or none
        t = d(x, c)               the logit of "x is a row of the data"
        turn D   J = L_D + λ R1, L_D of `minae.games`      moves d
                 R1 = mean ‖∂d/∂(x, c)‖² at the data       (Mescheder et al. 2018, whose γ/2 is our λ)
        turn G   J = L_G of `minae.games`                  moves g, so that d takes x̂ for a row of the data

    No pixel of x̂ is compared with a pixel of x. What counts is what d can learn to see, be it as small as a ball of
    four pixels; squared error would pay for these four pixels alone. A condition makes both players see c, so that x̂
    has to fit to it.

    Derivation: each turn differentiates its own cost by its own player's parameters, and holds the other player fixed.
        D:  dt → d's parameters, at the data and at x̂; x̂ is held fixed, so that nothing goes on to g
        G:  dt → ∂J/∂x̂ = (∂t/∂x̂)ᵀ dt through d, whose parameters get no gradient → g's parameters; c is data and gets
            none
    """

    name = "generative_adversarial"
    short = ("gan",)
    section = "20.10.4"
    terms = ("L_D", "L_G")
    turns = {"D": ("d",), "G": ("g",)}
    sizes = Sizes("widths from x to the noise z: (784, 256, 16) makes g 16-256-784")
    activation = Choice("relu", "φ of the hidden layers of both", among=Autoencoder.activation.among)
    last = Choice("sigmoid", "φ of the last layer of g, which gives x̂", among=("sigmoid", "identity", "tanh"))
    discriminator = Widths((100,), "widths of the hidden layers of d")
    game: Any = Choice("non_saturating", "costs of the game between g and d", among=tuple(GAMES))
    penalty = Weight("R1", 0.0, "weight λ of R1, the slope of d at the data")
    condition = Count(0, "width of the condition c; 0 for none", lowest=0)
    laws = {"z": "normal"}
    cases = {
        "non-saturating": dict(activation="tanh", discriminator=(4,)),
        "condition, R1": dict(activation="tanh", discriminator=(6, 4), condition=2, penalty=0.1, last="identity"),
        "hinge": dict(activation="tanh", discriminator=(4,), game="hinge"),
        "least squares": dict(activation="softplus", discriminator=(4,), game="least_squares", last="tanh"),
    }

    def inputs(self) -> dict[str, Any]:
        return {"x": Real(self.sizes[0])} | ({"c": Real(self.condition)} if self.condition else {})

    def networks(self) -> dict[str, Any]:
        n, k = self.sizes[0], self.condition
        widths = [n, *self.sizes[1:-1], self.sizes[-1] + k]  # mirrored below: g reads (z, c)
        g = mirrored(widths, [self.activation] * (len(widths) - 2) + [self.last], False)
        hidden = [self.activation] * len(self.discriminator)
        return {"g": g, "d": dense([n + k, *self.discriminator, 1], [*hidden, "identity"], "D", "e")}

    def build(self) -> None:
        self.contraction = Contraction(self.d, self.weights, "R1")
        self.game = Game(self.options["game"], self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any, c: Any = None) -> dict[str, Any]:
        """z ~ N(0, I), (B, m)."""
        return {"z": self.normal(rng, len(x), self.sizes[-1])}

    def cost_and_grad(
        self, x: Any, z: Any, c: Any = None, turn: str = "D", mode: Any = "train", need_grad: bool = True
    ) -> Cost:
        """The cost of one turn at the rows of x, with noise z (B, m); ∂J/∂θ goes to `parameters.grad`."""
        made, g_cache = self.g.forward(self.joined(z, c), mode)  # x̂ = g(z, c)           (B, n)
        if turn == "D":
            t_real, real_cache = self.d.forward(self.joined(x, c), mode)  # d(x, c)      (B, 1)
            t_fake, fake_cache = self.d.forward(self.joined(made, c), mode)  # d(x̂, c)   (B, 1)
            L_D, dt_real, dt_fake = self.game.discriminator(t_real, t_fake)
            R1, R1_cache = self.contraction.value(real_cache, need_grad=need_grad)  # ‖∂d/∂(x, c)‖²
            cost = self.cost(L_D=L_D, R1=R1)
            if need_grad:
                joins = self.contraction.backward(real_cache, R1_cache)
                self.d.backward(dt_fake, fake_cache, need_dx=False)
                self.d.backward(dt_real, real_cache, need_dx=False, joins=joins)
        else:
            t, d_cache = self.d.forward(self.joined(made, c), mode)  # d(x̂, c)           (B, 1)
            L_G, dt = self.game.generator(t)
            cost = self.cost(L_G=L_G)
            if need_grad:
                dx = self.d.backward(dt, d_cache, need_dW=False)  # through d, which does not move
                self.g.backward(self.arena.ws.multiply(dx[:, : self.sizes[0]], 1), g_cache, need_dx=False)
        return cost

    def joined(self, a: Any, c: Any) -> Any:
        """(a, c) beside each other, (B, width of a + width of c)."""
        if c is None:
            return a
        both = self.arena.empty(len(a), a.shape[1] + c.shape[1])
        both[:, : a.shape[1]] = a
        both[:, a.shape[1] :] = c
        return both

    @door(count=Count(), seed=Count(lowest=0))
    def sample(self, count: int, seed: int = 0, condition: Any = None) -> Any:
        """New x̂ = g(z, c) for z ~ N(0, I).  -> (count, n)     condition: c of each, where the model has one"""
        z = self.backend.stream(seed, "sample").standard_normal((count, self.sizes[-1]), dtype=self.dtype)
        if (condition is None) == bool(self.condition):
            words = "missing" if condition is None else "given"
            raise InputError(f"condition is {words}: this model has {self.condition or 'no'} numbers of it a row")
        if condition is not None:
            c = host_array(condition, "condition")
            if c.shape != (count, self.condition) or c.dtype.kind not in "fiub":
                raise InputError(f"condition is {c.dtype} {c.shape}: expected numbers ({count}, {self.condition})")
            z = np.concatenate([z, c.astype(self.dtype)], axis=1)
        return self.apply(lambda z, start: self.g.forward(z)[0], z, Real(z.shape[1]), "condition")
