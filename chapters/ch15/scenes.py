"""Pictures with a large cause and a small one: a smooth background, and a ball of four pixels.     (figure 15.5)"""

import numpy as np


class Scenes:
    """Pictures of a smooth random background and one ball, and what made them."""

    def __init__(self, width, modes):
        self.width, axis = width, (np.arange(width) + 0.5) / width
        waves = [(u, v) for u in range(4) for v in range(4) if 0 < u + v][:modes]
        self.patterns = np.stack([np.outer(np.cos(np.pi * u * axis), np.cos(np.pi * v * axis)) for u, v in waves])
        self.patterns = self.patterns.reshape(modes, -1)
        self.places = [(i, j) for i in range(0, width - 1, 2) for j in range(0, width - 1, 2)]
        self.places = [(i, j) for i, j in self.places if 0 < i < width - 2 and 0 < j < width - 2]
        self.balls = np.zeros((len(self.places), width, width))
        for ball, (i, j) in zip(self.balls, self.places, strict=True):
            ball[i : i + 2, j : j + 2] = 0.6
        self.balls = self.balls.reshape(len(self.places), -1)

    def draw(self, rows, rng):
        """x (rows, width²), the amounts (rows, modes), and the index of the ball's place (rows,)."""
        amounts = rng.standard_normal((rows, len(self.patterns)))
        place = rng.integers(len(self.places), size=rows)
        x = 0.4 + 0.05 * amounts @ self.patterns + self.balls[place]
        return x.astype(np.float32), amounts.astype(np.float32), place

    def heights(self, x):
        """How high a ball stands in each picture at each place: the mean of its pixels over that around it."""
        x = x.reshape(-1, self.width, self.width)
        ball = np.stack([x[:, i : i + 2, j : j + 2].mean(axis=(1, 2)) for i, j in self.places], axis=1)
        around = np.stack([x[:, i - 1 : i + 3, j - 1 : j + 3].mean(axis=(1, 2)) for i, j in self.places], axis=1)
        return (ball - around) / (0.6 * 0.75)  # 1 for a ball that is there
