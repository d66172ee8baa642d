"""Training: the loop, streams, checkpoints, optimizers and learning-rate schedules."""

from minae.training.loop import History, fit
from minae.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, AdamW, Momentum, Nesterov, Optimizer, clipped
from minae.training.schedules import Constant, Cosine, StepDecay, WarmUp
from minae.training.stream import fit_stream

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adam", "AdamW", "Constant", "Cosine", "History", "Momentum", "Nesterov",
           "Optimizer", "StepDecay", "WarmUp", "clipped", "fit", "fit_stream"]  # fmt: skip
