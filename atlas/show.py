"""The atlas as a page of the documentation and as a picture, both from results/atlas.csv alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlas.claims import Claim
from atlas.collect import FLAT, PACKAGES, Row, scores_of
from atlas.verdict import over_seeds, verdict
from comparing.figures import COLOURS, STYLE
from evaluation.pictures import pyplot
from evaluation.report import markdown
from storage.durable import write_file

COLUMNS = 2  # of panels
MATTERS, REMOVED = COLOURS[0], COLOURS[1]
MARKS = "<!-- written by python -m atlas --write docs -->", "<!-- end -->"
SUMMARY = ("property", "favoured over its rival", "success", "advantage", "due to the property", "seeds", "verdict")


def page(chosen: Sequence[Claim], rows: Sequence[Row], file: Path) -> None:
    """Write the summary, and for each claim what it says, the verdict and the scores.

    Raises:
        OSError: the file cannot be written.
    """
    parts = [TOP, summary(chosen, rows), "![Success of each contender with and without the property](atlas.png)"]
    for claim in chosen:
        word = verdict(claim, scores_of(rows, claim.name)).word
        parts += [f"## {claim.name.capitalize()}: {word}", f"{claim.says} ({claim.source})"]
        parts += [claim.note] if claim.note else []
        parts += [_scores(claim, rows)] if scores_of(rows, claim.name) else []
        parts += [f"```sh\npython -m atlas --train {claim.name}\n```"]
    write_file(file, "\n\n".join([*parts, _versions(rows)]) + "\n")


def summary(chosen: Sequence[Claim], rows: Sequence[Row]) -> str:
    """A line for each claim: who is held against whom, their success where the property matters, effects, verdict."""
    lines = []
    for claim in chosen:
        scores = scores_of(rows, claim.name)
        found = verdict(claim, scores)
        who = f"{claim.favoured} over {claim.rival}"
        if found.advantage is None or found.due is None:
            lines.append([claim.name, who, "", "", "", "", found.word])
            continue
        both = (np.mean(scores["matters"][name]) for name in (claim.favoured, claim.rival))
        success = " against ".join(f"{value:.2f}" for value in both)
        effects = (str(each) if found.seeds > 1 else f"{each.mean:.2f}" for each in (found.advantage, found.due))
        lines.append([claim.name, who, success, *effects, str(found.seeds), f"**{found.word}**"])
    return markdown(SUMMARY, lines)


def renew(file: Path, table: str) -> None:
    """Replace the summary in a page, between the marks, if it has them.

    Raises:
        OSError: the file cannot be read or written.
    """
    begin, end = MARKS
    before, found, rest = file.read_text(encoding="utf-8").partition(begin)
    if found:
        write_file(file, f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}")


def draw(chosen: Sequence[Claim], rows: Sequence[Row], file: Path) -> None:
    """Draw a panel for each claim that has runs: the score of each seed, and the mean with its interval, in both tasks.

    Raises:
        OSError: the file cannot be written.
    """
    plt = pyplot()
    chosen = [claim for claim in chosen if scores_of(rows, claim.name)]
    lines = -(-len(chosen) // COLUMNS)
    most = max(len(claim.contenders) for claim in chosen)
    with plt.rc_context(STYLE):
        size = (10, lines * (0.8 + 0.3 * most))
        figure, axes = plt.subplots(lines, COLUMNS, figsize=size, layout="constrained", squeeze=False)
        for axis, claim in zip(axes.flat, chosen, strict=False):
            _panel(axis, claim, rows)
        for axis in axes.flat[len(chosen) :]:
            axis.set_visible(False)
        shown = [plt.Line2D([], [], marker="o", linestyle="", color=colour) for colour in (MATTERS, REMOVED)]
        figure.legend(shown, ["the property matters", "it was removed"], loc="outside upper center", ncols=2)
        content = io.BytesIO()
        figure.savefig(content, dpi=110, format="png")
        plt.close(figure)
    write_file(file, content.getvalue())


def _panel(axis: Any, claim: Claim, rows: Sequence[Row]) -> None:
    scores = scores_of(rows, claim.name)
    names = [name for name in claim.contenders if any(name in each for each in scores.values())]
    for place, name in enumerate(names):
        for setting, colour, above in (("matters", MATTERS, -0.15), ("removed", REMOVED, 0.15)):
            values = scores.get(setting, {}).get(name, ())
            if values:
                known, height, single = over_seeds(values), place + above, len(values) == 1
                axis.plot(values, [height] * len(values), "o", color=colour, alpha=0.3, markersize=3.5)
                axis.plot([known.low, known.high], [height] * 2, color=colour, linewidth=2)
                filled = "white" if single else colour
                axis.plot(known.mean, height, "o", color=colour, markerfacecolor=filled, markersize=6.5)
    axis.set(yticks=range(len(names)), yticklabels=names, xlim=(-0.04, 1.04), ylim=(len(names) - 0.5, -0.5))
    axis.set_xlabel("success")
    axis.grid(axis="x")
    axis.set_title(f"{claim.name}: {verdict(claim, scores).word}", loc="left")


def _scores(claim: Claim, rows: Sequence[Row]) -> str:
    scores = scores_of(rows, claim.name)
    lines = []
    for name in claim.contenders:
        own = [row for row in rows if row["claim"] == claim.name and row["contender"] == name]
        if own:
            means = [
                _cell(scores.get(key, {}).get(name, ()), [row for row in own if row["setting"] == key])
                for key in claim.settings
            ]
            sizes = " and ".join(f"{size:,}" for size in sorted({int(row["parameters"]) for row in own}))
            lines.append([name, *means, sizes])
    shown = [setting.shown for setting in claim.settings.values()]
    return markdown(["contender", *shown, "parameters"], lines)


def _cell(scores: Sequence[float], rows: Sequence[Row]) -> str:
    """The mean of scores with its interval, how many there are, and how many of their runs were still learning."""
    if not scores:
        return ""
    found = over_seeds(scores)
    shown = str(found) if len(scores) > 1 else f"{found.mean:.2f}"
    rising = sum(float(row["rising"]) > FLAT for row in rows)
    return f"{shown} ({len(scores)}{f', {rising} still rising' if rising else ''})"


def _versions(rows: Sequence[Row]) -> str:
    seen = {package: " and ".join(sorted({row[package] for row in rows})) for package in PACKAGES}
    return "Versions: " + ", ".join(f"{package} {numbers}" for package, numbers in seen.items()) + "."


TOP = """# The atlas: which architecture generalizes where

`python -m atlas --write docs` writes this page and its picture from `results/atlas.csv`. Each claim of theory is about
one property of tasks. It has a task in which the property matters, and the same task in which it does not, so that a
bias can be seen to win or to fail.

- *success*: of the encoder that theory favours against that of its rival, where the property matters
- *advantage*: the difference of the two
- *due to the property*: the advantage less the advantage where the property was removed
- **held**: both intervals lie above 0. **Did not hold**: the interval of the advantage lies wholly below 0.1.
  **Undecided**: anything else, and fewer than four seeds: of three, no rank test tells the clearest difference.

Success is that of the last policy with sampled actions in 200 episodes, as a mean over seeds with Student's 95%
interval. In parentheses are the number of seeds, and of how many the last fifth of the learning curve is on average
more than 0.15 above the fifth before it, two standard errors: those were still learning. The encoders of one task have
equally many parameters to within 10%, and one setting of `ppo_fast` and one budget. None was tuned for a task, but
`recurrent_ppo` was for MemoryS7.

```sh
python train.py -m experiment=atlas seed=0,1,2,3,4  # six encoders on nine tasks; repeat the line to go on
python -m atlas --train                             # what the claims need beside
python -m atlas --collect runs --write docs
```"""
