"""Models that only the benchmark trains."""

import minae
from minae.layers import Activation, Affine, Convolution, Flatten, Reshape, UpConvolution
from minae.networks import Network


class Convolutional(minae.UndercompleteAutoencoder):
    """1-16-32 channels by 3 × 3 windows of stride 2, an affine code, and back by 4 × 4 up-convolutions of stride 2."""

    name = ""

    def networks(self):
        x, m = Reshape((784,), (28, 28, 1)), self.code_size
        first = Convolution("W1", "b1", x.shape_out, 16, 3, stride=2, padding=1, gain=2)
        second = Convolution("W2", "b2", first.shape_out, 32, 3, stride=2, padding=1, gain=2)
        flat = Flatten(second.shape_out)
        (n,) = flat.shape_out
        third = UpConvolution("V2", "c2", second.shape_out, 16, 4, stride=2, padding=1, gain=2)
        fourth = UpConvolution("V3", "c3", third.shape_out, 1, 4, stride=2, padding=1)
        f = [x, first, Activation("relu"), second, Activation("relu"), flat, Affine("W3", "b3", n, m)]
        g = [Affine("V1", "c1", m, n, gain=2), Activation("relu"), Reshape((n,), second.shape_out)]
        g += [third, Activation("relu"), fourth, Flatten(fourth.shape_out)]
        return {"f": Network(f), "g": Network(g)}
