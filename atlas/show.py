"""The atlas as a page of the documentation and as a picture, both from results/atlas.csv alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from comparing.figures import COLOURS, STYLE

from atlas.claims import Claim
from atlas.collect import FLAT, PACKAGES, Row, scores_of
from atlas.verdict import Verdict, verdict
from comparing.statistics import Estimate, aligned, estimate, mean
from evaluation.pictures import pyplot
from storage.durable import write_file

COLUMNS = 2  # of panels
MATTERS, REMOVED = COLOURS[0], COLOURS[1]


def page(chosen: Sequence[Claim], rows: Sequence[Row], file: Path) -> None:
    """Write a section for each claim: what it says, the verdict, the table, the commands.

    Raises:
        OSError: the file cannot be written.
    """
    found = {claim.name: verdict(claim, scores_of(rows, claim.name)) for claim in chosen}
    parts = [INTRODUCTION, table(["claim", "verdict", "advantage", "due to the property", "seeds"], _summary(found))]
    parts += ["![Success of each contender with and without the property](atlas.png)"]
    for claim in chosen:
        parts += [f"## {claim.name.capitalize()}: {found[claim.name].word}", f"{claim.says} ({claim.source})"]
        parts += _section(claim, rows)
    parts += [_versions(rows)]
    write_file(file, "\n\n".join(parts) + "\n")


def draw(chosen: Sequence[Claim], rows: Sequence[Row], file: Path) -> None:
    """Draw a panel for each claim: the score of each seed, and the mean with its interval, in both tasks.

    Raises:
        OSError: the file cannot be written.
    """
    plt = pyplot()
    lines = -(-len(chosen) // COLUMNS)
    heights = [max(len(claim.contenders) for claim in chosen[i::COLUMNS]) for i in range(1)]
    with plt.rc_context(STYLE):
        size = (10, lines * (0.9 + 0.36 * max(heights)))
        figure, axes = plt.subplots(lines, COLUMNS, figsize=size, layout="constrained", squeeze=False)
        for axis, claim in zip(axes.flat, chosen, strict=False):
            _panel(axis, claim, rows)
        for axis in axes.flat[len(chosen) :]:
            axis.set_visible(False)
        shown = [plt.Line2D([], [], marker="o", linestyle="", color=colour) for colour in (MATTERS, REMOVED)]
        figure.legend(shown, ["the property matters", "it is removed"], loc="outside upper center", ncols=2)
        content = io.BytesIO()
        figure.savefig(content, dpi=110, format="png")
        plt.close(figure)
    write_file(file, content.getvalue())


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines))


def _panel(axis: Any, claim: Claim, rows: Sequence[Row]) -> None:
    scores = scores_of(rows, claim.name)
    names = [*claim.contenders]
    for place, name in enumerate(names):
        for setting, colour, above in (("matters", MATTERS, -0.15), ("removed", REMOVED, 0.15)):
            values = np.asarray(scores.get(setting, {}).get(name, ()))
            if len(values):
                known, height = _mean(values), place + above
                axis.plot(values, np.full(len(values), height), "o", color=colour, alpha=0.3, markersize=3.5)
                if known.low is not None:
                    axis.plot([known.low, known.high], [height] * 2, color=colour, linewidth=2)
                axis.plot(known.value, height, "o", color=colour, markersize=6.5)
    axis.set(yticks=range(len(names)), yticklabels=names, xlim=(-0.04, 1.04), ylim=(len(names) - 0.5, -0.5))
    axis.set_xlabel("success")
    axis.grid(axis="x")
    axis.set_title(f"{claim.name}: {verdict(claim, scores).word}", loc="left")


def _mean(values: np.ndarray) -> Estimate:
    return estimate(aligned([values]), mean)


def _summary(found: dict[str, Verdict]) -> list[list[str]]:
    return [
        [f"[{name}](#{name}-{each.word.replace(' ', '-')})", each.word, *_effects(each), str(each.seeds)]
        for name, each in found.items()
    ]


def _effects(found: Verdict) -> list[str]:
    return ["" if effect is None else str(effect) for effect in (found.advantage, found.due)]


def _section(claim: Claim, rows: Sequence[Row]) -> list[str]:
    scores = scores_of(rows, claim.name)
    header = [
        "contender",
        *(setting.shown for setting in claim.settings.values()),
        "parameters",
        "curve still rises by",
    ]
    lines = []
    for name in claim.contenders:
        own = [row for row in rows if row["claim"] == claim.name and row["contender"] == name]
        cells = [scores.get(setting, {}).get(name, ()) for setting in claim.settings]
        if not own:
            continue
        sizes = sorted({int(row["parameters"]) for row in own})
        rise = max(float(row["rising"]) for row in own)
        lines.append(
            [
                name,
                *(str(_mean(np.asarray(cell))) + f" ({len(cell)})" if cell else "" for cell in cells),
                " and ".join(f"{size:,}" for size in sizes),
                f"{rise:.2f}" if rise > FLAT else "",
            ]
        )
    return [table(header, lines), f"```sh\npython -m atlas --train {claim.name}\n```"]


def _versions(rows: Sequence[Row]) -> str:
    seen = {package: " and ".join(sorted({row[package] for row in rows})) for package in PACKAGES}
    return "Versions: " + ", ".join(f"{package} {numbers}" for package, numbers in seen.items()) + "."


INTRODUCTION = """# The atlas: which architecture generalizes where

`python -m atlas --write docs` writes this page and its picture from `results/atlas.csv`. Each claim of theory is
about one property of tasks. It has a task in which the property matters, and the same task without it, so that
a bias can be seen to win or to fail.

- *advantage*: the score of the encoder that theory favours less that of its rival, where the property matters
- *due to the property*: that advantage less the advantage where the property is removed
- **held**: both intervals lie above 0. **Did not hold**: the advantage is below 0, or less than a tenth.
  **Undecided**: anything else.

Scores are success with sampled actions in 200 episodes of the last policy, as means over seeds with 95% intervals of a
stratified bootstrap (in parentheses, how many seeds). All encoders have about as many parameters, one setting of
`ppo_fast` and one budget for each task. Where the last third of a run's curve is on average more than 0.05 above the
third before it, the table says by how much: that encoder had not finished learning.

```sh
python train.py -m experiment=atlas seed=0,1,2,3,4  # all encoders on all tasks; repeat the line to go on
python -m atlas --train                             # what the claims need beside
python -m atlas --collect runs --write docs
```"""
