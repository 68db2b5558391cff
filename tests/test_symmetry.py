"""Laws of groups, representations and equivariant layers, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from symmetry import EquivariantLinear, Group, Representation, Symmetry, cyclic, symmetrize

S3 = Group([[1, 2, 0], [1, 0, 2]], name="S3")
C2, C4 = cyclic(2), cyclic(4)
KLEIN = Group([[1, 0, 2, 3], [0, 1, 3, 2]], name="C2xC2")
GROUPS = [C2, cyclic(3), C4, S3, KLEIN]


def sign(group: Group) -> Representation:
    """Minus one for every generator: a representation of groups whose relations have even length."""
    return Representation(group, [([0], [-1])] * len(group.generators))


def representations(group: Group) -> list[Representation]:
    regular = Representation.regular(group)
    some = [regular, regular * 2, Representation.trivial(group, 2) + regular]
    return some + [sign(group) + regular] if group in (C2, C4, KLEIN) else some


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_group_is_closed_associative_and_has_inverses(group):
    elements = range(group.order)
    for g in elements:
        assert group.multiply(g, group.inverse(g)) == 0 == group.multiply(group.inverse(g), g)
        assert group.multiply(0, g) == g == group.multiply(g, 0)
        for h in elements:
            for k in elements:
                assert group.multiply(group.multiply(g, h), k) == group.multiply(g, group.multiply(h, k))


def test_groups_have_their_known_orders():
    assert [group.order for group in GROUPS] == [2, 3, 4, 6, 4]
    assert Group([[1, 2, 3, 0], [3, 2, 1, 0]]).order == 8  # the square's


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_representations_are_homomorphisms(group):
    for rep in representations(group):
        for g in range(group.order):
            for h in range(group.order):
                assert torch.equal(rep.matrix(g) @ rep.matrix(h), rep.matrix(group.multiply(g, h)))


def test_what_is_no_homomorphism_is_refused_by_name():
    Representation(C4, [([1, 2, 3, 0], [1, 1, 1, 1])])
    with pytest.raises(ValueError, match="not a homomorphism"):
        Representation(C4, [([1, 2, 0], [1, 1, 1])])  # order 3 does not divide 4
    with pytest.raises(ValueError, match="not a permutation"):
        Representation(C2, [([0, 0], [1, 1])])
    with pytest.raises(ValueError, match="signs"):
        Representation(C2, [([1, 0], [1, 2])])
    with pytest.raises(ValueError, match="not a permutation"):
        Group([[0, 2]])
    with pytest.raises(ValueError, match="more than"):
        Group([[1, 2, 3, 4, 5, 6, 0], [1, 0, 2, 3, 4, 5, 6]])  # S7 has 5,040 elements


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_equivariant_layers_commute_with_the_group(group):
    for rep_in in representations(group):
        for rep_out in representations(group):
            layer = EquivariantLinear(rep_in, rep_out).double()
            nn.init.normal_(layer.free_weight)
            if layer.free_bias is not None:
                nn.init.normal_(layer.free_bias)
            x = torch.randn(5, rep_in.size, dtype=torch.float64)
            for g in range(group.order):
                torch.testing.assert_close(layer(rep_in(g, x)), rep_out(g, layer(x)), rtol=0, atol=1e-12)


def test_a_plain_layer_does_not():
    rep = Representation.regular(C2)
    plain = nn.Linear(2, 2).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    assert (plain(rep(1, x)) - rep(1, plain(x))).abs().max() > 1e-3


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_tied_weights_reach_exactly_the_equivariant_matrices(group):
    for rep_in in representations(group):
        for rep_out in representations(group):
            layer = EquivariantLinear(rep_in, rep_out, bias=False).double()
            torch.testing.assert_close(symmetrize(layer.weight, rep_in, rep_out), layer.weight, rtol=0, atol=1e-12)
            # every projection of a random matrix is found again, so no equivariant matrix is out of reach
            projected = symmetrize(torch.randn(rep_out.size, rep_in.size, dtype=torch.float64), rep_in, rep_out)
            free = torch.zeros_like(layer.free_weight.data)
            kept = layer.sign != 0
            free[layer.index[kept]] = (projected / torch.where(kept, layer.sign, 1.0))[kept]
            torch.testing.assert_close(free[layer.index] * layer.sign, projected, rtol=0, atol=1e-12)


def test_cartpole_reduces_to_van_der_pols_formula():
    state, action = Representation(C2, [(range(4), [-1] * 4)]), Representation(C2, [([1, 0], [1, 1])])
    weight = torch.randn(2, 4, dtype=torch.float64)
    swap, negate = action.matrix(1), -torch.eye(4, dtype=torch.float64)
    expected = weight / 2 + swap.inverse() @ weight @ negate / 2
    torch.testing.assert_close(symmetrize(weight, state, action), expected)
    layer = EquivariantLinear(state, action)
    nn.init.normal_(layer.free_bias)
    assert torch.equal(layer.weight[0], -layer.weight[1]) and torch.equal(layer.bias[0], layer.bias[1])


def test_initial_activations_have_the_scale_of_an_ordinary_layer():
    rep = Representation.regular(C4) * 64
    torch.manual_seed(0)
    x = torch.randn(512, rep.size)
    ratio = EquivariantLinear(rep, rep)(x).std() / nn.Linear(rep.size, rep.size, bias=False)(x).std()
    assert 0.9 < ratio < 1.1


def test_a_map_that_can_only_be_zero_is_refused():
    with pytest.raises(ValueError, match="zero"):
        EquivariantLinear(Representation.trivial(C2), sign(C2))
    assert EquivariantLinear(sign(C2), sign(C2)).bias is None


def test_a_symmetry_survives_its_data():
    symmetry = Symmetry(C2, {"observation": sign(C2) * 3}, Representation.regular(C2))
    again = Symmetry.from_data(symmetry.to_data())
    assert (again.group, dict(again.observation), again.action) == (C2, dict(symmetry.observation), symmetry.action)
    with pytest.raises(ValueError, match="not a symmetry"):
        Symmetry.from_data({"group": {"name": "C2"}})
    with pytest.raises(ValueError, match="transforms under"):
        Symmetry(C2, {"observation": sign(C4)}, sign(C2))


def test_discrete_actions_move_as_their_one_hot_form_does():
    symmetry = Symmetry(
        S3,
        {"observation": Representation.regular(S3)},
        Representation(S3, [([1, 2, 0], [1] * 3), ([1, 0, 2], [1] * 3)]),
    )
    actions = torch.arange(3)
    for g in range(S3.order):
        one_hot = torch.nn.functional.one_hot(actions, 3).double()
        assert torch.equal(symmetry.act(g, one_hot).argmax(1), symmetry.act(g, actions))
