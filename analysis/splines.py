"""How well a hidden layer of ReLUs can approximate a function of one number: the error of one, and the least of all.

With n units a network of one hidden layer is a continuous piecewise linear function of at most n + 1 pieces, a spline.

    interpolation   breaks at equal distances and outputs by least squares: an error that n units reach
    least           the best n + 1 pieces, wherever they break and continuous or not: an error that no n units go below
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def interpolation(x: Float[Array, " points"], y: Float[Array, " points"], units: int) -> float:
    """The root mean squared error of n ReLUs that turn on at equal distances, fitted to y by least squares."""
    turns = np.linspace(x.min(), x.max(), units, endpoint=False)
    features = np.column_stack([np.ones_like(x), np.maximum(x[:, None] - turns, 0)])
    weights = np.linalg.lstsq(features, y, rcond=None)[0]
    return float(np.sqrt(np.mean((features @ weights - y) ** 2)))


def least(x: Float[Array, " points"], y: Float[Array, " points"], pieces: int) -> float:
    """The least root mean squared error of a function that is linear on each of so many intervals of sorted points.

    By dynamic programming over where the last interval begins (Bellman & Roth 1969).
    """
    costs = _costs(x, y)
    best = costs[0]  # of the points up to each one, in one piece
    for _ in range(pieces - 1):
        best = np.minimum(best, (best[:-1, None] + costs[1:]).min(0))
    return float(np.sqrt(max(best[-1], 0.0) / len(x)))


def _costs(x: Float[Array, " points"], y: Float[Array, " points"]) -> Float[Array, "first last"]:
    """The sum of squared residuals of the line through the points first, ..., last; infinite where last < first."""
    sums = [np.concatenate([[0.0], np.cumsum(each)]) for each in (np.ones_like(x), x, y, x * x, x * y, y * y)]
    number, sx, sy, sxx, sxy, syy = (part[None, 1:] - part[:-1, None] for part in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sxx - sx * sx / number
        residual = syy - sy * sy / number - np.where(number > 1, (sxy - sx * sy / number) ** 2 / spread, 0.0)
    return np.where(number > 0, np.where(number > 2, np.maximum(residual, 0.0), 0.0), np.inf)
