"""Layers: names and shapes on top of `minae.ops`, one kind a file."""

from minae.layers.base import EVAL, Layer, Mode
from minae.layers.dense import Activation, Affine, Gain, Shrink
from minae.layers.regularizing import Dropout, GradientReversal

__all__ = ["EVAL", "Activation", "Affine", "Dropout", "Gain", "GradientReversal", "Layer", "Mode", "Shrink"]
