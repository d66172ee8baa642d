"""The mathematics without state: `op` computes the formula, `op_backward` its gradient.

    dense          affine maps
    activations    φ, and the softmax
    rows           affine maps of codes of which few units are on
    convolution    convolution, its gradients, up-convolution
    pooling        max and mean over windows, up-sampling
    normalization  mean 0 and deviation 1 over given axes
    sequence       embedding, GRU and LSTM
    attention      scaled dot-product attention

`dy` is ∂J/∂y, of y's shape, with the factor 1/B inside. A backward function takes the gradient of its output and
returns the gradient of its input; gradients of parameters are added to accumulators (`minae.parameters.Gradient`), or
left out where these are None. Results go to `out` where it is given; the incoming gradient is never written to.
"""

from minae.ops.activations import ACTIVATIONS, OF_A, log_softmax, log_softmax_backward, phi, phi_backward
from minae.ops.dense import affine, affine_backward

__all__ = [
    "ACTIVATIONS",
    "OF_A",
    "affine",
    "affine_backward",
    "log_softmax",
    "log_softmax_backward",
    "phi",
    "phi_backward",
]
