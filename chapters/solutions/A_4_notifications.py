"""A.4 Will They Tap the Notification?, exercise 2: one in ten of the no is kept, and the logit is shifted afterwards.

Bayes' rule gives the odds p/(1 − p) as the ratio of P p(x | 1) and N p(x | 0), with P rows of yes and N rows of no. To
keep a tenth of the no makes N ten times smaller, so that all odds become ten times too large, and all logits too large
by log 10. A model that learned from the thinned rows is right about those rows. It is put right for all rows by one
number, which nobody has to fit.
"""

# %%
import numpy as np

from minae import data
from minae.chapters import Section
from minae.chapters.applications.classifiers import SCHEMAS, Parts, at_random, logistic
from minae.metrics.detection import auroc, calibration_gap, shifted

section = Section("A.4", exercise=2)
rng = np.random.default_rng(section.seed)
bank = data.responses("bank")
y = data.labels(bank, "y", "yes")
parts = Parts.of(bank, y, SCHEMAS["bank"], at_random(y, rng))
no = np.flatnonzero(parts.y == 0)
kept = np.concatenate([np.flatnonzero(parts.y == 1), rng.permutation(no)[: len(no) // 10]])
section.number("training rows", len(parts.y), of="all")
section.number("training rows", len(kept), of="thinned")

p = logistic(parts.few(kept), strengths=(0.3,)).p(parts.X_test)
put_right = shifted(p, -np.log(10))
before = section.number("mean p minus the share of yes, points", 100 * calibration_gap(p, parts.y_test), of="thinned")
after = section.number(
    "mean p minus the share of yes, points", 100 * calibration_gap(put_right, parts.y_test), of="shifted by log 10"
)
section.claim("the gap after the shift, over the one before", abs(after / before), "<", 0.1)
section.claim(
    "the order is the same: AUC moved by", abs(auroc(put_right, parts.y_test) - auroc(p, parts.y_test)), "<=", 0
)

# %%
section.finish()
