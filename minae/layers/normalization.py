"""Normalisation: x̂ = (x − μ)/σ over the batch, over the channels, or over the positions of an example; y = G x̂ + b.

G and b are the γ and β of the papers. The channels lie along axis 1, as in images (B, m, height, width) and rows
(B, m); with `axis=-1` along the last one, as in sequences (B, T, m). What is neither batch nor channel is a position.
Of padded sequences, the means over positions take the steps before `mode.length`.
"""

import math
from typing import Any

import numpy as np

from minae.errors import InputError
from minae.layers.base import EVAL, Layer
from minae.layers.sequence import live_steps
from minae.ops.normalization import normalize, normalize_backward
from minae.parameters import Parameters


class Normalization(Layer):
    r"""y = G x̂ + b, a factor and a bias for each channel; x̂ is derived in `ops.normalization.normalize`.

    G, b: names of the parameters, or None for y = x̂;  m: how many channels

    Derivation: G_c and b_c stand at every place of channel c, so their gradients are sums over all of them.
        dG_c = Σ dy_c x̂_c,    db_c = Σ dy_c,    dx̂_c = G_c dy_c
    """

    delta = 1e-5

    def __init__(self, m: int, G: Any = None, b: Any = None, axis: int = 1):
        if axis not in (1, -1) or (G is None) != (b is None):
            raise InputError(f"axis is {axis}: choose 1 or -1, and give both G and b or none")
        self.m, self.names = m, () if G is None else (G, b)
        self.channel, self.position = (1, 2) if axis == 1 else (2, 1)
        self.reads_output = G is None  # then y is x̂ itself

    def axes(self) -> Any:
        """Over which the means go, of (B, m, positions) or (B, positions, m)."""
        raise NotImplementedError(type(self).__name__)

    def shapes(self) -> dict[str, Any]:
        return {name: (self.m,) for name in self.names}

    def bind(self, parameters: Parameters, state: dict[str, Any]) -> None:
        super().bind(parameters, state)
        self.states = state
        if self.names:
            self.G, self.b = (self.by_channel(parameters[name]) for name in self.names)
            self.dG, self.db = (parameters.gradient(name) for name in self.names)

    def initialize(self, rng: np.random.Generator) -> None:
        if self.names:
            self.G[...] = 1
            self.b[...] = 0

    def by_channel(self, values: Any) -> Any:
        """(…, m) so that it broadcasts over the positions."""
        return values[..., None] if self.channel == 1 else values

    def places(self, x: Any) -> Any:
        """x with all positions along one axis."""
        if x.shape[1 if self.channel == 1 else -1] != self.m:
            raise InputError(f"normalisation of {self.m} channels was given an array {tuple(x.shape)}")
        return x.reshape(len(x), self.m, -1) if self.channel == 1 else x.reshape(len(x), -1, self.m)

    def normalized(self, x: Any, mode: Any) -> Any:
        """x̂, and σ where it depends on x; or the σ of a constant; and which steps count, None for all."""
        axes = self.axes()
        live = live_steps(mode.length, x, self.arena) if self.position in axes else None
        if mode.length is None and math.prod(x.shape[axis] for axis in axes) < 2:
            raise InputError(f"{type(self).__name__} has one number a mean, in an array {tuple(x.shape)}: σ would be 0")
        x_hat, _, sigma = normalize(x, axes, self.arena, self.delta, live)
        return x_hat, sigma, True, live

    def forward(self, x: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        self.refuse_padding(mode)
        x_hat, *cache = self.normalized(self.places(x), mode)
        y = x_hat
        if self.names:
            y = self.ws.multiply(x_hat, self.G)
            y += self.b
        return y.reshape(x.shape), (x_hat, *cache)

    def refuse_padding(self, mode: Any) -> None:
        if mode.length is not None and self.position in self.axes() and (0 in self.axes() or self.channel == 1):
            raise InputError(
                f"{type(self).__name__} takes means over all steps, and padded ones would be among them: cut the "
                "sequences to one length, or use LayerNorm or InstanceNorm with axis=-1"
            )

    def backward(self, dy: Any, cache: Any, need_dx: bool = True, need_dW: bool = True) -> Any:
        x_hat, shape, dy = cache[0], dy.shape, self.places(dy)
        if self.names and need_dW:
            with self.arena:
                everywhere = (0, self.position)
                self.dG.add(self.ws.multiply(dy, x_hat).sum(axis=everywhere, out=self.arena.empty(self.m)))
                self.db.add(dy.sum(axis=everywhere, out=self.arena.empty(self.m)))
        if not need_dx:
            return None
        return self.through(self.ws.multiply(dy, self.G) if self.names else dy, *cache).reshape(shape)

    def through(self, dx_hat: Any, x_hat: Any, sigma: Any, varies: Any, live: Any = None) -> Any:
        if varies:
            return normalize_backward(dx_hat, x_hat, sigma, self.axes(), self.arena, live)
        return self.ws.divide(dx_hat, sigma)


class BatchNorm(Normalization):
    r"""Over the batch and all positions, for each channel.     (8.7.1; Ioffe and Szegedy 2015)

    In training, μ and σ are those of the batch; in evaluation those of running averages, the state `G.mean` and
    `G.variance`, which training moves after each step by `rate` towards the batch's. The running variance takes the
    unbiased N/(N − 1) of the batch's, since it estimates the variance of what is to come.
    """

    rate = 0.1

    def __init__(self, m: int, G: str, b: str, axis: int = 1):
        super().__init__(m, G, b, axis)

    def axes(self) -> Any:
        return (0, self.position)

    def state(self) -> dict[str, Any]:
        return {f"{self.names[0]}.mean": np.zeros(self.m), f"{self.names[0]}.variance": np.ones(self.m)}

    def normalized(self, x: Any, mode: Any) -> Any:
        ws, (mean, variance) = self.ws, self.state_names()
        if not mode.train:
            sigma = self.by_channel(ws.sqrt(ws.add(self.states[variance], self.delta)))
            return ws.divide(ws.subtract(x, self.by_channel(self.states[mean])), sigma), sigma, False, None
        rows = self.arena.world.rows or len(x)  # of all ranks
        if rows < 2:
            raise InputError("batch normalisation has a batch of one: choose a batch_size that leaves no row alone")
        x_hat, mu, sigma = normalize(x, self.axes(), self.arena, self.delta)
        N = rows * (x.size // (len(x) * self.m))
        var = ws.multiply(ws.subtract(ws.multiply(sigma, sigma), self.delta), N / (N - 1))
        for name, of_batch in ((mean, mu), (variance, var)):
            running = mode.statistics.get(name, self.states[name])  # a layer may be applied twice in a step
            move = ws.multiply(ws.subtract(of_batch.reshape(self.m), running), self.rate)
            mode.statistics[name] = ws.add(running, move)
        return x_hat, sigma, True, None

    def state_names(self) -> Any:
        return [f"{self.names[0]}.{what}" for what in ("mean", "variance")]

    def chain(self, Jy: Any, cache: Any) -> Any:
        """∂y/∂x = diag G/σ, in evaluation"""
        return Jy * (self.G / cache[1]).reshape(self.m)


class LayerNorm(Normalization):
    """Over the channels, at each position of each example by itself.     (Ba et al. 2016)"""

    def __init__(self, m: int, G: str, b: str, axis: int = -1):
        if m < 2:
            raise InputError(f"LayerNorm over {m} channel: expected 2 or more, since one number has no deviation")
        super().__init__(m, G, b, axis)

    def axes(self) -> Any:
        return (self.channel,)


class InstanceNorm(Normalization):
    """Over the positions, for each channel of each example by itself.     (Ulyanov et al. 2016)

    At the padded steps of sequences x̂ is 0, whatever stands there.
    """

    def axes(self) -> Any:
        return (self.position,)


class AdaIN(InstanceNorm):
    r"""y = (1 + G) x̂ + b, where G and b come from another input.     style (B, 2m) = (G, b)     (Huang, Belongie 2017)

    Derivation: G_bc stands at all positions t of channel c of example b, and the 1 lets a style of 0 change nothing.
        dG_bc = Σ_t dy_bct x̂_bct,    db_bc = Σ_t dy_bct,    dx̂ = (1 + G) dy
    At a padded step x̂ is 0, and y is b: put `EndOfSequence` above, if a layer there looks at neighbouring steps.
    """

    def __init__(self, m: int, axis: int = 1):
        super().__init__(m, axis=axis)

    def forward(self, x: Any, style: Any, mode: Any = EVAL) -> tuple[Any, Any]:
        self.refuse_padding(mode)
        G, b = (self.by_positions(part) for part in (style[:, : self.m], style[:, self.m :]))
        x_hat, sigma, _, live = self.normalized(self.places(x), mode)
        factor = self.ws.add(G, 1)
        return self.ws.add(self.ws.multiply(x_hat, factor), b).reshape(x.shape), (x_hat, sigma, factor, live)

    def backward(self, dy: Any, cache: Any) -> Any:
        """dx and dstyle"""
        (x_hat, sigma, factor, live), shape, dy = cache, dy.shape, self.places(dy)
        dstyle = self.arena.empty(len(dy), 2 * self.m)
        total = self.arena.empty(len(dy), self.m)
        dstyle[:, : self.m] = self.ws.multiply(dy, x_hat).sum(axis=self.position, out=total)
        dstyle[:, self.m :] = dy.sum(axis=self.position, out=total)
        return self.through(self.ws.multiply(dy, factor), x_hat, sigma, True, live).reshape(shape), dstyle

    def by_positions(self, values: Any) -> Any:
        return values[:, :, None] if self.channel == 1 else values[:, None, :]
