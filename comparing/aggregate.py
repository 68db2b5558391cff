"""Contenders over several environments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from comparing.comparison import Aggregate, Environment, Total
from comparing.pairs import improvement, rank_interval
from comparing.statistics import (
    BAND_RESAMPLES,
    RESAMPLES,
    Estimate,
    aligned,
    estimate,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    profile,
    resamples,
)

THRESHOLDS = np.linspace(0, 1, 101)


def aggregate(environments: Sequence[Environment]) -> Aggregate:
    """Average the environments whose scores are shares of 1, for the contenders that have scores in all of them.

    Returns are not averaged: they have another scale in each environment, and one made from the compared runs would
    let a contender's score depend on its rivals.
    """
    known, left_out = {}, []
    for environment in environments:
        scores = {one.label: one.known for one in environment.contenders if len(one.known)}
        if not environment.measure.is_share:
            left_out.append(f"{environment.name}: {environment.measure.kind} has no scale that environments share")
        elif not scores:
            left_out.append(f"{environment.name}: no run has {environment.measure.name}")
        else:
            known[environment.name] = scores
    totals = []
    for label in sorted({label for scores in known.values() for label in scores}):
        if lacking := [name for name, scores in known.items() if label not in scores]:
            left_out.append(f"{label}: it has no score in {', '.join(lacking)}")
        else:
            totals.append(_total(label, aligned([scores[label] for scores in known.values()])))
    improvements = {
        (first.label, second.label): _improvement(first.scores, second.scores)
        for first, second in combinations(totals, 2)
    }
    return Aggregate(tuple(known), tuple(totals), THRESHOLDS, improvements, tuple(left_out))


def _improvement(x: np.ndarray, y: np.ndarray) -> Estimate:
    """P(X > Y) of scores (runs, environments); in one environment with the interval of `Pair`."""
    single = x.shape[1] == 1 and min(len(x), len(y)) > 1
    return rank_interval(x[:, 0], y[:, 0]) if single else improvement(x, y)


def _total(label: str, scores: np.ndarray) -> Total:
    drawn = resamples(scores, RESAMPLES)
    return Total(
        label,
        scores,
        interquartile_mean=estimate(scores, interquartile_mean, drawn),
        mean=estimate(scores, mean, drawn),
        median=estimate(scores, median, drawn),
        optimality_gap=estimate(scores, optimality_gap, drawn),
        profile=profile(scores, THRESHOLDS, drawn[:BAND_RESAMPLES]),
    )
