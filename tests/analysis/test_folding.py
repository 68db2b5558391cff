"""The folding construction: its regions, counted, are Montúfar's bound."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.folding import as_large, bound, folding, most_of_one_layer, parameters
from analysis.regions import line, plane


@pytest.mark.parametrize("widths", [[5], [3, 4], [2, 2, 2, 2, 3], [4, 3, 5], [7, 2]])
def test_on_an_interval_the_folding_network_has_as_many_regions_as_the_bound(widths):
    traced = line(folding(1, widths), np.zeros(1), np.ones(1))
    assert len(traced) == bound(1, widths)
    slopes = np.diff(traced.values[:, 0]) / np.diff(traced.breaks)
    assert (np.abs(np.diff(slopes)) > 1e-9).all(), "neighbours are one linear piece"


@pytest.mark.parametrize("widths", [[6], [4, 5], [4, 4, 3], [5, 7], [2, 3]])
def test_in_a_square_the_folding_network_has_as_many_regions_as_the_bound(widths):
    found = plane(folding(2, widths), np.zeros(2), np.array([1.0, 0]), np.array([0, 1.0]))
    assert len(found) == bound(2, widths) == len({pattern.tobytes() for pattern in found.patterns})


def test_no_random_layer_has_more_regions_than_one_layer_can():
    for units in range(2, 9):
        network = folding(2, [units])
        weight = np.random.default_rng(units).normal(size=(units, 2))
        other = type(network)(((weight, weight[:, 0]),), network.out)
        found = plane(other, np.array([-50.0, -50]), np.array([100.0, 0]), np.array([0, 100.0]))
        assert len(found) <= most_of_one_layer(2, units)


def test_the_layer_it_is_compared_with_has_no_fewer_parameters():
    for widths in ([4, 4], [8, 8, 8], [3]):
        assert parameters(2, [as_large(2, widths)]) >= parameters(2, widths)
        assert parameters(2, [as_large(2, widths) - 1]) < parameters(2, widths)


def test_a_folding_network_of_three_inputs_or_of_layers_too_narrow_is_refused():
    for inputs, widths in ((3, [6]), (2, [1, 4]), (1, [])):
        with pytest.raises(ValueError, match="1 or 2 inputs and layers at least as wide"):
            folding(inputs, widths)
