"""GNN: nodes exchange messages along edges (R-GCN, GCN or graph network), on the cells of a grid or explicit graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, kind_of, mlp
from encoders.layers.dropout import Layers, observation_key
from encoders.layers.gcn import GCN
from encoders.layers.graph import Graph, graph_sizes
from encoders.layers.graph_network import GraphNetwork
from encoders.layers.pooling import Pooling
from encoders.layers.regularization import Regularization
from encoders.layers.relational import RGCN, GridRGCN
from encoders.layers.stem import Observation, Stem
from encoders.layers.topology import GridGraph, Topology
from encoders.nodes import NodeFeatures, TypedLinear, acting, node_types, one_hot_types
from encoders.ranges import require_choice, require_whole

LAYERS = {  # and the options that not all of them have
    "rgcn": ("relations", "aggregation", "bases"),
    "gcn": ("neighbours",),
    "graph_network": ("neighbours", "aggregation"),
    "gated": ("relations", "aggregation", "bases"),
}
OF_GRIDS = ("relations", "neighbours")
USUAL = {"relations": "b3", "neighbours": 8, "aggregation": "mean", "bases": None}


class GNN(Encoder):
    """Node features, layers that pass messages, a pooling over nodes, two linear layers.

    A grid is read as a graph (grid-to-graph, Jiang et al. 2021): cells are nodes, features come from the stem. An
    explicit graph brings its own nodes and edges. A body is one whose nodes have types. A type has weights of its own
    for what it shows, and the features are also those of each node (`encoders.nodes`). Nothing depends on the number of
    nodes unless `positions` are learned, so a policy for one size plays another.

    Args:
        observation_space: a grid, a graph or a body (see `encoders.layers.graph`).
        width: number of features.
        channels: features per node.
        layers: number of layers.
        layer: "rgcn" (a matrix for each type of edge, Schlichtkrull et al. 2018), "gcn" (one for all, Kipf & Welling
            2017), "graph_network" (edges, nodes and a global attribute, Battaglia et al. 2018) or "gated" (messages of
            one rgcn layer update the nodes through a GRU, the same in all layers: Li et al. 2016; on bodies NerveNet,
            Wang et al. 2018).
        relations: rgcn and gated on a grid: "local", "b3", "all" or a list of names (see `encoders.layers.relational`).
        neighbours: gcn and graph_network on a grid: each cell has 4 or 8.
        aggregation: all but gcn: "mean", "sum" or "max" over the edges into a node.
        bases: rgcn and gated: the relations' matrices are combinations of so many; None: each is free.
        pooling: "max", "mean" or "attention".
        positions: "learned" adds a row and a column embedding to every cell, "none" nothing. "auto": learned in the
            agent's own view, where pooling over cells would lose where things are relative to the agent; none in the
            full view (known by its key `carrying`), where the agent is a cell of the grid, and in explicit graphs.
        normalization, groups, dropout, drops: see `encoders.layers.regularization`; rgcn and gcn alone, and no
            normalization of explicit graphs, whose padding would count.

    Raises:
        ValueError: an unknown option, one that the layer does not have, or a malformed graph space.
    """

    reads = ("grid", "graph", "body")
    scaled = ("width", "channels")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        channels: int = 64,
        layers: int = 2,
        layer: str = "rgcn",
        relations: str | Sequence[str] = "b3",
        neighbours: int = 8,
        aggregation: str = "mean",
        bases: int | None = None,
        pooling: str = "max",
        positions: str = "auto",
        normalization: str = "none",
        groups: int = 8,
        dropout: float = 0.0,
        drops: str = "features",
    ):
        require_whole(1, width=width, channels=channels)
        require_whole(0, layers=layers)
        super().__init__(observation_space, width)
        on_grid = kind_of(observation_space) == "grid"
        refuse_unused(layer, on_grid, relations=relations, neighbours=neighbours, aggregation=aggregation, bases=bases)
        self.columns = self.rows = None
        if on_grid:
            self.stem: nn.Module = Stem(observation_space, channels)
            x, y = self.stem.grid
            if learned(positions, observation_space):
                self.columns = nn.Parameter(torch.randn(x, 1, channels) * 0.1)
                self.rows = nn.Parameter(torch.randn(1, y, channels) * 0.1)
            self.grid = GridGraph(x, y, neighbours)
            types = neighbours
        else:
            require_choice(("auto", "none"), positions=positions)  # of an explicit graph
            self.size, features, types = graph_sizes(observation_space)
            if kind_of(observation_space) == "body":
                self.per_node = NodeFeatures(self.size, node_types(observation_space), width, channels)
                self._features_dim = self.per_node.size
                self.stem = TypedLinear(features, channels, self.per_node.types)
            else:
                self.stem = nn.Linear(features, channels)
        self.on_grid, self.types = on_grid, types

        def build() -> nn.Module:
            if layer == "gcn":
                return GCN(channels, channels)
            if layer == "graph_network":
                return GraphNetwork(channels, aggregation)
            if on_grid:
                return GridRGCN(channels, channels, self.grid.shape, relations, aggregation, bases)
            return RGCN(channels, channels, types, aggregation, bases)

        self.gate = nn.GRUCell(channels, channels) if layer == "gated" else None
        self.layers = nn.ModuleList(build() for _ in range(min(1, layers) if self.gate else layers))
        self.steps = layers
        self.edges = self.whole = None
        if layer == "graph_network":
            self.edges = nn.Parameter(torch.randn(types, channels) * 0.1)
            self.whole = nn.Parameter(torch.randn(channels) * 0.1)
        regularization = Regularization(normalization, groups, dropout, drops)
        refuse_regularized(layer, on_grid, regularization)
        self.after = nn.ModuleList(Layers(*regularization.around(nn.ReLU(), channels)) for _ in range(layers))
        self.drops = dropout > 0
        self.pooling = Pooling(channels, pooling)
        self.out = mlp(channels if self.whole is None else 2 * channels, width, width)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        nodes, graph = self.read_grid(obs) if self.on_grid else self.read_graph(obs)
        if self.edges is not None and self.whole is not None:
            nodes, pooled = self.exchange(nodes, graph, self.edges, self.whole)
            return self.features(obs, nodes, pooled)
        key = observation_key(obs) if self.drops else None
        if self.gate is not None:
            for _ in range(self.steps):
                messages = self.passed(self.layers[0], nodes, graph)
                nodes = self.gate(messages.flatten(0, 1), nodes.flatten(0, 1)).view_as(nodes)
            return self.features(obs, nodes, self.pooling(nodes, graph.nodes))
        for layer, after in zip(self.layers, self.after, strict=True):
            nodes = after(self.passed(layer, nodes, graph).transpose(1, 2), key).transpose(1, 2)
        return self.features(obs, nodes, self.pooling(nodes, graph.nodes))

    def passed(
        self, layer: nn.Module, nodes: Float[Tensor, "batch nodes channels"], graph: Topology
    ) -> Float[Tensor, "batch nodes channels"]:
        """What a layer makes of the nodes."""
        if isinstance(layer, GridRGCN):
            return layer(nodes.unflatten(1, self.grid.shape)).flatten(1, 2)
        return layer(nodes, graph)

    def features(
        self, obs: Observation, nodes: Float[Tensor, "batch nodes channels"], pooled: Float[Tensor, "batch pooled"]
    ) -> Float[Tensor, "batch features"]:
        """What heads read: of the graph as a whole, and of each node where it is a body."""
        whole = self.out(pooled)
        if self.per_node is None:
            return whole
        assert isinstance(obs, dict)
        return self.per_node.join(whole, nodes, acting(obs, one_hot_types(obs, self.per_node.types)))

    def read_grid(self, obs: Observation) -> tuple[Float[Tensor, "batch nodes channels"], Topology]:
        cells = self.stem(obs)
        if self.columns is not None and self.rows is not None:
            cells = cells + self.columns + self.rows
        return cells.flatten(1, 2), self.grid

    def read_graph(self, obs: Observation) -> tuple[Float[Tensor, "batch nodes channels"], Topology]:
        assert isinstance(obs, dict)
        graph, nodes = Graph(obs, self.size, self.types), obs["nodes"]
        if self.per_node is not None:
            return self.stem(nodes, one_hot_types(obs, self.per_node.types)), graph
        if graph.nodes is not None:
            nodes = nodes.masked_fill(~graph.nodes[..., None], 0)
        return self.stem(nodes), graph

    def exchange(
        self,
        nodes: Float[Tensor, "batch nodes channels"],
        graph: Topology,
        types: Float[Tensor, "types channels"],
        whole: Float[Tensor, "channels"],
    ) -> tuple[Float[Tensor, "batch nodes channels"], Float[Tensor, "batch pooled_and_whole"]]:
        """The blocks of a graph network: edges start as embeddings of their types, the global one as a constant."""
        # a product with the one-hot types: the gradient of a lookup costs several times as much
        one_hot = graph.types[..., None] == torch.arange(self.types, device=nodes.device)
        edges, whole = one_hot.to(nodes.dtype) @ types, whole.expand(nodes.shape[0], -1)
        for block in self.layers:
            nodes, edges, whole = block(nodes, edges, whole, graph)
        return nodes, torch.cat([self.pooling(nodes, graph.nodes), whole], dim=1)


def learned(positions: str, space: spaces.Space) -> bool:
    """Whether cells get embeddings of their positions.

    Raises:
        ValueError: an unknown option.
    """
    require_choice(("auto", "learned", "none"), positions=positions)
    agent_in_grid = isinstance(space, spaces.Dict) and "carrying" in space.spaces
    return positions == "learned" or (positions == "auto" and not agent_in_grid)


def refuse_unused(layer: str, on_grid: bool, **options: Any) -> None:
    """Raise a ValueError if the layer does not exist, or an option is set that it does not have."""
    require_choice((*LAYERS,), layer=layer)
    used = LAYERS[layer] if on_grid else [name for name in LAYERS[layer] if name not in OF_GRIDS]
    for name, value in options.items():
        if name not in used and value != USUAL[name]:
            where = "on a grid" if on_grid else "on an explicit graph, whose edges are observed,"
            raise ValueError(f"encoder.{name}={value} has no effect with encoder.layer={layer} {where}; leave it out")


def refuse_regularized(layer: str, on_grid: bool, chosen: Regularization) -> None:
    """Raise a ValueError if a regularization is chosen that the layer, or an explicit graph, does not have."""
    if layer in ("graph_network", "gated") and (chosen.dropout or chosen.normalization != "none"):
        raise ValueError(f"encoder.layer={layer} has no normalization and no dropout; encoder.layer=rgcn has")
    if not on_grid and chosen.normalization != "none":
        raise ValueError(
            f"encoder.normalization={chosen.normalization} would count the padding of explicit graphs; use none"
        )
