"""C(x̃ | x): how a denoising autoencoder's input is spoiled.     (section 14.5; Vincent et al. 2010)

Called as `corruption(x, rng, arena)`: x (B, n) on the device, rng from `backend.stream`; x itself is left alone, and x̃
lies in the arena, or in new memory where none is given. The cost takes x̃ as a constant, so that a gradient can be
checked with the corruption held fixed.
"""

from typing import Any

import numpy as np

from minae import kernels
from minae.arena import Arena
from minae.backend import namespace
from minae.options import Positive, Rate


class Gaussian:
    """x̃ = x + σ ε,  ε ~ N(0, I);  level σ > 0"""

    level = Positive(doc="standard deviation of the corruption")

    def __init__(self, level: float):
        self.level = type(self).level.checked(level)

    def law(self, x: Any) -> tuple[Any, Any]:
        """Mean and variance of x̃, given x."""
        return x, self.level**2

    def __call__(self, x: Any, rng: np.random.Generator, arena: Arena | None = None) -> Any:
        x_tilde = kernels.noise.standard_normal(rng, out=_like(x, arena))
        x_tilde *= self.level
        x_tilde += x
        return x_tilde


class Masking(Gaussian):
    """x̃ = x ⊙ m,  m_i ~ Bernoulli(1 − ν): a share ν of the components is set to 0;  level ν in (0, 1)"""

    level = Rate(doc="share of the components that are spoiled")

    def law(self, x: Any) -> tuple[Any, Any]:
        return (1 - self.level) * x, self.level * (1 - self.level) * x * x

    def __call__(self, x: Any, rng: np.random.Generator, arena: Arena | None = None) -> Any:
        return kernels.noise.mask(kernels.noise.uniform(rng, out=_like(x, arena)), x, self.level)


class SaltAndPepper(Masking):
    """A share ν of the components is set to 0 or to 1, by a fair coin;  level ν in (0, 1)"""

    def law(self, x: Any) -> tuple[Any, Any]:
        mean = (1 - self.level) * x + self.level / 2
        return mean, (1 - self.level) * x * x + self.level / 2 - mean * mean

    def __call__(self, x: Any, rng: np.random.Generator, arena: Arena | None = None) -> Any:
        xp, u = namespace(x), kernels.noise.uniform(rng, out=_like(x, arena))
        x_tilde = xp.greater_equal(u, self.level, out=_like(x, arena))
        x_tilde *= x
        x_tilde += xp.less(u, self.level / 2, out=u)  # given u < ν, the coin shows 1 with probability ½
        return x_tilde


class Swap(Masking):
    """A share ν of the components is replaced by the same component of another row of the batch;  level ν in (0, 1)

    Every value that comes in is one that this component has somewhere, which is what a column of categories needs, for
    which 0 means nothing. The other row is drawn from all B rows, so that one time in B it is the row itself.
    """

    def law(self, x: Any) -> tuple[Any, Any]:
        xp = namespace(x)
        first, second = xp.mean(x, axis=0), xp.mean(x * x, axis=0)
        mean = (1 - self.level) * x + self.level * first
        return mean, (1 - self.level) * x * x + self.level * second - mean * mean

    def __call__(self, x: Any, rng: np.random.Generator, arena: Arena | None = None) -> Any:
        xp, B, n = namespace(x), len(x), x[0].size
        u, place = kernels.noise.uniform(rng, out=_like(x, arena)), _like(x, arena, "int32").reshape(B, n)
        m, x_tilde = _like(x, arena), _like(x, arena)
        xp.minimum(xp.multiply(u, B / self.level, out=m), B - 1, out=m)  # given u < ν, u/ν is uniform
        place[...] = m.reshape(B, n)  # k, the other row
        place *= n
        place += xp.arange(n, dtype="int32")  # where x_kj lies in x
        kernels.rows.gather(*(array.reshape(1, -1) for array in (place, x, x_tilde)))
        x_tilde *= xp.less(u, self.level, out=m)
        x_tilde += kernels.noise.mask(u, x, self.level)  # and x_bj elsewhere
        return x_tilde


def _like(x, arena, dtype=None):
    dtype = x.dtype if dtype is None else dtype
    return namespace(x).empty(x.shape, dtype) if arena is None else arena.empty(*x.shape, dtype=dtype)


CORRUPTIONS = {"gaussian": Gaussian, "masking": Masking, "salt_and_pepper": SaltAndPepper, "swap": Swap}
