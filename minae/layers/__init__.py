"""Layers: names and shapes on top of `minae.ops`, one kind a file."""

from minae.layers.attention import Attention
from minae.layers.base import EVAL, Layer, Mode
from minae.layers.dense import Activation, Affine, Gain, Shrink
from minae.layers.normalization import AdaIN, BatchNorm, InstanceNorm, LayerNorm
from minae.layers.sequence import GRU, LSTM, Bidirectional, Embedding, Positions

__all__ = [
    "EVAL",
    "GRU",
    "LSTM",
    "Activation",
    "AdaIN",
    "Affine",
    "Attention",
    "BatchNorm",
    "Bidirectional",
    "Embedding",
]
__all__ += ["Gain", "InstanceNorm", "Layer", "LayerNorm", "Mode", "Positions", "Shrink"]
