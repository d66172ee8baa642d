"""C(x̃ | x): how a denoising autoencoder's input is spoiled.     (section 14.5; Vincent et al. 2010)

Called as `corruption(x, rng, arena)`: x (B, n) on the device, rng from `backend.generator`; x itself is left alone, and
x̃ lies in the arena, or in new memory where none is given. The cost takes x̃ as an argument, so that a gradient can be
checked with the corruption held fixed.
"""

from minae.backend import namespace, standard_normal, uniform
from minae.errors import InputError


class Gaussian:
    """x̃ = x + σ ε,  ε ~ N(0, I);  level σ > 0"""

    def __init__(self, level):
        if not 0 < level < float("inf"):
            raise InputError(f"level is {level}: Gaussian corruption takes a standard deviation > 0")
        self.level = level

    def __call__(self, x, rng, arena=None):
        x_tilde = standard_normal(rng, out=_like(x, arena))
        x_tilde *= self.level
        x_tilde += x
        return x_tilde


class Masking:
    """x̃ = x ⊙ m,  m_i ~ Bernoulli(1 − ν): a share ν of the components is set to 0;  level ν in (0, 1)"""

    def __init__(self, level):
        if not 0 < level < 1:
            raise InputError(f"level is {level}: this corruption takes a share of the components, in (0, 1)")
        self.level = level

    def __call__(self, x, rng, arena=None):
        from minae.kernels import noise

        return noise.mask(uniform(rng, out=_like(x, arena)), x, self.level)


class SaltAndPepper(Masking):
    """A share ν of the components is set to 0 or to 1, by a fair coin;  level ν in (0, 1)"""

    def __call__(self, x, rng, arena=None):
        xp, u = namespace(x), uniform(rng, out=_like(x, arena))
        x_tilde = xp.greater_equal(u, self.level, out=_like(x, arena))
        x_tilde *= x
        x_tilde += xp.less(u, self.level / 2, out=u)  # given u < ν, the coin shows 1 with probability ½
        return x_tilde


def _like(x, arena):
    return namespace(x).empty(x.shape, x.dtype) if arena is None else arena.empty(*x.shape)


CORRUPTIONS = {"gaussian": Gaussian, "masking": Masking, "salt_and_pepper": SaltAndPepper}
