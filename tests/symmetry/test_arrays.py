"""Laws of arrays of numbers under a group, and of heads that are averaged over one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from encoders.heads import AveragedHead
from symmetry import Arrays, Representation, Symmetry, cyclic, dihedral

D4 = dihedral(4)
TURNED = Representation.permutation(D4) + Representation.one_dimensional(D4, [-1, 1]) * 2
MATRICES = Arrays(D4, (2, 3), TURNED)


def test_an_array_transforms_as_its_flattened_form_does():
    x = torch.randn(5, 4, 2, 3)
    for g in range(D4.order):
        assert torch.equal(MATRICES(g, x).flatten(2), TURNED(g, x.flatten(2)))
        for h in range(D4.order):
            assert torch.equal(MATRICES(g, MATRICES(h, x)), MATRICES(D4.multiply(g, h), x))


def test_an_array_that_stays_may_be_of_any_type():
    stays = Arrays(D4, (2, 3))
    codes = torch.randint(0, 9, (5, 2, 3), dtype=torch.int16)
    assert all(stays(g, codes) is codes for g in range(D4.order))
    assert stays.flat == Representation.trivial(D4, 6)


def test_a_symmetry_with_arrays_survives_its_data():
    symmetry = Symmetry(D4, {"seen": MATRICES, "kept": Arrays(D4, (2, 3))}, Representation.permutation(D4))
    again = Symmetry.from_data(symmetry.to_data())
    assert again.observation == symmetry.observation
    assert symmetry.observation["seen"] != symmetry.observation["kept"]


@pytest.mark.parametrize(
    ("shape", "flat", "message"),
    [
        ((2, 2), TURNED, r"arrays of shape \(2, 2\)"),
        ((4,), Representation.regular(cyclic(4)), "need its representation"),
    ],
)
def test_a_representation_that_does_not_fit_the_array_is_refused(shape, flat, message):
    with pytest.raises(ValueError, match=message):
        Arrays(D4, shape, flat)


@pytest.mark.parametrize("data", [{"shape": [2]}, {"shape": 2, "images": None}, {"shape": [2], "images": [3]}])
def test_data_that_are_no_arrays_are_refused(data):
    with pytest.raises(ValueError, match="not arrays"):
        Arrays.from_data(D4, data)


def test_an_averaged_head_is_equivariant_whatever_the_head_is():
    torch.manual_seed(0)
    anything = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, TURNED.size)).double()
    head, features = AveragedHead(anything, TURNED), Representation.regular(D4) * 5
    z = torch.randn(3, features.size, dtype=torch.float64)
    assert head(z).abs().max() > 0.1
    for g in range(D4.order):
        torch.testing.assert_close(head(features(g, z)), TURNED(g, head(z)))
