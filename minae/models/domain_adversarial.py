from typing import Any

from minae.fields import Mask
from minae.losses import LOSSES
from minae.models.classifier import Classifier
from minae.models.model import Cost
from minae.networks import dense
from minae.options import Choice, Settled, Sizes, Weight, Widths


class DomainAdversarialClassifier(Classifier):
    r"""A classifier whose code does not say from which domain x came.     (section 15.2; Ganin et al. 2016)

        h = f(x),  p(y | x) = softmax(h V + c)
        t = d(h)                  the logit of "x is of the target domain"
        u                         "target": 1 for a row of the target domain, whose y is not looked at; 0 for the source
        L   = mean over all rows of −(1 − u) log p(y | x)
        L_D = mean over all rows of ζ(t) − u t,  −log of the probability that d gives the domain     (6.2.2.2)
        turn D   J = L_D                                   moves d
        turn F   J = L + λ Adv,  Adv = −L_D                moves f and the softmax layer

    A classifier that is trained on one domain and used on another fails where the domains' codes differ. Turn F moves
    the codes so that d cannot tell the domains apart, and keeps what tells the classes of the source apart. It does
    what a gradient reversal between f and d does in one pass: d goes down ∂L_D/∂d, and f goes up λ ∂L_D/∂f. In two
    turns each player has a cost of its own, and finite differences can check it.

    Derivation: the factor 1 − u is 0 at the rows of the target, which get no gradient from L; and dt of turn F has the
    opposite sign of that of turn D.
        ds_b = 1/B (1 − u_b) (softmax(s_b) − y_b),    turn D: dt = 1/B (σ(t) − u),    turn F: dt = −λ/B (σ(t) − u)
        dh = ds Vᵀ + (∂t/∂h)ᵀ dt
    """

    name = "domain_adversarial"
    short = ("dann",)
    section = "15.2"
    terms = ("L", "L_D")
    objective = ("L",)
    turns = {"D": ("d",), "F": ("f", "g")}
    seen_as = {"D": "L_D", "F": "Adv"}  # turn -> the term in which it looks at d's answers
    sizes = Sizes("widths from x to h, at least two")
    adversary = Weight("Adv", 1.0, "weight λ of the other player's loss, with which f is to raise it")
    discriminator = Widths((100,), "widths of the hidden layers of d")
    loss: Any = Choice("categorical", "−log p(y | x)", among=("categorical",))
    lam = Settled(0.0, "no weight decay beside the game")
    cases = {
        "two layers": dict(classes=3, activation="tanh", discriminator=(4,)),
        "weak adversary": dict(classes=3, activation="softplus", discriminator=(5, 3), adversary=0.3),
    }

    def inputs(self) -> dict[str, Any]:
        return super().inputs() | {"target": Mask()}

    def networks(self) -> dict[str, Any]:
        widths = [self.sizes[-1], *self.discriminator, 1]
        d = dense(widths, [self.activation] * len(self.discriminator) + ["identity"], "D", "e")
        return super().networks() | {"d": d}

    def build(self) -> None:
        super().build()
        self.losses = {turn: LOSSES["bernoulli"](self.arena, self.weights, term) for turn, term in self.seen_as.items()}

    def cost_and_grad(
        self, x: Any, y: Any, target: Any, turn: str = "D", mode: Any = "train", need_grad: bool = True
    ) -> Cost:
        """The cost of one turn at the rows of x (B, n), with one-hot y (B, classes) and target (B,), 1 for a row of
        the target domain; ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        t, d_cache = self.d.forward(h, mode)  # d(h)                         (B, 1)
        L_D, dt = self.losses[turn](t, target[:, None])  # −log p(u | h), and dt = ∂L_D/∂t by the weight of the turn
        if turn == "D":
            cost = self.cost(L_D=L_D)
            if need_grad:
                self.d.backward(dt, d_cache, need_dx=False)
            return cost
        s, g_cache = self.g.forward(h, mode)  # p(y | x), as logits s        (B, classes)
        of_source = self.arena.ws.subtract(1, target)[:, None]
        L, ds = self.loss(s, self.arena.ws.multiply(y, of_source))  # a row of the target has no y, and L = 0
        cost = self.cost(L=L, Adv=-L_D)
        if need_grad:
            ds *= of_source
            dh = self.g.backward(ds, g_cache)
            dh -= self.d.backward(dt, d_cache, need_dW=False)  # Adv = −L_D; through d, which does not move
            self.f.backward(dh, f_cache, need_dx=False)
        return cost
