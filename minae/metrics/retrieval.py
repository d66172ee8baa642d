r"""Retrieval by binary codes: Hamming distances, the Hamming ball, and how good a ranking is.     (section 14.9)

A code of m bits is a row of ⌈m/8⌉ bytes, as `pack` makes it. Codes are small, so all of this is NumPy on the host.

    d(u, v) = Σ_j [u_j ≠ v_j] = popcount(u XOR v)          the number of bits to flip

Distances tie: m bits have m + 1 of them. What is said of a ranking here is its expectation over every order of the tied
items, so that it depends on no order of the data.
"""

import operator

import numpy as np

from minae.errors import InputError

MOST_BYTES = np.iinfo(np.int16).max // 8  # distances are int16, of which NumPy's stable sort is a radix sort


def pack(bits):
    """Eight bits a byte, the first one highest, zeros behind the last:  bool (rows, m) -> uint8 (rows, ⌈m/8⌉)."""
    bits = np.asarray(bits)
    if bits.dtype != bool or bits.ndim != 2 or bits.shape[1] == 0:
        raise InputError(f"bits is {bits.dtype} {bits.shape}; expected bool (rows, m): compare first, as in h > 0.5")
    return np.packbits(bits, axis=1)


def hamming(codes, queries):
    """d(query, code) for all pairs:  uint8 (rows, bytes), (queries, bytes) -> int16 (queries, rows)."""
    words, asked = _words(codes, queries)
    d = np.zeros((len(asked[0]), len(words[0])), np.int16)
    for i in range(len(d)):
        _distances(words, asked, i, out=d[i])
    return d


def ball(codes, queries, radius):
    """The codes within `radius` of each query: a list of index arrays, nearest first, ties in the order of index."""
    from minae.kernels import hamming as kernel

    radius = min(_integer(radius, "radius", 0), MOST_BYTES * 8)
    words, asked = _words(codes, queries)
    found = []
    for i in range(len(asked[0])):
        inside, d = kernel.ball(words, asked[:, i], radius)
        found.append(inside[np.argsort(d, kind="stable")])
    return found


def nearest(codes, queries, k):
    """The k codes nearest to each query, ties in the order of index:  -> (queries, k) indices."""
    from minae.kernels import hamming as kernel

    k = _integer(k, "k", 1)
    words, asked = _words(codes, queries)
    if k > len(words[0]):
        raise InputError(f"k is {k} and there are {len(words[0])} codes: expected 1 to that number")
    return np.array([kernel.nearest(words, asked[:, i], k) for i in range(len(asked[0]))], dtype=np.intp)


def average_precision(distances, labels, query_labels):
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


def mean_average_precision(distances, labels, query_labels):
    """mAP: the mean of `average_precision` over the queries."""
    return float(average_precision(distances, labels, query_labels).mean())


def precision_within(distances, labels, query_labels, radius):
    """P@r ≤ radius: the share of the items within the radius that have the query's label, mean over the queries.

    A query within whose radius there is nothing has precision 0: who asks and gets no answer was not served.
    """
    d, labels, query_labels = _labelled(distances, labels, query_labels)
    if not radius >= 0:
        raise InputError(f"radius is {radius!r}: expected a number ≥ 0")
    inside = d <= radius
    right = np.array([np.count_nonzero(inside[i] & (labels == query_labels[i])) for i in range(len(d))])
    return float((right / np.maximum(inside.sum(axis=1), 1)).mean())


# ---- bytes as words of up to 64 bits, one array a word, so that a distance is a few passes over all codes


def _words(codes, queries):
    codes, queries = _packed(codes, "codes"), _packed(queries, "queries")
    if codes.shape[1] != queries.shape[1]:
        raise InputError(
            f"codes have {codes.shape[1]} bytes and queries {queries.shape[1]}: expected codes of one model and width"
        )
    width = next(size for size in (1, 2, 4, 8) if size >= min(codes.shape[1], 8))
    return _split(codes, width), _split(queries, width)


def _split(codes, width):
    padding = -codes.shape[1] % width
    whole = np.ascontiguousarray(np.pad(codes, ((0, 0), (0, padding))) if padding else codes)
    return np.ascontiguousarray(whole.view(f"u{width}").T)


def _distances(words, asked, i, out):
    from minae.kernels import hamming

    hamming.distances(words, asked[:, i], out)


# ---- what is refused


def _packed(codes, name):
    codes = np.asarray(codes)
    if codes.dtype != np.uint8 or codes.ndim != 2:
        raise InputError(f"{name} is {codes.dtype} {codes.shape}; expected uint8 (rows, bytes), as `pack` gives them")
    if not (len(codes) and 1 <= codes.shape[1] <= MOST_BYTES):
        raise InputError(f"{name} has shape {codes.shape}; expected at least one row, and 1 to {MOST_BYTES} bytes")
    return codes


def _integer(value, name, lowest):
    try:
        value = operator.index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}: expected an integer ≥ {lowest}") from None
    if value < lowest:
        raise InputError(f"{name} is {value}: expected an integer ≥ {lowest}")
    return value


def _labelled(distances, labels, query_labels):
    d, labels, query_labels = np.asarray(distances), np.asarray(labels), np.asarray(query_labels)
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
