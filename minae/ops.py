r"""Operations in pairs: `op` computes the formula in its first line, `op_backward` its gradient.

`dy` is ∂J/∂y, of y's shape, with the 1/batch factor inside. A backward function takes the gradient of its output and
returns the gradient of its input; gradients of parameters are added to (`minae.parameters.Gradient`). Where `out` is
given it receives the result, so that a training step allocates nothing; the incoming gradient is never written to.

Every activation φ here has a derivative that follows from its value h = φ(a) alone, so `a` is not kept.
"""

from minae.backend import matmul, namespace


def affine(x, W, b, out=None):
    """a = x W + b.     x (B, n), W (n, m), b (m,) -> a (B, m)"""
    return matmul(x, W, out, bias=b)


def affine_backward(da, x, W, dW, db, out=None, need_dx=True):
    """dW += xᵀ da;  db += Σ_rows da;  dx = da Wᵀ     (Deep Learning, 6.5.6)"""
    dW.add_product(x.T, da)
    db.add_sum(da)
    return matmul(da, W.T, out) if need_dx else None


def identity(a, out=None):
    """h = a"""
    return a


def identity_backward(dh, h, out=None):
    """da = dh"""
    return dh


def sigmoid(a, out=None):
    """h = σ(a) = 1 / (1 + e⁻ᵃ), by minae.kernels.sigmoid.     (3.30)"""
    from minae.kernels import sigmoid as kernel

    return kernel.sigmoid(a, out)


def sigmoid_backward(dh, h, out=None):
    """da = dh h (1 − h)"""
    da = namespace(h).subtract(1.0, h, out=out)
    da *= h
    da *= dh
    return da


def tanh(a, out=None):
    """h = tanh(a)"""
    return namespace(a).tanh(a, out=out)


def tanh_backward(dh, h, out=None):
    """da = dh (1 − h²)"""
    xp = namespace(h)
    da = xp.multiply(h, h, out=out)
    xp.subtract(1.0, da, out=da)
    da *= dh
    return da


def relu(a, out=None):
    """h = max(0, a)     (section 6.3.1)"""
    return namespace(a).maximum(a, 0.0, out=out)


def relu_backward(dh, h, out=None):
    """da = dh [h > 0];  at the kink, a = 0, the derivative is taken as 0"""
    da = namespace(h).sign(h, out=out)  # h ≥ 0, so sign(h) is [h > 0]
    da *= dh
    return da


def softplus(a, out=None):
    """h = log(1 + eᵃ) = max(0, a) + log(1 + e^−|a|), the form that cannot overflow.     (3.31)"""
    xp = namespace(a)
    h = xp.logaddexp(a, 0.0, out=out)
    return h


def softplus_backward(dh, h, out=None):
    """da = dh σ(a),  and σ(a) = 1 − e⁻ʰ because eʰ = 1 + eᵃ"""
    xp = namespace(h)
    da = xp.negative(h, out=out)
    xp.expm1(da, out=da)
    xp.negative(da, out=da)
    da *= dh
    return da


def log_softmax(s, out=None, work=None):
    """log softmax(s)_i = s_i − log Σ_j e^{s_j}, shifted by max s; `work` is free memory.     (6.30, 6.33)"""
    xp = namespace(s)
    y = xp.subtract(s, s.max(axis=1, keepdims=True), out=out)
    y -= xp.log(xp.exp(y, out=work).sum(axis=1, keepdims=True))
    return y


def log_softmax_backward(dy, y, out=None):
    """ds_i = dy_i − softmax(s)_i Σ_j dy_j"""
    xp = namespace(y)
    ds = xp.exp(y, out=out)
    ds *= dy.sum(axis=1, keepdims=True)
    xp.subtract(dy, ds, out=ds)
    return ds


def top_k(h, k, mask=None):
    """h ⊙ mask, and mask = 1 on the k largest of each row, else 0; at a tie the first by index.  -> two of (B, m)

    mask: given where the support is held fixed.
    """
    if mask is None:
        xp = namespace(h)
        kth = xp.partition(h, h.shape[1] - k, axis=1)[:, h.shape[1] - k, None]  # the k-th largest, (B, 1)
        above, level = h > kth, h == kth
        room = k - above.sum(axis=1, keepdims=True)  # how many of the level ones are still to be kept
        mask = (above | (level & (level.cumsum(axis=1) <= room))).astype(h.dtype)
    return h * mask, mask


def top_k_backward(dy, mask, out=None):
    """dh = dy ⊙ mask"""
    return namespace(dy).multiply(dy, mask, out=out)


# φ''(a) as a function of h = φ(a): what a penalty on the derivatives needs
def identity_second(h):
    """0"""
    return namespace(h).zeros_like(h)


def sigmoid_second(h):
    """h (1 − h) (1 − 2h)"""
    return h * (1 - h) * (1 - 2 * h)


def tanh_second(h):
    """−2 h (1 − h²)"""
    return -2 * h * (1 - h * h)


def softplus_second(h):
    """σ(a) (1 − σ(a)), with 1 − σ(a) = e⁻ʰ"""
    e = namespace(h).exp(-h)
    return e * (1 - e)


# name -> (φ, backward of φ, φ''): what a layer's `activation` may be
ACTIVATIONS = {
    "identity": (identity, identity_backward, identity_second),
    "sigmoid": (sigmoid, sigmoid_backward, sigmoid_second),
    "tanh": (tanh, tanh_backward, tanh_second),
    "relu": (relu, relu_backward, identity_second),
    "softplus": (softplus, softplus_backward, softplus_second),
}
