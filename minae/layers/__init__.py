"""Layers: names and shapes on top of `minae.ops`, one kind a file."""

from minae.layers.attention import Attention
from minae.layers.base import EVAL, Layer, Mode
from minae.layers.convolution import (
    ChannelsFirst,
    ChannelsLast,
    Convolution,
    Flatten,
    MaxPool,
    MeanPool,
    Reshape,
    UpConvolution,
    UpSample,
)
from minae.layers.dense import Activation, Affine, Gain, Shrink
from minae.layers.normalization import AdaIN, BatchNorm, InstanceNorm, LayerNorm
from minae.layers.pointer import PointerGenerator
from minae.layers.regularizing import Dropout, GradientReversal
from minae.layers.sequence import GRU, LSTM, Bidirectional, Cells, Embedding, EndOfSequence, Positions, TimeMean, Times

__all__ = ["EVAL", "GRU", "LSTM", "Activation", "AdaIN", "Affine", "Attention", "BatchNorm", "Bidirectional",
           "Cells", "ChannelsFirst", "ChannelsLast", "Convolution", "Dropout", "Embedding", "EndOfSequence", "Flatten",
           "Gain", "GradientReversal", "InstanceNorm", "Layer", "LayerNorm", "MaxPool", "MeanPool", "Mode",
           "PointerGenerator", "Positions", "Reshape", "Shrink", "TimeMean", "Times", "UpConvolution",
           "UpSample"]  # fmt: skip
