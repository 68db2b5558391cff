"""Graphs that layers pass messages on: a grid's own neighbourhood, or one that is observed with every observation.

Both say the same things (`Topology`), so a layer is written once. Values at nodes are (batch, nodes, features), values
at edges (batch, edges, features); an edge leads from its source to its target, and a node aggregates the edges whose
target it is. Shapes are fixed: what is not there (padding, cells beyond the border) is masked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

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
        return {"mean": values.mean, "sum": values.sum, "max": values.amax}[how](1)
    if how == "max":
        highest = values.masked_fill(~present, -torch.inf).amax(1)
        return highest.masked_fill(~present.any(1), 0)
    total = values.masked_fill(~present, 0).sum(1)
    return total if how == "sum" else total / present.sum(1).clamp_min(1)


class Topology(ABC):
    """Which nodes send to which.

    Attributes:
        nodes: which nodes are there; None: all are.
        edges: which edges are there.
        types: type of each edge.
    """

    nodes: Bool[Tensor, "batch nodes"] | None
    edges: Bool[Tensor, "#batch edges"]
    types: Int[Tensor, "#batch edges"]

    @abstractmethod
    def from_sources(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        """What each edge's source has."""

    @abstractmethod
    def from_targets(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        """What each edge's target has."""

    @abstractmethod
    def to_targets(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes features"]:
        """Mean, sum or maximum over the edges into each node; 0 where there is none."""

    @abstractmethod
    def sum_neighbours(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        """Sum over the sources of the edges into each node."""

    @abstractmethod
    def degrees(self) -> Float[Tensor, "#batch nodes"]:
        """Number of edges into each node."""


class GridGraph(nn.Module, Topology):
    """Every cell, numbered x·height + y, with an edge from each of its 4 or 8 neighbours; the type is the direction.

    Edges are numbered (direction, target). The cost is linear in cells: edges are shifted copies of the cells, and sums
    over neighbours those of windows.

    Raises:
        ValueError: another number of neighbours.
    """

    nodes = None
    edges: Tensor
    types: Tensor

    def __init__(self, width: int, height: int, neighbours: int = 8):
        super().__init__()
        if neighbours not in (4, 8):
            raise ValueError(f"encoder.neighbours is 4 or 8, got {neighbours!r}")
        self.grid, self.neighbours = (width, height), neighbours
        offsets = list(OFFSETS.values())[:neighbours]
        self.shifts = [dx * height + dy for dx, dy in offsets]
        x, y = torch.arange(width)[:, None], torch.arange(height)
        inside = [(x + dx >= 0) & (x + dx < width) & (y + dy >= 0) & (y + dy < height) for dx, dy in offsets]
        self.register_buffer("edges", torch.stack(inside).reshape(1, -1), persistent=False)
        types = torch.arange(neighbours).repeat_interleave(width * height)[None]
        self.register_buffer("types", types, persistent=False)

    def from_sources(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        # those that a roll brings in from the other end are not there, `edges` says
        return torch.cat([values.roll(-shift, 1) for shift in self.shifts], dim=1)

    def from_targets(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        return values.repeat(1, self.neighbours, 1)

    def to_targets(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes features"]:
        by_direction = values.unflatten(1, (self.neighbours, -1))
        return reduce(by_direction, self.edges.reshape(1, self.neighbours, -1, 1), how)

    def sum_neighbours(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        cells = values.unflatten(1, self.grid).permute(0, 3, 1, 2)
        if self.neighbours == 8:
            windows = F.avg_pool2d(cells, 3, 1, 1, divisor_override=1) - cells
        else:
            columns = F.avg_pool2d(cells, (1, 3), 1, (0, 1), divisor_override=1)
            windows = columns + F.avg_pool2d(cells, (3, 1), 1, (1, 0), divisor_override=1) - 2 * cells
        return windows.permute(0, 2, 3, 1).flatten(1, 2)

    def degrees(self) -> Float[Tensor, "#batch nodes"]:
        return self.edges.reshape(1, self.neighbours, -1).sum(1).float()


class Graph(Topology):
    """The graph of an observation of the kind "graph" (see `encoders.base`): padded, and another one in every sample.

    Args:
        obs: `edge_index`, sources and targets; `edge_type`; and the masks `node_mask` and `edge_mask`, each of which
            may be missing where everything is there.
        nodes: number of nodes, padding included.
        types: number of edge types.

    Raises:
        ValueError: an index or a type out of range, or an edge to a node that is padding. This is looked at on the
            CPU only, where it costs little, and not while the computation is traced or compiled.
    """

    def __init__(self, obs: dict[str, Tensor], nodes: int, types: int):
        index = obs["edge_index"].long()
        batch, _, edges = index.shape
        self.size, self.number = (batch, nodes), types
        self.nodes = obs["node_mask"] > 0 if "node_mask" in obs else None
        self.edges = obs["edge_mask"] > 0 if "edge_mask" in obs else index.new_ones(batch, edges, dtype=torch.bool)
        if index.device.type == "cpu" and not traced(index):
            check_edges(index, obs["edge_type"], self.nodes, self.edges, nodes, types)
        # padding may hold anything: it becomes an edge of node 0 that is not there
        self.types = obs["edge_type"].long().where(self.edges, 0)
        first = torch.arange(batch, device=index.device)[:, None] * nodes
        self.sources, self.targets = (
            (ends.where(self.edges, 0) + first).flatten() for ends in (index[:, 0], index[:, 1])
        )

    def from_sources(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        return values.flatten(0, 1).index_select(0, self.sources).unflatten(0, self.edges.shape)

    def from_targets(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        return values.flatten(0, 1).index_select(0, self.targets).unflatten(0, self.edges.shape)

    def to_targets(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes features"]:
        return self._scatter(values, self.targets, self.size[1], how)

    def by_type(self, values: Float[Tensor, "batch edges features"], how: str) -> Float[Tensor, "batch nodes types_x"]:
        """What `to_targets` does, for each edge type apart: (batch, nodes, types · features)."""
        slots = self.targets * self.number + self.types.flatten()
        return self._scatter(values, slots, self.size[1] * self.number, how).unflatten(1, (-1, self.number)).flatten(2)

    def sum_neighbours(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        return self.to_targets(self.from_sources(values), "sum")

    def degrees(self) -> Float[Tensor, "#batch nodes"]:
        return self.to_targets(self.edges[..., None].float(), "sum")[..., 0]

    def _scatter(self, values: Tensor, slots: Tensor, number: int, how: str) -> Tensor:
        """Aggregate the edges that share a slot: (batch, number, features)."""
        batch, features = self.size[0], values.shape[2]
        there = self.edges.flatten()[:, None]
        messages = values.expand(batch, -1, -1).flatten(0, 1)
        if how == "max":
            lowest = messages.new_full((batch * number, features), -torch.inf)
            messages = messages.masked_fill(~there, -torch.inf)
            highest = lowest.scatter_reduce(0, slots[:, None].expand(-1, features), messages, "amax")
            return highest.masked_fill(highest == -torch.inf, 0).unflatten(0, (batch, number))
        totals = messages.new_zeros(batch * number, features).index_add(0, slots, messages.masked_fill(~there, 0))
        if how == "mean":
            counts = messages.new_zeros(batch * number, 1).index_add(0, slots, there.to(messages.dtype))
            totals = totals / counts.clamp_min(1)
        return totals.unflatten(0, (batch, number))


def traced(tensor: Tensor) -> bool:
    """Whether this is no computation on numbers, but the making of a graph of it."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or isinstance(tensor, FakeTensor)


def check_edges(
    index: Int[Tensor, "batch 2 edges"],
    edge_type: Tensor,
    node_mask: Bool[Tensor, "batch nodes"] | None,
    edge_mask: Bool[Tensor, "batch edges"],
    nodes: int,
    types: int,
) -> None:
    """Refuse graphs that are none.

    Raises:
        ValueError: the first edge that is wrong, and why.
    """

    def refuse(wrong: Tensor, why: str) -> None:
        if (wrong & edge_mask).any():
            sample, edge = (wrong & edge_mask).nonzero()[0].tolist()
            ends = " -> ".join(str(end) for end in index[sample, :, edge].tolist())
            raise ValueError(
                f"graph observation: edge {edge} ({ends}, type {edge_type[sample, edge].item():g}) of sample {sample} "
                f"{why}; mask it by edge_mask if it is padding"
            )

    refuse(((index < 0) | (index >= nodes)).any(1), f"joins nodes that are not in 0..{nodes - 1}")
    refuse((edge_type < 0) | (edge_type >= types), f"has a type that is not in 0..{types - 1}")
    if node_mask is not None:
        padding = ~node_mask.gather(1, index.clamp(0, nodes - 1).flatten(1)).unflatten(1, (2, -1))
        refuse(padding.any(1), "joins a node that is padding in node_mask")


def graph_sizes(space: spaces.Space) -> tuple[int, int, int]:
    """Nodes, features of a node and edge types of a space of the kind "graph".

    Raises:
        ValueError: a part that is missing, unknown or of another shape, or bounds that do not say how many types or
            nodes there are.
    """
    assert isinstance(space, spaces.Dict)
    parts: dict[str, Any] = dict(space.spaces)
    for key in ("nodes", "edge_index", "edge_type"):
        if key not in parts:
            raise ValueError(f"a graph observation has nodes, edge_index and edge_type; {key} is missing")
    nodes, edges = (parts[key].shape[at] if parts[key].shape else 0 for key, at in (("nodes", 0), ("edge_index", -1)))
    shapes = {
        "nodes": (nodes, *parts["nodes"].shape[1:2]),
        "edge_index": (2, edges),
        "edge_type": (edges,),
        "node_mask": (nodes,),
        "edge_mask": (edges,),
    }
    for key, part in parts.items():
        if key not in shapes:
            raise ValueError(f"a graph observation has {', '.join(shapes)}; {key} is none of them")
        if part.shape != shapes[key] or not isinstance(part, (spaces.Box, spaces.MultiBinary)) or len(part.shape) == 0:
            raise ValueError(f"{key} of a graph observation is a Box of the shape {shapes[key]}, got {part}")
    if len(parts["nodes"].shape) != 2:
        raise ValueError(f"nodes of a graph observation is a Box of the shape (nodes, features), got {parts['nodes']}")
    if parts["edge_index"].high.max() >= nodes:
        raise ValueError(
            f"edge_index may be {parts['edge_index'].high.max()} by its bounds, of {nodes} nodes 0..{nodes - 1}"
        )
    low, high = parts["edge_type"].low.min(), parts["edge_type"].high.max()
    if not np.issubdtype(parts["edge_type"].dtype, np.integer) or low < 0:
        raise ValueError(f"edge_type is Box(0, types - 1, ({edges},), an integer type), got {parts['edge_type']}")
    return nodes, parts["nodes"].shape[1], int(high) + 1
