from typing import Any

from minae import kernels, ops
from minae.fields import Code, Real
from minae.losses import HEADS
from minae.models.classifier import Classifier
from minae.models.model import Cost
from minae.options import Choice, Flag, Positive, Settled


class DistilledClassifier(Classifier):
    r"""A classifier, the student, that learns from another one's logits instead of labels.     (section 12.1.4)

    (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network")

        h = f(x),  s = h V + c    the student's logits
        v                         the teacher's logits of the same x, which are given
        q = softmax(v/T),  p = softmax(s/T)      softened by the temperature T
        J = T² KL(q ‖ p),  KL = Σ_k q_k log(q_k/p_k)

    A label says one class. The teacher's q also says which other classes x resembles, and a larger T makes that louder.

    Derivation: with z = s/T, KL is the categorical loss of z at q but for a constant, Σ q log q. So
        dz = T²/B (p − q),    ds = dz/T = T/B (p − q)
    For a large T, p − q is near (s − v)/(K T) less its mean over the K classes: without the factor T² the gradient
    would shrink as 1/T², and with it the size of ds does not depend on T.
    """

    name = "distilled"
    section = "12.1.4"
    terms = ("KL",)
    objective = ("KL",)
    temperature = Positive(4.0, "T, which both softmaxes are softened by")
    squared = Flag(True, "whether KL has the weight T²; without it the weight is 1")
    loss: Any = Choice("categorical", "KL(q ‖ p)", among=("categorical",))
    lam = Settled(0.0, "no weight decay")
    cases = {
        "two layers": dict(classes=3, activation="tanh"),
        "a cold teacher": dict(classes=4, activation="softplus", temperature=0.7),
        "without T²": dict(sizes=(7,), classes=3, temperature=3.0, squared=False),
    }

    def inputs(self) -> dict[str, Any]:
        return {"x": Real(self.sizes[0]), "v": Code(self.classes)}

    def build(self) -> None:
        self.loss = HEADS["categorical"](self.arena, self.weights, "KL")
        self.weights["KL"] = self.temperature**2 if self.squared else 1.0

    def cost_and_grad(self, x: Any, v: Any, mode: Any = "train", need_grad: bool = True) -> Cost:
        """J and its terms at the rows of x, (B, n), with the teacher's logits v (B, classes); ∂J/∂θ goes to
        `parameters.grad`."""
        ws, T = self.arena.ws, self.temperature
        memory = self.arena.empty
        log_q = ops.log_softmax(ws.multiply(v, 1 / T), out=memory(*v.shape), work=memory(*v.shape))
        q = ws.exp(log_q)  # q = softmax(v/T)                                (B, classes)
        h, f_cache = self.f.forward(x, mode)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h, mode)  # s = h V + c                  (B, classes)
        L, dz = self.loss(ws.multiply(s, 1 / T), q)  # −Σ q log p, and dz = T²/B (p − q)
        cost = self.cost(KL=L + kernels.products.dot(q, log_q) / len(x))
        if not need_grad:
            return cost

        # the same lines, upward
        dz *= 1 / T
        dh = self.g.backward(dz, g_cache, need_dx=bool(self.f.layers))
        self.f.backward(dh, f_cache, need_dx=False)
        return cost
