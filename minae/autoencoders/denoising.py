from minae.autoencoders.base import Autoencoder
from minae.corruptions import CORRUPTIONS
from minae.errors import InputError


class DenoisingAutoencoder(Autoencoder):
    r"""The denoising autoencoder.     J = L(x, g(f(x̃)))     (14.9),   x̃ ~ C(x̃ | x)     (section 14.5)

        x_tilde ~ C(x_tilde | x)  the corrupted input, drawn outside
        h = f(x_tilde)
        L = −log p(x | h)         of the CLEAN x     (14.14)

    The minimum over f and g of E ‖g(f(x̃)) − x‖² is r(x̃) = E[x | x̃], which points from x̃ back to where the data are
    dense.

    corruption: gaussian, masking or salt_and_pepper
    level:      standard deviation, or share of the components that are spoiled
    The other arguments are those of `Autoencoder`. The code may be wider than x: the corruption forbids the copy.
    """

    variant = "denoising"

    def __init__(self, sizes, *, corruption="masking", level=0.25, **options):
        super().__init__(sizes, **options)
        if corruption not in CORRUPTIONS:
            raise InputError(f"unknown corruption {corruption!r}: choose one of {', '.join(CORRUPTIONS)}")
        self.corruption = CORRUPTIONS[corruption](level)
        self.config |= dict(corruption=corruption, level=float(level))

    def noise(self, x, rng):
        return {"x_tilde": self.corruption(x, rng)}

    def cost_and_grad(self, x, x_tilde, need_grad=True):
        """J and its terms at the rows of x, with x_tilde of the same shape; ∂J/∂θ goes to `parameters.grad`."""
        x, x_tilde = self.start(x), self.argument(x_tilde, "x_tilde", x.shape)
        h, f_cache = self.f.forward(x_tilde)  # h = f(x̃)                     (B, m)
        s, g_cache = self.g.forward(h)  # r = g(h), as logits s        (B, n)
        L, ds = self.loss(s, x, self.weights["L"])  # L = −log p(x | h), and ds = ∂J/∂s
        cost = self.cost(L=L)
        if not need_grad:
            return cost

        # the same lines, upward
        self.parameters.zero_grad()
        dh = self.g.backward(ds, g_cache)
        self.f.backward(dh, f_cache, need_dx=False)
        return cost
