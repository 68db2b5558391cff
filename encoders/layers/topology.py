"""Where messages are passed: between cells of a grid (here) or along an observed graph (encoders.layers.graph).

Both answer the same questions (`Topology`), so a layer is written once. Values at nodes are (batch, nodes, features),
values at edges (batch, edges, features); an edge leads from its source to its target, and a node aggregates the edges
whose target it is. Shapes are fixed: padding, and cells beyond the border, are masked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.ranges import require_choice

AGGREGATIONS = ("mean", "sum", "max")
OFFSETS = {
    "right": (1, 0),
    "left": (-1, 0),
    "below": (0, 1),
    "above": (0, -1),
    "below_right": (1, 1),
    "below_left": (-1, 1),
    "above_right": (1, -1),
    "above_left": (-1, -1),
}


def reduce(
    values: Float[Tensor, "batch several *features"], present: Bool[Tensor, "#batch several *ones"] | None, how: str
) -> Float[Tensor, "batch *features"]:
    """Mean, sum or maximum over the second axis of what is present; 0 where nothing is."""
    if present is None:
        return values.amax(1) if how == "max" else values.mean(1) if how == "mean" else values.sum(1)
    if how == "max":
        highest = values.masked_fill(~present, -torch.inf).amax(1)
        return highest.masked_fill(~present.any(1), 0)
    total = values.masked_fill(~present, 0).sum(1)
    return total if how == "sum" else total / present.sum(1).clamp_min(1)


class Topology(ABC):
    """Which nodes send to which.

    Attributes:
        nodes: mask of the nodes that exist; None: all do.
        edges: mask of the edges that exist.
        types: type of each edge.
    """

    nodes: Bool[Tensor, "batch nodes"] | None
    edges: Bool[Tensor, "#batch edges"]
    types: Int[Tensor, "#batch edges"]

    @abstractmethod
    def to_edges(
        self, sent: Float[Tensor, "batch nodes features"], received: Float[Tensor, "batch nodes features"]
    ) -> Float[Tensor, "batch edges features"]:
        """`sent` of each edge's source plus `received` of its target."""

    @abstractmethod
    def to_targets(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes features"]:
        """Mean, sum or maximum over the edges into each node; 0 where there is none."""

    @abstractmethod
    def sum_neighbours(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        """Sum over the sources of the edges into each node."""

    @abstractmethod
    def degrees(self) -> Int[Tensor, "#batch nodes"]:
        """Number of edges into each node."""


class GridGraph(nn.Module, Topology):
    """Every cell, numbered x·height + y, with an edge from each of its 4 or 8 neighbours; the type is the direction.

    Edges are numbered (direction, target). The cost is linear in cells: edges are shifted copies of the cells, and sums
    over neighbours are sums over windows.

    Raises:
        ValueError: another number of neighbours.
    """

    nodes = None
    edges: Tensor
    types: Tensor

    def __init__(self, width: int, height: int, neighbours: int = 8):
        super().__init__()
        require_choice((4, 8), neighbours=neighbours)
        self.shape, self.neighbours = (width, height), neighbours
        offsets = list(OFFSETS.values())[:neighbours]
        self.shifts = [dx * height + dy for dx, dy in offsets]
        x, y = torch.arange(width)[:, None], torch.arange(height)
        inside = [(x + dx >= 0) & (x + dx < width) & (y + dy >= 0) & (y + dy < height) for dx, dy in offsets]
        self.register_buffer("edges", torch.stack(inside).reshape(1, -1), persistent=False)
        types = torch.arange(neighbours).repeat_interleave(width * height)[None]
        self.register_buffer("types", types, persistent=False)

    def to_edges(
        self, sent: Float[Tensor, "batch nodes features"], received: Float[Tensor, "batch nodes features"]
    ) -> Float[Tensor, "batch edges features"]:
        # `edges` masks the cells that a roll brings in from the other end
        return torch.cat([sent.roll(-shift, 1) + received for shift in self.shifts], dim=1)

    def to_targets(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes features"]:
        by_direction = values.unflatten(1, (self.neighbours, -1))
        return reduce(by_direction, self.edges.reshape(1, self.neighbours, -1, 1), how)

    def sum_neighbours(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        cells = values.unflatten(1, self.shape).permute(0, 3, 1, 2)
        if self.neighbours == 8:
            windows = F.avg_pool2d(cells, 3, 1, 1, divisor_override=1) - cells
        else:
            columns = F.avg_pool2d(cells, (1, 3), 1, (0, 1), divisor_override=1)
            windows = columns + F.avg_pool2d(cells, (3, 1), 1, (1, 0), divisor_override=1) - 2 * cells
        return windows.permute(0, 2, 3, 1).flatten(1, 2)

    def degrees(self) -> Int[Tensor, "#batch nodes"]:
        return self.edges.reshape(1, self.neighbours, -1).sum(1)
