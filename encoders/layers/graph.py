"""Explicit graphs: nodes and typed edges that come with every observation.

An observation of the kind "graph" is a Dict; N and E are the largest numbers of nodes and edges:

    nodes (N, F)         features of the nodes
    edge_index (2, E)    sources and targets, as node indices; a target aggregates over its sources
    edge_type (E,)       Box(0, types - 1, (E,), np.int64) says how many types there are
    node_mask (N,)       1 for nodes, 0 for padding; may be left out if there is no padding
    edge_mask (E,)       likewise

One of the kind "body" has two parts more, and needs its node_mask:

    node_type (N,)       Box(0, types - 1, (N,)) says how many types of nodes there are
    actuated (N,)        1 for nodes that act, each by its entry of the action (N,)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int
from torch import Tensor

from encoders.base import describe
from encoders.layers.topology import Topology
from encoders.torch_internals import traced

PARTS = {
    "nodes": ("N", "F"),
    "edge_index": ("2", "E"),
    "edge_type": ("E",),
    "node_mask": ("N",),
    "edge_mask": ("E",),
}
MASKS = ("node_mask", "edge_mask", "actuated")
OF_BODIES = {"node_type": ("N",), "actuated": ("N",)}


class Graph(Topology):
    """The graphs of a batch of observations; scattered sums, no sparse matrices.

    Args:
        obs: as above, with a leading axis.
        nodes: number of nodes, padding included.
        types: number of edge types.

    Raises:
        ValueError: an index or a type out of range, or an edge to a node that is padding. Checked on
            the CPU only, where it costs little, and not while the computation is traced or compiled.
    """

    def __init__(self, obs: dict[str, Tensor], nodes: int, types: int):
        index = obs["edge_index"].long()
        batch, _, edges = index.shape
        self.size, self.number = (batch, nodes), types
        self.nodes = obs["node_mask"] > 0 if "node_mask" in obs else None
        self.edges = obs["edge_mask"] > 0 if "edge_mask" in obs else index.new_ones(batch, edges, dtype=torch.bool)
        if index.device.type == "cpu" and not traced(index):
            check_edges(index, obs["edge_type"], self.nodes, self.edges, nodes, types)
        # padding may hold any number: it becomes a masked edge of node 0
        self.types = obs["edge_type"].long().where(self.edges, 0)
        first = torch.arange(batch, device=index.device)[:, None] * nodes
        self.sources, self.targets = (
            (ends.where(self.edges, 0) + first).flatten() for ends in (index[:, 0], index[:, 1])
        )

    def from_sources(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch edges features"]:
        """The features of each edge's source."""
        return values.flatten(0, 1).index_select(0, self.sources).unflatten(0, self.edges.shape)

    def to_edges(
        self, sent: Float[Tensor, "batch nodes features"], received: Float[Tensor, "batch nodes features"]
    ) -> Float[Tensor, "batch edges features"]:
        arrived = received.flatten(0, 1).index_select(0, self.targets).unflatten(0, self.edges.shape)
        return self.from_sources(sent) + arrived

    def to_targets(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes features"]:
        return self._scatter(values, self.targets, self.size[1], how)

    def by_type(
        self, values: Float[Tensor, "batch edges features"], how: str
    ) -> Float[Tensor, "batch nodes types_features"]:
        """`to_targets` for each edge type separately: (batch, nodes, types · features)."""
        slots = self.targets * self.number + self.types.flatten()
        return self._scatter(values, slots, self.size[1] * self.number, how).unflatten(1, (-1, self.number)).flatten(2)

    def sum_neighbours(self, values: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        return self.to_targets(self.from_sources(values), "sum")

    def degrees(self) -> Int[Tensor, "#batch nodes"]:
        return self._scatter(self.edges[..., None].long(), self.targets, self.size[1], "sum")[..., 0]

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


def check_edges(
    index: Int[Tensor, "batch 2 edges"],
    edge_type: Tensor,
    node_mask: Bool[Tensor, "batch nodes"] | None,
    edge_mask: Bool[Tensor, "batch edges"],
    nodes: int,
    types: int,
) -> None:
    """Refuse malformed graphs.

    Raises:
        ValueError: the first edge that is wrong, and why.
    """

    inside, known = ((index >= 0) & (index < nodes)).all(1), (edge_type >= 0) & (edge_type < types)
    legal = inside & known
    if node_mask is not None:
        ends = index.clamp(0, nodes - 1).flatten(1)
        legal = legal & node_mask.gather(1, ends).unflatten(1, (2, -1)).all(1)
    if not (wrong := edge_mask & ~legal).any():
        return
    sample, edge = wrong.nonzero()[0].tolist()
    source, target = index[sample, :, edge].tolist()
    problem = "joins a node that is padding in node_mask"
    if not known[sample, edge]:
        problem = f"has a type that is not in 0..{types - 1}"
    if not inside[sample, edge]:
        problem = f"joins nodes that are not in 0..{nodes - 1}"
    raise ValueError(
        f"graph observation: edge {edge} ({source} -> {target}, type {edge_type[sample, edge].item():g}) of sample "
        f"{sample} {problem}; mask it by edge_mask if it is padding"
    )


def graph_sizes(space: spaces.Space) -> tuple[int, int, int]:
    """Nodes, features of a node and edge types of a space of the kind "graph".

    Raises:
        ValueError: a part that is missing, unknown or of another shape, or bounds that leave the number of types or
            nodes open.
    """
    assert isinstance(space, spaces.Dict)
    parts: dict[str, Any] = dict(space.spaces)
    known, needed = PARTS, ["nodes", "edge_index", "edge_type"]
    if "actuated" in parts:
        known, needed = PARTS | OF_BODIES, [*needed, "node_mask", *OF_BODIES]
    missing = [key for key in needed if key not in parts]
    unknown = [key for key in parts if key not in known]
    if missing or unknown:
        problem = f"{', '.join(missing)} is missing" if missing else f"{', '.join(unknown)} is none of them"
        raise ValueError(f"a graph observation has {', '.join(known)}; {problem}")
    nodes, edges = parts["nodes"].shape[:1], parts["edge_index"].shape[1:]
    shapes = {
        "nodes": (*nodes, *parts["nodes"].shape[1:2]),
        "edge_index": (2, *edges[:1]),
        **dict.fromkeys(("edge_type", "edge_mask"), edges),
        **dict.fromkeys(("node_mask", *OF_BODIES), nodes),
    }
    for key in known:
        shape = shapes[key]
        part = parts.get(key)
        is_box = isinstance(part, spaces.Box) or (key in MASKS and isinstance(part, spaces.MultiBinary))
        if part is not None and not (is_box and part.shape == shape and all(shape) and len(shape) == len(known[key])):
            named = f"({', '.join(known[key])}{',' * (len(known[key]) == 1)})"
            raise ValueError(f"{key} of a graph observation is a Box of the shape {named}, got {describe(space)}")
    most, edge_type = int(parts["edge_index"].high.max()), parts["edge_type"]
    if most >= nodes[0]:
        raise ValueError(f"edge_index of a graph observation reaches {most} by its bounds; nodes are 0..{nodes[0] - 1}")
    whole = np.issubdtype(edge_type.dtype, np.integer)
    if not whole or edge_type.low.min() < 0 or edge_type.high.max() == np.iinfo(edge_type.dtype).max:
        raise ValueError(
            "edge_type of a graph observation is Box(0, types - 1, (E,), np.int64), whose bound says how many types "
            f"there are; got {describe(edge_type)}"
        )
    return nodes[0], parts["nodes"].shape[1], int(edge_type.high.max()) + 1
