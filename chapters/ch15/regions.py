"""Regions, counted exactly: those that hyperplanes cut space into, and those on which a network of ReLU units is linear.

Both counts are often taken by a grid of sample points, which finds large regions and misses small ones. Here nothing is
sampled: hyperplanes have whole numbers, and a square of the plane is cut into polygons.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from minae.errors import InputError


def arrangement(planes: Any) -> int:
    r"""The number of regions into which hyperplanes w·x = c cut R^d.     (15.4)

    planes: (n, d + 1) whole numbers, the rows (w, c)

    Derivation (deletion and restriction): put the last hyperplane H into the regions of the others. It cuts those that
    it meets in two, and it meets one for each region into which the other hyperplanes cut H itself, a space of d − 1
    dimensions:
        r(planes) = r(planes without H) + r(planes restricted to H),     r(no planes) = 1
    In general position no two restrictions coincide, and r depends on n and d alone. Then this is the rule of Pascal's
    triangle, twice, and by induction
        r(n, d) = r(n − 1, d) + r(n − 1, d − 1) = Σ_{j ≤ d} C(n, j)     (15.4)
    Hyperplanes that are parallel, or meet in a common point, give fewer regions, and are counted right, too.
    """
    rows = [tuple(Fraction(int(number)) for number in row) for row in np.asarray(planes)]
    if len({len(row) for row in rows}) > 1:
        raise InputError("planes have rows of several lengths: expected (n, d + 1) whole numbers")
    return _regions(frozenset(map(_scaled, rows)) - {None})


def _scaled(row):
    """The row with 1 as the first number of w, so that one hyperplane is one tuple; None where w = 0."""
    first = next((number for number in row[:-1] if number), None)
    return None if first is None else tuple(number / first for number in row)


def _regions(planes):
    if not planes:
        return 1
    H, *others = sorted(planes)
    k = next(i for i, number in enumerate(H) if number)  # on H:  x_k = c − Σ_{i ≠ k} w_i x_i
    restricted = set()
    for row in others:
        on_H = tuple(number - row[k] * H[i] for i, number in enumerate(row) if i != k)
        restricted.add(_scaled(on_H))  # None: parallel to H, which it does not meet
    return _regions(frozenset(others)) + _regions(frozenset(restricted - {None}))


class Piece(NamedTuple):
    """A convex polygon (k, 2) on which a network is linear, a(x) = x A + c."""

    polygon: np.ndarray
    A: np.ndarray
    c: np.ndarray


def pieces(layers: Any, corners: Any = ((-1, -1), (1, -1), (1, 1), (-1, 1))) -> list[Piece]:
    """The polygons of a convex polygon on each of which a network of ReLU units is linear.

    layers: [(W, b), …] of the layers φ(x W + b), x in the plane; the last one is linear and cuts nothing
    corners: of the polygon, in order

    On a polygon where the layers below are linear, the unit a_j is an affine function of x, and its ReLU has a kink on
    the line a_j = 0. Each line that meets the polygon cuts it in two. On either part the unit is on or off, and the next
    layer is an affine function of x again.
    """
    found = [Piece(np.asarray(corners, float), np.eye(2), np.zeros(2))]
    for k, (W, b) in enumerate(layers):
        W, b = np.asarray(W, float), np.asarray(b, float)
        found = [Piece(piece.polygon, piece.A @ W, piece.c @ W + b) for piece in found]
        if k + 1 < len(layers):
            found = [part for piece in found for part in _cut(piece)]
    return found


def _cut(piece):
    """The parts on which every unit is on or off, each with the units that are off set to 0."""
    parts = [piece.polygon]
    for j in range(piece.A.shape[1]):
        normal, c = piece.A[:, j], piece.c[j]
        parts = [part for polygon in parts for part in _halves(polygon, polygon @ normal + c)]
    for polygon in parts:
        on = polygon.mean(axis=0) @ piece.A + piece.c > 0
        yield Piece(polygon, piece.A * on, piece.c * on)


def _halves(polygon, a):
    """The polygon where a > 0 and where a < 0;  a: the values of an affine function at its corners."""
    tiny = 1e-12 * max(1.0, abs(a).max())
    if (a >= -tiny).all() or (a <= tiny).all():
        return [polygon]
    halves = []
    for sign in (1, -1):
        corners = []
        for i, here in enumerate(sign * a):
            there = sign * a[i - 1]
            if (here > 0) != (there > 0):  # the line crosses the side from the corner before
                corners.append(polygon[i - 1] + (polygon[i] - polygon[i - 1]) * there / (there - here))
            if here > 0:
                corners.append(polygon[i])
        halves.append(np.array(corners))
    return [half for half in halves if len(half) > 2]


def cells(points: Any, corners: Any = ((-1, -1), (1, -1), (1, 1), (-1, 1))) -> list[np.ndarray]:
    """The part of a convex polygon that is nearer to each point than to any other one:  (k, 2) -> k polygons.

    x is nearer to p than to q where |x − p|² < |x − q|², that is 2 (q − p)·x < |q|² − |p|²: on one side of a line.
    """
    points, found = np.asarray(points, float), []
    for i, p in enumerate(points):
        cell = np.asarray(corners, float)
        for j, q in enumerate(points):
            if i != j:
                nearer = (q @ q - p @ p) - 2 * cell @ (q - p)
                halves = [half for half in _halves(cell, nearer)]
                cell = max(halves, key=lambda half: ((q @ q - p @ p) - 2 * half @ (q - p)).mean())
        found.append(cell)
    return found
