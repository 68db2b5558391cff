"""Attention alone does not know in which order tokens come; positions tell it, each kind in its own way.

The task is even pairs: are there as many changes from 0 to 1 as from 1 to 0, that is, are the first and the last token
the same? A transformer without positions sees only how often each token occurs. One is trained with each kind of
positions on lengths up to 40, and tested on lengths up to 500.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.chomsky import TASKS
from evaluation.scores import difference, student_interval
from laboratory.claim import Claim, Measured, Row
from laboratory.sequence import LONGER, POSITIONS, TRAINED, Budget, accuracies, fit

TASK = TASKS["even_pairs"]
SIZE = {"width": 32, "layers": 2, "heads": 4}
BUDGET = Budget(steps=800, rate=2e-3, growing=0.5)
COLOURS = ("#6b7280", "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7")


def measure(quick: bool) -> Measured:
    budget = replace(BUDGET, steps=300, longest=10) if quick else BUDGET
    seeds = range(1 if quick else 3)
    sequences = 32 if quick else 128
    found = {kind: np.array([_accuracies(kind, seed, budget, sequences) for seed in seeds]) for kind in POSITIONS}
    beyond = {kind: student_interval(each[:, len(TRAINED) :].mean(1), (0, 1)) for kind, each in found.items()}
    best = max(POSITIONS, key=lambda kind: beyond[kind].mean)
    rows = [_row(kind, each) for kind, each in found.items()]
    notes = [
        f"The transformers have 2 layers of width 32 and train for {budget.steps:,} steps; those of Delétang et al. "
        "have 5 of 64 and train for 1,000,000. The greatest length grows in the first half of the steps. Learned and "
        "randomized positions are not among theirs.",
        f"The best kind is chosen on the seeds that are shown: {best}.",
    ]
    drawn = {kind: [float(mean) for mean in each.mean(0)] for kind, each in found.items()}
    return Measured(difference(beyond[best], beyond["none"]), rows, drawn, notes)


def _accuracies(positions: str, seed: int, budget: Budget, sequences: int) -> list[float]:
    made = fit("transformer", TASK, seed, budget, positions=positions, **SIZE)
    return accuracies(made, TASK, [*TRAINED, *LONGER], sequences)


def _row(kind: str, each: np.ndarray) -> Row:
    trained, longer = each[:, : len(TRAINED)], each[:, len(TRAINED) :]
    return {
        "positions": kind,
        "seeds": len(each),
        "1-40": float(trained.mean()),
        "41-500": float(longer.mean()),
        "41": float(longer[:, 0].mean()),
        "92": float(longer[:, 1].mean()),
        "500": float(longer[:, -1].mean()),
        "worst seed": float(longer.mean(1).min()),
        "best seed": float(longer.mean(1).max()),
    }


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    axis = figure.subplots()
    for (kind, accuracy), colour in zip(drawn.items(), COLOURS, strict=True):
        axis.plot([*TRAINED, *LONGER], accuracy, color=colour, label=kind)
    axis.axvspan(1, 40, color="#e4e7eb", label="trained lengths")
    axis.set(xlabel="length", ylabel="accuracy", ylim=(0.4, 1.03))
    axis.legend(loc="upper right")


CLAIM = Claim(
    says="Positions decide what a transformer learns where order matters, and how much of it lasts at new lengths.",
    source="Delétang et al. 2023, section 5.4; Ruoss et al. 2023",
    number="accuracy on lengths 41-500 with the best kind of positions less that with none",
    measure=measure,
    draw=draw,
    quick="1 seed instead of 3, 300 steps on lengths 1-10 instead of 800 on 1-40",
    least=0.1,
)
