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
