"""Means with 95% intervals: over episodes (bootstrap), of proportions (Wilson), over seeds (Student)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from evaluation.rollout import Episodes

RESAMPLES = 10_000
Z = 1.959963984540054  # the 97.5% quantile of the normal distribution
# 97.5% quantiles of Student's t for 1 to 29 degrees of freedom; beyond, the normal one is used
T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
)


class Interval(NamedTuple):
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float

    def to_data(self) -> dict[str, float]:
        """As JSON and YAML have it, rounded to six digits."""
        return {"mean": round(self.mean, 6), "low": round(self.low, 6), "high": round(self.high, 6)}

    def __str__(self) -> str:
        digits = 1 if max(abs(self.low), abs(self.high)) >= 100 else 2
        mean, low, high = (round(number, digits) + 0.0 for number in self)  # + 0.0: no -0.00
        return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def bootstrap_interval(values: np.ndarray) -> Interval:
    """The mean of independent values with the 2.5% and 97.5% percentiles of 10,000 resampled means (Efron 1979)."""
    low, high = np.percentile(_resamples(len(values)) @ values / len(values), [2.5, 97.5])
    return Interval(float(np.mean(values)), float(low), float(high))


def ratio_interval(values: np.ndarray, references: np.ndarray) -> Interval:
    """Σ values / Σ references of independent pairs; percentiles of resampled pairs as in `bootstrap_interval`."""
    drawn = _resamples(len(values))
    low, high = np.percentile((drawn @ values) / (drawn @ references), [2.5, 97.5])
    return Interval(float(values.sum() / references.sum()), float(low), float(high))


@lru_cache(maxsize=2)  # of an evaluation and of the final one; making them takes 15 ms for 20 values
def _resamples(n: int) -> np.ndarray:
    """How often each of n values occurs in each resample (10,000, n), the same in every call."""
    generator = np.random.default_rng(0)
    return generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)


def wilson_interval(successes: np.ndarray) -> Interval:
    """The proportion of ones among zeros and ones, with Wilson's score interval (1927), valid near 0 and 1 too."""
    n, p = len(successes), float(np.mean(successes))
    centre, spread = p + Z**2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    low, high = (centre - spread) / (1 + Z**2 / n), (centre + spread) / (1 + Z**2 / n)
    # exactly 0 and 1 at the ends, where rounding leaves 1e-16
    return Interval(p, 0.0 if p == 0 else float(low), 1.0 if p == 1 else float(high))


def student_interval(values: np.ndarray, within: tuple[float, float] = (-np.inf, np.inf)) -> Interval:
    """The mean over seeds with Student's interval, mean ± t·s/√n, clipped to possible values (`within`).

    The interval of a single value has width 0.
    """
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Interval(mean, mean, mean)
    quantile = T[n - 2] if n - 2 < len(T) else Z
    spread = float(quantile * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, max(mean - spread, within[0]), min(mean + spread, within[1]))


def difference(first: Interval, second: Interval) -> Interval:
    """The difference of two independent means whose intervals, [l1, u1] and [l2, u2], need not be symmetric.

    d - √((m1 - l1)² + (u2 - m2)²) to d + √((u1 - m1)² + (m2 - l2)²) with d = m1 - m2: for Wilson's intervals Newcombe's
    method 10 (1998), for any others Zou and Donner (2008).
    """
    mean = first.mean - second.mean
    low = mean - np.hypot(first.mean - first.low, second.high - second.mean)
    high = mean + np.hypot(first.high - first.mean, second.mean - second.low)
    return Interval(mean, float(low), float(high))


def generalization_gap(
    training: Mapping[str, Interval | None], test: Mapping[str, Interval | None]
) -> tuple[str, Interval]:
    """ "success", or "return" where the environment defines no success; by how much it is greater on training levels.

    Args:
        training, test: `scores` on levels of training, and on levels of tests.
    """
    measure = "return" if training["success"] is None or test["success"] is None else "success"
    trained, tested = training[measure], test[measure]
    assert trained is not None and tested is not None
    return measure, difference(trained, tested)


def scores(episodes: Episodes) -> dict[str, Interval | None]:
    """Return, success (None where the environment defines none) and length of a rollout."""
    return {
        "return": bootstrap_interval(episodes.returns),
        "success": None if episodes.successes is None else wilson_interval(episodes.successes),
        "length": bootstrap_interval(episodes.lengths),
    }


def of_bodies(episodes: Episodes) -> dict[str, Interval]:
    """The return of each body, where there are several."""
    if episodes.bodies is None:
        return {}
    names = sorted({*episodes.bodies.tolist()})
    return {name: bootstrap_interval(episodes.returns[episodes.bodies == name]) for name in names}
