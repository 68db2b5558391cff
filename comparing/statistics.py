"""Estimates over runs and environments with their intervals, in NumPy.

Agarwal, Schwarzer, Castro, Courville and Bellemare (2021), Deep reinforcement learning at the edge of the statistical
precipice. The same resamples give the same intervals as rliable, the package of that paper.

Scores have the shape (..., runs, environments). Environments may have different numbers of runs: each column begins
with its scores, and NaN fills what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

LEVEL = 0.95  # of intervals
RESAMPLES = 10_000  # of an interval
BAND_RESAMPLES = 2_000  # of each point of a band
LARGEST = 2_000_000  # numbers in one array of resamples

Statistic = Callable[[np.ndarray], np.ndarray]  # (..., runs, environments) -> (...)


class Estimate(NamedTuple):
    """A value with its interval, whose ends are None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        ends = [number for number in self if number is not None]
        digits = 1 if max(map(abs, ends)) >= 100 else 2
        value, *interval = (shown(number, digits) for number in ends)
        return f"{value} [{', '.join(interval)}]" if interval else value


def shown(number: float, digits: int = 2) -> str:
    """A number with so many digits behind its point; what is rounded to zero has no sign."""
    return f"{round(number, digits) + 0.0:,.{digits}f}"


def aligned(columns: list[np.ndarray]) -> np.ndarray:
    """The scores (runs,) of each environment as one array (runs, environments), filled with NaN."""
    scores = np.full((max(map(len, columns)), len(columns)), np.nan)
    for i, column in enumerate(columns):
        scores[: len(column), i] = column
    return scores


def counts(scores: np.ndarray) -> np.ndarray:
    """The number of runs in each environment."""
    return np.isfinite(scores).sum(-2)


def mean(scores: np.ndarray) -> np.ndarray:
    """The mean over environments of the mean over their runs."""
    return _mean(scores, (-2,)).mean(-1)


def median(scores: np.ndarray) -> np.ndarray:
    """The median over environments of the mean over their runs."""
    return np.median(_mean(scores, (-2,)), -1)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """The mean of what is left of all N runs without the ⌊N/4⌋ smallest and the ⌊N/4⌋ largest."""
    ordered = np.sort(scores.reshape(*scores.shape[:-2], -1), -1)  # NaN comes last
    n = int(np.isfinite(ordered[(0,) * (ordered.ndim - 1)]).sum())
    return ordered[..., n // 4 : n - n // 4].mean(-1)


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """How much is missing to 1: the mean over all runs of max(0, 1 - score)."""
    return 1 - _mean(np.minimum(scores, 1), (-2, -1))


def _mean(scores: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The mean over axes without NaN; where there is none, in a third of the time."""
    return np.nanmean(scores, axes) if np.isnan(scores).any() else scores.mean(axes)


def resamples(scores: np.ndarray, number: int, seed: int = 0) -> np.ndarray:
    """Resamples (number, runs, environments) of scores (runs, environments), as places in `scores.ravel()`.

    A stratified bootstrap: of each environment as many runs as it has, drawn with replacement.
    """
    environments = np.arange(scores.shape[1])
    runs, n = np.arange(scores.shape[0])[:, None], counts(scores)
    drawn = np.random.default_rng(seed).integers(n, size=(number, *scores.shape))
    return np.where(runs < n, drawn, runs) * len(environments) + environments


def taken(scores: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The resamples (resamples, ..., runs, environments) of scores (..., runs, environments)."""
    return np.moveaxis(scores.reshape(*scores.shape[:-2], -1)[..., drawn], -3, 0)


def percentiles(values: np.ndarray) -> np.ndarray:
    """The ends (2, ...) of the percentile interval of values (resamples, ...)."""
    return np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)


def estimate(scores: np.ndarray, statistic: Statistic, drawn: np.ndarray | None = None) -> Estimate:
    """A statistic of scores (runs, environments) with its bootstrap interval; without one where nobody has two runs."""
    value = float(statistic(scores))
    if counts(scores).max() < 2:
        return Estimate(value)
    drawn = resamples(scores, RESAMPLES) if drawn is None else drawn
    size = max(1, LARGEST // scores.size)
    values = [statistic(taken(scores, drawn[i : i + size])) for i in range(0, len(drawn), size)]
    low, high = percentiles(np.concatenate(values))
    return Estimate(value, float(low), float(high))


class Band(NamedTuple):
    """A curve with its pointwise interval, each (points,); the ends are those of the curve where there is one run."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band(scores: np.ndarray, statistic: Statistic, drawn: np.ndarray | None = None) -> Band:
    """A statistic of scores (points, runs, environments) with its bootstrap interval at each point.

    A resample draws whole runs, so it has the same ones at each point.
    """
    drawn = resamples(scores[0], BAND_RESAMPLES) if drawn is None else drawn
    size = max(1, LARGEST // drawn.size)
    parts = [scores[i : i + size] for i in range(0, len(scores), size)]
    ends = [percentiles(statistic(taken(part, drawn))) for part in parts]
    low, high = np.concatenate(ends, 1)
    return Band(statistic(scores), low, high)


def profile(scores: np.ndarray, thresholds: np.ndarray, drawn: np.ndarray | None = None) -> Band:
    """The share of all runs with a score above each threshold (run-score distribution), with its interval."""
    drawn = resamples(scores, BAND_RESAMPLES) if drawn is None else drawn
    there = np.isfinite(scores)
    above = (scores[..., None] > thresholds) / there.sum()  # (runs, environments, thresholds)
    places = np.arange(len(drawn))[:, None, None] * scores.size + drawn
    often = np.bincount(places.ravel(), minlength=len(drawn) * scores.size).reshape(len(drawn), -1)
    low, high = percentiles(often @ above.reshape(scores.size, -1))
    return Band(above.sum((0, 1)), low, high)
