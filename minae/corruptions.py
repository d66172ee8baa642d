"""C(x̃ | x): how a denoising autoencoder's input is spoiled.     (section 14.5; Vincent et al. 2010)

Called as `corruption(x, rng)`: x (B, n) on the device, rng from `backend.generator`; x itself is left alone. The cost
takes x̃ as an argument, so that a gradient can be checked with the corruption held fixed.
"""

from minae.backend import namespace
from minae.errors import InputError


class Gaussian:
    """x̃ = x + σ ε,  ε ~ N(0, I);  level σ > 0"""

    def __init__(self, level):
        if not 0 < level < float("inf"):
            raise InputError(f"level is {level}: Gaussian corruption takes a standard deviation > 0")
        self.level = level

    def __call__(self, x, rng):
        noise = rng.standard_normal(x.shape, dtype=x.dtype)
        noise *= self.level
        noise += x
        return noise


class Masking:
    """x̃ = x ⊙ m,  m_i ~ Bernoulli(1 − ν): a share ν of the components is set to 0;  level ν in (0, 1)"""

    def __init__(self, level):
        if not 0 < level < 1:
            raise InputError(f"level is {level}: this corruption takes a share of the components, in (0, 1)")
        self.level = level

    def __call__(self, x, rng):
        return namespace(x).where(rng.random(x.shape, dtype=x.dtype) < self.level, 0.0, x).astype(x.dtype, copy=False)


class SaltAndPepper(Masking):
    """A share ν of the components is set to 0 or to 1, by a fair coin;  level ν in (0, 1)"""

    def __call__(self, x, rng):
        xp, u = namespace(x), rng.random(x.shape, dtype=x.dtype)
        coin = (u < self.level / 2).astype(x.dtype)  # given u < ν, the coin shows 1 with probability ½
        return xp.where(u < self.level, coin, x)


CORRUPTIONS = {"gaussian": Gaussian, "masking": Masking, "salt_and_pepper": SaltAndPepper}
