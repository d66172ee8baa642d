r"""Who takes a step together. One process has all rows of a batch; of many, each has a part, and their means are one.

    J = 1/B Σ_b J_b,     ∂J/∂θ = Σ_r B_r/B · ∂J_r/∂θ,     J_r = 1/B_r Σ_{b of rank r} J_b

A page computes J_r and its gradient on the B_r rows that its rank has. The weighted sum over the ranks is one reduction
of the flat gradient. What depends on θ alone, such as weight decay, is the same on every rank, and the weights B_r/B
sum to 1.

Where a page takes a mean over the batch within a term, such as ρ̂ of the KL divergence or μ of batch normalisation, the
mean over its own rows is not enough: Ω(mean of ρ̂) is not the mean of Ω(ρ̂). Such a page writes `world.mean(ρ̂)`, and
nothing else changes. For a joint mean m = Σ_r B_r/B m_r with m_r = 1/B_r Σ_b h_b, the derivative of J by h_b is

    ∂J/∂h_b = ∂J/∂m · 1/B = B_r/B · (∂J/∂m · 1/B_r),

the local formula, with ∂J/∂m taken at the joint mean, times the weight that the reduction gives to this rank.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


class World:
    """One process, which has all rows. `minae.interop.mpi.Ranks` is the same for many.

    rank, size: which process this is, 0 … size − 1, and how many there are
    """

    rank, size = 0, 1
    rows: Any = None  # how many the batch of this step has
    own: Any = None  # the slice of them that this rank has

    def part(self, count: int) -> Any:
        """Begin a step with `count` rows. -> the slice of them that is this rank's."""
        self.rows, self.own = count, slice(0, count)
        return self.own

    def all_have(self, count: int) -> Any:
        """Whether every rank has rows for the next step of a stream."""
        return count > 0

    def own_batch(self, count: int) -> Any:
        """Begin a step of a stream, in which this rank has so many rows of its own."""
        self.part(count)

    @property
    def weight(self) -> Any:
        """The rows that this rank stands for, B_r."""
        return self.rows

    def mean(self, array: Any) -> Any:
        """Σ_r B_r/B array_r, in place: a mean over the rows of all ranks from the means over their own."""
        return array

    def total(self, array: Any) -> Any:
        """Σ_r array_r, in place."""
        return array

    def gathered(self, array: Any) -> Any:
        """The rows of all ranks, in order."""
        return array

    def from_first(self, array: Any) -> Any:
        """That of rank 0."""
        return array

    def any(self, flag: bool) -> bool:
        """Whether one of the ranks says so."""
        return bool(flag)

    def first(self, function: Callable[[], Any]) -> Any:
        """What function() gives on rank 0, or raises there, on every rank."""
        return function()

    def same(self, values: Any, what: str) -> Any:
        """Refuse to go on where ranks have different ones."""

    def begin(self, model: Any) -> Any:
        """Before the first step: all ranks have the same model, and begin at the same θ."""

    def agree(self, settings: Any) -> Any:
        """Refuse to begin where ranks have other data, or train in another way: settings() names what has to be the
        same, such as the seed, without which each rank would draw noise of its own."""

    def still_together(self, model: Any) -> Any:
        """Refuse to go on where the ranks have come to different θ."""

    @contextlib.contextmanager
    def together(self) -> Iterator[Any]:
        """An error of one rank within the block is raised on all."""
        yield

    @contextlib.contextmanager
    def ending(self) -> Iterator[Any]:
        """An error that one rank has alone, within the block, ends all ranks."""
        yield


ALONE = World()
