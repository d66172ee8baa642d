"""A.2 Anomalies, exercise 2: odd rows among those that one learns from.

A network learns what it is shown. With one blurred seven in a hundred it has little reason to copy blurred sevens well,
and with one in five it has. But blurred sevens are easy to copy in any case (the section's last but one part), so the
sign matters: here the score is how far the error is from its usual size, to either side.
"""

# %%
import numpy as np

from minae import data
from minae.chapters import Section
from minae.chapters.applications.detectors import Residual
from minae.metrics.detection import auroc

section = Section("A.2", exercise=2)
digits = data.mnist()
sevens = digits.train[digits.train_labels == 7]
new = digits.test[digits.test_labels == 7]


def blurred(x):
    p = x.reshape(-1, 28, 28)
    for _ in range(2):
        for axis in (1, 2):
            p = 0.25 * np.roll(p, 1, axis) + 0.5 * p + 0.25 * np.roll(p, -1, axis)
    return p.reshape(len(x), 784)


both, odd = np.concatenate([new, blurred(new)]), np.repeat([0, 1], len(new))
found = {}
for share in (0, 0.01, 0.2):
    count = int(share * len(sevens))
    X = np.concatenate([sevens[count:], blurred(sevens[:count])])
    detector = Residual(X, 30)
    log_L = np.log(detector.score(X))
    score = abs(np.log(detector.score(both)) - np.median(log_L)) / log_L.std()
    found[share] = section.number("AUROC of blurred sevens, %", 100 * auroc(score, odd), of=f"{share:.0%} of the rows")
section.claim("with a fifth of the rows blurred it has fallen, points", found[0] - found[0.2], ">", 0)

# %%
section.finish()
