"""Two contenders compared: how often one beats the other, whether that may be chance, and how many seeds would tell."""

from __future__ import annotations

from math import ceil, comb, erfc, sqrt
from statistics import NormalDist

import numpy as np

from comparing.statistics import LEVEL, RESAMPLES, Estimate, counts, percentiles, resamples, taken

POWER = 0.8  # with which so many seeds would separate two contenders
MOST_EXACT = 50  # scores whose ranks are permuted exactly; for more, their sum is taken as normal
MOST_SEEDS = 1_000  # beyond, no number of seeds is named


def probability(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(X > Y) + P(X = Y) / 2 for one run of each, averaged over environments: (..., runs, environments) -> (...)."""
    x, y = x[..., :, None, :], y[..., None, :, :]
    wins = (x > y).sum((-3, -2)) + (x == y).sum((-3, -2)) / 2
    return (wins / (np.isfinite(x) & np.isfinite(y)).sum((-3, -2))).mean(-1)


def improvement(
    x: np.ndarray, y: np.ndarray, drawn: tuple[np.ndarray, np.ndarray] | None = None, number: int = RESAMPLES
) -> Estimate:
    """`probability` of scores (runs, environments) with its stratified bootstrap interval, if both have two runs."""
    value = float(probability(x, y))
    if min(counts(x).max(), counts(y).max()) < 2:
        return Estimate(value)
    first, second = drawn or (resamples(x, number), resamples(y, number, seed=1))
    size = max(1, 10**7 // (len(x) * y.size))
    parts = (slice(i, i + size) for i in range(0, len(first), size))
    values = np.concatenate([probability(taken(x, first[part]), taken(y, second[part])) for part in parts])
    low, high = percentiles(values)
    return Estimate(value, float(low), float(high))


def rank_interval(x: np.ndarray, y: np.ndarray) -> Estimate:
    """P(X > Y) + P(X = Y) / 2 in one environment, for scores (runs,), with Newcombe's interval (2006, method 5).

    Its ends are the θ with |P - θ| = z √(θ (1 - θ) (1 + (N/2 - 1) ((1 - θ)/(2 - θ) + θ/(1 + θ))) / (n m)), N = n + m.
    Where every x is above every y the bootstrap says [1, 1], for 3 seeds as for 300; this interval does not.
    """
    n, m = len(x), len(y)
    p = float(probability(x[:, None], y[:, None]))
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)

    def beyond(theta: float) -> bool:
        spread = 1 + ((n + m) / 2 - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(p - theta) >= z * sqrt(theta * (1 - theta) * spread / (n * m))

    ends = []
    for outside in (0.0, 1.0):
        inside = p
        for _ in range(50):  # bisection
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if beyond(middle) else (middle, outside)
        ends.append(round(outside, 12))
    return Estimate(p, *ends)


def rank_test(x: np.ndarray, y: np.ndarray) -> float:
    """The two-sided p-value of the Wilcoxon-Mann-Whitney test: how often chance alone is as far from P = 1/2.

    Exact, ties included, for up to 50 scores: all ways to choose len(x) of the scores are counted by the sum of their
    ranks. For more, the sum is taken as normal, with the variance that ties leave.
    """
    n, m = len(x), len(y)
    scores = np.concatenate([x, y])
    twice = (scores[:, None] > scores).sum(1) + (scores[:, None] >= scores).sum(1) + 1  # twice the mean rank
    away = abs(int(twice[:n].sum()) - n * (n + m + 1))
    if n + m > MOST_EXACT:
        variance = n * m * np.var(twice, ddof=1) / (n + m)
        return 1.0 if variance == 0 else erfc(max(away - 1, 0) / sqrt(2 * variance))
    ways = np.zeros((n + 1, int(twice.sum()) + 1))  # by how many are chosen, and by their sum
    ways[0, 0] = 1
    for rank in twice:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    sums = np.arange(ways.shape[1])
    return float(ways[n, abs(sums - n * (n + m + 1)) >= away].sum() / comb(n + m, n))


def discoveries(p_values: np.ndarray) -> tuple[np.ndarray, float]:
    """Which of many tests reject, and the level that one more would have to meet.

    Benjamini and Hochberg (1995): the k smallest p-values for the largest k with p₍ₖ₎ <= k (1 - LEVEL) / tests. Of what
    is rejected, at most 5% is expected to be false.
    """
    tests = len(p_values)
    if not tests:
        return np.zeros(0, bool), 1 - LEVEL
    ordered = np.sort(p_values)
    levels = np.arange(1, tests + 1) * (1 - LEVEL) / tests
    passed = np.flatnonzero(ordered <= levels)
    number = int(passed[-1]) + 1 if len(passed) else 0
    rejected = p_values <= (ordered[number - 1] if number else -1)
    return rejected, float(levels[min(number, tests - 1)])


def seeds_needed(p: float, level: float = 1 - LEVEL) -> int | None:
    """Seeds of each contender with which the rank test would separate them at this level; None above 1,000.

    (z₁₋ₗₑᵥₑₗ/₂ + z₀.₈)² / (6 (P - 1/2)²), Noether (1987), Sample size determination for some common nonparametric
    tests, for two groups of one size and a power of 80%, if P is what it was in these seeds.
    """
    if p == 0.5:
        return None
    z = NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(POWER)
    seeds = ceil(z**2 / (6 * (p - 0.5) ** 2))
    return seeds if seeds <= MOST_SEEDS else None
