"""A comparison as tables: in the terminal, as tidy CSV, in LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

from comparing.comparison import Comparison, Contender, Environment
from comparing.measures import offered, scores_of
from comparing.statistics import counts
from comparing.views import names
from evaluation.report import table
from evaluation.runs import Run, environment_of, label
from evaluation.thresholds import steps_to

COLUMNS = ("env", "contender", "agent", "encoder", "seed", "measure", "value", "low", "high", "note")


def environment_table(environment: Environment) -> str:
    """The contenders of one environment, a line each; columns that nobody fills are left out."""
    threshold = "-" if environment.threshold is None else f"{environment.threshold:g}"
    columns: dict[str, list[str]] = {
        "contender": [one.label for one in environment.contenders],
        "seeds": [_seeds(environment, one) for one in environment.contenders],
        environment.measure.name: [_shown(one.score) for one in environment.contenders],
        "of optimal": [_shown(one.of_optimal) for one in environment.contenders],
        "gap": [_shown(one.gap) for one in environment.contenders],
        "levels": ["-" if one.levels is None else f"{one.levels:,}" for one in environment.contenders],
        f"steps to {threshold}": [_shown(one.steps_to) for one in environment.contenders],
        "steps": [f"{one.budget:,}" for one in environment.contenders],
        "steps/s": [_shown_number(one.steps_per_second) for one in environment.contenders],
        "parameters": [f"{one.parameters:,}" for one in environment.contenders],
    }
    if environment.measure.kind == "of optimal":
        del columns["of optimal"]
    if environment.measure.name == "gap":
        columns["gap"] = [_shown(one.score) for one in environment.contenders]
    kept = {name: cells for name, cells in columns.items() if {*cells} != {"-"} or name == environment.measure.name}
    return table([*kept], [*zip(*kept.values(), strict=True)])


def heading(environment: Environment) -> str:
    """What the table of an environment shows."""
    low, high = environment.measure.possible
    within = f", within {low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{environment.name}: means and 95% intervals over seeds (Student's t{within})"


def aggregate_table(comparison: Comparison) -> str:
    """Contenders over all environments."""
    header = ["contender", "runs", "interquartile mean", "mean", "median", "optimality gap"]
    rows = [
        [
            total.label,
            str(counts(total.scores).sum()),
            *map(str, (total.interquartile_mean, total.mean, total.median, total.optimality_gap)),
        ]
        for total in comparison.aggregate.totals
    ]
    return table(header, rows)


def _seeds(environment: Environment, one: Contender) -> str:
    missing = sum(len(missing.seeds) for missing in environment.missing if missing.label == one.label)
    return f"{len(one.runs)} of {len(one.runs) + missing}" if missing else str(len(one.runs))


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _shown_number(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "-"


def to_csv(comparison: Comparison) -> str:
    """One row for each run and measure, with the interval over the episodes of that run; missing runs have no value."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for environment in comparison.environments:
        for one in environment.contenders:
            for run in one.runs:
                writer.writerows(_rows(environment, run))
        for missing in environment.missing:
            for seed in missing.seeds:
                writer.writerow([environment.name, missing.name, "", "", seed, "", "", "", "", missing.reason])
    return text.getvalue()


def _rows(environment: Environment, run: Run) -> Iterator[list[Any]]:
    config, result = run.config, run.result
    assert result is not None
    name = [environment_of(run), label(run), config["agent"]["name"], config["encoder"]["name"], config["seed"]]
    for measure in offered([run]):
        if measure == "auto":
            continue
        for kind, score in scores_of(measure, result).items():
            if score:
                note = "" if kind == measure.replace("_", " ") else kind
                yield [*name, measure, score["mean"], score["low"], score["high"], note]
    first = steps_to(run.evaluations, environment.curves_of, environment.threshold)
    numbers = {
        "steps": result["steps"],
        "parameters": sum(result["parameters"].values()),
        **{key: (run.timing or {}).get(key) for key in ("wall_seconds", "steps_per_second")},
    }
    if environment.threshold is not None:
        note = f"{environment.curves_of} {environment.threshold:g}" + ("" if first else " not reached")
        yield [*name, "steps_to", first, "", "", note]
    yield from ([*name, key, value, "", "", ""] for key, value in numbers.items() if value is not None)


def to_latex(comparison: Comparison) -> str:
    """A `tabular` of booktabs: contenders by environments, in bold what no other contender is separated above."""
    environments = comparison.environments
    totals = {total.label: total for total in comparison.aggregate.totals} if len(environments) > 1 else {}
    beaten = {(pair.environment, pair.second) for pair in comparison.pairs if pair.separated}
    compared = {(pair.environment, one) for pair in comparison.pairs for one in (pair.first, pair.second)}
    header = ["contender", *(f"{environment.name} ({environment.measure.name})" for environment in environments)]
    lines = [[*map(_escaped, header), *(["interquartile mean"] if totals else [])]]
    for name in names(comparison):
        cells = [_escaped(name)]
        for environment in environments:
            scores = [one.score for one in environment.contenders if one.label == name and one.score]
            cell = str(scores[0]) if scores else "--"
            best = (environment.name, name) in compared - beaten and environment.measure.kind != "gap"
            cells.append(f"\\textbf{{{cell}}}" if best else cell)
        lines.append([*cells, *([str(totals[name].interquartile_mean) if name in totals else "--"] if totals else [])])
    first, *rest = (" & ".join(line) + r" \\" for line in lines)
    return "\n".join(
        [
            "% \\usepackage{booktabs}. Means and 95% intervals over seeds; in bold: no other is separated above it.",
            rf"\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}",
            r"\toprule",
            first,
            r"\midrule",
            *rest,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
