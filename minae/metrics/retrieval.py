r"""Retrieval by binary codes: Hamming distances, the Hamming ball, and how good a ranking is.     (section 14.9)

A code of m bits is a row of ⌈m/8⌉ bytes, as `pack` makes it. Codes are small, so all of this is NumPy on the host.

    d(u, v) = Σ_j [u_j ≠ v_j] = popcount(u XOR v)          the number of bits to flip

Distances tie, because m bits have only m + 1 of them. So the quality of a ranking is here its expectation over every
order of the tied items, and does not depend on the order of the data.
"""

from typing import Any

import numpy as np

from minae import kernels
from minae.errors import InputError
from minae.fields import host_array
from minae.options import Count, Number, door

MOST_BYTES = np.iinfo(np.int16).max // 8  # distances are int16, of which NumPy's stable sort is a radix sort


def pack(bits: Any) -> np.ndarray:
    """Eight bits a byte, the first one highest, zeros behind the last:  bool (rows, m) -> uint8 (rows, ⌈m/8⌉)."""
    bits = host_array(bits, "bits")
    if bits.dtype != bool or bits.ndim != 2 or bits.shape[1] == 0:
        raise InputError(f"bits is {bits.dtype} {bits.shape}; expected bool (rows, m): compare first, as in h > 0.5")
    return np.packbits(bits, axis=1)


def hamming(codes: Any, queries: Any) -> np.ndarray:
    """d(query, code) for all pairs:  uint8 (rows, bytes), (queries, bytes) -> int16 (queries, rows)."""
    packed, query = _in_words(codes, queries)
    d = np.zeros((query.shape[1], packed.shape[1]), np.int16)
    for i in range(len(d)):
        kernels.hamming.distances(packed, query[:, i], d[i])
    return d


@door(radius=Count(lowest=0))
def ball(codes: Any, queries: Any, radius: int) -> list[np.ndarray]:
    """The codes within `radius` of each query: a list of index arrays, nearest first, ties in the order of index."""
    radius = min(radius, MOST_BYTES * 8)
    packed, query = _in_words(codes, queries)
    balls = []
    for i in range(query.shape[1]):
        inside, d = kernels.hamming.ball(packed, query[:, i], radius)
        balls.append(inside[np.argsort(d, kind="stable")])
    return balls


@door(k=Count())
def nearest(codes: Any, queries: Any, k: int) -> np.ndarray:
    """The k codes nearest to each query, ties in the order of index:  -> (queries, k) indices."""
    packed, query = _in_words(codes, queries)
    if k > packed.shape[1]:
        raise InputError(f"k is {k} and there are {packed.shape[1]} codes: expected 1 to that number")
    rows = [kernels.hamming.nearest(packed, query[:, i], k) for i in range(query.shape[1])]
    return np.array(rows, dtype=np.intp)


def average_precision(distances: Any, labels: Any, query_labels: Any) -> np.ndarray:
    r"""Of each query, AP = 1/R Σ_k precision(k) · [the k-th item has the query's label], R of them:  -> (queries,).

    Tied items count as in a random order: in a tie of n items, r of them relevant, behind N items of which R' are, the
    i-th is relevant with probability r/n, and then (i−1)(r−1)/(n−1) relevant ones stand before it in the tie. So

        AP = 1/R Σ_ties r/n Σ_{i=1…n} (R' + 1 + (i−1)(r−1)/(n−1)) / (N + i)          (McSherry and Najork 2008)

    distances: (queries, rows), of any kind, smaller is nearer;  labels: (rows,);  query_labels: (queries,)
    A query whose label no item has gets 0.
    """
    d, labels, query_labels = _labelled(distances, labels, query_labels)
    H = np.concatenate([[0], np.cumsum(1 / np.arange(1, d.shape[1] + 1))])  # H_N = Σ_{i≤N} 1/i
    AP = np.zeros(len(d))
    for i in range(len(d)):
        relevant = labels == query_labels[i]
        counted = d.dtype == np.int16 and d[i].min() >= 0  # Hamming distances are their own ranks
        rank = d[i] if counted else np.unique(d[i], return_inverse=True)[1]
        n = np.bincount(rank)
        n, r = n[n > 0], np.bincount(rank[relevant], minlength=len(n))[n > 0]
        N, before = np.cumsum(n) - n, np.cumsum(r) - r
        # Σ_i 1/(N+i) = H_{N+n} − H_N,  and (i−1)/(N+i) = 1 − (N+1)/(N+i)
        S = H[N + n] - H[N]
        step = (r - 1) / np.maximum(n - 1, 1)
        total = r / n * ((before + 1) * S + step * (n - (N + 1) * S))
        AP[i] = total.sum() / max(relevant.sum(), 1)
    return AP


def mean_average_precision(distances: Any, labels: Any, query_labels: Any) -> float:
    """mAP: the mean of `average_precision` over the queries."""
    return float(average_precision(distances, labels, query_labels).mean())


@door(radius=Number(low=0))
def precision_within(distances: Any, labels: Any, query_labels: Any, radius: float) -> float:
    """P@r ≤ radius: the share of the items within the radius that have the query's label, mean over the queries.

    A query within whose radius there is nothing has precision 0, because it got no answer.
    """
    d, labels, query_labels = _labelled(distances, labels, query_labels)
    inside = d <= radius
    right = np.array([np.count_nonzero(inside[i] & (labels == query_labels[i])) for i in range(len(d))])
    return float((right / np.maximum(inside.sum(axis=1), 1)).mean())


# ---- bytes as words of up to 64 bits; words of one place lie together, so that a distance takes few passes


def _in_words(codes, queries):
    """Both as unsigned integers of one width, (words, rows) and (words, queries)."""
    codes, queries = _checked_codes(codes, "codes"), _checked_codes(queries, "queries")
    if codes.shape[1] != queries.shape[1]:
        raise InputError(
            f"codes have {codes.shape[1]} bytes and queries {queries.shape[1]}: expected codes of one model and width"
        )
    width = next(size for size in (1, 2, 4, 8) if size >= min(codes.shape[1], 8))
    return _split(codes, width), _split(queries, width)


def _split(codes, width):
    padding = -codes.shape[1] % width
    padded = np.ascontiguousarray(np.pad(codes, ((0, 0), (0, padding))) if padding else codes)
    return np.ascontiguousarray(padded.view(f"u{width}").T)


# ---- what is refused


def _checked_codes(codes, name):
    codes = host_array(codes, name)
    if codes.dtype != np.uint8 or codes.ndim != 2:
        raise InputError(f"{name} is {codes.dtype} {codes.shape}; expected uint8 (rows, bytes), as `pack` gives them")
    if not (len(codes) and 1 <= codes.shape[1] <= MOST_BYTES):
        raise InputError(f"{name} has shape {codes.shape}; expected at least one row, and 1 to {MOST_BYTES} bytes")
    return codes


def _labelled(distances, labels, query_labels):
    named = {"distances": distances, "labels": labels, "query_labels": query_labels}
    d, labels, query_labels = (host_array(array, name) for name, array in named.items())
    if d.ndim != 2 or 0 in d.shape or d.dtype.kind not in "iuf":
        raise InputError(f"distances is {d.dtype} {d.shape}; expected numbers (queries, rows)")
    if labels.shape != d.shape[1:] or query_labels.shape != d.shape[:1]:
        raise InputError(
            f"labels has shape {labels.shape} and query_labels {query_labels.shape}; expected {d.shape[1:]} and "
            f"{d.shape[:1]}, since distances has shape {d.shape}"
        )
    if np.isnan(d.min()):
        raise InputError("distances has NaN: there is no order of such numbers")
    return d, labels, query_labels
