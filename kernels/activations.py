r"""The activations φ, and their derivatives φ' and φ'' as functions of h = φ(a), so that a itself need not be kept.

    φ           h = φ(a)                            φ'(a)         φ''(a)
    identity    a                                   1             0
    sigmoid     1 / (1 + e⁻ᵃ)                       h (1 − h)     h (1 − h) (1 − 2h)          (3.30)
    tanh        (eᵃ − e⁻ᵃ) / (eᵃ + e⁻ᵃ)             1 − h²        −2 h (1 − h²)
    relu        max(0, a)                           [h > 0]       0                           (6.3.1)
    softplus    log(1 + eᵃ)                         1 − e⁻ʰ       e⁻ʰ (1 − e⁻ʰ)               (3.31)
    leaky_relu  max(ν a, a),  ν = 0.01              1 or ν        0                           (section 6.3.1)
    elu         a, or eᵃ − 1 where a < 0            1 or h + 1    0 or h + 1                  (Clevert et al. 2016)

Two more are no monotonic functions, so that a does not follow from h. With s = σ(v), their slopes are functions of a:

    swish       a s,  v = a                         s + a s (1 − s) v'                      (Ramachandran et al. 2017)
    gelu        a s,  v = √(8/π) (a + 0.044715 a³)  s + a s (1 − s) v'                      (Hendrycks and Gimpel 2016)

Derivation:
Every unit has its own a, so the Jacobian of φ is diagonal and the chain rule is a product of numbers:
    da_bj = Σ_k ∂J/∂h_bk ∂h_bk/∂a_bj = dh_bj φ'(a_bj)
The sigmoid is a quotient. Its derivative is the product of two factors that are h and 1 − h:
    φ'(a) = e⁻ᵃ / (1 + e⁻ᵃ)² = 1/(1 + e⁻ᵃ) · e⁻ᵃ/(1 + e⁻ᵃ) = h (1 − h)
The quotient rule gives the slope of tanh, whose numerator's and denominator's derivatives are each other:
    φ'(a) = ((eᵃ + e⁻ᵃ)² − (eᵃ − e⁻ᵃ)²) / (eᵃ + e⁻ᵃ)² = 1 − h²
Softplus has the sigmoid as its slope, and the sigmoid follows from h because eʰ = 1 + eᵃ:
    φ'(a) = eᵃ/(1 + eᵃ) = (eʰ − 1)/eʰ = 1 − e⁻ʰ
The rectifier is a for a > 0 and 0 elsewhere. At its kink, a = 0, the derivative is taken as 0, as [h > 0] says.
The second derivative follows from φ'(a) = p(h) by the chain rule once more, since ∂h/∂a = p:
    φ''(a) = p'(h) p(h):    (1 − 2h) h (1 − h),    −2h (1 − h²),    e⁻ʰ (1 − e⁻ʰ)
ELU is eᵃ − 1 below 0, so that its slope there is eᵃ = h + 1, and so is the slope of the slope. The last two are
products of a and σ(v(a)), whose slope is s' = s (1 − s) v'; the second derivative is the product rule once more:
    φ'(a) = s + a s',    φ''(a) = 2 s' + a s'',    s'' = s (1 − s) ((1 − 2s) v'² + v'')
The gelu with √(8/π) (a + 0.044715 a³) is its authors' approximation of a Φ(a), Φ the distribution function of N(0, 1),
and off by 5e-4 at most.

A difference of two numbers that are nearly the same keeps their rounding error and nothing else. So 1 − h² is computed
as (1 − h)(1 + h), whose difference is exact, and 1 − e⁻ʰ as −expm1(−h): at a = −20 it is 2e-9, where 1 − e⁻ʰ is 0 in
float32. The swish and the gelu compute s (1 − s) and 1 − 2s from e = e^−|v|, as e/(1 + e)² and ±(1 − e)/(1 + e).
What h itself has lost stays lost: a sigmoid rounds to 1 from a = 17 on, and its slope to 0.
"""

from numpy import exp, expm1, log1p, where

from minae.backend import namespace
from minae.kernels.fused import fused

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softplus", "leaky_relu", "elu", "swish", "gelu")
IDENTITY, SIGMOID, TANH, RELU, SOFTPLUS, LEAKY, ELU, SWISH, GELU = range(9)
OF_A = ("swish", "gelu")  # whose slopes are functions of a, and not of h
KIND = {name: kind for kind, name in enumerate(ACTIVATIONS)}


def phi(a, name, out=None):
    """h = φ(a), any shape. `out` may be `a` itself, and the identity returns `a`."""
    if name == "identity":
        return a
    out = namespace(a).empty_like(a) if out is None else out
    if name == "tanh":  # NumPy's is vectorised, and Numba's calls the C library for each number
        return namespace(a).tanh(a, out=out)
    if out is a:
        PHI_IN_PLACE[name](a)
    else:
        PHI[name](a, out)
    return out


def backward(dh, h, name, out):
    """da = dh φ'(a), in `out`. The identity returns `dh`. Here and below, h is a itself for the names in `OF_A`."""
    if name == "identity":
        return dh
    times_prime(dh, h, KIND[name], out)
    return out


def prime(h, name, out):
    """φ'(a), in `out`."""
    phi_prime(h, KIND[name], out)
    return out


def second(h, name, out):
    """φ''(a), in `out`."""
    phi_second(h, KIND[name], out)
    return out


def times_second(d, h, name):
    """d ← d φ''(a)"""
    product_with_second(d, h, KIND[name])
    return d


# ---- the bodies of one component


@fused("a -> h")
def sigmoid(a):
    """σ(a), by the exponential that cannot overflow: e = e^−|a| and σ = 1/(1 + e) for a ≥ 0, e/(1 + e) for a < 0."""
    e = exp(-abs(a))
    return where(a >= 0, 1, e) / (1 + e)


@fused("a -> h")
def relu(a):
    """max(0, a), where a NaN stays a NaN"""
    return where(a < 0, 0, a)


@fused("a -> h")
def softplus(a):
    """log(1 + eᵃ) = max(0, a) + log(1 + e^−|a|), the form that cannot overflow"""
    return where(a < 0, 0, a) + log1p(exp(-abs(a)))


@fused("a -> h")
def leaky_relu(a):
    """a, or 0.01 a where a < 0"""
    return where(a < 0, 0.01 * a, a)


@fused("a -> h")
def elu(a):
    """a, or eᵃ − 1 where a < 0"""
    return where(a < 0, expm1(where(a < 0, a, 0)), a)


@fused("a -> h")
def swish(a):
    """a σ(a)"""
    return a * sigmoid(a)


@fused("a -> h")
def gelu(a):
    """a σ(√(8/π) (a + 0.044715 a³))"""
    return a * sigmoid(1.5957691216057308 * (a + 0.044715 * a * a * a))  # an infinite cube is right, too


PHI = {"sigmoid": sigmoid, "relu": relu, "softplus": softplus}
PHI |= {"leaky_relu": leaky_relu, "elu": elu, "swish": swish, "gelu": gelu}
PHI_IN_PLACE = {name: fused("a -> a")(h.body) for name, h in PHI.items()}


@fused("a -> v slope bend")
def gate(a, kind: int):
    """v, v' and v'' of the swish and the gelu."""
    if kind == SWISH:
        return a, 1, 0
    ca = 0.044715 * a  # once: a product of constants alone would round, and v'' be the slope of another v'
    cube = ca * a
    return (
        1.5957691216057308 * a * (1 + cube),
        1.5957691216057308 * (1 + 3 * cube),
        1.5957691216057308 * (6 * ca),
    )


@fused("h -> p q")
def slopes(h, kind: int):
    """φ'(a) and φ''(a). `kind` is a number that does not change within a loop, so that the compiler makes a vectorised
    loop for each activation."""
    if kind == SIGMOID:
        p = h * (1 - h)
        return p, p * (1 - 2 * h)
    if kind == TANH:
        p = (1 - h) * (1 + h)
        return p, -2 * h * p
    if kind == RELU:
        return where(h > 0, 1, where(h <= 0, 0, h)), 0  # a NaN is neither, and stays a NaN
    if kind == SOFTPLUS:
        p = -expm1(-h)
        return p, exp(-h) * p
    if kind == LEAKY:
        return where(h > 0, 1, where(h <= 0, 0.01, h)), 0
    if kind == ELU:
        return where(h > 0, 1, h + 1), where(h > 0, 0, h + 1)
    if kind >= SWISH:
        a = where(h < -100, -100, where(h > 100, 100, h))  # p is 0 beyond, and what multiplies it has to be finite
        v, slope, bend = gate(a, kind)
        e = exp(-abs(v))
        s, p = where(v < 0, e, 1) / (1 + e), e / ((1 + e) * (1 + e))  # p = s (1 − s), which keeps no digits near s = 1
        rest = where(v < 0, 1 - e, e - 1) / (1 + e)  # 1 − 2s
        return s + a * p * slope, p * (2 * slope + a * (rest * slope * slope + bend))
    return 1, 0


@fused("dh h -> da")
def times_prime(dh, h, kind: int):
    return dh * slopes(h, kind)[0]


@fused("h -> p")
def phi_prime(h, kind: int):
    return slopes(h, kind)[0]


@fused("h -> q")
def phi_second(h, kind: int):
    return slopes(h, kind)[1]


@fused("d h -> d")
def product_with_second(d, h, kind: int):
    return d * slopes(h, kind)[1]
