"""Laws of groups and their representations, in float64."""

from __future__ import annotations

import pytest
import torch
from groups import C2, C3, C4, GROUPS, KLEIN, S3, representations, sign, turn

from symmetry import Group, OrthogonalRepresentation, Representation, Symmetry, cyclic, dihedral, product, symmetric


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
    assert [group.order for group in GROUPS] == [2, 3, 4, 8, 6, 4]
    assert [dihedral(n).order for n in (3, 5)] == [6, 10] and [symmetric(n).order for n in (2, 4)] == [2, 24]
    assert (KLEIN.name, product(S3, C4).order) == ("C2xC2", 24)
    for what in (lambda: dihedral(2), lambda: symmetric(1), lambda: cyclic(0)):
        with pytest.raises(ValueError, match="needs n >="):
            what()


def test_the_factors_of_a_product_commute():
    group = product(S3, C2)
    for k in range(len(S3.generators)):
        assert group.products[k][group.generator(2)] == group.multiply(group.generator(2), group.generator(k))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_representations_are_homomorphisms(group):
    for rep in representations(group):
        for g in range(group.order):
            for h in range(group.order):
                assert torch.equal(rep.matrix(g) @ rep.matrix(h), rep.matrix(group.multiply(g, h)))


def test_what_is_no_homomorphism_is_refused_by_name():
    Representation(C4, [([1, 2, 3, 0], [1, 1, 1, 1])])
    with pytest.raises(ValueError, match=r"not a homomorphism .* g = \(1, 2, 3, 0\) and h = \(3, 0, 1, 2\)"):
        Representation(C4, [([1, 2, 0], [1, 1, 1])])  # order 3 does not divide 4: g³ g is not 1
    with pytest.raises(ValueError, match="not a homomorphism"):
        Representation.one_dimensional(C3, [-1])
    with pytest.raises(ValueError, match="not a permutation"):
        Representation(C2, [([0, 0], [1, 1])])
    with pytest.raises(ValueError, match="signs"):
        Representation(C2, [([1, 0], [1, 2])])
    with pytest.raises(ValueError, match="not a permutation"):
        Group([[0, 2]])
    with pytest.raises(ValueError, match="more than"):
        Group([[1, 2, 3, 4, 5, 6, 0], [1, 0, 2, 3, 4, 5, 6]])  # S7 has 5,040 elements


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_sums_multiples_and_tensor_products_are_those_of_the_matrices(group):
    a, b = Representation.permutation(group), Representation.regular(group)
    if group in (C2, C4, KLEIN):
        b = b + sign(group)
    for g in range(group.order):
        assert torch.equal((a + b).matrix(g), torch.block_diag(a.matrix(g), b.matrix(g)))
        assert torch.equal((b * 3).matrix(g), torch.block_diag(*[b.matrix(g)] * 3))
        assert torch.equal((a @ b).matrix(g), torch.kron(a.matrix(g), b.matrix(g)))
        assert torch.equal((a @ b).unsigned().matrix(g), torch.kron(a.matrix(g), b.matrix(g)).abs())


def test_a_representation_is_rebuilt_from_its_generators():
    rep = sign(C4) @ Representation.regular(C4) + Representation.permutation(C4)
    assert Representation(C4, rep.generators) == rep
    assert rep != rep.unsigned() and hash(rep) == hash(Representation(C4, rep.generators))
    # coordinate j goes to permutation[j] with its sign
    third = Representation(cyclic(3), [([1, 2, 0], [1, 1, 1])])
    assert torch.equal(third(1, torch.tensor([1.0, 2.0, 3.0])), torch.tensor([3.0, 1.0, 2.0]))


def test_representations_of_different_groups_do_not_combine():
    for combine in (Representation.__add__, Representation.tensor):
        with pytest.raises(ValueError, match="cannot"):
            combine(Representation.regular(C2), Representation.regular(C4))
    with pytest.raises(ValueError, match="at least one copy"):
        Representation.regular(C2) * 0


def test_rotations_are_an_orthogonal_representation():
    rotation = turn(120)
    rep = OrthogonalRepresentation(C3, [rotation])
    for g in range(3):
        for h in range(3):
            product_of = rep.matrix(g) @ rep.matrix(h)
            torch.testing.assert_close(product_of, rep.matrix(C3.multiply(g, h)), rtol=0, atol=1e-12)
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close((rep * 2)(1, x), x @ torch.block_diag(rotation, rotation).T)
    assert (rep + Representation.regular(C3)).size == 5
    with pytest.raises(ValueError, match="not an orthogonal"):
        OrthogonalRepresentation(C3, [2 * rotation])
    with pytest.raises(ValueError, match="not a homomorphism"):
        OrthogonalRepresentation(C3, [turn(100)])


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
