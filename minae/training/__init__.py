"""Training: the loop, checkpoints, optimizers and learning-rate schedules."""

from minae.training.loop import History, fit
from minae.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, AdamW, Momentum, Nesterov, Optimizer, clipped
from minae.training.schedules import Constant, Cosine, StepDecay, WarmUp

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adam", "AdamW", "Constant", "Cosine", "History", "Momentum", "Nesterov",
           "Optimizer", "StepDecay", "WarmUp", "clipped", "fit"]  # fmt: skip
