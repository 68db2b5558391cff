"""What the runs say about a claim.

With the scores f of the favoured encoder and r of its rival, each a mean over seeds:

    advantage   f - r in the task in which the property matters
    due to it   that advantage less the advantage in the task without the property

    held           both intervals lie above 0
    did not hold   the interval of the advantage lies below 0, or wholly below a tenth
    undecided      anything else, and fewer than four seeds

The intervals are percentile intervals of a stratified bootstrap over seeds (`comparing.statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atlas.claims import Claim
from comparing.statistics import Estimate, aligned, estimate

FEWEST = 4  # seeds: with three of each, not even the clearest difference passes a rank test at 5% (p = 0.1)
TENTH = 0.1  # of success: a smaller advantage is none to care about
HELD, NOT, UNDECIDED, MISSING = "held", "did not hold", "undecided", "not yet run"

Scores = Mapping[str, Mapping[str, Sequence[float]]]  # setting -> contender -> score of each seed


@dataclass(frozen=True)
class Verdict:
    """Attributes:
    word: one of the four.
    advantage, due: the two effects; None where runs are missing.
    seeds: the fewest runs of any of the four groups.
    """

    word: str
    advantage: Estimate | None = None
    due: Estimate | None = None
    seeds: int = 0


def verdict(claim: Claim, scores: Scores) -> Verdict:
    """The verdict on a claim from the scores of its runs."""
    groups = [
        np.asarray(scores.get(setting, {}).get(contender, ()), float)
        for setting in ("matters", "removed")
        for contender in (claim.favoured, claim.rival)
    ]
    seeds = min(map(len, groups))
    if seeds == 0:
        return Verdict(MISSING)
    table = aligned(groups)
    advantage = estimate(table[:, :2], lambda some: _difference(some, 0))
    due = estimate(table, lambda some: _difference(some, 0) - _difference(some, 2))
    return Verdict(UNDECIDED if seeds < FEWEST else _word(advantage, due), advantage, due, seeds)


def _difference(scores: np.ndarray, first: int) -> np.ndarray:
    """The mean of a column (..., runs, columns) less that of the next."""
    means = np.nanmean(scores, -2)
    return means[..., first] - means[..., first + 1]


def _word(advantage: Estimate, due: Estimate) -> str:
    assert advantage.low is not None and advantage.high is not None and due.low is not None
    if advantage.low > 0 and due.low > 0:
        return HELD
    if advantage.high < TENTH:
        return NOT
    return UNDECIDED
