"""Laws of convolution and pooling on grids whose group moves cells, in float64."""

from __future__ import annotations

import pytest
import torch
from groups import C2, C3, C4, D4, KLEIN, S3, sign
from torch import nn

from symmetry import (
    EquivariantConv2d,
    EquivariantLinear,
    EquivariantPool2d,
    Representation,
    cells,
    expanded,
    to_plain,
)

TURN, MIRROR_X, MIRROR_Y, STILL = ([1, 0], [1, -1]), ([0, 1], [-1, 1]), ([0, 1], [1, -1]), ([0, 1], [1, 1])
PLANES = {
    "C2": Representation(C2, [MIRROR_X]),
    "C3": Representation(C3, [STILL]),  # moves channels only
    "C4": Representation(C4, [TURN]),
    "D4": Representation(D4, [TURN, MIRROR_X]),
    "S3": Representation(S3, [STILL, MIRROR_Y]),  # its even elements move channels only
    "C2xC2": Representation(KLEIN, [MIRROR_X, MIRROR_Y]),
}
by_plane = pytest.mark.parametrize("plane", PLANES.values(), ids=PLANES.keys())


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def transform(g, field, rep, plane):
    """g·f of fields (batch, channels, x, y)."""
    return rep.tensor(cells(plane, field.shape[2:]))(g, field.flatten(1)).view_as(field)


@torch.no_grad()
def error(layer, rep_in, rep_out, plane, grid):
    x = torch.randn(3, rep_in.size, *grid)
    return max(
        float((layer(transform(g, x, rep_in, plane)) - transform(g, layer(x), rep_out, plane)).abs().max())
        for g in range(plane.group.order)
    )


def channels(group):
    regular = Representation.regular(group)
    return [Representation.trivial(group, 2) + regular, regular * 2]


def grids(plane):
    return [(5, 5), (6, 6)] if plane.group in (C4, D4) else [(5, 5), (7, 3), (6, 4)]


def test_cells_move_as_the_picture_does():
    picture = torch.arange(12.0).view(1, 1, 4, 3)
    trivial = Representation.trivial(C2)
    assert torch.equal(transform(1, picture, trivial, PLANES["C2"]), picture.flip(2))
    square, turned = picture[..., :3, :], PLANES["C4"]
    # (x, y) goes to (-y, x): what was along +x is along +y
    assert torch.equal(transform(1, square, Representation.trivial(C4), turned), square.rot90(1, (2, 3)))


@by_plane
def test_cells_are_a_representation(plane):
    for grid in grids(plane):
        rep = cells(plane, grid)
        assert Representation(plane.group, rep.generators) == rep and rep.size == grid[0] * grid[1]


@by_plane
@pytest.mark.parametrize(("kernel", "padding"), [(1, "same"), (3, "same"), (5, "same"), (2, "valid"), (3, "valid")])
def test_convolutions_commute_with_the_group(plane, kernel, padding):
    for grid in grids(plane):
        if padding == "valid" or kernel <= min(grid):
            for rep_in in channels(plane.group):
                rep_out = Representation.regular(plane.group) + Representation.trivial(plane.group)
                layer = EquivariantConv2d(rep_in, rep_out, plane, grid, kernel, padding=padding)
                nn.init.normal_(layer.free_bias)
                assert error(layer, rep_in, rep_out, plane, grid) < 1e-12
                assert layer(torch.zeros(1, rep_in.size, *grid)).shape[2:] == layer.out_grid


@by_plane
def test_plain_convolutions_do_not(plane):
    rep = Representation.regular(plane.group)
    assert error(nn.Conv2d(rep.size, rep.size, 3, padding=1), rep, rep, plane, (5, 5)) > 1e-3


def test_signed_channels_are_convolved_too():
    rep = sign(D4) * 2 + Representation.regular(D4)
    assert error(EquivariantConv2d(rep, rep, PLANES["D4"], (5, 5)), rep, rep, PLANES["D4"], (5, 5)) < 1e-12


@pytest.mark.parametrize("name", ["C2", "C4", "D4", "C2xC2"])
def test_strides_from_border_to_border_are_exact_and_others_refused(name):
    plane = PLANES[name]
    rep = Representation.regular(plane.group)
    layer = EquivariantConv2d(rep, rep, plane, (7, 7), stride=2)
    assert layer.out_grid == (4, 4) and error(layer, rep, rep, plane, (7, 7)) < 1e-12
    with pytest.raises(ValueError, match="symmetric strides: 1, 5"):
        EquivariantConv2d(rep, rep, plane, (6, 6), stride=2)
    free = to_plain(layer)
    assert error(free, rep, rep, plane, (7, 7)) < 1e-12 < 1e-3 < error(free, rep, rep, plane, (6, 6))


def test_a_stride_along_an_axis_that_stays_is_free():
    plane, rep = PLANES["C2"], Representation.regular(C2)
    assert error(EquivariantConv2d(rep, rep, plane, (7, 6), stride=2), rep, rep, plane, (7, 6)) < 1e-12


@by_plane
@pytest.mark.parametrize("mode", ["max", "mean"])
def test_pooling_commutes_with_the_group(plane, mode):
    rep = Representation.regular(plane.group)
    for window in (2, 3, (6, 6)):
        pool = EquivariantPool2d(rep, plane, (6, 6), window, mode)
        assert error(pool, rep, rep, plane, (6, 6)) < 1e-12
        assert pool(torch.zeros(1, rep.size, 6, 6)).shape[2:] == pool.out_grid


def test_windows_that_do_not_tile_and_the_maximum_of_signs_are_refused():
    plane, rep = PLANES["D4"], Representation.regular(D4)
    assert error(nn.MaxPool2d(2), rep, rep, plane, (5, 5)) > 1e-3  # what is refused would be wrong
    with pytest.raises(ValueError, match="do not tile the grid 5x5"):
        EquivariantPool2d(rep, plane, (5, 5), 2)
    with pytest.raises(ValueError, match="square windows"):
        EquivariantPool2d(rep, plane, (6, 6), (2, 3))
    with pytest.raises(ValueError, match="changes signs"):
        EquivariantPool2d(sign(D4), plane, (6, 6), 2)
    signed = sign(D4) + rep
    assert error(nn.MaxPool2d(2), signed, signed, plane, (6, 6)) > 1e-3
    assert error(EquivariantPool2d(signed, plane, (6, 6), 2, "mean"), signed, signed, plane, (6, 6)) < 1e-12


def test_kernels_and_grids_that_break_the_law_are_refused():
    plane, rep = PLANES["D4"], Representation.regular(D4)
    cases = [
        ({"kernel": 2}, "use kernel 3"),
        ({"kernel": 4, "padding": "valid", "grid": (3, 3)}, "larger than the grid 3x3"),
        ({"grid": (7, 5)}, "square grid, got 7x5; use the mirrors"),
        ({"padding": "circular"}, '"same" or "valid"'),
        ({"stride": 0}, "at least 1"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            EquivariantConv2d(rep, rep, plane, **{"grid": (5, 5), **options})
    weight = EquivariantConv2d(rep, rep, plane, (5, 5), 2, padding="valid").weight

    def same_padded(x):
        return nn.functional.conv2d(nn.functional.pad(x, (0, 1, 0, 1)), weight)

    assert error(same_padded, rep, rep, plane, (5, 5)) > 1e-3  # a symmetric kernel of even size, and yet
    with pytest.raises(ValueError, match="representation of size 2"):
        cells(rep, (5, 5))
    with pytest.raises(ValueError, match="made for a grid of"):
        EquivariantConv2d(rep, rep, plane, (5, 5))(torch.zeros(1, 8, 6, 6))


def test_a_kernel_over_the_whole_grid_is_the_linear_layer_of_its_cells():
    plane, rep = PLANES["D4"], Representation.regular(D4)
    layer = EquivariantConv2d(rep, rep, plane, (3, 3), 3, padding="valid")
    linear = EquivariantLinear(rep @ cells(plane, (3, 3)), rep)
    linear.load_state_dict(layer.state_dict())
    x = torch.randn(4, 8, 3, 3)
    torch.testing.assert_close(layer(x).flatten(1), linear(x.flatten(1)), rtol=0, atol=1e-12)


def test_initial_activations_have_the_scale_of_an_ordinary_convolution():
    rep = Representation.regular(D4) * 4
    x = torch.randn(64, 32, 7, 7)
    ratio = EquivariantConv2d(rep, rep, PLANES["D4"], (7, 7))(x).std() / nn.Conv2d(32, 32, 3, padding=1)(x).std()
    assert 0.9 < ratio < 1.1


def test_a_plain_copy_has_the_same_outputs_and_so_has_an_expanded_network():
    plane, rep = PLANES["D4"], Representation.regular(D4)
    network = nn.Sequential(
        EquivariantConv2d(Representation.trivial(D4, 3), rep, plane, (7, 7), stride=2),
        nn.ReLU(),
        EquivariantPool2d(rep, plane, (4, 4), 2),
        EquivariantConv2d(rep, rep, plane, (2, 2), 1, bias=False),
    )
    plain, x = to_plain(network), torch.randn(4, 3, 7, 7)
    assert {type(m) for m in plain.modules()} == {nn.Sequential, nn.Conv2d, nn.ReLU, nn.MaxPool2d}
    torch.testing.assert_close(plain(x), network(x), rtol=0, atol=1e-12)
    with torch.no_grad(), expanded(network):
        torch.testing.assert_close(network(x), plain(x), rtol=0, atol=1e-12)
