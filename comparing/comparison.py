"""What is known of many runs, for tables, words, figures and the page; `comparing.compare` makes it.

A `Comparison` has an `Environment` for each environment, which has a `Contender` for each label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comparing.measures import Measure
from comparing.statistics import Band, Estimate
from comparing.survival import Reached
from evaluation.runs import Run


@dataclass(frozen=True)
class Curve:
    """The evaluations during training of all runs that have them in common.

    Attributes:
        steps: (points,).
        values: of each run (points, runs).
        band: interquartile mean over runs with its pointwise interval.
    """

    steps: np.ndarray
    values: np.ndarray
    band: Band


@dataclass(frozen=True)
class Contender:
    """The finished runs of one label in one environment.

    Attributes:
        label: agent, encoder, symmetry and the differences from the defaults, without what all contenders share.
        runs: by seed.
        scores: the measure of each run (runs,), NaN where a run has none.
        score: their mean, with its interval over seeds if there are two.
        interquartile_mean: of the same scores.
        curve: None without evaluations.
        steps_to, seconds_to: when runs reached the threshold; None without a threshold or evaluations.
        gaps: the generalization gap of each run (runs,), NaN where it is not known.
        gap, of_optimal: means with intervals; None where no run has them.
        levels: on how many levels the runs train; None for all there are, or where there are no levels.
        parameters: of the policy.
        budget: environment steps of the longest run.
        steps_per_second: of learning, the median over runs; NaN where it is not known.
    """

    label: str
    runs: tuple[Run, ...]
    scores: np.ndarray
    score: Estimate | None
    interquartile_mean: Estimate | None
    curve: Curve | None
    steps_to: Reached | None
    seconds_to: Reached | None
    gaps: np.ndarray
    gap: Estimate | None
    of_optimal: Estimate | None
    levels: int | None
    parameters: int
    budget: int
    steps_per_second: float

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.config["seed"] for run in self.runs)

    @property
    def known(self) -> np.ndarray:
        """The scores that there are."""
        return self.scores[np.isfinite(self.scores)]


@dataclass(frozen=True)
class Missing:
    """Runs that a comparison lacks.

    Attributes:
        label: of the contender.
        name: its label with what all contenders share.
        seeds: which seeds of it.
        reason: why, in words.
    """

    label: str
    name: str
    seeds: tuple[int, ...]
    reason: str

    def __str__(self) -> str:
        return f"{self.label} seed{'s' * (len(self.seeds) > 1)} {', '.join(map(str, self.seeds))} ({self.reason})"


@dataclass(frozen=True)
class Pair:
    """Two contenders in one environment; the first is at least as good as the second.

    Attributes:
        improvement: P(first > second) + P(first = second) / 2, with its interval.
        p_value: of the rank test.
        separated: whether the test rejects, all pairs of this environment counted.
        more_seeds: how many more seeds of each would separate them, if P stays what it is; None above 1,000.
    """

    environment: str
    first: str
    second: str
    improvement: Estimate
    p_value: float
    separated: bool
    more_seeds: int | None


@dataclass(frozen=True)
class Environment:
    """All contenders in one environment.

    Attributes:
        name: of the environment.
        measure: what they are compared by.
        curves_of: what their learning curves and the threshold are of: "success" or "return".
        threshold: of `steps_to` and `seconds_to`; None where none is known.
        contenders: sorted by label.
        missing: runs that are not finished, have failed, or are there for other contenders only.
        notes: what makes these runs less comparable than they look: unequal budgets, settings, levels, releases.
    """

    name: str
    measure: Measure
    curves_of: str
    threshold: float | None
    contenders: tuple[Contender, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Total:
    """One label over several environments.

    Attributes:
        label: of the contender.
        scores: (runs, environments), filled with NaN.
        interquartile_mean, mean, median, optimality_gap: with their stratified bootstrap intervals.
        profile: the share of runs with a score above each threshold.
    """

    label: str
    scores: np.ndarray
    interquartile_mean: Estimate
    mean: Estimate
    median: Estimate
    optimality_gap: Estimate
    profile: Band


@dataclass(frozen=True)
class Aggregate:
    """All environments together, where each has a score between 0 and 1.

    Attributes:
        environments: those that are averaged.
        totals: the contenders that have scores in all of them, sorted by label.
        thresholds: of the profiles.
        improvements: (first, second) -> P(first > second), averaged over environments, for every two of the totals.
        left_out: environments and contenders that are not averaged, each with the reason.
    """

    environments: tuple[str, ...]
    totals: tuple[Total, ...]
    thresholds: np.ndarray
    improvements: dict[tuple[str, str], Estimate]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Any number of environments.

    Attributes:
        measure: as it was chosen: "auto", "success", ...
        environments: sorted by name.
        pairs: every two contenders with two scores or more each, in each environment.
        aggregate: over all environments.
        shared: the agent and the options that all contenders share, which their labels do not say.
        left_out: run folders that cannot be read, each with the reason.
    """

    measure: str
    environments: tuple[Environment, ...]
    pairs: tuple[Pair, ...]
    aggregate: Aggregate
    shared: tuple[str, ...]
    left_out: tuple[tuple[Path, str], ...]
