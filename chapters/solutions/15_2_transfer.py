"""15.2 Transfer Learning and Domain Adaptation, exercise 2: a covariate shift, and weights that meet it.

The error that we want is a mean over the target, and the points that we have are the source's. The two are related by
a weight for each point:

    E_target[e(x)] = ∫ p_target(x) e(x) dx = E_source[e(x) p_target(x)/p_source(x)]

So least squares with these weights minimises an estimate of the target's error. A straight line cannot be right
everywhere, and the weights tell it where to be right: its error falls to a tenth. A polynomial of degree 7 is nearly
right everywhere. The weights help it too, but its error without them is already far below that of the line with them.
Weights repair a model that is too simple; a better model needs less repair.
"""

# %%
import numpy as np

from minae.chapters import Section

section = Section("15.2", exercise=2)
rng = np.random.default_rng(section.seed)


def density(x, mean, sd):
    return np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def fit(x, y, weights, degree):
    """The coefficients that minimise Σ_i weight_i (polynomial(x_i) − y_i)²."""
    powers, root = np.vander(x, degree + 1), np.sqrt(weights)
    return np.linalg.lstsq(powers * root[:, None], y * root, rcond=None)[0]


# %%
repeats = section.pick(20, 100, 100)
x_target = 1.5 + 0.5 * rng.standard_normal(20000)
errors = {}
for _ in range(repeats):
    x = rng.standard_normal(1000)
    y = np.sin(2 * x) + 0.1 * rng.standard_normal(1000)
    w = density(x, 1.5, 0.5) / density(x, 0, 1)
    for degree in (1, 7):
        for name, weights in (("plain", np.ones(1000)), ("weighted", w)):
            guess = np.polyval(fit(x, y, weights, degree), x_target)
            errors.setdefault((degree, name), []).append(np.square(guess - np.sin(2 * x_target)).mean())
means = {
    (degree, name): section.number(
        "squared error on the target, median", np.median(values), of=f"degree {degree}, {name}"
    )
    for (degree, name), values in errors.items()
}
section.claim(
    "weights halve the error of a straight line: error over error", means[1, "weighted"] / means[1, "plain"], "<", 0.5
)
section.claim(
    "a rich model needs no weights: its plain error over the line's weighted one",
    means[7, "plain"] / means[1, "weighted"],
    "<",
    1,
)

section.finish()
