"""Runs -> a `Comparison`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from comparing.aggregate import aggregate
from comparing.comparison import Comparison, Contender, Curve, Environment, Missing, Pair
from comparing.measures import Measure, measure_of, offered
from comparing.names import in_common, short_names
from comparing.pairs import discoveries, probability, rank_interval, rank_test, seeds_needed
from comparing.settings import notes
from comparing.statistics import Estimate, band, estimate, interquartile_mean
from comparing.survival import Reached
from evaluation.runs import Run, environment_of, label
from evaluation.scores import student_interval
from evaluation.thresholds import solved_at, steps_to


def compare(
    runs: Sequence[Run],
    left_out: Iterable[tuple[Path, str]] = (),
    measure: str = "auto",
    threshold: float | None = None,
) -> Comparison:
    """Compare the finished ones of any runs; the others are named as missing.

    Args:
        runs: of any environments.
        left_out: run folders that cannot be read, and why.
        measure: one of `comparing.measures.offered`.
        threshold: of "steps to"; None: `solved_at` of each environment.

    Raises:
        ValueError: no finished run; a measure that none of them has; a threshold that is not possible; runs of one
            environment that measure different things.
    """
    finished = [run for run in runs if run.result is not None]
    if not finished:
        raise ValueError("there is no finished run")
    if measure not in (names := offered(finished)):
        raise ValueError(f"these runs have no measure {measure!r}; they have: {', '.join(names)}")
    names = sorted({environment_of(run) for run in finished})
    labels = sorted({label(run) for run in runs})
    called = short_names(labels)
    environments = tuple(
        _environment([run for run in runs if environment_of(run) == name], measure, threshold, called) for name in names
    )
    pairs = tuple(pair for environment in environments for pair in _pairs(environment))
    shared = tuple(in_common(labels))
    return Comparison(measure, environments, pairs, aggregate(environments), shared, tuple(left_out))


def _environment(runs: Sequence[Run], name: str, threshold: float | None, called: Mapping[str, str]) -> Environment:
    finished = [run for run in runs if run.result is not None]
    measure, curves = measure_of(finished, name), measure_of(finished, "return")
    if all(run.result and run.result["success"] is not None for run in finished) and measure.kind != "return":
        curves = measure_of(finished, "success")
    env = finished[0].config["env"]
    if threshold is None:
        threshold = solved_at(env["id"], curves.kind)
    elif not curves.possible[0] <= threshold <= curves.possible[1]:
        low, high = curves.possible
        raise ValueError(f"threshold is a {curves.kind} in {env['name']}, from {low:g} to {high:g}; got {threshold:g}")
    groups: dict[str, list[Run]] = {}
    for run in sorted(finished, key=lambda run: (called[label(run)], run.config["seed"], str(run.folder))):
        groups.setdefault(called[label(run)], []).append(run)
    contenders = tuple(_contender(name, group, measure, curves, threshold) for name, group in groups.items())
    missing, noted = _missing(runs, called), notes(finished, called)
    called_env = environment_of(finished[0])
    return Environment(called_env, measure, curves.kind, threshold, contenders, tuple(missing), tuple(noted))


def _contender(name: str, runs: Sequence[Run], measure: Measure, curves: Measure, threshold: float | None) -> Contender:
    found = [measure.of(run) for run in runs]
    scores = np.array([np.nan if score is None else score for score in found])
    results: list[Any] = [run.result for run in runs]
    levels = [result.get("levels") or {} for result in results]
    gaps = np.array([each["gap"]["mean"] if each.get("gap") else np.nan for each in levels])
    known = scores[np.isfinite(scores)]
    optimal = [result["of_optimal"]["mean"] for result in results if result.get("of_optimal")]
    trained = runs[0].config["env"].get("levels", "all")
    speeds = [run.timing["steps_per_second"] for run in runs if run.timing and "steps_per_second" in run.timing]
    return Contender(
        label=name,
        runs=tuple(runs),
        scores=scores,
        score=over_seeds(known, measure.possible),
        interquartile_mean=estimate(known[:, None], interquartile_mean) if len(known) else None,
        curve=_curve(runs, curves.kind),
        steps_to=_reached(runs, curves.kind, threshold, lambda run: 1.0),
        seconds_to=_reached(runs, curves.kind, threshold, _seconds_per_step),
        gaps=gaps,
        gap=over_seeds(gaps[np.isfinite(gaps)], measure_of(runs, "gap").possible),
        of_optimal=over_seeds(np.array(optimal), (0, 1)),
        levels=None if trained == "all" else int(trained),
        parameters=sum(results[0]["parameters"].values()),
        budget=max(result["steps"] for result in results),
        steps_per_second=float(np.median(speeds)) if speeds else float("nan"),
    )


def over_seeds(scores: np.ndarray, possible: tuple[float, float]) -> Estimate | None:
    """The mean with Student's interval, of which only what is possible is kept; one seed has no interval.

    For 3 to 10 seeds it covers the mean more often than a bootstrap does: `benchmarks/intervals.py` measures both.
    """
    if not len(scores):
        return None
    return Estimate(*student_interval(scores, possible)) if len(scores) > 1 else Estimate(float(scores[0]))


def _curve(runs: Sequence[Run], kind: str) -> Curve | None:
    """The evaluations at the steps that all runs with evaluations share."""
    curves = [{row["steps"]: row[kind] for row in run.evaluations} for run in runs if run.evaluations]
    steps = sorted(set.intersection(*map(set, curves))) if curves else []  # type: ignore[type-var]
    if not steps:
        return None
    values = np.array([[curve[step] for curve in curves] for step in steps], float)
    return Curve(np.array(steps, float), values, band(values[:, :, None], interquartile_mean))


def _seconds_per_step(run: Run) -> float:
    """Wall time by steps; NaN where the run does not say."""
    assert run.result is not None
    seconds = (run.timing or {}).get("wall_seconds")
    return seconds / run.result["steps"] if seconds and run.result["steps"] else float("nan")


def _reached(runs: Sequence[Run], kind: str, threshold: float | None, unit: Any) -> Reached | None:
    """When runs first had an evaluation at or above the threshold, in steps times `unit` of a run."""
    if threshold is None:
        return None
    times, reached = [], []
    for run in runs:
        first = steps_to(run.evaluations, kind, threshold)
        if run.evaluations and run.result and np.isfinite(unit(run)):
            times.append((run.result["steps"] if first is None else first) * unit(run))
            reached.append(first is not None)
    return Reached(np.array(times, float), np.array(reached, bool)) if times else None


def _missing(runs: Sequence[Run], called: Mapping[str, str]) -> list[Missing]:
    """Seeds that a contender lacks and others have, and runs that are not finished."""
    finished = {(label(run), run.config["seed"]) for run in runs if run.result is not None}
    reasons: dict[tuple[str, int], str] = {}
    for run in runs:
        key = (label(run), run.config["seed"])
        if key not in finished:
            failed = (run.folder / "crash.json").exists()
            reasons[key] = "its environment failed: crash.json" if failed else "not finished"
    seeds = {run.config["seed"] for run in runs}
    for name in {label(run) for run in runs}:
        for seed in seeds:
            if (name, seed) not in finished:
                reasons.setdefault((name, seed), "never begun")
    grouped: dict[tuple[str, str], list[int]] = {}
    for (name, seed), reason in sorted(reasons.items()):
        grouped.setdefault((name, reason), []).append(seed)
    return [Missing(called[name], name, tuple(each), reason) for (name, reason), each in grouped.items()]


def _pairs(environment: Environment) -> list[Pair]:
    """Every two contenders with two scores or more each.

    The separated ones are discoveries among the pairs of this environment, so that others change no verdict here.
    """
    there = [contender for contender in environment.contenders if len(contender.known) > 1]
    compared = [_better_first(*pair) for pair in combinations(there, 2)]
    p_values = np.array([rank_test(one.known, other.known) for one, other in compared])
    separated, level = discoveries(p_values)
    pairs = []
    for (one, other), p_value, apart in zip(compared, p_values, separated, strict=True):
        interval = rank_interval(one.known, other.known)
        needed = None if apart else seeds_needed(interval.value, level)
        more = None if needed is None else max(1, needed - min(len(one.known), len(other.known)))
        pairs.append(Pair(environment.name, one.label, other.label, interval, float(p_value), bool(apart), more))
    return pairs


def _better_first(one: Contender, other: Contender) -> tuple[Contender, Contender]:
    better = probability(one.known[:, None], other.known[:, None]) >= 0.5
    return (one, other) if better else (other, one)
