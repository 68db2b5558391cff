"""Linear regions of a network of linear layers and ReLUs, exactly: along a line, and in a rectangle of a plane.

A region is a set of inputs with one activation pattern, which says for every ReLU whether its input is positive. It is
convex, and the network is affine in it (Montúfar et al. 2014, section 2). Nothing is sampled. The network is followed
layer by layer: where the layers before are affine, the input of the next ReLU is affine too, so on a line it changes
sign at one point at most, and in a convex polygon along one straight cut.

    line    breakpoints: t_i + z_i / (z_i - z_{i+1}) (t_{i+1} - t_i) wherever a unit's input z changes sign
    plane   polygons, each cut by the lines z = 0 of the units whose sign differs between its corners

All is in float64. Regions thinner than `THIN`, of the line's length or the rectangle's sides, are not told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import nn

from encoders.base import Encoder, Flatten
from encoders.layers.dropout import Dropout, Layers
from symmetry import EquivariantLinear

THIN = 1e-11
LINEAR = (nn.Linear, EquivariantLinear)
NOTHING = (nn.Identity, nn.Dropout, Dropout)  # in evaluation

Array = np.ndarray
Affine = tuple[Float[Array, "outputs inputs"], Float[Array, "outputs"]]


@dataclass(frozen=True)
class Rectifier:
    """x ↦ W_out a_L + b_out, with a_0 = x and a_l = ReLU(W_l a_{l-1} + b_l).

    Attributes:
        hidden: (W_l, b_l) of every layer with ReLUs.
        out: (W_out, b_out).
    """

    hidden: tuple[Affine, ...]
    out: Affine

    @classmethod
    def of(cls, module: nn.Module) -> Rectifier:
        """A module of linear layers, equivariant ones included, and ReLUs, in sequence; an encoder that is such.

        Raises:
            ValueError: it has another layer; the message says which.
        """
        hidden: list[Affine] = []
        pending: Affine | None = None
        for part in _parts(module):
            if isinstance(part, LINEAR):
                weight = part.weight.detach().double().cpu().numpy()
                bias = np.zeros(len(weight)) if part.bias is None else part.bias.detach().double().cpu().numpy()
                pending = (weight, bias) if pending is None else (weight @ pending[0], weight @ pending[1] + bias)
            elif hidden or pending:
                hidden.append(pending or _identity(len(hidden[-1][0])))
                pending = None
            else:
                raise ValueError("linear regions: the network begins with a ReLU; put a linear layer before it")
        if pending is None and not hidden:
            raise ValueError("linear regions: the network has no linear layer")
        return cls(tuple(hidden), pending or _identity(len(hidden[-1][0])))

    @property
    def inputs(self) -> int:
        return (self.hidden[0] if self.hidden else self.out)[0].shape[1]

    def patterns(self, x: Float[Array, "points inputs"]) -> Bool[Array, "points units"]:
        """The activation pattern at each point."""
        found = [np.zeros((len(x), 0), bool)]
        for weight, bias in self.hidden:
            z = x @ weight.T + bias
            found.append(z > 0)
            x = np.maximum(z, 0)
        return np.concatenate(found, 1)

    def __call__(self, x: Float[Array, "points inputs"]) -> Float[Array, "points outputs"]:
        for weight, bias in self.hidden:
            x = np.maximum(x @ weight.T + bias, 0)
        return x @ self.out[0].T + self.out[1]


def _identity(size: int) -> Affine:
    return np.eye(size), np.zeros(size)


def _parts(module: nn.Module) -> list[nn.Module]:
    """The linear layers and ReLUs that a module applies one after another."""
    if isinstance(module, (*LINEAR, nn.ReLU)):
        return [module]
    if isinstance(module, NOTHING):
        return []
    inner = [*module] if type(module) in (nn.Sequential, Layers) else None
    if isinstance(module, (Encoder, Flatten)):
        inner = module.stages()  # type: ignore[assignment]
    if inner is None:
        raise ValueError(
            f"linear regions are of linear layers and ReLUs, and {type(module).__name__} is something else; "
            "encoder=mlp and encoder=homomorphic on vectors have them, with encoder.activation=relu"
        )
    return [part for each in inner for part in _parts(each)]


@dataclass(frozen=True)
class Line:
    """The regions that a segment passes, in their order.

    Attributes:
        breaks: where they begin and end, from 0 to 1, one more than there are regions.
        patterns: the activation pattern of each.
        values: what the network computes at each break; between two of them it is affine.
    """

    breaks: Float[Array, " regions_and_one"]
    patterns: Bool[Array, "regions units"]
    values: Float[Array, "regions_and_one outputs"]

    def __len__(self) -> int:
        return len(self.patterns)


def line(network: Rectifier, start: Float[Array, " inputs"], end: Float[Array, " inputs"]) -> Line:
    """The regions along the segment from `start` to `end`."""
    breaks, values = np.array([0.0, 1.0]), np.stack([start, end]).astype(float)
    for weight, bias in network.hidden:
        z = values @ weight.T + bias
        before, unit = np.nonzero((z[:-1] < 0) & (z[1:] > 0) | (z[:-1] > 0) & (z[1:] < 0))
        first, last = z[before, unit], z[before + 1, unit]
        share = first / (first - last)
        crossed = z[before] + share[:, None] * (z[before + 1] - z[before])
        crossed[np.arange(len(unit)), unit] = 0
        breaks = np.concatenate([breaks, breaks[before] + share * (breaks[before + 1] - breaks[before])])
        order = np.argsort(breaks, kind="stable")
        breaks = breaks[order]
        kept = np.concatenate([[True], np.diff(breaks) > THIN])
        kept[-1] = True
        breaks, values = breaks[kept], np.maximum(np.concatenate([z, crossed])[order][kept], 0)
    middle = (breaks[:-1] + breaks[1:]) / 2
    points = (1 - middle[:, None]) * start + middle[:, None] * end
    return Line(breaks, network.patterns(points), values @ network.out[0].T + network.out[1])


@dataclass(frozen=True)
class Plane:
    """The regions in a rectangle.

    Attributes:
        polygons: their corners, in coordinates from 0 to 1 along both sides of the rectangle, in order around each.
        patterns: the activation pattern of each.
        maps: [A b] of each, with the network's output A (u, v) + b in it.
    """

    polygons: list[Float[Array, "corners 2"]]
    patterns: Bool[Array, "regions units"]
    maps: Float[Array, "regions outputs 3"]

    def __len__(self) -> int:
        return len(self.polygons)


def plane(
    network: Rectifier, corner: Float[Array, " inputs"], along: Float[Array, " inputs"], across: Float[Array, " inputs"]
) -> Plane:
    """The regions in the rectangle of the points corner + u along + v across, with u and v from 0 to 1."""
    square = np.array([[0.0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])  # (u, v, 1) of the corners
    cells = [(square, np.stack([along, across, corner], 1).astype(float), np.zeros(0, bool))]
    for weight, bias in network.hidden:
        found = []
        for polygon, values, pattern in cells:
            z = weight @ values
            z[:, 2] += bias
            for piece in _cut(polygon, z):
                active = z @ piece.mean(0) > 0
                found.append((piece, z * active[:, None], np.concatenate([pattern, active])))
        cells = found
    maps = np.stack([network.out[0] @ values for _, values, _ in cells])
    maps[:, :, 2] += network.out[1]
    return Plane([polygon[:, :2] for polygon, _, _ in cells], np.stack([pattern for _, _, pattern in cells]), maps)


def _cut(polygon: Float[Array, "corners 3"], z: Float[Array, "units 3"]) -> list[Float[Array, "corners 3"]]:
    """The parts of a convex polygon between the lines z = 0."""
    length = np.hypot(z[:, 0], z[:, 1])
    lines = z[length > 0] / length[length > 0, None]  # now a value is a distance
    distances = polygon @ lines.T
    pieces = [polygon]
    for row in lines[(distances.min(0) < -THIN) & (distances.max(0) > THIN)]:
        pieces = [part for piece in pieces for part in _halves(piece, piece @ row)]
    return pieces


def _halves(polygon: Float[Array, "corners 3"], distance: Float[Array, " corners"]) -> list[Float[Array, "corners 3"]]:
    """The parts of a convex polygon on both sides of a line, if it has more than a corner or an edge on each."""
    if distance.min() >= -THIN or distance.max() <= THIN:
        return [polygon]
    following, after = np.roll(polygon, -1, 0), np.roll(distance, -1)
    halves = []
    for sign in (1, -1):
        corners = []
        for here, there, near, far in zip(polygon, following, sign * distance, sign * after, strict=True):
            if near >= -THIN:
                corners.append(here)
            if min(near, far) < -THIN and max(near, far) > THIN:
                corners.append(here + near / (near - far) * (there - here))
        halves.append(np.array(corners))
    return halves
