"""Linear regions: as many as an enumeration of all activation patterns finds, along lines and in planes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from analysis.regions import Rectifier, line, plane
from encoders.homomorphic import Homomorphic
from encoders.mlp import MLP
from envs import make_env
from symmetry import EquivariantLinear, Representation, cyclic

SEVERAL = pytest.mark.parametrize("networks", [25, pytest.param(250, marks=pytest.mark.slow)])
CLEAR = 1e-9  # by which an enumerated region's inner point lies on the right side of every boundary


def random_widths(seed: int) -> list[int]:
    """Of one to three hidden layers with three to eight ReLUs in all."""
    random = np.random.default_rng(seed)
    units, depth = int(random.integers(3, 9)), int(random.integers(1, 4))
    cuts = sorted(random.choice(np.arange(1, units), depth - 1, replace=False))
    return np.diff([0, *cuts, units]).tolist()


def network(seed: int, inputs: int, widths: list[int]) -> tuple[Rectifier, nn.Sequential]:
    """A random network with hidden layers of these widths."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in zip([inputs, *widths], widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
        nn.init.normal_(layers[-2].weight), nn.init.normal_(layers[-2].bias, std=0.5)
    module = nn.Sequential(*layers, nn.Linear(widths[-1], 2)).double()
    return Rectifier.of(module), module


def boundaries(rectifier: Rectifier, pattern: np.ndarray, chart: np.ndarray) -> np.ndarray:
    """With this pattern, the affine input of each unit, signed so that it must be positive: (units, dimensions + 1).

    Args:
        chart: the point of each parameter, as a matrix on (parameters, 1).
    """
    values, first, rows = chart, 0, []
    for weight, bias in rectifier.hidden:
        z = weight @ values
        z[:, -1] += bias
        active = pattern[first : first + len(z)]
        rows.append(z * np.where(active, 1, -1)[:, None])
        values, first = z * active[:, None], first + len(z)
    return np.concatenate(rows)


def every_pattern(rectifier: Rectifier):
    units = sum(len(bias) for _, bias in rectifier.hidden)
    return (np.array(pattern) for pattern in itertools.product([False, True], repeat=units))


def has_an_interval(rows: np.ndarray) -> bool:
    """Whether some t in (0, 1) makes every a t + b of the rows [a b] positive."""
    low, high = 0.0, 1.0
    for a, b in rows:
        if a == 0:
            if b <= 0:
                return False
        elif a > 0:
            low = max(low, -b / a)
        else:
            high = min(high, -b / a)
    return high - low > CLEAR


def has_an_inside(rows: np.ndarray) -> bool:
    """Whether some (u, v) in the unit square makes every a u + b v + c positive: the mean of all feasible vertices."""
    rows = np.concatenate([rows, [[1, 0, 0], [-1, 0, 1], [0, 1, 0], [0, -1, 1]]])
    constant = np.hypot(rows[:, 0], rows[:, 1]) == 0
    if (rows[constant, 2] <= 0).any():
        return False
    rows = rows[~constant] / np.hypot(rows[~constant, 0], rows[~constant, 1])[:, None]
    first, second = np.triu_indices(len(rows), 1)
    corners = np.cross(rows[first], rows[second])
    corners = corners[np.abs(corners[:, 2]) > 1e-12]
    corners = corners / corners[:, 2:]
    feasible = corners[(corners @ rows.T >= -CLEAR).all(1)]
    return len(feasible) > 2 and bool((rows @ feasible.mean(0) > CLEAR).all())


@SEVERAL
def test_along_a_line_the_traced_regions_are_those_of_all_activation_patterns(networks):
    counts = []
    for seed in range(networks):
        inputs = 1 + seed % 3
        rectifier, _ = network(seed, inputs, random_widths(seed))
        start, end = np.random.default_rng(seed).normal(size=(2, inputs)) * 3
        chart = np.stack([end - start, start], 1)
        expected = {p.tobytes() for p in every_pattern(rectifier) if has_an_interval(boundaries(rectifier, p, chart))}
        traced = line(rectifier, start, end)
        assert {pattern.tobytes() for pattern in traced.patterns} == expected, seed
        assert len(traced) == len(expected), seed
        counts.append(len(traced))
    assert max(counts) > 4


@SEVERAL
def test_in_a_plane_the_polygons_are_those_of_all_activation_patterns(networks):
    counts = []
    for seed in range(networks):
        inputs = 2 + seed % 2
        rectifier, _ = network(seed, inputs, random_widths(seed))
        corner, along, across = np.random.default_rng(seed).normal(size=(3, inputs)) * np.array([[2], [4], [4]])
        chart = np.stack([along, across, corner], 1)
        expected = {p.tobytes() for p in every_pattern(rectifier) if has_an_inside(boundaries(rectifier, p, chart))}
        found = plane(rectifier, corner, along, across)
        assert {pattern.tobytes() for pattern in found.patterns} == expected, seed
        assert len(found) == len(expected), seed
        counts.append(len(found))
    assert max(counts) > 12


def activations(module: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """The activation pattern at each point, from the modules themselves."""
    values, found = torch.as_tensor(x), []
    with torch.no_grad():
        for part in module:
            values = part(values)
            if isinstance(part, nn.ReLU):
                found.append(values > 0)
    return torch.cat(found, 1).numpy()


def test_dense_samples_between_breakpoints_have_one_pattern_each_and_the_values_are_the_networks():
    random = np.random.default_rng(0)
    for seed in range(5):
        rectifier, module = network(seed, 4, [20, 20, 20])
        start, end = random.normal(size=(2, 4)) * 5
        traced = line(rectifier, start, end)
        assert len(traced) > 8
        share = random.uniform(0.001, 0.999, (len(traced), 50))
        t = traced.breaks[:-1, None] + share * np.diff(traced.breaks)[:, None]
        sampled = activations(module, (start + t[..., None] * (end - start)).reshape(-1, 4)).reshape(*t.shape, -1)
        assert (sampled == sampled[:, :1]).all() and (sampled[:, 0] == traced.patterns).all()
        assert len(np.unique(traced.patterns, axis=0)) == len(traced)
        at = torch.as_tensor(start + traced.breaks[:, None] * (end - start))
        np.testing.assert_allclose(traced.values, module(at).detach().numpy(), atol=1e-9)


def test_polygons_tile_the_rectangle_and_the_network_is_their_affine_map():
    rectifier, module = network(3, 3, [15, 15, 10])
    corner, along, across = np.random.default_rng(0).normal(size=(3, 3)) * 3
    found = plane(rectifier, corner, along, across)
    x, y = (np.concatenate([part[:, axis] for part in found.polygons]) for axis in (0, 1))
    assert len(found) > 30 and x.min() >= 0 and y.max() <= 1
    areas = [
        0.5 * abs(np.dot(p[:, 0], np.roll(p[:, 1], 1)) - np.dot(p[:, 1], np.roll(p[:, 0], 1))) for p in found.polygons
    ]
    assert abs(sum(areas) - 1) < 1e-9
    centres = np.array([polygon.mean(0) for polygon in found.polygons])
    points = corner + centres @ np.stack([along, across])
    assert (activations(module, points) == found.patterns).all()
    values = (found.maps[:, :, :2] @ centres[:, :, None])[..., 0] + found.maps[:, :, 2]
    np.testing.assert_allclose(values, module(torch.as_tensor(points)).detach().numpy(), atol=1e-9)


def test_equivariant_layers_count_as_the_linear_layers_they_are_and_their_regions_are_mirrored():
    group = cyclic(2)
    mirror, swap = Representation(group, [([0, 1], [-1, -1])]), Representation.regular(group) * 6
    torch.manual_seed(0)
    module = nn.Sequential(
        EquivariantLinear(mirror, swap), nn.ReLU(), EquivariantLinear(swap, swap), nn.ReLU()
    ).double()
    nn.init.normal_(module[0].free_bias), nn.init.normal_(module[2].free_bias)
    rectifier = Rectifier.of(module)
    x = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(rectifier(x), module(torch.as_tensor(x)).detach().numpy())
    found = plane(rectifier, np.array([-2.0, -2]), np.array([4.0, 0]), np.array([0.0, 4]))
    centres = np.array([polygon.mean(0) for polygon in found.polygons]) - 0.5
    assert len(found) > 20
    for centre in centres:
        assert np.abs(centres + centre).sum(1).min() < 1e-9


def test_encoders_of_vectors_have_regions_and_what_is_no_relu_is_refused_by_name():
    env = make_env("CartPole")
    space = env.observation_space
    for encoder in (MLP(space, width=8), Homomorphic(space, env.symmetry, 4, activation="relu")):
        x = np.random.default_rng(0).normal(size=(9, 4))
        np.testing.assert_allclose(
            Rectifier.of(encoder)(x), encoder(torch.as_tensor(x).float()).detach().numpy(), atol=1e-5
        )
    with pytest.raises(ValueError, match=r"Tanh is something else; .*encoder\.activation=relu"):
        Rectifier.of(MLP(space, activation="tanh"))
    with pytest.raises(ValueError, match="begins with a ReLU"):
        Rectifier.of(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
