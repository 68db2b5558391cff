"""Lipschitz bounds: the lower one, the Jacobians' own norms, the upper one, on random networks and on the encoders."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from jacobians import jacobian_norms
from torch import nn

from analysis.lipschitz import gradient_norms, lower_bound, upper_bound
from analysis.spectral import spectral_norm
from encoders.layers.convolution import Residual
from encoders.layers.regularization import Regularization
from reductions import convolution_as_linear

SEVERAL = pytest.mark.parametrize("networks", [12, pytest.param(250, marks=pytest.mark.slow)])
POINTS = 10  # at each of which a network's Jacobian is computed in full


def pick(random, *choices):
    return choices[random.integers(len(choices))]


def convolution(random, inputs: int, axes: int) -> nn.Module:
    kernel, stride, padding = int(random.integers(1, 4)), int(random.integers(1, 3)), int(random.integers(0, 2))
    outputs = int(random.integers(1, 4))
    if random.random() < 0.3:
        kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[axes - 1]
        return kind(inputs, outputs, kernel, stride, padding if kernel > 2 else 0)
    mode = pick(random, "zeros", "circular", "replicate", "reflect")
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](inputs, outputs, kernel, stride, padding, padding_mode=mode)


def network(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """A random small network, and the shape of its input."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    activation = lambda: pick(random, nn.ReLU, nn.Tanh, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.ELU, nn.Sigmoid)()  # noqa: E731
    if random.random() < 0.5:
        sizes = [int(size) for size in random.integers(1, 7, int(random.integers(2, 5)))]
        layers = []
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), activation()]
            if random.random() < 0.3:
                layers.append(met(nn.BatchNorm1d(outputs)))
        return nn.Sequential(*layers).double().eval(), (sizes[0],)
    axes = pick(random, 1, 2, 2, 3)
    shape = (int(random.integers(1, 3)), *[int(size) for size in random.integers(5, 7, axes)])
    first = convolution(random, shape[0], axes)
    pool = (
        (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
        if random.random() < 0.5
        else (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
    )
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1]
    layers = [first, activation(), met(norm(first.out_channels)), pool[axes - 1](2, 1), nn.Flatten()]
    body = nn.Sequential(*layers).double().eval()
    size = body(torch.zeros(1, *shape).double()).shape[1]
    return nn.Sequential(*body, nn.Linear(size, 3).double()), shape


def met(norm: nn.Module) -> nn.Module:
    """A batch norm as it might be after learning."""
    norm.running_mean.normal_(), norm.running_var.uniform_(0.3, 2)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    return norm


@SEVERAL
def test_the_lower_bound_is_the_largest_jacobian_and_the_upper_bound_lies_above_it(networks):
    ratios = []
    for seed in range(networks):
        module, shape = network(seed)
        points = torch.randn(POINTS, *shape).double() * 2
        exact = jacobian_norms(module, points)
        norms, upper = gradient_norms(module, points), upper_bound(module, shape)
        assert (norms <= exact * (1 + 1e-9)).all(), seed
        torch.testing.assert_close(norms, exact, rtol=2e-3, atol=1e-12)
        assert lower_bound(module, points) == norms.max() <= upper, seed
        others = points + torch.randn_like(points) * 10.0 ** -torch.arange(POINTS).fmod(5).reshape(
            -1, *[1] * len(shape)
        )
        with torch.no_grad():
            moved = (module(points) - module(others)).flatten(1).norm(dim=1)
        assert (moved <= upper * (points - others).flatten(1).norm(dim=1)).all(), seed
        ratios.append(float(exact.max()) / upper)
    assert max(ratios) > 0.9, "the upper bound is never near"


@SEVERAL
def test_the_bound_of_one_linear_layer_is_its_largest_singular_value(networks):
    random = np.random.default_rng(0)
    for seed in range(networks):
        torch.manual_seed(seed)
        if seed % 2:
            shape = tuple(int(size) for size in random.integers(1, 9, 1))
            layer: nn.Module = nn.Linear(*shape, int(random.integers(1, 9)))
            weight = layer.weight
        else:
            axes = 1 + seed // 2 % 3
            shape = (2, *[int(size) for size in random.integers(4, 7 - axes // 3, axes)])
            layer = convolution(random, 2, axes)
            weight = convolution_as_linear(layer, shape[1:]).weight
        exact = float(torch.linalg.matrix_norm(weight.detach().double(), 2))
        assert math.isclose(upper_bound(layer, shape), exact, rel_tol=1e-6), layer
        lower = lower_bound(layer.double(), torch.zeros(1, *shape).double(), 500)
        assert exact * 0.99 <= lower <= exact * (1 + 1e-9), layer


def test_the_norm_of_a_reshaped_kernel_is_no_bound():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 3, 3, padding=1).double()
    reshaped = float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2))
    assert reshaped < lower_bound(layer, torch.zeros(1, 3, 7, 7).double()) <= upper_bound(layer, (3, 7, 7))


def test_a_map_of_rank_one_and_the_zero_map_have_their_norms():
    assert math.isclose(spectral_norm(lambda x: x.sum(1, keepdim=True).expand(-1, 5) + 7, (3,)), math.sqrt(15))
    assert spectral_norm(lambda x: 0 * x + 1, (3,)) == 0


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.SiLU(), (2,), 1.0998),
        (nn.GELU(), (2,), 1.1289),
        (nn.MaxPool2d(3, 2), (1, 7, 7), 2.0),
        (nn.LayerNorm(4, eps=1e-2), (4,), 10.0),
        (nn.AvgPool2d(2), (1, 4, 4), 0.5),
    ],
)
def test_the_constant_of_a_layer_is_the_known_one(module, shape, expected):
    assert upper_bound(module, shape) == pytest.approx(expected, rel=1e-3)


def test_a_batch_norm_scales_by_its_weights_and_a_residual_sum_adds_one():
    norm = met(nn.BatchNorm1d(5))
    with torch.no_grad():
        exact = float((norm.weight.abs() / (norm.running_var + norm.eps).sqrt()).max())
    assert upper_bound(norm, (5,)) == pytest.approx(exact)
    block = Residual(2, Regularization())
    assert upper_bound(block, (2, 4, 4)) == pytest.approx(1 + upper_bound(nn.Sequential(*block.layers), (2, 4, 4)))


def test_a_layer_without_a_constant_and_an_unknown_one_are_refused_by_name():
    class Own(nn.Linear):
        pass

    with pytest.raises(ValueError, match="MultiheadAttention, attention is not Lipschitz on an unbounded domain"):
        upper_bound(nn.Sequential(nn.ReLU(), nn.MultiheadAttention(4, 2)), (3, 4))
    with pytest.raises(ValueError, match="Own, it is not known here"):
        upper_bound(nn.Sequential(Own(2, 2)), (2,))


def test_the_bounded_module_stays_as_it_was():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU())
    before = copy.deepcopy(module.state_dict())
    upper_bound(module, (2,))
    assert module.training and all(torch.equal(before[key], part) for key, part in module.state_dict().items())
