"""Panels as figures for a paper: PNG and PDF, with one colour for each contender in all of them.

The colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; wine stands for yellow, which is
pale on paper.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comparing.comparison import Comparison
from comparing.panels import Panel, Series, Strip
from comparing.views import figures, names
from evaluation.pictures import pyplot
from storage.durable import write_file

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#000000")
QUIET = "#5c6670"
LINES = ("-", "--", ":", "-.")  # another one after every eight contenders
MOST_COLUMNS = 3
DOTS = 160  # per inch, of a PNG
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": "#30363d",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,  # letters, not outlines: a journal's check asks for it
    "legend.frameon": False,
}


def draw(comparison: Comparison, folder: Path) -> list[Path]:
    """Draw each figure for which the runs have something to show: `<name>.png` and `<name>.pdf`; returns the files.

    Raises:
        OSError: a file cannot be written.
    """
    plt = pyplot()
    labels = names(comparison)
    files = []
    with plt.rc_context(STYLE):
        for name, panels in figures(comparison).items():
            if not panels:
                continue
            figure = _strips(panels) if isinstance(panels[0], Strip) else _panels(panels, labels)  # type: ignore[arg-type]
            figure.draw_without_rendering()  # lays it out, once for both files
            figure.set_layout_engine("none")
            for kind in ("png", "pdf"):
                content = io.BytesIO()
                # without the date, the same runs give the same bytes
                figure.savefig(content, format=kind, dpi=DOTS, metadata={"CreationDate": None} if kind == "pdf" else {})
                files.append(folder / f"{name}.{kind}")
                write_file(files[-1], content.getvalue())
            plt.close(figure)
    return files


def columns(count: int) -> int:
    """How many of so many panels stand in a row."""
    return 2 if count == 4 else min(count, MOST_COLUMNS)


def _grid(count: int, width: float, height: float, beside: float = 0.0) -> tuple[Any, list[Any]]:
    """A figure of `count` axes, at most three in a row, and its axes.

    Args:
        width, height: of one of them, in inches.
        beside: inches that are needed to the left of all.
    """
    across = columns(count)
    rows = -(-count // across)
    stretch = {1: 1.7, 2: 1.15}.get(across, 1.0)  # few panels are larger
    size = (width * stretch * across + beside, (height * stretch if across == 1 else height) * rows + 0.4)
    figure, axes = pyplot().subplots(rows, across, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])


def _panels(panels: Sequence[Panel], labels: Sequence[str]) -> Any:
    figure, axes = _grid(len(panels), 3.0, 2.5)
    for axis, panel in zip(axes, panels, strict=True):
        for series in panel.series:
            _draw_series(axis, panel, series)
        for x, y in panel.joined:
            axis.plot(x, y, color="#9aa5b0", linewidth=0.8, zorder=0)
        if panel.level is not None:
            axis.axhline(panel.level, color=QUIET, linewidth=0.9, linestyle=(0, (5, 4)))
        space = 0.03 * (panel.within[1] - panel.within[0])
        axis.set(title=_plain(panel.title), xlabel=_plain(panel.x), ylabel=_plain(panel.y))
        axis.set(xscale="log" if panel.log else "linear", xlim=panel.along)
        axis.set_ylim(panel.within[0] - space, panel.within[1] + space)
        if not panel.log:
            axis.xaxis.set_major_formatter(_thousands)
            axis.locator_params(axis="x", nbins=5)
    shown = sorted({series.contender for panel in panels for series in panel.series})
    _legend(figure, [(contender, labels[contender]) for contender in shown], dots=panels[0].dots)
    return figure


def _draw_series(axis: Any, panel: Panel, series: Series) -> None:
    colour, line = COLOURS[series.contender % len(COLOURS)], LINES[series.contender // len(COLOURS) % len(LINES)]
    drawn = "steps-post" if panel.stairs else "default"
    for x, y in series.runs:
        axis.plot(x, y, color=colour, linewidth=0.4, alpha=0.22, drawstyle=drawn, zorder=1.5)
    if series.low is not None and series.high is not None:
        if panel.dots:
            axis.vlines(series.x, series.low, series.high, color=colour, linewidth=1.4)
        else:
            step = "post" if panel.stairs else None
            axis.fill_between(series.x, series.low, series.high, step=step, color=colour, alpha=0.17, linewidth=0)
    marker = "o" if panel.dots or len(series.x) == 1 else None
    look = {"linewidth": 1.9, "markersize": 5, "drawstyle": drawn, "solid_capstyle": "round", "clip_on": False}
    axis.plot(series.x, series.y, line, color=colour, marker=marker, zorder=3, **look)
    if series.marks:
        axis.plot(*zip(*series.marks, strict=True), "|", color=colour, markersize=9, mew=1.6, clip_on=False)


def _strips(strips: Sequence[Strip]) -> Any:
    labels = list(dict.fromkeys(row.label for strip in strips for row in strip.rows))
    figure, axes = _grid(len(strips), 2.4, 0.7 + 0.2 * len(labels), 0.08 * max(map(len, labels)))
    for i, (axis, strip) in enumerate(zip(axes, strips, strict=True)):
        for row in strip.rows:
            height, colour = labels.index(row.label), COLOURS[row.contender % len(COLOURS)]
            value, low, high = row.estimate
            if low is not None and high is not None:
                axis.hlines(height, low, high, color=colour, linewidth=4, alpha=0.4)
            axis.plot(row.runs, [height] * len(row.runs), "|", color=colour, markersize=6, alpha=0.5)
            inside = colour if row.firm else "white"
            axis.plot(value, height, "o", color=colour, mfc=inside, markersize=5, clip_on=False)
        middle = sum(strip.within) / 2
        for label in {*labels} - {row.label for row in strip.rows}:
            axis.text(middle, labels.index(label), "–", color=QUIET, ha="center", va="center")
        if strip.level is not None:
            axis.axvline(strip.level, color=QUIET, linewidth=0.9, linestyle=(0, (5, 4)))
        space = 0.03 * (strip.within[1] - strip.within[0])
        axis.set(title=_plain(strip.title), xlabel=_plain(strip.x))
        axis.set_xlim(strip.within[0] - space, strip.within[1] + space)
        axis.set_yticks(range(len(labels)), map(_plain, labels))
        axis.tick_params(axis="y", labelleft=i % columns(len(strips)) == 0, length=0)
        axis.set_ylim(len(labels) - 0.4, -0.6)
        axis.grid(axis="x", color=STYLE["grid.color"])
        axis.grid(axis="y", visible=False)
    return figure


def _legend(figure: Any, entries: Sequence[tuple[int, str]], dots: bool) -> None:
    """One legend below all panels."""
    handles = []
    for contender, _ in entries:
        colour, line = COLOURS[contender % len(COLOURS)], LINES[contender // len(COLOURS) % len(LINES)]
        look = {"marker": "o", "linestyle": "", "markersize": 5} if dots else {"linestyle": line, "linewidth": 2}
        handles.append(pyplot().Line2D([], [], color=colour, **look))
    widest = 0.5 + 0.068 * max(len(name) for _, name in entries)  # inches
    across = max(1, min(len(entries), int(figure.get_figwidth() / widest)))
    texts = [_plain(name) for _, name in entries]
    figure.legend(handles, texts, loc="outside lower center", ncols=across, handlelength=1.6)


def _plain(text: str) -> str:
    """Text that Matplotlib draws as it stands: a name of a run may hold dollar signs, which begin a formula."""
    return text.replace("$", r"\$")


def _thousands(value: float, _: int) -> str:
    """ "50k" for 50,000, "1.5M" for 1,500,000."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
