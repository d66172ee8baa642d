from typing import Any

import numpy as np

from minae.contraction import Contraction
from minae.games import GAMES, Game
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost
from minae.networks import dense
from minae.options import Choice, Count, Settled, Weight, Widths, door


class AdversarialAutoencoder(Autoencoder):
    r"""The adversarial autoencoder: a game gives the code its distribution.     (Makhzani et al. 2015; 20.10.4)

        turn R   J = L = −log p(x | h),  h = f(x)          moves f and g
        turn D   J = L_D + λ R1, L_D of `minae.games`      moves d, which tells z ~ N(0, I) from h
                 R1 = mean ‖∂d(z)/∂z‖²                     (Mescheder et al. 2018, whose γ/2 is our λ)
        turn G   J = L_G of `minae.games`                  moves f, so that d takes h for a z

    The three players move in turn, each on the same rows and along its own cost. Where a variational autoencoder adds
    the divergence of each q(z | x) from the prior, the game compares the codes of all x together with it, and needs no
    density: draws are enough.

    Derivation: a turn differentiates its cost by the parameters that it moves, and holds the others fixed.
        R:  ds → dh = (∂s/∂h)ᵀ ds → f and g
        D:  dt → d at z and at h; h is held fixed, so that nothing goes on to f; R1 is the contraction of d, a network
        of
            one output (`minae.contraction`)
        G:  dt → dh = (∂t/∂h)ᵀ dt through d, whose parameters get no gradient (need_dW=False) → f
    """

    name = "adversarial"
    short = ("aae",)
    section = "20.10.4"
    terms = ("L", "L_D", "L_G")
    objective = ("L",)
    turns = {"R": ("f", "g"), "D": ("d",), "G": ("f",)}
    game: Any = Choice("non_saturating", "costs of the game between d and f", among=tuple(GAMES))
    discriminator = Widths((100,), "widths of the hidden layers of d")
    penalty = Weight("R1", 0.0, "weight λ of R1, the slope of d at the draws of the prior")
    code = Choice("identity", "φ of the code layer: linear, since the prior is N(0, I)", among=Autoencoder.code.among)
    tied = Settled(False, "turn G moves f alone, and would move a tied g with it")
    laws = {"z": "normal", "sample": "normal"}
    cases = {
        "non-saturating": dict(activation="tanh", discriminator=(4,)),
        "least squares, R1": dict(activation="tanh", discriminator=(6, 4), game="least_squares", penalty=0.1),
        "convolutional": dict(
            sizes=(84, 5, 3), image=(2, 7, 6), channels=(3, 4), activation="tanh", discriminator=(4,)
        ),
        "hinge": dict(activation="tanh", discriminator=(4,), game="hinge", loss="gaussian"),
    }

    def networks(self) -> dict[str, Any]:
        widths = [self.code_size, *self.discriminator, 1]
        d = dense(widths, [self.activation] * len(self.discriminator) + ["identity"], "D", "e")
        return {"f": self.encoder(), "g": self.decoder(), "d": d}

    def build(self) -> None:
        super().build()
        self.contraction = Contraction(self.d, self.weights, "R1")
        self.game = Game(self.options["game"], self.arena, self.weights)

    def constants(self, rng: np.random.Generator, x: Any) -> dict[str, Any]:
        """z ~ N(0, I), (B, m): draws of the prior."""
        return {"z": self.normal(rng, len(x), self.code_size)}

    def cost_and_grad(self, x: Any, z: Any, turn: str = "R", mode: Any = "train", need_grad: bool = True) -> Cost:
        """The cost of one turn at the rows of x, with draws z (B, m) of the prior; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        if turn == "R":
            s, g_cache = self.g.forward(h, mode)  # r = g(h), as logits s    (B, n)
            L, ds = self.loss(s, x)
            cost = self.cost(L=L)
            if need_grad:
                dh = self.g.backward(ds, g_cache)
                self.f.backward(dh, f_cache, need_dx=False)
        elif turn == "D":
            t_real, real_cache = self.d.forward(z, mode)  # d(z)             (B, 1)
            t_fake, fake_cache = self.d.forward(h, mode)  # d(h)             (B, 1)
            L_D, dt_real, dt_fake = self.game.discriminator(t_real, t_fake)
            R1, R1_cache = self.contraction.value(real_cache, need_grad=need_grad)  # ‖∂d/∂z‖²
            cost = self.cost(L_D=L_D, R1=R1)
            if need_grad:
                joins = self.contraction.backward(real_cache, R1_cache)
                self.d.backward(dt_fake, fake_cache, need_dx=False)
                self.d.backward(dt_real, real_cache, need_dx=False, joins=joins)
        else:
            t, d_cache = self.d.forward(h, mode)  # d(h)                     (B, 1)
            L_G, dt = self.game.generator(t)
            cost = self.cost(L_G=L_G)
            if need_grad:
                dh = self.d.backward(dt, d_cache, need_dW=False)  # through d, which does not move
                self.f.backward(dh, f_cache, need_dx=False)
        return cost

    @door(count=Count(), seed=Count(lowest=0))
    def sample(self, count: int, seed: int = 0) -> Any:
        """New x: the mean of p(x | h) for h ~ N(0, I).  -> (count, n)"""
        return self.decode(
            self.backend.stream(seed, "sample").standard_normal((count, self.code_size), dtype=self.dtype)
        )
