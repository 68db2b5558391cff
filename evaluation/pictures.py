"""Pictures of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.runs import Run, label

LINES = ("-", "--", ":", "-.")  # another one after every ten runs: there are ten colours


def pyplot() -> Any:
    """Matplotlib for files; importing it takes 0.7 s, so it is imported only when something is drawn."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def draw_run(run: Run, file: Path) -> None:
    """Draw a run's learning curve: the return of each evaluation, and success where there is one, with intervals."""
    plt = pyplot()
    rows = [row for row in run.evaluations if row["return"] is not None]
    measures = ["return"] + (["success"] if rows and rows[0]["success"] is not None else [])
    figure, axes = plt.subplots(1, len(measures), figsize=(5.5 * len(measures), 3.6), squeeze=False)
    steps = [row["steps"] for row in rows]
    for axis, measure in zip(axes[0], measures, strict=True):
        axis.plot(steps, [row[measure] for row in rows], marker="o", markersize=3)
        axis.fill_between(
            steps, [row[f"{measure}_low"] for row in rows], [row[f"{measure}_high"] for row in rows], alpha=0.2
        )
        _scale(axis, measure)
    config = run.config
    figure.suptitle(
        f"{config['env']['name']}: {config['agent']['name']} with {config['encoder']['name']}, seed {config['seed']}"
    )
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_comparison(groups: Mapping[str, Sequence[Run]], file: Path) -> None:
    """Draw a panel of learning curves per environment: each label's mean over seeds, and every seed as a thin line."""
    plt = pyplot()
    names = sorted({label(run) for runs in groups.values() for run in runs})
    longest = 0.9 + 0.065 * max(map(len, names))  # width of a legend entry, in inches
    width = max(6 * len(groups), longest)
    columns = int(width / longest)
    size = (width, 3.6 + 0.18 * -(-len(names) // columns))
    figure, axes = plt.subplots(1, len(groups), figsize=size, squeeze=False, layout="constrained")
    styles = {name: (f"C{i % 10}", LINES[i // 10 % len(LINES)]) for i, name in enumerate(names)}
    lines: dict[str, Any] = {}
    for axis, (env, runs) in zip(axes[0], groups.items(), strict=True):
        measure = "success" if all(run.result and run.result["success"] is not None for run in runs) else "return"
        for name in sorted({label(run) for run in runs}):
            colour, line = styles[name]
            group = [run for run in runs if label(run) == name and run.evaluations]
            curves: Any = {run.folder: {row["steps"]: row[measure] for row in run.evaluations} for run in group}
            for curve in curves.values():
                axis.plot(list(curve), list(curve.values()), line, color=colour, alpha=0.25, linewidth=0.8)
            shared = sorted(set.intersection(*(set(curve) for curve in curves.values()))) if curves else []
            mean = [np.mean([curve[steps] for curve in curves.values()]) for steps in shared]
            marker = "o" if len(shared) == 1 else None
            (lines[name],) = axis.plot(shared, mean, line, color=colour, marker=marker, linewidth=2)
        axis.set_title(env)
        _scale(axis, measure)
    figure.legend(
        [lines[name] for name in names], names, loc="outside lower center", ncols=columns, fontsize=8, handlelength=3
    )
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _scale(axis: Any, measure: str) -> None:
    """Steps from 0 on, and all that success can be."""
    axis.set(xlabel="environment steps", ylabel=f"{measure} (sampled actions)")
    axis.set_xlim(left=0)
    if measure == "success":
        axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.3)
