"""Layers: names and shapes on top of `minae.ops`, one kind a file."""

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
from minae.layers.regularizing import Dropout, GradientReversal

__all__ = ["EVAL", "Activation", "Affine", "ChannelsFirst", "ChannelsLast", "Convolution", "Dropout", "Flatten",
           "Gain", "GradientReversal", "Layer", "MaxPool", "MeanPool", "Mode", "Reshape", "Shrink", "UpConvolution",
           "UpSample"]  # fmt: skip
