"""A comparison as one HTML file that needs nothing else: no network, no library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comparing.comparison import Comparison
from comparing.document import document
from comparing.markup import Markup, element, joined
from comparing.page_tables import pair_tables, score_table, settings_table, total_table
from comparing.panels import Panel, Series
from comparing.views import figures, names
from comparing.words import counted, not_there, sentences, shared
from storage.durable import write_file

HERE = Path(__file__).resolve().parent
MOST_BULLETS = 8  # of a list, beyond which it is folded
MOST_POINTS = 120  # of a curve: a panel of a page is about 400 pixels wide

HOW_TO_READ = (
    "An interquartile mean is the mean of the middle half of the runs. Its interval, the band of a curve, holds 95% of "
    "its values in bootstrap resamples: runs drawn with replacement within each environment. Thin lines and ticks are "
    "single runs.",
    "Scores are those of the last policy on fresh episodes, never of the best one.",
    "P(first > second) is how often a run of the first beats a run of the second; ties count one half.",
    "A curve of runs that reached the threshold is Kaplan and Meier's estimate. A tick is a run that ended without "
    "reaching it.",
)


def write_page(comparison: Comparison, file: Path) -> None:
    """Write the report.

    Raises:
        OSError: it cannot be written.
    """
    charts: list[Panel] = []
    body = joined(_head(comparison), _verdicts(comparison), *_sections(comparison, charts))
    data = {"names": names(comparison), "panels": [panel_data(each) for each in charts]}
    page = document(title(comparison), _part("page.css"), body, data, _part("charts.js") + _part("page.js"))
    write_file(file, page)


def title(comparison: Comparison) -> str:
    """Who is compared, and where."""
    contenders, environments = names(comparison), [each.name for each in comparison.environments]
    who = listed(contenders) if len(contenders) <= 3 else f"{len(contenders)} contenders"
    where = listed(environments) if len(environments) <= 2 else f"{len(environments)} environments"
    return f"{who} on {where}"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _part(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _head(comparison: Comparison) -> Markup:
    runs = [run for each in comparison.environments for one in each.contenders for run in one.runs]
    seeds = sorted({len(one.runs) for each in comparison.environments for one in each.contenders})
    steps = sorted({one.budget for each in comparison.environments for one in each.contenders})
    facts = (
        f"{len(runs):,} finished runs",
        f"{_span(seeds)} seed{'s' * (seeds != [1])} each",
        f"{_span(steps)} environment steps each",
        *filter(None, [shared(comparison)]),
    )
    return element(
        "header",
        element("h1", title(comparison)),
        element("p", "; ".join(facts) + ".", class_="quiet"),
    )


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _verdicts(comparison: Comparison) -> Markup:
    """What the data support, and what a reader has to know about the runs."""
    said, notes = sentences(comparison), not_there(comparison)
    notes += [f"{each.name}: {note}" for each in comparison.environments for note in each.notes]
    if len(comparison.environments) > 1:
        notes += [f"not in the average: {reason}" for reason in comparison.aggregate.left_out]
    closing = element("p", f"{counted(comparison)}.", class_="quiet")
    supported = element("section", element("h2", "What the data support"), *_bullets(said), closing, class_="verdicts")
    if not notes:
        return supported
    missing = element("section", element("h2", "Missing and unequal"), *_bullets(notes), class_="verdicts notes")
    return joined(supported, missing)


def _bullets(sentences: Sequence[str]) -> list[Markup]:
    """A list, folded behind its first lines where it is long."""
    items = [element("li", sentence) for sentence in sentences]
    if len(items) <= MOST_BULLETS + 1:
        return [element("ul", *items)]
    first, more = items[:MOST_BULLETS], items[MOST_BULLETS:]
    folded = element("details", element("summary", f"{len(more):,} more"), element("ul", *more))
    return [element("ul", *first), folded]


def _sections(comparison: Comparison, charts: list[Panel]) -> list[Markup]:
    """The parts of the page; what they draw is appended to `charts`."""
    drawn = figures(comparison)

    def grid(name: str) -> Markup | None:
        panels: Any = drawn[name]
        if not panels:
            return None
        cells = []
        for panel in panels:
            label = f"{panel.title}: {panel.y} against {panel.x}; the arrow keys move through its values"
            chart = {"class_": "chart", "data_panel": len(charts), "tabindex": 0, "role": "img", "aria_label": label}
            cells.append(element("figure", element("figcaption", panel.title), element("svg", **chart)))
            charts.append(panel)
        return element("div", *cells, class_="charts")

    def folded(heading: str, part: Markup | None) -> Markup | None:
        return part and element("details", element("summary", heading), part)

    def section(heading: str, note: str, *parts: Markup | None) -> Markup:
        there = [part for part in parts if part is not None]
        said = element("p", note, class_="quiet") if note else ""
        name = heading.lower().replace(" ", "-")
        return element("section", element("h2", heading), said, *there, id=name) if there else Markup()

    return [
        element("div", class_="legend", role="group", aria_label="contenders: press one to hide or show it"),
        section(
            "Learning curves",
            "Interquartile mean of each evaluation with its 95% band; thin lines are single runs.",
            grid("learning_curves"),
        ),
        section("Scores", "Press a heading to sort.", total_table(comparison), score_table(comparison)),
        section(
            "Who beats whom",
            "The probability that a run of the first contender beats a run of the second. Hollow: not separated.",
            *pair_tables(comparison),
        ),
        section("Performance profiles", "The share of runs above each score: higher is better.", grid("profiles")),
        section(
            "How soon",
            "The share of runs that have reached the threshold. A tick marks runs that ended without.",
            grid("steps_to_threshold"),
            folded("in seconds of wall time", grid("seconds_to_threshold")),
        ),
        section("Generalization gap", "Against the number of training levels.", grid("generalization_gap")),
        section("Cost", "The final score against size and speed.", grid("parameters"), grid("speed")),
        section("How to read this", "", *_bullets(HOW_TO_READ)),
        section("Settings", "What all runs share, and what they were made with.", settings_table(comparison)),
    ]


def panel_data(panel: Panel) -> dict[str, Any]:
    """A panel as JSON, with as many points and digits as can be seen."""
    plain = {key: getattr(panel, key) for key in ("x", "y", "along", "within", "log", "stairs", "dots", "level")}
    joined = [[_numbers(x), _numbers(y)] for x, y in panel.joined]
    return {**plain, "joined": joined, "series": [_series_data(series) for series in panel.series]}


def _series_data(series: Series) -> dict[str, Any]:
    points = np.unique(np.linspace(0, len(series.x) - 1, min(len(series.x), MOST_POINTS)).round().astype(int))
    ends = {key: None if (end := getattr(series, key)) is None else _numbers(end[points]) for key in ("low", "high")}
    return {
        "contender": series.contender,
        "x": _numbers(series.x[points], digits=9),
        "y": _numbers(series.y[points]),
        **ends,
        "runs": [_numbers(y[points], digits=3) for _, y in series.runs],
        "marks": [_numbers(np.array(mark), digits=6) for mark in series.marks],
    }


def _numbers(values: np.ndarray, digits: int = 5) -> list[float]:
    """Numbers rounded to so many digits that count, whole ones without a point."""
    rounded = [float(f"{value:.{digits}g}") for value in values]
    return [int(value) if value.is_integer() else value for value in rounded]
