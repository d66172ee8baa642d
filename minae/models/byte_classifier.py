import math
from typing import Any

from minae.errors import InputError
from minae.fields import Labels, Tokens
from minae.layers import Activation, Affine, BatchNorm, Embedding
from minae.models.classifier import Classifier
from minae.networks import Branches, Network, inception, place_mean
from minae.options import Count, Settled, Sizes

BYTES = 256


class ByteClassifier(Classifier):
    r"""A convolutional network that reads bytes, for files as pictures.     J = −log p(y | x) + λ Ω     (section 9.11)

        e = E_x                   a row of E for each byte: 256 × few numbers, learned
        m_0, m                    the mean over all places of e, and that of the blocks of convolutions over e
        h = (m_0, m)              of mean 0 and deviation 1 each, by batch normalisation
        p(y | x) = softmax(s)     s = h V + c

    A byte is a name, and no brightness: 0x48 and 0x49 are different instructions, not nearly the same. So the network
    looks up each byte in a table and learns what bytes are alike. m_0 is linear in the histogram of the bytes, since
    it is Σ_v (share of byte v) E_v; the blocks, `minae.networks.inception`, see what stands beside what.

    Derivation: the mean of a table's rows, the branches and the blocks are layers, and J is that of `Classifier`.
        ds = 1/B (softmax(s) − y),    dh = ds Vᵀ,    de = (∂m_0/∂e)ᵀ dh_0 + (∂m/∂e)ᵀ dh_1
    """

    name = "byte_classifier"
    short = ("bytes",)
    section = "9.11"
    coupled = ("L",)  # batch normalisation
    sizes = Sizes("bytes of a picture, a square number, then the channels of each block", example=(64, 8))
    activation = Classifier.activation
    code = Settled(None, "its code is a mean over places")
    width = Count(8, "n, numbers for each byte")
    cases = {
        "one block": dict(activation="tanh", width=3, classes=3),
        "two blocks, weight decay": dict(sizes=(64, 8, 16), activation="tanh", width=2, classes=3, lam=0.1),
    }

    def settle(self) -> None:
        self.side = picture_side(self.sizes[0], len(self.sizes) - 1)

    def inputs(self) -> dict[str, Any]:
        return {"x": Tokens(BYTES, self.side, self.side), "y": Labels(self.classes)}

    def networks(self) -> dict[str, Any]:
        table, blocks, shape = read_bytes(self.side, self.width, self.sizes[1:], self.activation)
        m = self.width + self.sizes[-1]
        means = Branches(place_mean((self.side, self.side, self.width)), [*blocks, *place_mean(shape)])
        f = Network([table, means, BatchNorm(m, "G0", "g0")])
        g = Network([Affine("V1", "c1", m, self.classes), Activation("identity")])
        return {"f": f, "g": g}


def picture_side(n: Any, halvings: Any) -> Any:
    """The side of a square picture of n bytes that can be halved so often."""
    side = math.isqrt(n)
    if side * side != n or side % 2**halvings:
        raise InputError(f"sizes begins with {n}: expected the square of a multiple of {2**halvings}, such as 4096")
    return side


def read_bytes(side: Any, width: Any, channels: Any, activation: Any) -> Any:
    """(table of the bytes, blocks, shape of what they make), of a picture of side × side bytes."""
    blocks, shape = [], (side, side, width)
    for k, wide in enumerate(channels, 1):
        blocks += inception(k, shape, wide, activation)
        shape = (shape[0] // 2, shape[1] // 2, wide)
    return Embedding("E", BYTES, width), blocks, shape
