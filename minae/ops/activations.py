r"""h = φ(a), number by number, and the softmax.

Most φ have a derivative that follows from their value h = φ(a), so that `a` need not be stored:
`minae.kernels.activations` derives φ'(a) and φ''(a) as functions of h, and computes them. Those of OF_A are functions
of a, which stands for h there.
"""

from typing import Any

from minae import kernels
from minae.backend import namespace

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softplus", "leaky_relu", "elu", "swish", "gelu")
OF_A = ("swish", "gelu")  # their backward pass reads a in the place of h


def phi(a: Any, name: Any, out: Any = None) -> Any:
    """h = φ(a).     `name` is one of ACTIVATIONS; out may be a"""
    return kernels.activations.phi(a, name, out)


def phi_backward(dh: Any, h: Any, name: Any, out: Any = None) -> Any:
    """da = dh φ'(a).     h: of forward, or a for the names in OF_A

    Derivation: h_bj depends on a_bj alone, so the chain rule has one factor.
        da_bj = ∂J/∂a_bj = ∂J/∂h_bj ∂h_bj/∂a_bj = dh_bj φ'(a_bj)     (6.5.2)
    """
    return kernels.activations.backward(dh, h, name, namespace(h).empty_like(h) if out is None else out)


def log_softmax(s: Any, out: Any = None, work: Any = None) -> Any:
    r"""y_i = log softmax(s)_i = s_i − log Σ_j e^{s_j}, shifted by max s; `work` is free memory.     (6.30, 6.33)

    Derivation: each y_i has the same normaliser, whose derivative is the softmax.
        ∂y_i/∂s_k = [i = k] − e^{s_k} / Σ_j e^{s_j} = [i = k] − e^{y_k}
        ds_k      = Σ_i dy_i ∂y_i/∂s_k = dy_k − e^{y_k} Σ_i dy_i
    The shift by max s changes no y_i: it is subtracted from s_i and from the logarithm alike.     (6.32)
    """
    return kernels.log_softmax.log_softmax(s, out, work)


def log_softmax_backward(dy: Any, y: Any, out: Any = None) -> Any:
    """ds_k = dy_k − e^{y_k} Σ_i dy_i"""
    return kernels.log_softmax.backward(dy, y, out)
