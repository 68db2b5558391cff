"""What the runs say about a claim.

With the scores f of the favoured encoder and r of its rival, each a mean over seeds:

    advantage   f - r in the task in which the property matters
    due to it   that advantage less the advantage in the task without the property

    held           both intervals lie above 0
    did not hold   the interval of the advantage lies wholly below a tenth
    undecided      anything else, and fewer than four seeds

A mean has Student's 95% interval over seeds, within 0 to 1, and a difference that of `evaluation.scores.difference`.
With few seeds, a bootstrap's intervals are too short (docs/comparing.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atlas.claims import Claim
from evaluation.scores import Interval, difference, student_interval

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
    advantage: Interval | None = None
    due: Interval | None = None
    seeds: int = 0


def verdict(claim: Claim, scores: Scores) -> Verdict:
    """The verdict on a claim from the scores of its runs."""
    (f, r), (f_removed, r_removed) = (
        [scores.get(setting, {}).get(contender, ()) for contender in (claim.favoured, claim.rival)]
        for setting in ("matters", "removed")
    )
    seeds = min(map(len, (f, r, f_removed, r_removed)))
    if seeds == 0:
        return Verdict(MISSING)
    advantage = difference(over_seeds(f), over_seeds(r))
    due = difference(advantage, difference(over_seeds(f_removed), over_seeds(r_removed)))
    return Verdict(UNDECIDED if seeds < FEWEST else _word(advantage, due), advantage, due, seeds)


def over_seeds(scores: Sequence[float]) -> Interval:
    """The mean of successes with Student's interval."""
    return student_interval(np.asarray(scores, float), (0, 1))


def _word(advantage: Interval, due: Interval) -> str:
    if advantage.low > 0 and due.low > 0:
        return HELD
    return NOT if advantage.high < TENTH else UNDECIDED
