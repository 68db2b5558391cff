"""Regularization, and what is learned by heart: dropout and weight decay against the generalization gap.

An agent that learned its training levels by heart has a gap: it succeeds there more often than on others of the same
kind. The fewer levels, the larger the gap. What decides is by how much weight decay lowers the gap at 50 levels, over
seeds: the gap of an agent without regularization less that of one with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from comparing.figures import COLOURS
from evaluation.scores import difference, student_interval
from laboratory.claim import Claim, Measured, Row
from laboratory.regularized import METHODS, trained, training_time

LEVELS: tuple[int | str, ...] = (50, 200, "all")
SEEDS = range(5)
DECIDES = "weight decay"


def measure(quick: bool) -> Measured:
    seeds, amounts = (SEEDS[:2], LEVELS[:1]) if quick else (SEEDS, LEVELS)
    found = {
        (levels, method): [trained(method, levels, seed, quick) for seed in seeds]
        for levels in amounts
        for method in METHODS
    }
    rows = []
    for (levels, method), runs in found.items():
        each = {"training": [run.training for run in runs], "test": [run.test for run in runs]}
        row: dict[str, Any] = {"levels": str(levels), "regularization": method, "seeds": len(runs)}
        for name, values in each.items():
            row |= {name: float(np.mean(values))}
        rows.append(row | _gap([run.gap for run in runs] if levels != "all" else []))
    gaps = {method: student_interval(np.array([run.gap for run in found[50, method]])) for method in METHODS}
    return Measured(difference(gaps["none"], gaps[DECIDES]), rows, notes=[_tests(rows), training_time(found.values())])


def _tests(rows: Sequence[Row]) -> str:
    """What regularization does to success on test levels, since an agent that learned nothing has no gap either."""
    plain, *others = (row for row in rows if row["levels"] == str(LEVELS[0]))
    changes = ", ".join(f"{row['test'] - plain['test']:+.2f} with {row['regularization']}" for row in others)
    return f"At {plain['levels']} levels success on test levels changes by {changes}."


def _gap(gaps: Sequence[float]) -> dict[str, float | None]:
    """The mean over seeds, and its interval."""
    if not gaps:
        return {"gap": None, "low": None, "high": None}
    mean, low, high = student_interval(np.array(gaps))
    return {"gap": mean, "low": low, "high": high}


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    amounts = list(dict.fromkeys(row["levels"] for row in rows))
    for number, (method, colour) in enumerate(zip(METHODS, COLOURS, strict=False)):
        own = [row for row in rows if row["regularization"] == method]
        places = np.arange(len(own)) + 0.22 * (number - 1)
        left.bar(places, [row["test"] for row in own], 0.2, color=colour, label=method)
        with_gap = [(place, row) for place, row in zip(places, own, strict=True) if row["gap"] is not None]
        for place, row in with_gap:
            right.plot([place, place], [row["low"], row["high"]], color=colour, linewidth=2)
        right.plot([place for place, _ in with_gap], [row["gap"] for _, row in with_gap], "o", color=colour)
    for axis in (left, right):
        axis.set_xticks(range(len(amounts)), amounts)
        axis.set_xlabel("levels of training")
    left.set(ylabel="success on test levels", ylim=(0, 1.18))
    left.legend(loc="upper left", ncols=3, fontsize=8)
    right.set(ylabel="generalization gap, 95% interval over seeds", xlim=(-0.5, len(amounts) - 0.5))
    right.axhline(0, color="#5c6670", linewidth=0.8)


CLAIM = Claim(
    says="Regularization, here weight decay, lowers the generalization gap of an agent that saw few levels.",
    source="Cobbe et al. 2019, section 5; Farebrother et al. 2018",
    number="generalization gap at 50 levels without regularization less that with weight decay",
    measure=measure,
    draw=draw,
    quick="2 seeds, 25,000 steps, 50 levels only",
)
