"""What sections C.1 and C.3 share: spoken digits as frames, and readers that judge what a code of them tells."""

import os

import numpy as np

from minae import data


class Recordings:
    """Spoken digits as log-mel frames, a part to learn from and a part to test on.

    The larger set in MINAE_DATA, where it is and `full` is asked for, else the sample that ships with minae.
    takes: how many of each digit by each speaker to learn from

    frames: of each recording, (T, 32);  train, test: indices of recordings;  digit, speaker: of each recording
    standard: frames with mean 0 and deviation 1 in each band, by `mu` and `sigma` of the training part
    """

    def __init__(self, full, takes):
        self.folder = os.environ.get("MINAE_DATA") if full else None
        spoken = data.spoken_digits(full=bool(self.folder))
        rows = np.flatnonzero(spoken.take < 5 + takes)
        self.waves, self.speakers = [spoken.waves[i] for i in rows], spoken.speakers
        self.digit, self.speaker = spoken.digit[rows], spoken.speaker[rows]
        self.test, self.train = np.flatnonzero(spoken.take[rows] < 5), np.flatnonzero(spoken.take[rows] >= 5)
        self.frames = [data.log_mel(wave) for wave in self.waves]
        everything = np.concatenate([self.frames[i] for i in self.train])
        self.mu, self.sigma = everything.mean(axis=0), everything.std(axis=0)
        self.standard = [((x - self.mu) / self.sigma).astype(np.float32) for x in self.frames]

    def read(self, h, h_test):
        """Share of the test recordings whose digit, and whose speaker, a linear reader finds in rows h."""
        kinds = self.digit, self.speaker
        return [float((Reader(h, y[self.train])(h_test) == y[self.test]).mean()) for y in kinds]


class Reader:
    """A linear map from standardised h to one-hot labels, by least squares with the penalty 0.3 ‖W‖² a row."""

    def __init__(self, h, labels):
        self.mean, self.deviation = h.mean(axis=0), h.std(axis=0) + 1e-6
        h, y = (h - self.mean) / self.deviation, np.eye(1 + labels.max())[labels]
        self.c = y.mean(axis=0)
        self.W = np.linalg.solve(h.T @ h + 0.3 * len(h) * np.eye(h.shape[1]), h.T @ (y - self.c))

    def __call__(self, h):
        return ((h - self.mean) / self.deviation @ self.W + self.c).argmax(axis=1)


def moments(rows, count=20):
    """(T, m) at `count` moments of the same recording, by interpolation, in one row."""
    at = (np.arange(count) + 0.5) / count * len(rows) - 0.5
    low = np.clip(np.floor(at).astype(int), 0, len(rows) - 1)
    high, share = np.minimum(low + 1, len(rows) - 1), np.clip(at - low, 0, 1)[:, None]
    return ((1 - share) * rows[low] + share * rows[high]).ravel()


def rows_of(codes):
    """Codes of recordings, each (T, m), as rows of one table."""
    return np.stack([moments(np.asarray(c, np.float64)) for c in codes])


def normalised(xs):
    """CMVN: each band of each recording with mean 0 and deviation 1 over its own time."""
    return [(x - x.mean(axis=0)) / (x.std(axis=0) + 0.01) for x in xs]
