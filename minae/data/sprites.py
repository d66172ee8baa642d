"""Sprites: small pictures that are drawn from known factors, so that a code can be compared with what made the picture.

A white figure on black is given by five factors, each with a few values, and every combination of them is drawn once
(after dSprites, Matthey et al. 2017, at a quarter of its width):

    shape     square, ellipse, heart
    scale     the half-width of the figure
    rotation  its angle, over the range in which it looks different: a quarter turn of a square, half a turn of an
              ellipse and a whole turn of a heart, so that no two values of the factor give one picture
    x, y      where its centre is

A pixel is the share of its area that the figure covers, measured at 36 points in it. So a figure that moves by half a
pixel changes its picture, smoothly.
"""

from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..options import Count, door

SHAPES = ("square", "ellipse", "heart")
TURN = {"square": np.pi / 2, "ellipse": np.pi, "heart": 2 * np.pi}  # the angle after which a figure is itself again
FINE = 6  # points a pixel, along each side


class Factors(NamedTuple):
    """Pictures and what made them.

    X: (rows, width²), float32 in [0, 1];  factors: (rows, 5), the index of each factor's value;
    names: of the factors;  sizes: how many values each has
    """

    X: np.ndarray
    factors: np.ndarray
    names: tuple[str, ...]
    sizes: tuple[int, ...]


@door(
    width=Count(lowest=8),
    shapes=Count(),
    scales=Count(),
    rotations=Count(),
    places=Count(),
)
def sprites(width: int = 16, shapes: int = 3, scales: int = 4, rotations: int = 6, places: int = 8) -> Factors:
    """Every combination of the factors, drawn once: shapes · scales · rotations · places² rows, the last factor fastest.

    width: of a picture, in pixels;  shapes: the first so many of square, ellipse and heart;  places: along each of x, y
    """
    if shapes > len(SHAPES):
        raise InputError(f"shapes is {shapes}: expected 1 to {len(SHAPES)}, the first so many of {', '.join(SHAPES)}")
    sizes = (shapes, scales, rotations, places, places)
    rows = int(np.prod([float(size) for size in sizes]))
    if rows * width * width > 2**30:
        raise InputError(f"{rows} pictures of {width} × {width} take more than 4 GiB: ask for fewer values of a factor")
    X = np.empty((rows, width, width), np.float32)
    factors = np.stack(np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij"), axis=-1).reshape(rows, 5)
    radii = width * (np.linspace(0.14, 0.26, scales) if scales > 1 else np.array([0.2]))
    reach = 1.15 * radii[-1] + 0.5  # of the largest figure from its centre, so that each lies within the picture
    centres = np.linspace(reach, width - reach, places) if places > 1 else np.array([width / 2])
    points = (np.arange(width * FINE) + 0.5) / FINE  # in pixels
    row = 0
    for shape in SHAPES[:shapes]:
        for r in radii:
            for angle in TURN[shape] * np.arange(rotations) / rotations:
                for cx in centres:
                    for cy in centres:
                        inside = _inside(shape, (points[None, :] - cx) / r, (points[:, None] - cy) / r, angle)
                        X[row] = inside.reshape(width, FINE, width, FINE).mean(axis=(1, 3))
                        row += 1
    return Factors(X.reshape(rows, width * width), factors, ("shape", "scale", "rotation", "x", "y"), sizes)


def _inside(shape: str, u: Any, v: Any, angle: float) -> np.ndarray:
    """Which points lie in the figure of half-width 1 around 0, turned by `angle`;  v points down."""
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * u + s * v, c * v - s * u  # turning the figure forward is turning the points back
    if shape == "square":
        return (abs(u) <= 0.8) & (abs(v) <= 0.8)
    if shape == "ellipse":
        return u * u + 4 * v * v <= 1
    u, v = 1.2 * u, 0.15 - 1.2 * v  # a heart, (u² + v² − 1)³ ≤ u² v³, with its point down
    return (u * u + v * v - 1) ** 3 <= u * u * v**3
