r"""The logarithm of the softmax, and its backward pass, a row at a time.     (6.30, 6.33)

    y_i  = (s_i − max_j s_j) − log Σ_j e^{s_j − max}
    ds_k = dy_k − e^{y_k} Σ_i dy_i

Derivation:
Each y_i has the same normaliser, whose derivative is the softmax:
    ∂y_i/∂s_k = [i = k] − e^{s_k} / Σ_j e^{s_j} = [i = k] − e^{y_k}
The chain rule sums over the row, and the second term does not depend on i but for dy_i:
    ds_k = Σ_i dy_i ∂y_i/∂s_k = dy_k − e^{y_k} Σ_i dy_i
The shift by the maximum is subtracted from s_i and from the logarithm alike, and no exponential overflows:     (6.32)
    log Σ_j e^{s_j} = max + log Σ_j e^{s_j − max}

NumPy's exponential is vectorised, and its passes are as fast as a loop here. On a GPU a block has a row, which stays in
the cache between its passes: one launch in the place of five.
"""

from minae import kernels
from minae.backend import namespace
from minae.kernels.reduce import THREADS, Launch, cuda, highest, math, tree


def log_softmax(s, out=None, work=None):
    """y (B, m), in `out`; `work` is free memory."""
    xp = namespace(s)
    if out is not None and kernels.path(s, out) == "cuda":
        cuda_forward(len(s), [s, out])
        return out
    y = xp.subtract(s, s.max(axis=1, keepdims=True), out=out)
    y -= xp.log(xp.exp(y, out=work).sum(axis=1, keepdims=True))
    return y


def backward(dy, y, out=None):
    """ds, in `out`."""
    xp = namespace(y)
    if out is not None and kernels.path(y, dy, out) == "cuda":
        cuda_backward(len(y), [dy, y, out])
        return out
    ds = xp.exp(y, out=out)
    ds *= dy.sum(axis=1, keepdims=True)
    xp.subtract(dy, ds, out=ds)
    return ds


@Launch
def cuda_forward(s, y):
    """All wait twice: for the maximum of the row, by a tree, and for the sum of its exponentials, by another. Before
    the second one is begun, all have read the maximum. Then each thread writes its numbers."""
    b, shared, top = cuda.blockIdx.x, cuda.shared.array(THREADS, s.dtype), s.dtype.type(-math.inf)
    for j in range(cuda.threadIdx.x, s.shape[1], cuda.blockDim.x):
        if s[b, j] > top or s[b, j] != s[b, j]:
            top = s[b, j]
    shared[cuda.threadIdx.x] = top
    highest(shared)
    top, total = shared[0], s.dtype.type(0)
    cuda.syncthreads()
    for j in range(cuda.threadIdx.x, s.shape[1], cuda.blockDim.x):
        total += math.exp(s[b, j] - top)
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    log_sum = math.log(shared[0])
    for j in range(cuda.threadIdx.x, s.shape[1], cuda.blockDim.x):
        y[b, j] = (s[b, j] - top) - log_sum


@Launch
def cuda_backward(dy, y, ds):
    """A tree adds up dy's row; then each thread writes its numbers."""
    b, shared, total = cuda.blockIdx.x, cuda.shared.array(THREADS, y.dtype), y.dtype.type(0)
    for j in range(cuda.threadIdx.x, y.shape[1], cuda.blockDim.x):
        total += dy[b, j]
    shared[cuda.threadIdx.x] = total
    tree(shared, 1)
    for j in range(cuda.threadIdx.x, y.shape[1], cuda.blockDim.x):
        ds[b, j] = dy[b, j] - math.exp(y[b, j]) * shared[0]
