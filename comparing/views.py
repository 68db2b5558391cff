"""A comparison as panels: which curves, points and intervals stand where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from comparing.axes import across, measured, possible_range, range_of, score_range
from comparing.comparison import Comparison, Contender, Environment, Pair
from comparing.measures import possible
from comparing.panels import Panel, Row, Series, Strip
from comparing.statistics import Estimate, aligned, band, interquartile_mean
from comparing.survival import Reached

STEPS = "environment steps"
MOST_SHARES = 50  # of the steps, at which the curves of environments are averaged


def figures(comparison: Comparison) -> dict[str, Sequence[Panel] | Sequence[Strip]]:
    """Every figure of a report: name of its files -> panels, none where the runs have nothing to show."""
    return {
        "learning_curves": learning_curves(comparison),
        "final_scores": final_scores(comparison),
        "improvement": improvements(comparison),
        "profiles": profiles(comparison),
        "steps_to_threshold": times(comparison, lambda one: one.steps_to, STEPS),
        "seconds_to_threshold": times(comparison, lambda one: one.seconds_to, "seconds of wall time"),
        "generalization_gap": gaps(comparison),
        "parameters": costs(comparison, lambda one: float(one.parameters), "parameters"),
        "speed": costs(comparison, lambda one: one.steps_per_second, "steps per second of learning"),
    }


def names(comparison: Comparison) -> list[str]:
    """The labels of all contenders, sorted: a contender's place among them is its colour in every figure."""
    return sorted({one.label for environment in comparison.environments for one in environment.contenders})


def learning_curves(comparison: Comparison) -> list[Panel]:
    """Interquartile means during training with their bands, and each run; first the average over environments."""
    panels = _averaged_curves(comparison)
    for environment, contenders in _by_environment(comparison):
        series = []
        for contender, one in contenders:
            if (curve := one.curve) is None:
                continue
            several = curve.values.shape[1] > 1
            low, high = (curve.band.low, curve.band.high) if several else (None, None)
            runs = [(curve.steps, values) for values in curve.values.T] if several else []
            series.append(Series(contender, curve.steps, curve.band.value, low, high, runs))
        if series:
            kind = environment.curves_of
            values = [values for one in series for values in (one.y, *(y for _, y in one.runs))]
            within = possible_range(possible(kind, [run for _, one in contenders for run in one.runs]), values)
            along = (0.0, max(float(one.x[-1]) for one in series))
            level = environment.threshold
            level = level if level is not None and within[0] <= level <= within[1] else None
            panels.append(
                Panel(environment.name, STEPS, f"{kind} (sampled actions)", series, along, within, level=level)
            )
    return panels


def _averaged_curves(comparison: Comparison) -> list[Panel]:
    """The interquartile mean over the runs of all averaged environments, at equal shares of each one's steps."""
    averaged = _averaged(comparison)
    if len(averaged) < 2 or any(each.curves_of != "success" for each in averaged):
        return []
    found = names(comparison)
    curves = {
        total.label: [
            one.curve for each in averaged for one in each.contenders if one.label == total.label and one.curve
        ]
        for total in comparison.aggregate.totals
    }
    curves = {label: each for label, each in curves.items() if len(each) == len(averaged)}
    if not curves:
        return []
    # as many shares as the curve of the fewest evaluations has
    shares = np.linspace(0, 1, 1 + min(MOST_SHARES, *(len(one.steps) for each in curves.values() for one in each)))[1:]
    series = []
    for label, each in curves.items():
        # the last evaluation up to each share of the steps; before the first one, the first
        at = [np.searchsorted(one.steps, shares * one.steps[-1] * (1 + 1e-9), side="right") - 1 for one in each]
        values = [one.values[np.maximum(points, 0)] for one, points in zip(each, at, strict=True)]
        scores = np.stack([aligned([one[i] for one in values]) for i in range(len(shares))])
        series.append(Series(found.index(label), 100 * shares, *band(scores, interquartile_mean)))
    return [Panel(_everywhere(comparison), "% of the steps", "success (sampled actions)", series, (0, 100), (0, 1))]


def final_scores(comparison: Comparison) -> list[Strip]:
    """Interquartile means of the last policies' scores with their intervals, and each run."""
    found = names(comparison)
    strips = []
    totals = comparison.aggregate.totals
    if len(comparison.aggregate.environments) > 1 and totals:
        places = [(total, found.index(total.label)) for total in totals]
        rows = [Row(found[place], place, total.interquartile_mean) for total, place in places]
        strips.append(Strip(_everywhere(comparison), _measured_everywhere(comparison), rows, (0, 1)))
    for environment, contenders in _by_environment(comparison):
        rows = [
            Row(found[place], place, one.interquartile_mean, [*one.known])
            for place, one in contenders
            if one.interquartile_mean is not None
        ]
        if rows:
            strips.append(Strip(environment.name, measured(environment.measure), rows, score_range(environment)))
    return strips


def improvements(comparison: Comparison) -> list[Strip]:
    """How often the first of two contenders beats the second; hollow where they are not separated.

    The first is the first by name, so that a pair is one row in all environments. The colour is that of who is ahead.
    """
    found = names(comparison)
    strips = []
    pairs = [*averaged_pairs(comparison), *comparison.pairs]
    for environment in dict.fromkeys(pair.environment for pair in pairs):
        rows = []
        for pair in (pair for pair in pairs if pair.environment == environment):
            first, second = sorted((found.index(pair.first), found.index(pair.second)))
            estimate = pair.improvement if found[first] == pair.first else turned(pair.improvement)
            label = f"{found[first]} > {found[second]}"
            rows.append(Row(label, found.index(pair.first), estimate, firm=pair.separated))
        rows.sort(key=lambda row: row.label)
        strips.append(Strip(environment, "probability", rows, (0, 1), 0.5))
    return strips


def averaged_pairs(comparison: Comparison) -> list[Pair]:
    """The pairs of the average over environments, the better one first; separated where the interval is beyond 1/2."""
    if len(comparison.aggregate.environments) < 2:
        return []
    pairs = []
    for (first, second), estimate in comparison.aggregate.improvements.items():
        if estimate.value < 0.5:
            first, second, estimate = second, first, turned(estimate)
        apart = estimate.low is not None and estimate.low > 0.5
        pairs.append(Pair(_everywhere(comparison), first, second, estimate, float("nan"), apart, None))
    return pairs


def turned(estimate: Estimate) -> Estimate:
    """P(second > first) from P(first > second)."""
    ends = (None, None) if estimate.low is None or estimate.high is None else (1 - estimate.high, 1 - estimate.low)
    return Estimate(1 - estimate.value, *ends)


def profiles(comparison: Comparison) -> list[Panel]:
    """The share of all runs with a score above each threshold (Dolan and Moré 2002)."""
    found = names(comparison)
    aggregate = comparison.aggregate
    series = [Series(found.index(total.label), aggregate.thresholds, *total.profile) for total in aggregate.totals]
    if not series:
        return []
    title = _everywhere(comparison) if len(aggregate.environments) > 1 else aggregate.environments[0]
    x, y = f"{_measured_everywhere(comparison)} τ", "share of runs above τ"
    return [Panel(title, x, y, series, (0, 1), (0, 1), stairs=True)]


def times(comparison: Comparison, reached: Callable[[Contender], Reached | None], unit: str) -> list[Panel]:
    """The share of runs that have reached the threshold by each time; a mark where one ended without (censored)."""
    panels = []
    for environment, contenders in _by_environment(comparison):
        found = [(contender, times) for contender, one in contenders if (times := reached(one)) is not None]
        if not found:
            continue
        longest = max(float(each.times.max()) for _, each in found)
        series = []
        for contender, each in found:
            x, y = each.share()
            ends = np.unique(each.times[~each.reached])
            marks = [(float(end), float(y[np.searchsorted(x, end, side="right") - 1])) for end in ends]
            # a curve ends with the last run that it knows of, or goes on at 1
            last = longest if each.reached.all() else each.times.max()
            series.append(Series(contender, np.append(x, last), np.append(y, y[-1]), marks=marks))
        what = f"runs with {environment.curves_of} ≥ {environment.threshold:g}"
        panels.append(Panel(environment.name, unit, what, series, (0.0, longest), (0, 1), stairs=True))
    return panels


def gaps(comparison: Comparison) -> list[Panel]:
    """The generalization gap against the number of training levels; a line joins one contender on more of them."""
    panels = []
    for environment, contenders in _by_environment(comparison):
        series = []
        joined: dict[str, list[tuple[float, float]]] = {}
        for contender, one in contenders:
            levels = training_levels(one)
            if one.gap is not None and levels is not None:
                series.append(_point(contender, levels, one.gap))
                joined.setdefault(_without_levels(one.label), []).append((levels, one.gap.value))
        if series:
            lines = [np.array(sorted(each)).T for each in joined.values() if len(each) > 1]
            along, log = across([float(one.x[0]) for one in series])
            panels.append(
                Panel(
                    environment.name,
                    "training levels",
                    "generalization gap (training less test)",
                    series,
                    along,
                    range_of(np.concatenate([[0.0], *(_ends(one) for one in series)])),
                    log=log,
                    dots=True,
                    joined=[(line[0], line[1]) for line in lines],
                    level=0.0,
                )
            )
    return panels


def training_levels(one: Contender) -> float | None:
    """How many distinct levels the runs train on; None where they do not say."""
    levels = [((run.result or {}).get("levels") or {}).get("distinct") for run in one.runs]
    known = [number for number in levels if number]
    return float(np.median(known)) if known else None


def costs(comparison: Comparison, cost: Callable[[Contender], float], unit: str) -> list[Panel]:
    """The final score against what a contender costs."""
    panels = []
    for environment, contenders in _by_environment(comparison):
        series = [
            _point(contender, cost(one), one.interquartile_mean)
            for contender, one in contenders
            if one.interquartile_mean is not None and np.isfinite(cost(one)) and cost(one) > 0
        ]
        if series:
            along, log = across([float(one.x[0]) for one in series])
            within, what = score_range(environment), measured(environment.measure)
            panels.append(Panel(environment.name, unit, what, series, along, within, log=log, dots=True))
    return panels


def _by_environment(comparison: Comparison) -> Iterable[tuple[Environment, list[tuple[int, Contender]]]]:
    """Each environment with its contenders and their places."""
    found = names(comparison)
    for environment in comparison.environments:
        yield environment, [(found.index(one.label), one) for one in environment.contenders]


def _measured_everywhere(comparison: Comparison) -> str:
    return " or ".join(sorted({measured(each.measure) for each in _averaged(comparison)}))


def _averaged(comparison: Comparison) -> list[Environment]:
    return [each for each in comparison.environments if each.name in comparison.aggregate.environments]


def _everywhere(comparison: Comparison) -> str:
    count = len(comparison.aggregate.environments)
    return "both environments" if count == 2 else f"all {count} environments"


def _without_levels(label: str) -> str:
    """A label without the number of levels."""
    head, _, differences = label.partition(" ")
    return ",".join([head, *(each for each in differences.split(",") if each and not each.startswith("env.levels="))])


def _point(contender: int, x: float, estimate: Estimate) -> Series:
    several = estimate.low is not None and estimate.high is not None
    ends = (np.array([estimate.low]), np.array([estimate.high])) if several else (None, None)
    return Series(contender, np.array([x]), np.array([estimate.value]), *ends)


def _ends(series: Series) -> np.ndarray:
    return np.concatenate([each for each in (series.y, series.low, series.high) if each is not None])
