import numpy as np

from minae.autoencoders.base import Autoencoder, whole
from minae.errors import InputError
from minae.networks import Dense, Network
from minae.penalties import WeightDecay


class Classifier(Autoencoder):
    r"""A stack f with a softmax layer on top, for supervised fine-tuning.     (section 14.3; algorithm 15.1)

        h = f(x)                  the encoder of an autoencoder, pretrained or not
        p(y | x) = softmax(s)     s = h V + c: one linear layer in the decoder's place
        J = −log p(y | x) + Ω

    `pretrain` fills f layer by layer, `copy_encoder` with another model's. With sizes=(n,) there is no f and this is
    softmax regression, the linear probe of a code.

    classes: number of classes;  lam: weight λ of weight decay, Ω = ½ Σ ‖W‖² (7.1.1)
    The other arguments are those of `Autoencoder`.
    """

    variant = "classifier"
    penalised = True
    supervised = True
    fewest_sizes = 1

    def __init__(self, sizes, classes=10, *, lam=0.0, **options):
        self.classes = whole(classes, "classes", 2)
        if options.setdefault("loss", "categorical") != "categorical" or options.get("tied"):
            raise InputError("a classifier has the categorical loss and no decoder to tie: leave out loss and tied")
        super().__init__(sizes, lam=lam, **options)
        self.config |= dict(classes=self.classes)
        self.penalty = WeightDecay(self.parameters)

    def decoder(self, sizes, activation, tied):
        return Network([Dense("V1", "c1", sizes[-1], self.classes, "identity")])

    def targets(self, y, rows):
        """One-hot rows, (rows, classes), from labels 0 … classes − 1."""
        if y is None:
            raise InputError("y is missing: a classifier learns from X and its labels, and a validation set is (X, y)")
        y = self.backend.to_numpy(y) if self.backend.owns(y) else np.asarray(y)
        if y.shape != (rows,) or y.dtype.kind not in "iu":
            raise InputError(f"y is {y.dtype} {y.shape}: expected an integer label for each of the {rows} rows")
        if y.min() < 0 or y.max() >= self.classes:
            raise InputError(f"y has labels {y.min()} to {y.max()}: expected 0 to {self.classes - 1}, or more classes")
        one_hot = np.zeros((rows, self.classes), self.dtype)
        one_hot[np.arange(rows), y] = 1
        return one_hot

    def probabilities(self, X):
        """p(y | x):  (rows, n) -> (rows, classes)."""
        return self.reconstruct(X)

    def predict(self, X):
        """The most probable label:  (rows, n) -> (rows,)."""
        return self.probabilities(X).argmax(axis=1)

    def cost_and_grad(self, x, y, need_grad=True):
        """J and its terms at the rows of x, (B, n), with one-hot y (B, classes); ∂J/∂θ goes to `parameters.grad`."""
        x, weights = self.start(x), self.weights
        y = self.argument(y, "y", (x.shape[0], self.classes))
        h, f_cache = self.f.forward(x)  # h = f(x)                     (B, m)
        s, g_cache = self.g.forward(h)  # p(y | x), as logits s        (B, classes)
        L, ds = self.loss(s, y, weights["L"])  # L = −log p(y | x), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if "Omega" in weights:
            cost["Omega"] = self.penalty.value()  # Ω = ½ Σ ‖W‖²
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        if "Omega" in weights:
            self.penalty.backward(weights["Omega"])  # dW += λ W
        dh = self.g.backward(ds, g_cache, need_dx=bool(self.f.layers))
        self.f.backward(dh, f_cache, need_dx=False)
        return cost
