"""The statistics of comparing/: beside rliable's for the same resamples, and how often their intervals hold the truth.

    python benchmarks/intervals.py             # rliable 1.2 is needed: pip install "rliable>=1.2,<2" "pandas<3"
    python benchmarks/intervals.py coverage    # how often intervals over 3, 5 and 10 seeds hold what they estimate

The first prints, for each estimate, the greatest difference of values and of ends, and rliable's CPU time over ours.
Exit code 1 if a difference exceeds 1e-12 or a ratio is below 20. The second draws seeds from known distributions.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from math import erf
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from comparing import statistics
from comparing.pairs import improvement, rank_interval
from evaluation.report import table
from evaluation.scores import student_interval

RESAMPLES = 2_000
CLOSE, RATIO = 1e-12, 20
RUNS, ENVIRONMENTS = 5, 10


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", nargs="?", choices=("rliable", "coverage"), default="rliable")
    parser.add_argument("--trials", type=int, default=4_000, help="how many intervals are made")
    options = parser.parse_args()
    return beside_rliable() if options.what == "rliable" else coverage(options.trials)


def beside_rliable() -> int:
    """A line for each estimate; 1 if one differs or is too slow."""
    rows, good = [], True
    for name, ours, theirs in estimates():
        began = time.process_time()
        value, ends = theirs()
        middle = time.process_time()
        own_value, own_ends = ours()
        ratio = (middle - began) / (time.process_time() - middle)
        apart = [float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in ((value, own_value), (ends, own_ends))]
        rows.append([name, *(f"{difference:.1e}" for difference in apart), f"{ratio:.0f}"])
        good &= max(apart) <= CLOSE and ratio >= RATIO
    print(f"{RUNS} runs, {ENVIRONMENTS} environments, {RESAMPLES:,} resamples, one thread")
    print(table(["estimate", "value differs by", "interval differs by", "times as fast"], rows))
    return 0 if good else 1


def estimates(resampled: int = RESAMPLES) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Name, ours and rliable's of each estimate, both a value and its ends, made of the same resamples."""
    from rliable import library, metrics

    generator = np.random.default_rng(0)
    x, y = (generator.integers(0, 21, (RUNS, ENVIRONMENTS)) / 20 for _ in range(2))  # with ties
    drawn = statistics.resamples(x, resampled), statistics.resamples(y, resampled, seed=1)
    thresholds = np.linspace(0, 1, 101)

    class Same(library.StratifiedBootstrap):
        """rliable's bootstrap of our resamples."""

        def update_indices(self) -> Any:
            self.taken = getattr(self, "taken", -1) + 1
            return (drawn[0][self.taken] // ENVIRONMENTS, *self._strata_indices)

    class SameTwo(library.StratifiedIndependentBootstrap):
        """The same for two arrays."""

        def update_indices(self) -> Any:
            self.taken = getattr(self, "taken", -1) + 1
            strata = self._args_strata_indices
            return [(drawn[i][self.taken] // ENVIRONMENTS, *strata[i]) for i in range(2)], {}

    def theirs(bootstrap: Any, of: Callable[..., Any], *scores: np.ndarray) -> Callable[[], Any]:
        def call() -> Any:
            return of(*scores), np.squeeze(bootstrap(*scores).conf_int(of, resampled, method="percentile"))

        return call

    def ours(statistic: statistics.Statistic) -> Callable[[], Any]:
        def call() -> Any:
            value, *ends = statistics.estimate(x, statistic, drawn[0])
            return value, ends

        return call

    def pair() -> Any:
        value, *ends = improvement(x, y, drawn)
        return value, ends

    def profile() -> Any:
        value, *ends = statistics.profile(x, thresholds, drawn[0])
        return value, ends

    for name, own, other in [
        ("interquartile mean", statistics.interquartile_mean, metrics.aggregate_iqm),
        ("mean", statistics.mean, metrics.aggregate_mean),
        ("median", statistics.median, metrics.aggregate_median),
        ("optimality gap", statistics.optimality_gap, metrics.aggregate_optimality_gap),
    ]:
        yield name, ours(own), theirs(Same, lambda scores, other=other: np.array([other(scores)]), x)
    better = lambda *scores: np.array([metrics.probability_of_improvement(*scores)])  # noqa: E731
    yield "probability of improvement", pair, theirs(SameTwo, better, x, y)
    yield "profile", profile, theirs(Same, lambda scores: library.score_distributions(scores, thresholds), x)


def coverage(trials: int) -> int:
    """How often 95% intervals over a few seeds hold the mean, and P(X > Y), of what the seeds are drawn from."""
    generator = np.random.default_rng(0)
    print(f"share of {trials:,} intervals that hold the truth, and their mean width; 0.95 is meant\n")
    rows = []
    for name, mean, draw in [
        ("normal", 0.5, lambda shape: generator.normal(0.5, 0.1, shape)),
        ("success near 1", 0.95, lambda shape: generator.beta(19, 1, shape)),
        ("one seed in five fails", 0.76, lambda shape: (generator.random(shape) < 0.8) * generator.beta(19, 1, shape)),
    ]:
        for n in (3, 5, 10):
            scores = draw((trials, n))
            student = np.array([student_interval(each, (0, 1))[1:] for each in scores])
            drawn = generator.integers(n, size=(500, n))
            bootstrap = statistics.percentiles(scores[:, drawn].mean(-1).T).T
            rows.append([name, str(n), *_held(student, mean), *_held(bootstrap, mean)])
    print(table(["seeds of the mean", "n", "Student, clipped", "width", "bootstrap", "width"], rows))
    rows = []
    for apart in (0.0, 1.0, 2.0, 3.0):
        truth = (1 + erf(apart / 2)) / 2  # P(X > Y) of normal X, Y whose means are `apart` standard deviations apart
        for n in (3, 5, 10):
            x, y = generator.normal(apart, 1, (trials // 8, n)), generator.normal(0, 1, (trials // 8, n))
            ranks = np.array([rank_interval(*each)[1:] for each in zip(x, y, strict=True)])
            resampled = [improvement(a[:, None], b[:, None], number=500)[1:] for a, b in zip(x, y, strict=True)]
            rows.append([f"{truth:.2f}", str(n), *_held(ranks, truth), *_held(np.array(resampled), truth)])
    print()
    print(table(["P(X > Y)", "n", "Newcombe", "width", "bootstrap", "width"], rows))
    return 0


def _held(intervals: np.ndarray, truth: float) -> list[str]:
    """The share of intervals (trials, 2) that hold the truth, and their mean width."""
    low, high = intervals.T
    return [f"{np.mean((low <= truth) & (truth <= high)):.2f}", f"{np.mean(high - low):.2f}"]


if __name__ == "__main__":
    sys.exit(main())
