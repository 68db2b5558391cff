"""Laws of `cnn`: its trunks are as published, and its maps have the size that is announced."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from encoders.cnn import CNN, POOLINGS
from encoders.layers import convolution
from encoders.layers.convolution import Residual, remaining
from encoders.layers.regularization import Regularization

IMAGE = spaces.Box(0, 255, (84, 84, 3), np.uint8)


def grid(x: int, y: int) -> spaces.Dict:
    return spaces.Dict({"image": spaces.Box(0, 10, (x, y, 3), np.uint8), "direction": spaces.Box(0, 3, (1,), np.uint8)})


def some(space: spaces.Dict, count: int = 4) -> dict[str, torch.Tensor]:
    return {
        key: torch.as_tensor(np.stack([part.sample() for _ in range(count)])).double() for key, part in space.items()
    }


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    layers=st.integers(0, 3),
    layer_pooling=st.sampled_from(["none", "max", "avg"]),
    pooling=st.sampled_from(POOLINGS),
    pooled=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_every_size_is_announced_rightly_or_refused(size, layers, pooling, pooled, **options):
    given_ = {"channels": 4, "layers": layers, "embedding": 4, "pooling": pooling, "pooled": pooled, **options}
    try:
        encoder = CNN(grid(*size), 6, **given_).double()
    except ValueError as error:
        assert "leave nothing of a grid" in str(error)
        trunk = convolution.cells(
            4, 4, layers, Regularization(), *[options[k] for k in ("kernel", "stride", "padding")]
        )
        pools = [F.max_pool2d] if options["layer_pooling"] != "none" else []
        maps = torch.zeros(1, 4, *size)
        with pytest.raises(RuntimeError):  # as it would be in the middle
            for module in trunk:
                maps = module(maps)
                for pool in pools if isinstance(module, nn.ReLU) else []:
                    maps = pool(maps, 2)
        return
    assert encoder(some(grid(*size))).shape == (4, 6)


def test_the_cells_of_a_grid_are_read_by_plain_convolutions():
    torch.manual_seed(0)
    encoder = CNN(grid(7, 6), 5, channels=4, embedding=4, kernel=2, stride=2, padding=1, layer_pooling="avg").double()
    obs = some(grid(7, 6))
    first, second = (layer for layer in encoder.trunk if isinstance(layer, nn.Conv2d))
    maps = encoder.stem(obs).permute(0, 3, 1, 2)
    for layer in (first, second):
        maps = F.avg_pool2d(F.conv2d(maps, layer.weight, layer.bias, 2, 1).relu(), 2)
    expected = F.linear(maps.flatten(1), encoder.out[0].weight, encoder.out[0].bias).relu()
    assert (encoder(obs) - expected).abs().max() < 1e-12
    with torch.no_grad():
        first.weight += 0.1
    assert (encoder(obs) - expected).abs().max() > 1e-6


@pytest.mark.parametrize(("pooling", "fits"), [("flatten", False), ("max", True), ("avg", True), ("adaptive", True)])
def test_pooling_over_cells_fits_any_grid(pooling, fits):
    torch.manual_seed(0)
    small, large = (CNN(grid(*size), 5, pooling=pooling).double() for size in ((5, 5), (8, 7)))
    if not fits:
        with pytest.raises(RuntimeError, match="size mismatch"):
            large.load_state_dict(small.state_dict())
        return
    large.load_state_dict(small.state_dict())
    obs = some(grid(5, 5))
    assert torch.equal(large(obs), small(obs))
    assert large(some(grid(8, 7))).shape == (4, 5)


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_pooling_over_cells_forgets_where_and_adaptive_pooling_keeps_it(pooling):
    """Away from the border, convolutions commute with translations."""
    torch.manual_seed(0)
    here, there = torch.zeros(2, 1, 15, 15, 3).double().unbind()
    here[0, 4, 4], there[0, 9, 10] = 3, 3

    def moved(how):
        encoder = CNN(spaces.Box(0, 10, (15, 15, 3), np.uint8), 32, pooling=how).double()
        return (encoder(here) - encoder(there)).abs().max()

    assert moved(pooling) < 1e-12
    assert moved("adaptive") > 1e-3 and moved("flatten") > 1e-3


def test_the_nature_trunk_has_the_published_sizes():
    encoder = CNN(IMAGE, 512)
    assert remaining(encoder.trunk, 3, 84, 84) == (64, 7, 7)
    convolutions = 3 * 32 * 64 + 32 + 32 * 64 * 16 + 64 + 64 * 64 * 9 + 64
    assert sum(p.numel() for p in encoder.parameters()) == convolutions + 64 * 49 * 512 + 512
    assert encoder(torch.rand(2, 84, 84, 3)).shape == (2, 512)


def test_the_impala_trunk_is_the_published_one():
    """15 convolutions, of which each sequence's first may change the channels; 11 x 11 x 32 left of 84 x 84."""
    torch.manual_seed(0)
    encoder = CNN(IMAGE, 256, trunk="impala").double()
    layers = [module for module in encoder.trunk.modules() if isinstance(module, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in layers if c.in_channels != c.out_channels] == [(3, 16), (16, 32)]
    assert len(layers) == 15 and all(c.kernel_size == (3, 3) for c in layers)
    assert remaining(encoder.trunk, 3, 84, 84) == (32, 11, 11)
    x = torch.rand(2, 84, 84, 3).double()
    maps, position = x.permute(0, 3, 1, 2), iter(layers)
    for _ in range(3):
        maps = F.max_pool2d(next(position)(maps), 3, 2, padding=1)
        for _ in range(2):
            inner = next(position)(maps.relu())
            maps = maps + next(position)(inner.relu())
    expected = encoder.out(maps.relu().flatten(1))
    assert (encoder(x) - expected).abs().max() < 1e-12
    with torch.no_grad():
        next(m for m in encoder.modules() if isinstance(m, Residual)).layers[1].weight += 0.1
    assert (encoder(x) - expected).abs().max() > 1e-6


def test_every_convolution_of_impala_is_normalized_and_followed_by_dropout():
    encoder = CNN(IMAGE, trunk="impala", normalization="group", groups=4, dropout=0.1)
    kinds = [type(module).__name__ for module in encoder.trunk.modules()]
    assert kinds.count("Conv2d") == kinds.count("GroupNorm") == kinds.count("Dropout") == 15


def test_an_image_too_small_an_unknown_option_and_a_trunk_of_other_observations_are_refused():
    pixels, cells = spaces.Box(0, 255, (35, 40, 3), np.uint8), grid(5, 5)
    for space, options, message in [
        (pixels, {}, r"at least 36x36 pixels, got \(35, 40, 3\)"),
        (cells, {"trunk": "impala"}, "auto or cells"),
        (IMAGE, {"trunk": "cells"}, "auto, nature or impala"),
        (cells, {"pooling": "mean"}, "flatten, max, avg or adaptive"),
        (cells, {"layer_pooling": "min"}, "layer_pooling is none, max or avg"),
        (cells, {"layer_pooling": "max", "layers": 3}, "layers=3 leave nothing of a grid of 5x5 cells"),
        (cells, {"layer_pooling": "max", "normalization": "instance"}, "only one cell is left"),
    ]:
        with pytest.raises(ValueError, match=message):
            CNN(space, **options)
    assert CNN(pixels, trunk="impala").trunk is not None
