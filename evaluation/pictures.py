"""Pictures of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluation.runs import Run


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


def _scale(axis: Any, measure: str) -> None:
    """Steps from 0 on, and all that success can be."""
    axis.set(xlabel="environment steps", ylabel=f"{measure} (sampled actions)")
    axis.set_xlim(left=0)
    if measure == "success":
        axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.3)
