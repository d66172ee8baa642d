"""Layers: names and shapes on top of `minae.ops`, one kind a file."""

from minae.layers.base import EVAL, Layer, Mode
from minae.layers.dense import Activation, Affine, Gain, Shrink

__all__ = ["EVAL", "Activation", "Affine", "Gain", "Layer", "Mode", "Shrink"]
