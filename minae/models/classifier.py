from typing import Any

from minae.errors import InputError
from minae.fields import Labels, Real
from minae.layers import Activation, Affine
from minae.losses import HEADS
from minae.models.autoencoder import Autoencoder
from minae.models.model import Cost, Model
from minae.networks import Network, dense
from minae.options import Choice, Count, Sizes, Weight
from minae.penalties import WeightDecay


class Classifier(Model):
    r"""A stack f with a softmax layer on top, for supervised fine-tuning.     (section 14.3; algorithm 15.1)

        h = f(x)                  the encoder of an autoencoder, pretrained or not
        p(y | x) = softmax(s)     s = h V + c: one linear layer in the decoder's place
        J = −log p(y | x) + λ Ω,  Ω = ½ Σ ‖W‖² (7.1.1)

    `pretrain` fills f layer by layer, `copy_encoder` with another model's. With sizes=(n,) there is no f and this is
    softmax regression, the linear probe of a code.

    Derivation: y stands where x stands in an autoencoder's categorical loss, and the rest is the same chain.
        ds = 1/B (softmax(s) − y),    dh = ds Vᵀ,    dW = (∂h/∂W)ᵀ dh + λ W
    """

    name = "classifier"
    section = "14.3"
    sizes = Sizes("widths from x to h; (n,) for softmax regression", fewest=1)
    activation: Choice = Autoencoder.activation
    code: Choice = Autoencoder.code
    loss: Any = Choice("categorical", "−log p(y | x), or a margin for each class", among=tuple(HEADS))
    classes = Count(10, "number of classes", lowest=2)
    lam = Weight("Omega", 0.0, "weight λ of weight decay")
    cases = {
        "two layers": dict(classes=3),
        "softmax regression, weight decay": dict(sizes=(7,), classes=3, lam=0.1),
        "hinge": dict(classes=3, loss="hinge"),
        "squared hinge": dict(classes=3, loss="squared_hinge"),
    }

    def settle(self) -> None:
        if self.options["code"] is None:
            self.options["code"] = self.activation

    def inputs(self) -> dict[str, Any]:
        return {"x": Real(self.sizes[0]), "y": Labels(self.classes)}

    def networks(self) -> dict[str, Any]:
        activations = [self.activation] * (len(self.sizes) - 2) + [self.code] if len(self.sizes) > 1 else []
        g = Network([Affine("V1", "c1", self.sizes[-1], self.classes), Activation("identity")])
        return {"f": dense(self.sizes, activations, "W", "b"), "g": g}

    def build(self) -> None:
        self.loss = HEADS[self.options["loss"]](self.arena, self.weights)
        self.penalty = WeightDecay(self.parameters, self.weights)

    def cost_and_grad(self, x: Any, y: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n), with one-hot y (B, classes); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # p(y | x), as logits s        (B, classes)
        L, ds = self.loss(s, y)  # L = −log p(y | x), and ds = ∂J/∂s
        cost = self.cost(L=L, Omega=self.penalty.value())  # Ω = ½ Σ ‖W‖²
        if not need_grad:
            return cost

        # the same lines, upward
        self.penalty.backward()  # dW += λ W
        dh = self.g.backward(ds, g_cache, need_dx=bool(self.f.layers))
        self.f.backward(dh, f_cache, need_dx=False)
        return cost

    def encode(self, X: Any) -> Any:
        """h = f(x):  (rows, n) -> (rows, m)."""
        return self.apply(lambda x, start: self.f.forward(x)[0], X)

    def probabilities(self, X: Any) -> Any:
        """p(y | x):  (rows, n) -> (rows, classes)."""
        if self.options["loss"] != "categorical":
            raise InputError(
                f"loss {self.options['loss']!r} has margins and no probabilities: use `predict`, or categorical"
            )
        return self.apply(lambda x, start: self.loss.mean(self.logits(x)), X)

    def logits(self, x: Any) -> Any:
        """s of a batch on the device, (B, classes)."""
        return self.g.forward(self.f.forward(x)[0])[0]

    def predict(self, X: Any) -> Any:
        """The most probable label:  (rows, n) -> (rows,)."""
        return self.apply(lambda x, start: self.logits(x), X).argmax(axis=1)
