"""One space for pictures and for phrases: a picture can find a phrase that it was never shown.     (figure 15.3)"""

import numpy as np

from minae.errors import InputError
from minae.fields import Labels, Real
from minae.losses import LOSSES
from minae.models.model import Model
from minae.networks import dense
from minae.options import Choice, Widths


def every_phrase(sizes):
    """All combinations of one value for each attribute, (phrases, attributes); the last attribute runs fastest."""
    grid = np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, len(sizes))


def words(phrases, sizes):
    """Phrases as words: a 1 for each word that the phrase has, (phrases, Σ sizes)."""
    return np.concatenate([np.eye(size)[phrases[:, k]] for k, size in enumerate(sizes)], axis=1)


def check_phrases(known, sizes):
    """Refuse phrases for training that lack a word: nothing can be learned of a word that is never heard."""
    for k, size in enumerate(sizes):
        missing = sorted(set(range(size)) - set(known[:, k].tolist()))
        if missing:
            raise InputError(
                f"value {missing[0]} of attribute {k} is in no phrase of the training set: keep one phrase that has it"
            )


class Numbers(Widths):
    """Whole numbers ≥ 0, each once."""

    def convert(self, value):
        numbers = [number - 1 for number in super().convert([int(number) + 1 for number in value])]
        if len(set(numbers)) < len(numbers):
            raise ValueError
        return numbers

    def expected(self):
        return "whole numbers ≥ 0, each once, such as (0, 2)"


class SharedSpace(Model):
    r"""A picture x and a phrase w meet in one space.     (section 15.2; figure 15.3)

        h   = f(x)              the code of the picture                    (B, m)
        k_j = e(w_j)            the code of phrase j, of those known       (K, m)
        s_j = h · k_j           how well picture and phrase go together    (B, K)
        J   = −log softmax(s)_y,  y: the phrase that belongs to x

    e reads words, so that it has a code for a phrase whose words it knows and whose combination it does not know.

    Derivation: s = h kᵀ is a product of two things that both depend on θ, so the gradient goes down both sides.
        ds = 1/B (softmax(s) − y),    dh = ds k,    dk = dsᵀ h
        dW_f = (∂h/∂W_f)ᵀ dh,         dW_e = (∂k/∂W_e)ᵀ dk
    """

    sizes = Widths((256, 64, 16), "widths from x to the shared space", fewest=2)
    attributes = Widths((2, 2), "number of values of each attribute, such as (3, 4)")
    hidden = Widths((32,), "widths of the hidden layers of e")
    known = Numbers(None, "the phrases among which training chooses, rows of `every_phrase`", optional=True)
    loss = Choice("categorical", "−log p(phrase | x)", among=("categorical",))

    def settle(self):
        every = every_phrase(self.attributes)
        if self.known is not None and max(self.known) >= len(every):
            raise InputError(f"known has phrase {max(self.known)}: expected numbers below {len(every)}")
        self.phrases = every if self.known is None else every[self.known]  # a label y is a place in this list
        check_phrases(self.phrases, self.attributes)

    def inputs(self):
        return {"x": Real(self.sizes[0]), "y": Labels(len(self.phrases))}

    def networks(self):
        widths = [sum(self.attributes), *self.hidden, self.sizes[-1]]
        f = dense(self.sizes, ["relu"] * (len(self.sizes) - 2) + ["identity"], "W", "b")
        return {"f": f, "e": dense(widths, ["relu"] * len(self.hidden) + ["identity"], "U", "d")}

    def build(self):
        self.loss = LOSSES[self.options["loss"]](self.arena, self.weights)
        self.w = self.backend.from_numpy(words(self.phrases, self.attributes).astype(self.dtype))

    def cost_and_grad(self, x, y, need_grad=True):
        """J at the rows of x, (B, n), with y one-hot, (B, K); ∂J/∂θ goes to `parameters.grad`."""
        h, f_cache = self.f.forward(x)  # h = f(x)                           (B, m)
        k, e_cache = self.e.forward(self.w)  # k = e(w)                      (K, m)
        s = h @ k.T  # s = h kᵀ                                              (B, K)
        L, ds = self.loss(s, y)
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.f.backward(ds @ k, f_cache, need_dx=False)  # dh = ds k
        self.e.backward(ds.T @ h, e_cache, need_dx=False)  # dk = dsᵀ h
        return cost

    def of_pictures(self, X):
        """h = f(x):  (rows, n) -> (rows, m)."""
        return self.apply(lambda x, start: self.f.forward(x)[0], X)

    def of_phrases(self, phrases):
        """k = e(w):  phrases (K, attributes) -> (K, m)."""
        w = words(phrases, self.attributes).astype(np.float32)
        return self.apply(lambda w, start: self.e.forward(w)[0], w, field=Real(sum(self.attributes)), name="phrases")
