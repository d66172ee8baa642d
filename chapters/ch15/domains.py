"""Other kinds of digits for transfer: noisy, turned, inverted or faint ones; draws of few labels; and runs of one-shot
learning. What cannot be used is refused in one line.     (section 15.2)"""

import numpy as np

from minae.data import kannada_digits
from minae.errors import InputError


def noisy(x, rng, sd=0.35):
    """Each pixel gets noise of standard deviation sd, and is cut to [0, 1]."""
    return np.clip(x + sd * rng.standard_normal(x.shape), 0, 1).astype(np.float32)


def turned(x, rng=None, degrees=30):
    """Each picture turned about its middle."""
    from scipy.ndimage import rotate

    pictures = rotate(x.reshape(-1, 28, 28), degrees, axes=(1, 2), reshape=False, order=1)
    return np.clip(pictures, 0, 1).reshape(len(x), -1).astype(np.float32)


def inverted(x, rng=None):
    """Black for white."""
    return (1 - x).astype(np.float32)


def faint(x, rng=None):
    """Less contrast, and a grey background."""
    return (0.4 * x + 0.4).astype(np.float32)


def another_script():
    """Kannada digits, and their labels; what is printed where they are missing is one line, and the answer is None."""
    try:
        return kannada_digits()
    except InputError as error:
        print(f"  without Kannada digits: {error}\n")
        return None


def draw_labelled(labels, count, rng):
    """Rows for which a label is bought, (count,): as many of each class as can be, at random.

    Raises InputError where a class would have none.
    """
    classes = np.unique(labels)
    if count < len(classes):
        raise InputError(f"{count} labels for {len(classes)} classes: expected at least one for each class")
    if count > len(labels):
        raise InputError(f"{count} labels and {len(labels)} rows: expected no more labels than rows")
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels), dtype=int)  # of a row among the rows of its class
    for c in classes:
        of_class = shuffled[labels[shuffled] == c]
        place[of_class] = np.arange(len(of_class))
    return shuffled[np.argsort(place[shuffled], kind="stable")[:count]]


def check_classes(source, target):
    """Refuse a target that asks for a class that the source's softmax has no unit for.

    A head for other classes can be put on; the head of the source cannot answer with a class that it does not know.
    """
    new = sorted(set(np.unique(target).tolist()) - set(np.unique(source).tolist()))
    if new:
        raise InputError(
            f"the target has class {new[0]}, which the source has not: put a new head on the code, or leave it out"
        )


def one_shot_run(character, drawer, among, ways, shots, rng):
    """One run: `ways` characters of `among`, `shots` drawings of each to learn from, and one other to be named.

    character, drawer: (rows,), of each drawing.  Returns the rows to learn from (ways, shots), and the queries (ways,).
    The queries are by another person than the drawings to learn from.
    """
    drawers = np.unique(drawer)
    if ways > len(among):
        raise InputError(f"{ways} ways and {len(among)} characters to draw from: expected no more ways than characters")
    if shots >= len(drawers):
        raise InputError(
            f"{shots} shots and {len(drawers)} drawings of a character, one of which is the query: expected fewer shots"
        )
    chosen = rng.choice(among, ways, replace=False)
    hands = rng.choice(drawers, shots + 1, replace=False)
    row = {(c, d): k for k, (c, d) in enumerate(zip(character.tolist(), drawer.tolist(), strict=True))}
    rows = np.array([[row[int(c), int(d)] for d in hands] for c in chosen])
    return rows[:, :shots], rows[:, shots]
