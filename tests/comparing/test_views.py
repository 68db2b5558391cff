"""Laws of what figures and page show of a comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fabricated import fabricated, grid

from comparing.compare import compare
from comparing.figures import columns, draw
from comparing.statistics import interquartile_mean
from comparing.views import figures, gaps, improvements, learning_curves, names, times


@pytest.fixture(scope="module")
def comparison():
    return compare(grid())


def test_a_contender_has_one_place_in_every_figure(comparison):
    labels = names(comparison)
    for panel in learning_curves(comparison)[1:]:
        environment = next(each for each in comparison.environments if each.name == panel.title)
        for series in panel.series:
            one = next(each for each in environment.contenders if each.label == labels[series.contender])
            assert np.array_equal(series.y, one.curve.band.value)
    for strip in improvements(comparison):
        for row in strip.rows:
            first, second = row.label.split(" > ")
            assert labels[row.contender] == (first if row.estimate.value >= 0.5 else second)


def test_nothing_is_drawn_outside_the_range_that_an_axis_shows(comparison):
    drawn = 0
    for panels in figures(comparison).values():
        for panel in panels:
            low, high = panel.within
            for series in getattr(panel, "series", ()):
                ends = [
                    each
                    for each in (series.y, series.low, series.high, *(y for _, y in series.runs))
                    if each is not None
                ]
                assert all(low <= each.min() and each.max() <= high for each in ends)
                assert panel.along[0] <= series.x.min() and series.x.max() <= panel.along[1]
                drawn += len(ends)
            for row in getattr(panel, "rows", ()):
                assert all(low <= number <= high for number in (*row.estimate, *row.runs))
                assert row.estimate.low <= row.estimate.value <= row.estimate.high
                drawn += 1
    assert drawn > 50


def test_the_averaged_curve_ends_at_the_interquartile_mean_of_all_last_evaluations(comparison):
    average, *rest = learning_curves(comparison)
    assert average.title == "both environments" and len(rest) == 2
    for series in average.series:
        last = [panel.series[series.contender].runs for panel in rest]
        scores = np.array([[y[-1] for _, y in runs] for runs in last]).T
        assert series.y[-1] == pytest.approx(interquartile_mean(scores))
        assert series.low[-1] <= series.y[-1] <= series.high[-1]


def test_environments_are_averaged_at_equal_shares_of_their_steps():
    long = [fabricated("LavaGapS7", "mlp", seed, [0.2] * 10 + [0.8] * 10) for seed in range(2)]
    short = [fabricated("DoorKey-5x5", "mlp", seed, [0.2, 0.8]) for seed in range(2)]
    (average,) = learning_curves(compare(long + short))[0].series
    at = dict(zip(average.x.round().astype(int), average.y, strict=True))
    assert at[50] == pytest.approx(0.2) and at[100] == pytest.approx(0.8)


def test_a_run_that_ended_without_reaching_the_threshold_is_marked_where_it_ended():
    runs = [
        fabricated("DoorKey-5x5", "mlp", 0, [0.1, 0.95, 0.95, 0.95]),
        fabricated("DoorKey-5x5", "mlp", 1, [0.1, 0.2, 0.3]),
    ]
    (panel,) = times(compare(runs), lambda one: one.steps_to, "steps")
    (series,) = panel.series
    assert [*series.x] == [0, 2000, 3000] and [*series.y] == [0, 0.5, 0.5]
    assert series.marks == [(3000, 0.5)]


def test_gaps_are_drawn_where_runs_have_them_and_joined_for_one_contender(comparison):
    assert gaps(comparison) == []
    runs = [
        fabricated("DoorKey-5x5", encoder, seed, [0.5, 0.9], levels=levels)
        for encoder in ("cnn", "mlp")
        for levels in (10, "all")
        for seed in range(2)
    ]
    (panel,) = gaps(compare(runs))
    assert panel.log and sorted((*series.x, *series.y) for series in panel.series) == [
        *[(10, pytest.approx(0.1))] * 2,
        *[(40, pytest.approx(0.025))] * 2,
    ]
    assert [(*x, *y) for x, y in panel.joined] == [(10, 40, pytest.approx(0.1), pytest.approx(0.025))] * 2


def test_panels_wrap_after_the_third():
    assert [columns(count) for count in (1, 2, 3, 4, 5, 11)] == [1, 2, 3, 2, 3, 3]


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes_of_figures():
    runs = grid("DoorKey-5x5", "cnn mlp", seeds=2)
    runs.append(fabricated("DoorKey-5x5", "$x_{$", 0, [0.5, 0.6]))  # no formula, but a name
    comparison = compare(runs)
    files = draw(comparison, Path("first"))
    assert len(files) == 16
    for file, again in zip(files, draw(comparison, Path("second")), strict=True):
        assert file.read_bytes() == again.read_bytes()
        assert file.read_bytes().startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[file.suffix])
