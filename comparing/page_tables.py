"""The tables of the page: a click on a heading sorts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comparing.axes import measured, score_range
from comparing.comparison import Comparison, Contender, Environment, Pair
from comparing.markup import Markup, element, joined
from comparing.panels import Row
from comparing.statistics import Estimate
from comparing.survival import Reached
from comparing.views import averaged_pairs, names
from configs.flatten import flatten

COLOURS = 8  # of page.css
MOST_OPEN = 12  # pairs that are not separated, beyond which they are folded


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number that it is sorted by; words are sorted by themselves."""

    shown: str
    value: float | None = None


UNKNOWN = Cell("–")
MISSING = Cell("missing")
SAID = ("environment", "measure", "levels")  # columns that are left out where all lines say the same


def total_table(comparison: Comparison) -> Markup | None:
    """A line for each contender over all environments; None where there is one environment or none to average."""
    totals, environments = comparison.aggregate.totals, comparison.aggregate.environments
    if len(environments) < 2 or not totals:
        return None
    found = names(comparison)
    places = [found.index(total.label) for total in totals]
    lines = [
        [
            Cell(joined(dot(place), total.label)),
            Cell("both" if len(environments) == 2 else f"all {len(environments)}"),
            Cell(strip(Row("", place, total.interquartile_mean), (0, 1)), total.interquartile_mean.value),
            *map(estimated, (total.interquartile_mean, total.mean, total.median, total.optimality_gap)),
        ]
        for total, place in zip(totals, places, strict=True)
    ]
    columns = ["contender", "environments", "0 … 1", "interquartile mean", "mean", "median", "optimality gap"]
    return table(columns, lines, [[place] for place in places])


def score_table(comparison: Comparison) -> Markup:
    """A line for each contender in each environment; what tells nothing, being the same everywhere, is left out."""
    found = names(comparison)
    lines: list[dict[str, Cell]] = []
    contenders = []
    for environment in comparison.environments:
        for one in environment.contenders:
            place = found.index(one.label)
            lines.append(_scores(environment, one, place))
            contenders.append([place])
        finished = {one.label for one in environment.contenders}
        for label in dict.fromkeys(each.label for each in environment.missing if each.label not in finished):
            lines.append({"contender": Cell(label), "environment": Cell(environment.name)})
            contenders.append([])
    columns = [*dict.fromkeys(name for line in lines for name in line)]
    told = {name: {line[name].shown for line in lines if name in line} for name in columns}
    columns = [name for name in columns if told[name] != {UNKNOWN.shown} and (name not in SAID or len(told[name]) > 1)]
    return table(columns, [[line.get(name, MISSING) for name in columns] for line in lines], contenders)


def _scores(environment: Environment, one: Contender, place: int) -> dict[str, Cell]:
    """The cells of a contender, by their columns."""
    mean = one.interquartile_mean
    drawn = mean and Cell(strip(Row(one.label, place, mean, [*one.known]), score_range(environment)), mean.value)
    speed = one.steps_per_second
    return {
        "contender": Cell(joined(dot(place), one.label)),
        "environment": Cell(environment.name),
        "seeds": Cell(str(len(one.runs)), len(one.runs)),
        "measure": Cell(measured(environment.measure)),
        "runs": drawn or MISSING,
        "interquartile mean": estimated(mean),
        "mean": estimated(one.score),
        "of optimal": estimated(one.of_optimal),
        "gap": estimated(one.gap),
        "levels": Cell("all", np.inf) if one.levels is None else Cell(f"{one.levels:,}", one.levels),
        "steps to threshold": reached(one.steps_to),
        "seconds to threshold": reached(one.seconds_to),
        "parameters": Cell(f"{one.parameters:,}", one.parameters),
        "steps/s": Cell(f"{speed:,.0f}", speed) if np.isfinite(speed) else UNKNOWN,
    }


def pair_tables(comparison: Comparison) -> list[Markup]:
    """Each two contenders: over all environments, in each one where they are separated, and where they are not."""
    tables = []
    if averaged := averaged_pairs(comparison):
        tables.append(_pairs(comparison, averaged))
    ordered = sorted(comparison.pairs, key=lambda pair: -pair.improvement.value)
    apart, close = ([pair for pair in ordered if pair.separated == separated] for separated in (True, False))
    if apart:
        tables.append(_pairs(comparison, apart))
    if close:
        summary = element("summary", f"{len(close):,} pairs that are not separated")
        tables.append(element("details", summary, _pairs(comparison, close), open=len(close) <= MOST_OPEN))
    return tables


def _pairs(comparison: Comparison, pairs: Sequence[Pair]) -> Markup:
    found = names(comparison)
    columns = ["first > second", "environment", "0 … 1", "probability", "more seeds needed"]
    lines, contenders = [], []
    for pair in pairs:
        first, second = found.index(pair.first), found.index(pair.second)
        row = Row("", first, pair.improvement, firm=pair.separated)
        lines.append(
            [
                Cell(joined(dot(first), f"{pair.first} > {pair.second}")),
                Cell(pair.environment),
                Cell(strip(row, (0, 1), level=True), pair.improvement.value),
                estimated(pair.improvement),
                Cell(f"{pair.more_seeds:,}", pair.more_seeds) if pair.more_seeds else Cell("over 1,000", np.inf),
            ]
        )
        contenders.append([first, second])
    if all(pair.separated for pair in pairs):
        columns, lines = columns[:-1], [line[:-1] for line in lines]
    return table(columns, lines, contenders)


def settings_table(comparison: Comparison) -> Markup:
    """The settings that all runs share, and the versions that they were made with."""
    runs = [run for each in comparison.environments for one in each.contenders for run in one.runs]
    configs = [flatten(run.config) for run in runs]
    same = {key: value for key, value in configs[0].items() if all(other.get(key) == value for other in configs[1:])}
    made: dict[str, set[str]] = {}
    for run in runs:
        for package, version in (run.result or {}).get("versions", {}).items():
            made.setdefault(package, set()).add(version)
    lines = [[Cell(f"version of {package}"), Cell(", ".join(sorted(made[package])))] for package in sorted(made)]
    lines += [[Cell(key), Cell(str(value))] for key, value in sorted(same.items())]
    summary = element("summary", f"{len(lines)} settings and versions")
    return element("details", summary, table(["setting", "value"], lines))


def table(columns: Sequence[str], lines: Sequence[Sequence[Cell]], contenders: Sequence[Sequence[int]] = ()) -> Markup:
    """A table whose headings are buttons.

    Args:
        contenders: of each line: it is hidden with one of them.
    """
    words = [all(line[i].value is None for line in lines) for i in range(len(columns))]
    kinds = ["words" if each else None for each in words]
    heads = [
        element("th", element("button", name, type="button"), scope="col", class_=kind)
        for name, kind in zip(columns, kinds, strict=True)
    ]
    rows = []
    for i, line in enumerate(lines):
        cells = [
            element("td", cell.shown, class_=kind, data_value=_sorted_by(cell, kind))
            for cell, kind in zip(line, kinds, strict=True)
        ]
        rows.append(element("tr", *cells, data_contenders=" ".join(map(str, contenders[i])) if contenders else None))
    body = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return element("div", body, class_="scroll")


def _sorted_by(cell: Cell, kind: str | None) -> str | None:
    """What the page sorts a cell by: its words, or its number, which is empty where it is not known."""
    if kind == "words":
        return None
    return "" if cell.value is None else f"{cell.value:g}".replace("inf", "Infinity")


def strip(row: Row, within: tuple[float, float], level: bool = False) -> Markup:
    """A point, its interval and the runs behind it, on a line as long as `within`."""

    def at(number: float) -> float:
        return round(100 * (number - within[0]) / (within[1] - within[0]), 1)

    value, low, high = row.estimate
    parts = [element("em", style=f"left: {at(run)}%") for run in row.runs]
    if low is not None and high is not None:
        parts.append(element("i", style=f"left: {at(low)}%; width: {round(at(high) - at(low), 1)}%"))
    parts += [element("s")] if level else []
    parts.append(element("b", style=f"left: {at(value)}%"))
    return element("span", *parts, class_="strip" if row.firm else "strip open", style=colour(row.contender))


def estimated(estimate: Estimate | None) -> Cell:
    return UNKNOWN if estimate is None else Cell(str(estimate), estimate.value)


def reached(found: Reached | None) -> Cell:
    """When half of the runs had reached the threshold; those that never did come after all others."""
    if found is None:
        return UNKNOWN
    median = found.median()
    return Cell(str(found), np.inf if median is None else median)


def dot(contender: int) -> Markup:
    return element("span", class_="dot", style=colour(contender))


def colour(contender: int) -> str:
    return f"--colour: var(--c{contender % COLOURS})"
