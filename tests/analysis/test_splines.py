"""Errors of one hidden layer: the least of any number of pieces, and that of evenly spread ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.splines import interpolation, least


def residual(x, y):
    return float(((np.polyval(np.polyfit(x, y, 1), x) - y) ** 2).sum()) if len(x) > 2 else 0.0


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_the_least_error_is_that_of_the_best_of_all_ways_to_cut(pieces):
    random = np.random.default_rng(pieces)
    x, y = np.sort(random.uniform(size=12)), random.normal(size=12)
    cuts = itertools.combinations(range(1, 12), pieces - 1)
    every = [sum(residual(x[a:b], y[a:b]) for a, b in itertools.pairwise([0, *cut, 12])) for cut in cuts]
    assert least(x, y, pieces) == pytest.approx(np.sqrt(min(every) / 12), abs=1e-9)


def test_no_layer_of_as_many_units_is_below_the_least_error_and_a_function_of_such_pieces_has_none():
    x = np.linspace(0, 1, 200)
    for units in (1, 3, 8, 20):
        y = np.sin(9 * x) + x**2
        assert 0 < least(x, y, units + 1) <= interpolation(x, y, units)
    zigzag = np.abs((4 * x) % 2 - 1)
    assert least(x, zigzag, 4) < 1e-7 < 0.1 < least(x, zigzag, 3)
    assert interpolation(x, zigzag, 4) < 1e-7
