"""Lipschitz constants: does regularization lower them, and does an agent with a lower one generalize better?

The constant of the policy's logits is bounded from below by the largest gradient norm over the states of 50 episodes,
and from above by the product of its layers' constants (`analysis.lipschitz`). The agents are those of the claim
`regularization` that were trained on 50 levels. What decides is log₂ of the lower bound without regularization less
that with weight decay, over seeds. The notes have the correlation between the constant and the gap over all of them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from comparing.figures import COLOURS
from evaluate import evaluate
from evaluation.scores import difference, student_interval
from laboratory.claim import Claim, Measured, Row
from laboratory.claims.regularization import DECIDES, SEEDS
from laboratory.regularized import METHODS, Trained, trained, training_time

LEVELS, EPISODES = 50, 50


def measure(quick: bool) -> Measured:
    runs = {
        (method, seed): trained(method, LEVELS, seed, quick)
        for method in METHODS
        for seed in (SEEDS[:2] if quick else SEEDS)
    }
    rows: list[dict[str, Any]] = []
    for (method, seed), run in runs.items():
        lower, upper = bounds(run)
        rows.append({"regularization": method, "seed": seed, "lower": lower, "upper": upper, "gap": run.gap})
    logs = {
        method: student_interval(np.log2([row["lower"] for row in rows if row["regularization"] == method]))
        for method in METHODS
    }
    return Measured(
        difference(logs["none"], logs[DECIDES]), rows, notes=[together(rows), training_time([[*runs.values()]])]
    )


def bounds(run: Trained) -> tuple[float, float]:
    """Of the Lipschitz constant of an agent's logits, from below and from above."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = evaluate({"policy": str(run.folder), "lipschitz": True, "episodes": EPISODES})["lipschitz"]
    return found["lower"], found["upper"]


def together(rows: Sequence[Row]) -> str:
    """How the constant and the gap go together, in a sentence, by Spearman's rank correlation."""
    lower, gap = (np.argsort(np.argsort([row[key] for row in rows])) for key in ("lower", "gap"))
    r = float(np.corrcoef(lower, gap)[0, 1])
    spread = 1.96 * np.sqrt((1 + r**2 / 2) / (len(rows) - 3))  # Bonett and Wright 2000
    low, high = np.tanh(np.arctanh(r) + np.array([-spread, spread]))
    return (
        f"Over these {len(rows)} agents the rank correlation between the lower bound and the generalization gap is "
        f"{r:.2f} [{low:.2f}, {high:.2f}]."
    )


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for number, (method, colour) in enumerate(zip(METHODS, COLOURS, strict=False)):
        own = [row for row in rows if row["regularization"] == method]
        for row in own:
            left.plot([number, number], [row["lower"], row["upper"]], color=colour, linewidth=1, alpha=0.5)
        left.plot([number] * len(own), [row["lower"] for row in own], "o", color=colour, markersize=4)
        left.plot([number] * len(own), [row["upper"] for row in own], "_", color=colour, markersize=10)
        right.plot([row["lower"] for row in own], [row["gap"] for row in own], "o", color=colour, label=method)
    left.set(yscale="log", ylabel="bounds of the Lipschitz constant")
    left.set_xticks(range(len(METHODS)), METHODS)
    right.set(xscale="log", xlabel="lower bound of the Lipschitz constant", ylabel="generalization gap")
    right.legend()


CLAIM = Claim(
    says="Regularization, here weight decay, lowers the Lipschitz constant of a policy.",
    source="Bartlett et al. 2017; Yoshida and Miyato 2017",
    number="log₂ of the Lipschitz constant's lower bound without regularization less that with weight decay",
    measure=measure,
    draw=draw,
    quick="2 seeds, 25,000 steps",
)
