"""14.6 Learning Manifolds with Autoencoders, exercise 2: the tangent distance.

The points of the plane q + span T are q + Tᵀ a, with T (2, 784) orthonormal. The nearest of them to x_i has
a = T(x_i − q), so by Pythagoras

    d² = ‖x_i − q‖² − ‖T(x_i − q)‖²

and T x_i − T q is a product of matrices for all i at once. A tangent is good for a fraction of a pixel. So all images
are blurred a little first: a blurred edge is a slope that a tangent can follow further (Simard et al. 1993). A blur may
help the ordinary distance, too. Both take their best of three widths.
"""

# %%
import numpy as np
from scipy.ndimage import gaussian_filter

from minae import data
from minae.chapters import Section

section = Section("14.6", exercise=2)
digits = data.mnist()
count = section.pick(300, 1000, 1000)
X_labels, Q_labels = digits.train_labels, digits.test_labels[:count]


def blurred(x, width):
    """Images (rows, 784), blurred by a Gaussian of that many pixels."""
    return gaussian_filter(x.reshape(-1, 28, 28).astype(np.float64), (0, width, width)).reshape(len(x), 784)


# %%
errors = {"‖x_i − q‖": [], "tangent distance": []}
for width in (0.5, 0.7, 1.0):
    X, Q = blurred(digits.train, width), blurred(digits.test[:count], width)
    images = Q.reshape(-1, 28, 28)
    down, right = (-np.gradient(images, axis=axis).reshape(count, 784) for axis in (1, 2))
    T = np.linalg.qr(np.stack([down, right], axis=2))[0].transpose(0, 2, 1)  # (queries, 2, 784), orthonormal
    d = np.square(X).sum(axis=1) - 2 * Q @ X.T + np.square(Q).sum(axis=1)[:, None]  # ‖x_i − q‖², (queries, rows)
    along = (T.reshape(-1, 784) @ X.T).reshape(count, 2, -1) - T @ Q[:, :, None]  # T(x_i − q), (queries, 2, rows)
    d_tangent = d - np.square(along).sum(axis=1)
    for name, distance in (("‖x_i − q‖", d), ("tangent distance", d_tangent)):
        wrong = 100 * np.mean(X_labels[distance.argmin(axis=1)] != Q_labels)
        of = f"{name}, blurred by {width} pixels"
        errors[name].append(section.number("error % of the nearest neighbour", wrong, of=of))

# %%
a = T[3] @ (X[5] - Q[3])
by_hand = np.square(X[5] - (Q[3] + T[3].T @ a)).sum()
section.claim("d² is the distance to the plane: relative difference", abs(d_tangent[3, 5] / by_hand - 1), "<=", 1e-10)
section.claim("the tangent distance makes fewer errors", min(errors["tangent distance"]), "<", min(errors["‖x_i − q‖"]))

section.finish()
