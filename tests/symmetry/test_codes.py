"""Laws of categorical codes: cells move, values are renamed, and the one-hot form transforms linearly."""

from __future__ import annotations

import pytest
import torch

from symmetry import Codes, Group, Representation, Symmetry, cyclic

C2 = cyclic(2)
D4 = Group([[1, 2, 3, 0], [2, 1, 0, 3]], "D4")  # on four directions: a quarter turn, a reflection


def permutations(group: Group, *images: list[int]) -> Representation:
    return Representation(group, [(image, [1] * len(image)) for image in images])


def square(size: int) -> Representation:
    """D4 on the cells of a square grid, x before y."""
    cells = [(x, y) for x in range(size) for y in range(size)]
    turned = [(size - 1 - y) * size + x for x, y in cells]
    reflected = [(size - 1 - x) * size + y for x, y in cells]
    return permutations(D4, turned, reflected)


def trivial(group: Group, size: int) -> Representation:
    return Representation.trivial(group, size)


DIRECTIONS = permutations(D4, [1, 2, 3, 0], [2, 1, 0, 3])
CASES = {
    "a grid whose state is a direction where the type is 2": Codes(
        D4,
        (3, 3, 3),
        square(3),
        [(0, trivial(D4, 4), None), (1, trivial(D4, 5), None), (2, DIRECTIONS, (0, 2))],
    ),
    "two conditions on one channel": Codes(
        D4,
        (2, 2, 2),
        square(2),
        [(0, trivial(D4, 4), None), (1, DIRECTIONS, (0, 2)), (1, permutations(D4, [1, 0, 2], [0, 1, 2]), (0, 3))],
    ),
    "a direction": Codes(D4, (1,), trivial(D4, 1), [(0, DIRECTIONS, None)]),
    "words": Codes(C2, (6,), trivial(C2, 6), [(0, permutations(C2, [0, 2, 1, 3]), None)]),
    "a pair of codes": Codes(C2, (2,), trivial(C2, 1), [(0, trivial(C2, 4), None), (1, trivial(C2, 5), None)]),
}


@pytest.fixture(params=CASES, ids=str)
def codes(request) -> Codes:
    return CASES[request.param]


def batch(codes: Codes, *leading: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 6, (*(leading or (64,)), *codes.shape))


def test_codes_are_a_homomorphism(codes):
    x = batch(codes)
    assert torch.equal(codes(0, x), x)
    for g in range(codes.group.order):
        for h in range(codes.group.order):
            assert torch.equal(codes(g, codes(h, x)), codes(codes.group.multiply(g, h), x))


def test_the_one_hot_form_transforms_by_cells_times_values(codes):
    x = batch(codes).double()
    for g in range(codes.group.order):
        kronecker = torch.kron(codes.cells.matrix(g), codes.values.matrix(g))
        expected = codes.one_hot(x).flatten(1) @ kronecker.T
        assert torch.equal(codes.one_hot(codes(g, x)).flatten(1), expected)


def test_a_permutation_of_cells_alone_is_not_enough_where_values_are_renamed():
    codes = CASES["a grid whose state is a direction where the type is 2"]
    x = batch(codes).double()
    cells_only = torch.kron(codes.cells.matrix(1).contiguous(), torch.eye(codes.values.size, dtype=torch.float64))
    assert not torch.equal(codes.one_hot(codes(1, x)).flatten(1), codes.one_hot(x).flatten(1) @ cells_only.T)


def test_the_one_hot_form_says_everything_about_codes_in_range(codes):
    x = batch(codes)
    known = (codes.one_hot(x).flatten(1) @ torch.randn(codes.cells.size * codes.values.size, 8)).round(decimals=3)
    in_range = codes.one_hot(x).sum(-1) == codes.channels
    x, known = x[in_range.all(1)], known[in_range.all(1)]
    assert len(torch.unique(x.flatten(1), dim=0)) == len(torch.unique(known, dim=0))


def test_a_quarter_turn_moves_the_cell_and_turns_the_agent():
    codes = CASES["a grid whose state is a direction where the type is 2"]
    x = torch.zeros(1, 3, 3, 3, dtype=torch.uint8)
    x[0, 0, 0] = torch.tensor([2, 1, 3])  # the agent, facing direction 3, in the corner
    x[0, 1, 0] = torch.tensor([1, 4, 3])  # something else whose state is 3
    y = codes(1, x)
    assert y[0, 2, 0].tolist() == [2, 1, 0] and y[0, 2, 1].tolist() == [1, 4, 3] and y.sum() == x.sum() - 3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_types_and_leading_axes_stay(codes, dtype):
    x = batch(codes, 2, 3).to(dtype)
    for g in range(codes.group.order):
        y = codes(g, x)
        assert y.dtype == dtype and y.shape == x.shape
        assert torch.equal(y.flatten(0, 1), codes(g, x.flatten(0, 1)))


def test_the_batch_given_is_left_as_it_was(codes):
    x = batch(codes)
    before = x.clone()
    for g in range(codes.group.order):
        codes(g, x)
    assert torch.equal(x, before)


def test_codes_beyond_the_declared_values_keep_them():
    codes = CASES["a direction"]
    assert codes(1, torch.tensor([[3], [4], [255]], dtype=torch.uint8)).tolist() == [[0], [4], [255]]


def test_codes_survive_their_data(codes):
    again = Codes.from_data(codes.group, codes.to_data())
    assert again == codes and hash(again) == hash(codes)
    assert codes != Codes(C2, (3,), trivial(C2, 3), [(0, trivial(C2, 2), None)])


def test_a_symmetry_of_codes_and_vectors_survives_its_data():
    words, position = CASES["words"], permutations(C2, [1, 0])
    symmetry = Symmetry(C2, {"words": words, "position": position}, permutations(C2, [1, 0]))
    again = Symmetry.from_data(symmetry.to_data())
    assert again == symmetry
    observation = {"words": batch(words), "position": torch.randn(64, 2)}
    for key, part in again.observe(1, observation).items():
        assert torch.equal(part, symmetry.observation[key](1, observation[key]))
    for data in ({"shape": [6]}, {"shape": [6], "cells": 1, "renames": []}):
        with pytest.raises(ValueError, match="not "):
            Codes.from_data(C2, data)


SIGN = Representation(C2, [([0, 1], [1, -1])])
SWAP = permutations(C2, [1, 0])


@pytest.mark.parametrize(
    "shape, cells, renames, message",
    [
        ((3, 3), trivial(C2, 4), [(0, SWAP, None)], "do not have 4 cells"),
        ((4, 2), trivial(C2, 2), [(0, SWAP, None)], "do not have 2 cells"),
        ((), trivial(C2, 1), [(0, SWAP, None)], "at least one axis"),
        ((2,), trivial(D4, 2), [(0, SWAP, None)], "of that group"),
        ((2,), SIGN, [(0, SWAP, None)], "no signs"),
        ((2,), trivial(C2, 2), [(0, SIGN, None)], "no signs"),
        ((2, 2), trivial(C2, 2), [(0, SWAP, None)], "channel 1 has no entry.*trivial"),
        ((2,), trivial(C2, 2), [(0, SWAP, None), (1, SWAP, None)], r"channels 0\.\.0"),
        ((2,), trivial(C2, 2), [(0, SWAP, None), (0, SWAP, None)], "renamed twice"),
        ((2,), trivial(C2, 1), [(0, trivial(C2, 3), None), (1, SWAP, (0, 1)), (1, SWAP, (0, 1))], "renamed twice"),
        ((2,), trivial(C2, 1), [(0, SWAP, None), (1, SWAP, (0, 1))], "which is itself renamed"),
        ((2,), trivial(C2, 2), [(0, SWAP, (0, 1))], "which is itself renamed"),
    ],
)
def test_what_contradicts_itself_is_refused(shape, cells, renames, message):
    with pytest.raises(ValueError, match=message):
        Codes(C2, shape, cells, renames)


def test_sizes_of_the_environment_are_compared_with_the_declaration():
    symmetry = Symmetry(C2, {"words": CASES["words"], "position": SIGN}, SWAP)
    symmetry.validate({"words": (6,), "position": (2,)}, actions=2)
    for shapes, actions, message in [
        ({"words": (6,)}, 2, "declare each"),
        ({"words": (7,), "position": (2,)}, 2, r"'words' acts on shape \(6,\), the environment's is \(7,\)"),
        ({"words": (6,), "position": (3,)}, 2, "'position' acts on"),
        ({"words": (6,), "position": (2,)}, 3, "2 discrete actions, the environment has 3"),
        ({"words": (6,), "position": (2,)}, ([-1] * 3, [1] * 3), "2 numbers in an action"),
    ]:
        with pytest.raises(ValueError, match=message):
            symmetry.validate(shapes, actions)
    symmetry.validate({"words": (6,), "position": (2,)}, ([-1, -1], [2, 2]))
    symmetry.validate(actions=([-1, -1], [2, 2]))
    with pytest.raises(ValueError, match=r"carries the actions between \[-1.0, -2.0\]"):
        symmetry.validate(actions=([-1, -2], [2, 2]))
    with pytest.raises(ValueError, match="signs before discrete"):
        Symmetry(C2, {"position": SIGN}, SIGN).validate({"position": (2,)}, actions=2)
