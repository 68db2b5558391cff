"""The network that folds its input space, and how many regions networks of ReLUs can have (Montúfar et al. 2014).

A layer folds [0, 1]^n₀ onto itself: each coordinate x becomes the zigzag h₁ - h₂ + h₃ - ... of its p = ⌊n/n₀⌋ units

    h₁ = ReLU(p x),    h_i = ReLU(2p x - 2(i - 1)),  i = 2, ..., p

which maps each of p intervals onto [0, 1] (section 3.1, figure 2). What later layers do once they then do in each of
the p^n₀ cells, mirrored from cell to cell. The last layer cuts the cube by n_L hyperplanes in general position, which
all meet inside it: Σ_{j ≤ n₀} C(n_L, j) parts, in each cell (Zaslavsky 1975). Together, theorem 4:

    (Π_{l<L} ⌊n_l/n₀⌋^n₀) Σ_{j ≤ n₀} C(n_L, j)    regions
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.regions import Affine, Rectifier


def folding(inputs: int, widths: Sequence[int]) -> Rectifier:
    """The folding network on [0, 1]^n₀; units that are left over when n₀ does not divide a width are always off.

    Args:
        inputs: n₀, 1 or 2.
        widths: n₁, ..., n_L, each at least n₀.

    Raises:
        ValueError: other numbers.
    """
    if inputs not in (1, 2) or not widths or min(widths) < inputs:
        raise ValueError(f"a folding network has 1 or 2 inputs and layers at least as wide; got {inputs}, {[*widths]}")
    hidden: list[Affine] = []
    unfolded = np.eye(inputs)  # from the layer before to the coordinates that it folded
    for width in widths[:-1]:
        pieces = width // inputs
        weight, bias, zigzag = np.zeros((width, inputs)), -np.ones(width), np.zeros((inputs, width))
        for axis in range(inputs):
            units = axis * pieces + np.arange(pieces)
            weight[units, axis] = np.where(np.arange(pieces) == 0, pieces, 2 * pieces)
            bias[units] = -2 * np.arange(pieces)
            zigzag[axis, units] = (-1.0) ** np.arange(pieces)
        hidden.append((weight @ unfolded, bias))
        unfolded = zigzag
    weight, bias = _general_position(inputs, widths[-1])
    sides = (-1.0) ** np.arange(len(bias))  # so that the network is flat nowhere, and differs on both sides of a fold
    hidden.append((sides[:, None] * weight @ unfolded, sides * bias))
    out = np.random.default_rng(0).normal(size=(1, widths[-1]))
    return Rectifier(tuple(hidden), (out, np.zeros(1)))


def _general_position(inputs: int, number: int) -> Affine:
    """Points of (0, 1), or tangents of a circle so small that all of them meet within the square."""
    if inputs == 1:
        return np.ones((number, 1)), -(np.arange(number) + 1) / (number + 1)
    angles = np.pi * (np.arange(number) + 0.5) / number
    normals = np.stack([np.cos(angles), np.sin(angles)], 1)
    radius = 0.45 * math.sin(np.pi / (2 * number))
    return normals, -normals @ np.array([0.5, 0.5]) - radius


def bound(inputs: int, widths: Sequence[int]) -> int:
    """Montúfar's: the most regions of networks of this shape are at least so many."""
    return math.prod((width // inputs) ** inputs for width in widths[:-1]) * most_of_one_layer(inputs, widths[-1])


def most_of_one_layer(inputs: int, units: int) -> int:
    """The most regions that a network of one hidden layer can have: Σ_{j ≤ n₀} C(n, j) (Zaslavsky 1975)."""
    return sum(math.comb(units, j) for j in range(inputs + 1))


def parameters(inputs: int, widths: Sequence[int]) -> int:
    """Weights and biases of a network with these hidden layers and one output."""
    sizes = [inputs, *widths, 1]
    return sum((before + 1) * after for before, after in zip(sizes, sizes[1:], strict=False))


def as_large(inputs: int, widths: Sequence[int]) -> int:
    """Units of one hidden layer with at least as many parameters as the network with these layers."""
    return -(-(parameters(inputs, widths) - 1) // (inputs + 2))
