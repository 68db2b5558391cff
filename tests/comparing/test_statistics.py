"""Laws of the statistics: each against its definition, written out, or against a published example."""

from __future__ import annotations

from itertools import combinations, product
from math import erf

import numpy as np
import pytest
from conftest import PROJECT, command

from comparing.measures import ALWAYS, possible_return
from comparing.pairs import discoveries, improvement, probability, rank_interval, rank_test, seeds_needed
from comparing.statistics import (
    Estimate,
    aligned,
    band,
    estimate,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    profile,
    resamples,
)
from comparing.survival import Reached

GENERATOR = np.random.default_rng(0)
TIED = GENERATOR.integers(0, 6, (5, 3)) / 5
STATISTICS = (interquartile_mean, mean, median, optimality_gap)


def test_estimates_of_scores_that_can_be_worked_out_by_hand():
    scores = np.array([[0.0, 0.6], [0.2, 0.8], [0.4, 1.0], [0.6, 1.6]])
    values = {statistic.__name__: pytest.approx(float(statistic(scores))) for statistic in STATISTICS}
    middle = (0.4 + 0.6 + 0.6 + 0.8) / 4  # 8 runs: the two smallest and the two largest are left out
    gap = (1.0 + 0.8 + 0.6 + 0.4 + 0.4 + 0.2 + 0 + 0) / 8
    assert values == {"interquartile_mean": middle, "mean": 0.65, "median": 0.65, "optimality_gap": gap}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_interval_is_the_percentiles_of_the_statistic_of_each_resample(statistic):
    drawn = resamples(TIED, 60)
    values = [statistic(TIED.ravel()[each]) for each in drawn]
    found = estimate(TIED, statistic, drawn)
    assert found.value == statistic(TIED)
    assert found[1:] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=1e-12)
    for environment in range(3):  # a resample of an environment holds its own scores only
        assert np.isin(TIED.ravel()[drawn[..., environment]], TIED[:, environment]).all()


def test_a_band_and_a_profile_are_the_intervals_of_each_point():
    points = GENERATOR.random((4, 5, 2))
    drawn = resamples(points[0], 50)
    found = band(points, interquartile_mean, drawn)
    for i, scores in enumerate(points):
        each = estimate(scores, interquartile_mean, drawn)
        assert (found.value[i], found.low[i], found.high[i]) == pytest.approx(each, abs=1e-12)
    thresholds = np.linspace(0, 1, 7)  # some of them are scores: above is not at
    found = profile(TIED, thresholds, resamples(TIED, 50))
    for i, threshold in enumerate(thresholds):
        above = estimate(TIED, lambda scores, t=threshold: (scores > t).mean((-2, -1)), resamples(TIED, 50))
        assert (found.value[i], found.low[i], found.high[i]) == pytest.approx(above, abs=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_environments_may_have_different_numbers_of_runs(statistic):
    columns = [np.array([0.1, 0.9, 0.5]), np.array([0.2, 0.4, 0.6, 0.8, 1.0])]
    scores = aligned(columns)
    assert np.isfinite(scores.ravel()[resamples(scores, 200)[:, :3]]).all()  # nobody draws what is not there
    found = estimate(scores, statistic)
    assert 0 <= found.low <= found.value <= found.high <= 1
    expected = {
        "interquartile_mean": np.sort(np.concatenate(columns))[2:-2].mean(),
        "mean": (0.5 + 0.6) / 2,
        "median": (0.5 + 0.6) / 2,
        "optimality_gap": 1 - np.concatenate(columns).mean(),
    }
    assert found.value == pytest.approx(expected[statistic.__name__])
    assert probability(scores, scores) == pytest.approx(0.5)


def test_the_probability_of_improvement_counts_ties_half():
    x, y = np.array([[1.0], [0.5]]), np.array([[0.5], [0.0], [1.0]])
    wins = [1.0, 1.0, 0.5, 0.5, 1.0, 0.0]  # of each pair of a run of x and one of y
    assert probability(x, y) == pytest.approx(np.mean(wins))
    drawn = resamples(x, 80), resamples(y, 80, seed=1)
    values = [probability(x.ravel()[one], y.ravel()[other]) for one, other in zip(*drawn, strict=True)]
    assert improvement(x, y, drawn)[1:] == pytest.approx(np.percentile(values, [2.5, 97.5]))
    assert improvement(x, y[:1]).low is None  # one seed has no interval


@pytest.mark.parametrize(("n", "m"), [(3, 4), (5, 5), (1, 4)])
@pytest.mark.parametrize("ties", [True, False])
def test_the_rank_test_is_the_share_of_all_divisions_that_are_as_far_from_one_half(n, m, ties):
    scores = GENERATOR.integers(0, 4, n + m) / 4 if ties else GENERATOR.random(n + m)

    def far(chosen):
        first = np.isin(np.arange(n + m), chosen)
        return abs(probability(scores[first][:, None], scores[~first][:, None]) - 0.5)

    distances = np.array([far(chosen) for chosen in combinations(range(n + m), n)])
    assert rank_test(scores[:n], scores[n:]) == pytest.approx((distances >= far(range(n)) - 1e-9).mean())


def test_for_many_scores_the_rank_test_goes_on_without_a_jump():
    generator = np.random.default_rng(0)  # of its own: the other tests, of which some may have run, draw from theirs
    x, y = generator.random(25), generator.random(26) + 0.2
    assert rank_test(x, y) == pytest.approx(rank_test(x, y[:-1]), rel=0.5)  # 51 scores, and 50
    assert rank_test(np.ones(30), np.ones(30)) == 1


def test_returns_of_grids_are_shares_and_returns_of_bodies_are_not():
    ranges = [possible_return({"env": {"id": f"Inductive-{name}-v0"}}) for name in ("OneBall", "Bodies")]
    assert ranges == [(0.0, 1.0), ALWAYS]


def test_an_interval_of_p_is_possible_holds_p_and_turns_round_with_the_pair():
    for n, m in product((2, 3, 5), (2, 5)):
        x, y = GENERATOR.integers(0, 4, n), GENERATOR.integers(0, 4, m)
        one, other = rank_interval(x, y), rank_interval(y, x)
        assert 0 <= one.low <= one.value <= one.high <= 1 and one.low < one.high
        assert (1 - other.value, 1 - other.high, 1 - other.low) == pytest.approx(one)
    widths = [1 - rank_interval(np.ones(n), np.zeros(n)).low for n in (3, 5, 10, 30)]
    assert widths == sorted(widths, reverse=True) and widths[0] > 0.4  # three seeds that all win prove little


def test_discoveries_are_those_of_benjamini_and_hochberg():
    # the example of their paper (1995), section 3.2: of 15 tests it rejects 4, where Bonferroni rejects 3
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719]
    p_values = np.array([*p_values, 0.6528, 0.7590, 1.0])
    rejected, level = discoveries(p_values[::-1])
    assert rejected[::-1].tolist() == [True] * 4 + [False] * 11
    assert level == pytest.approx(5 * 0.05 / 15)  # the fifth was above it
    assert discoveries(np.array([]))[0].tolist() == [] and not discoveries(np.array([0.9]))[0].any()


def test_with_as_many_seeds_as_are_said_to_be_needed_the_test_rejects_in_four_of_five_cases():
    p = 0.85
    n = seeds_needed(p)
    shift = 1.4658  # of normal scores: P(X > Y) = Φ(shift / √2)
    assert (1 + erf(shift / 2)) / 2 == pytest.approx(p, abs=1e-4)
    rejected = [rank_test(GENERATOR.normal(shift, 1, n), GENERATOR.normal(0, 1, n)) <= 0.05 for _ in range(300)]
    assert 0.7 < np.mean(rejected) < 0.9
    assert seeds_needed(0.5) is None and seeds_needed(0.51) is None
    needed = {(1.0, 0.05): 6, (0.93, 0.05): 8, (0.93, 0.01): 11, (0.6, 0.05): 131}
    assert {case: seeds_needed(*case) for case in needed} == needed


def test_the_share_that_reached_a_threshold_is_kaplan_and_meiers():
    # remission times of 21 leukaemia patients (Freireich et al. 1963), the usual example
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    ended = [
        True,
        True,
        True,
        False,
        True,
        False,
        True,
        False,
        False,
        True,
        True,
        *[False] * 3,
        True,
        True,
        *[False] * 5,
    ]
    found = Reached(np.array(times, float), np.array(ended))
    steps, share = found.share()
    assert steps.tolist() == [0, 6, 7, 10, 13, 16, 22, 23]
    assert 1 - share == pytest.approx([1, 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)
    assert found.median() == 23 and str(found) == "23 (9 of 21)"
    never = Reached(np.array([100.0, 200.0]), np.array([False, False]))
    assert never.median() is None and str(never) == "not within 200"


def test_a_number_that_is_rounded_to_zero_has_no_sign():
    assert str(Estimate(-0.001, -0.004, 0.004)) == "0.00 [0.00, 0.00]"
    assert str(Estimate(-0.01, -0.2, 0.004)) == "-0.01 [-0.20, 0.00]"
    assert str(Estimate(0.25)) == "0.25" and str(Estimate(1234.5, 1000, 1500)) == "1,234.5 [1,000.0, 1,500.0]"


@pytest.mark.slow
def test_estimates_and_intervals_equal_rliables_for_the_same_resamples(monkeypatch):
    pytest.importorskip("rliable", reason="rliable is not installed: pip install 'rliable>=1.2,<2' 'pandas<3'")
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    intervals = __import__("intervals")
    compared = {}
    for name, ours, theirs in intervals.estimates(resampled=100):
        for own, other in zip(ours(), theirs(), strict=True):
            compared[name] = float(np.abs(np.asarray(own) - np.asarray(other)).max())
    assert len(compared) == 6 and max(compared.values()) <= 1e-12, compared


@pytest.mark.slow
def test_the_benchmark_counts_how_often_intervals_hold_the_truth():
    done = command("benchmarks/intervals.py", "coverage", "--trials", "40")
    assert done.returncode == 0, done.stderr
    assert "Newcombe" in done.stdout
