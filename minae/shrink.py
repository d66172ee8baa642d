r"""Smaller models: fewer bits a weight, and fewer weights.     (section 12.1.4)

    rounding   s_j = max_i |W_ij| / (2^{b−1} − 1),   q_ij = round(W_ij/s_j),   W ≈ q s    of b bits, 2 to 8
    pruning    W_ij ← 0 where |W_ij| is among the smallest

A column of W holds the weights of one unit, and each column has a scale s_j of its own, so that one large weight makes
only its own unit coarse. q is a whole number from −(2^{b−1} − 1) to 2^{b−1} − 1: as many values above 0 as below. To
round moves a weight by s_j/2 at most, half a step, either way; to cut the fraction off instead would move it by up to a
whole step, and always towards 0. Biases and other vectors stay as they are: they are few.

A file of `save` is read by `load` as any other. Its matrices are whole numbers packed to b bits and compressed by
zlib, which makes the many equal numbers of a pruned matrix short.
"""

from typing import Any

import numpy as np

from minae import files
from minae.errors import InputError
from minae.models.model import Model
from minae.options import Count, Instance, Number, door

MODEL = Instance(Model, words="a model")
BITS = Count(lowest=2)


def rounded(W: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(q, s) of a matrix: whole numbers (n, m), int8, and the scale of each column, float32 (m,)."""
    largest = 2 ** (bits - 1) - 1
    s = (np.abs(W).max(axis=0) / largest).astype(np.float32)
    q = np.rint(W / np.where(s > 0, s, 1)).clip(-largest, largest)
    return q.astype(np.int8), s


@door(model=MODEL, bits=BITS)
def save(model: Model, path: Any, bits: int, note: dict[str, Any] | None = None) -> int:
    """Write the model with its matrices rounded to so many bits, 2 to 8. Returns the bytes of the file.

    note: more that the file says of the model, as JSON has it; `minae.files.read` gives it back under this name

    What `load` then gives is the model with q s for W; a loaded model trains on from there.
    Raises InputError for a model without matrices, and where nothing can be written.
    """
    if bits > 8:
        raise InputError(f"bits is {bits}: expected 2 to 8; a float32 has 32, and `model.save` keeps them")
    tensors, small = {name: model.backend.to_numpy(a) for name, a in model.tensors().items()}, {}
    for name in _matrices(model):
        W = tensors.pop(name)
        if not np.isfinite(W).all():
            raise InputError(f"cannot write {path}: {name} has NaN or infinite values; train again from finite ones")
        q, tensors[f"{name}.scale"] = rounded(W, bits)
        tensors[f"{name}.whole"] = np.frombuffer(files.packed(q, bits), np.uint8)
        small[name] = list(W.shape)
    words = model.metadata() | {"shrunk": {"bits": bits, "matrices": small}} | ({} if note is None else {"note": note})
    files.write(path, tensors, words)
    return files.target(path).stat().st_size


@door(model=MODEL, share=Number(low=0, high=1))
def prune(model: Model, share: float) -> Model:
    """A copy of the model in which this share of the weights of its matrices is 0: the smallest by magnitude, over all
    matrices together, so that a matrix of small weights loses more. `holds_zeros` keeps them at 0 in training."""
    model, names = model.copy(), _matrices(model)
    W = {name: model.backend.to_numpy(model.parameters[name]) for name in names}
    sizes = np.concatenate([np.abs(w).reshape(-1) for w in W.values()])
    kept = np.ones(sizes.size, bool)
    kept[np.argsort(sizes, kind="stable")[: round(share * sizes.size)]] = False
    for name, keep in zip(names, np.split(kept, np.cumsum([w.size for w in W.values()])[:-1]), strict=True):
        pruned = np.where(keep.reshape(W[name].shape), W[name], 0)
        model.parameters[name][...] = model.backend.from_numpy(pruned.astype(model.dtype))
    return model


@door(model=MODEL)
def holds_zeros(model: Model) -> Any:
    """A `gradient_hook` for `fit`, by which the weights of matrices that are 0 now stay 0.

    A weight whose gradient is 0 stays where it is under each optimizer of minae, whose averages are new when `fit`
    begins. An optimizer that had gone on from before the pruning would move it, by what it remembers.
    """
    theta = model.parameters.flat
    free = model.backend.xp.ones(theta.shape, bool)
    for part, _ in model.parameters.slices(only=_matrices(model)):
        free[part] = theta[part] != 0

    def hook(gradient):
        gradient *= free

    return hook


def _matrices(model):
    """The names of the parameters that are matrices."""
    names = [name for name in model.parameters if model.parameters[name].ndim == 2]
    if not names:
        raise InputError(f"{model!r} has no matrix among its parameters: there is nothing to shrink")
    return names
