"""Classical methods that a chapter sets beside an autoencoder. Each is fitted to the rows of x when it is made."""

import numpy as np


class PCA:
    """h = Dᵀ(x − μ),  r = D h + μ: the columns of D are the k leading eigenvectors of the covariance.     (2.12)"""

    def __init__(self, x, k):
        self.mu = x.mean(axis=0)
        v, vectors = np.linalg.eigh((x - self.mu).T @ (x - self.mu) / len(x))  # eigenvalues ascend
        self.v = v[::-1][:k]
        self.D = np.ascontiguousarray(vectors[:, ::-1][:, :k])  # (n, k)

    def encode(self, x):
        return (x - self.mu) @ self.D

    def decode(self, h):
        return h @ self.D.T + self.mu

    def reconstruct(self, x):
        return self.decode(self.encode(x))

    def sample(self, rows, rng):
        """Draws from the Gaussian with these k variances: μ + Σ_j √v_j ε_j D_j."""
        eps = rng.standard_normal((rows, len(self.v))).astype(self.D.dtype)
        return self.decode(eps * np.sqrt(self.v))


class KMeans:
    """k centroids by Lloyd's algorithm, from k rows of x: each is the mean of the rows that are nearest to it."""

    def __init__(self, x, k, seed=0, iterations=10):
        self.centroids = x[np.random.default_rng(seed).choice(len(x), k, replace=False)].copy()
        for _ in range(iterations):
            nearest = self.assign(x)
            order, counts = np.argsort(nearest, kind="stable"), np.bincount(nearest, minlength=k)
            some = counts > 0  # a centroid that no row is nearest to stays
            sums = np.add.reduceat(x[order], np.r_[0, np.cumsum(counts)[:-1]][some])
            self.centroids[some] = sums / counts[some, None]

    def assign(self, x):
        """Index of the nearest centroid of each row; ‖x‖² is the same for all of them."""
        return (np.square(self.centroids).sum(axis=1) - 2 * x @ self.centroids.T).argmin(axis=1)


class LSH:
    """bits = [(x − μ) R > 0], R normal: signs of random projections.     (Charikar 2002)"""

    def __init__(self, x, bits, seed=0):
        self.mu = x.mean(axis=0)
        self.R = np.random.default_rng(seed).standard_normal((x.shape[1], bits)).astype(x.dtype)

    def hash(self, x):
        return (x - self.mu) @ self.R > 0


class PCASign:
    """bits = [Dᵀ(x − μ) > 0]: signs of the principal components, of which the last carry little."""

    def __init__(self, x, bits):
        self.pca = PCA(x, bits)

    def hash(self, x):
        return self.pca.encode(x) > 0


class ITQ(PCASign):
    """bits = [Dᵀ(x − μ) R > 0], R the rotation of least ‖B − H R‖², B = ±1, H = Dᵀ(x − μ).  (Gong and Lazebnik 2011)

    In turn: B = sign(H R);  R = U Vᵀ of the SVD Hᵀ B = U S Vᵀ, the orthogonal Procrustes problem.
    """

    def __init__(self, x, bits, seed=0, iterations=50):
        super().__init__(x, bits)
        H = self.pca.encode(x)
        R = np.linalg.qr(np.random.default_rng(seed).standard_normal((bits, bits)))[0].astype(x.dtype)
        for _ in range(iterations):
            B = np.where(H @ R > 0, 1, -1).astype(x.dtype)
            U, _, Vt = np.linalg.svd(H.T @ B)
            R = U @ Vt
        self.R = R

    def hash(self, x):
        return self.pca.encode(x) @ self.R > 0


class NGram:
    """p(w | the n − 1 tokens before it) by counts, with interpolated Kneser–Ney smoothing.     (12.4.1)

        p_k(w | h) = max(c_k(h w) − d_k, 0)/c_k(h ·) + d_k N_k(h ·)/c_k(h ·) p_{k−1}(w | h'),    p_0 = 1/V

    h' is h without its first token, and N_k(h ·) is the number of different tokens that were seen after h. What each
    count loses to the discount d_k is shared out by the next lower order, so that p sums to 1. The highest order counts
    how often h w was seen; a lower one counts after how many different tokens it was seen (Kneser and Ney 1995). The
    discounts are those of Chen and Goodman (1999), n₁/(n₁ + 2 n₂) with n_i the number of h w of count i.

    rows: arrays of tokens, which end with token 0; before each line stand n − 1 of them;  V: size of the vocabulary
    """

    def __init__(self, rows, V, n):
        self.V, self.n, self.orders = V, n, []
        grams = self.grams(rows)
        for k in range(n, 0, -1):
            if k < n:  # the lower orders count the different tokens before them
                grams = np.unique(grams, axis=0)[:, 1:]
            codes, counts = np.unique(self.code(grams), return_counts=True)
            contexts, first = np.unique(codes // V, return_index=True)
            n1, n2 = (counts == 1).sum(), (counts == 2).sum()
            d = n1 / (n1 + 2 * n2) if n1 else 0.0
            kinds = np.diff([*first, len(codes)])
            self.orders.append((codes, counts, contexts, np.add.reduceat(counts, first), d * kinds, d))
        self.orders.reverse()

    def grams(self, rows):
        """Each token behind the n − 1 before it: (tokens, n)."""
        begun = [np.concatenate([np.zeros(self.n - 1, np.int64), row]) for row in rows]
        return np.concatenate([np.lib.stride_tricks.sliding_window_view(row, self.n) for row in begun])

    def code(self, grams):
        """One number for each row of tokens."""
        return grams.astype(np.int64) @ self.V ** np.arange(grams.shape[1] - 1, -1, -1)

    def p(self, grams):
        """p of the last token of each row, given those before it:  (rows, n) -> (rows,)"""
        p = np.full(len(grams), 1 / self.V)
        for k, (codes, counts, contexts, totals, shared, d) in enumerate(self.orders, 1):
            code = self.code(grams[:, self.n - k :])
            c = _found(codes, counts, code)
            total = _found(contexts, totals, code // self.V)
            rest = _found(contexts, shared, code // self.V)
            p = np.where(total > 0, (np.maximum(c - d, 0) + rest * p) / np.maximum(total, 1), p)
        return p

    def perplexity(self, rows):
        """e^(mean of −log p) over all tokens."""
        return float(np.exp(-np.log(self.p(self.grams(rows))).mean()))


def _found(keys, values, wanted):
    """The values of the keys that are wanted, 0 for one that is not there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


class BothSides:
    """p(w | l, r) ∝ p(w | l) p(r | w), by counts of pairs: exact if the text were a Markov chain.

    From the chain's p(l, w, r) = p(l) p(w | l) p(r | w) by division by its sum over w. words: those that w may be
    """

    def __init__(self, rows, V, words):
        pairs, self.words = NGram(rows, V, 2), words
        grid = np.stack(np.meshgrid(np.arange(V), np.arange(V), indexing="ij"), axis=2).reshape(-1, 2)
        self.P = pairs.p(grid).reshape(V, V)  # row: the token before

    def left(self, before):
        """p(w | l), of the words that w may be:  (rows,) -> (rows, V)"""
        return self.of_words(self.P[before])

    def between(self, before, after):
        """p(w | l, r):  (rows,), (rows,) -> (rows, V)"""
        return self.of_words(self.P[before] * self.P[:, after].T)

    def of_words(self, p):
        p = p * self.words
        return p / p.sum(axis=1, keepdims=True)
