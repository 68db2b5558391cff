"""GNN: the grid as a graph with typed edges (grid-to-graph, Jiang et al. 2021), read by R-GCN layers."""

from __future__ import annotations

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, mlp
from encoders.layers.dropout import Layers, observation_key
from encoders.layers.regularization import Regularization
from encoders.layers.relational import GridRGCN
from encoders.layers.stem import Observation, Stem


class GNN(Encoder):
    """Stem, R-GCN layers over spatial relations, maximum over cells, two linear layers.

    Nothing depends on the size of the grid unless `positions` are learned, so a policy for one size plays another.

    Args:
        observation_space: a grid.
        width: number of features.
        channels: features per cell.
        layers: number of R-GCN layers.
        relations: "local" or "b3" (see `encoders.layers.relational`).
        positions: "learned" adds a row and a column embedding to every cell, "none" nothing. "auto": none where the
            agent is a cell of the grid (the full view, known by its key `carrying`), else learned: in the agent's own
            view nothing else tells the maximum over cells where the agent stands.
        normalization, groups, dropout, drops: see `encoders.layers.regularization`.

    Raises:
        ValueError: an unknown option.
    """

    reads = ("grid",)

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        channels: int = 64,
        layers: int = 2,
        relations: str = "b3",
        positions: str = "auto",
        normalization: str = "none",
        groups: int = 8,
        dropout: float = 0.0,
        drops: str = "features",
    ):
        super().__init__(observation_space, width)
        if positions == "auto":
            agent_in_grid = isinstance(observation_space, spaces.Dict) and "carrying" in observation_space.spaces
            positions = "none" if agent_in_grid else "learned"
        if positions not in ("learned", "none"):
            raise ValueError(f"encoder.positions is auto, learned or none, got {positions!r}")
        self.stem = Stem(observation_space, channels)
        x, y = self.stem.grid
        self.columns = nn.Parameter(torch.randn(x, 1, channels) * 0.1) if positions == "learned" else None
        self.rows = nn.Parameter(torch.randn(1, y, channels) * 0.1) if positions == "learned" else None
        self.layers = nn.ModuleList(GridRGCN(channels, channels, relations) for _ in range(layers))
        regularization = Regularization(normalization, groups, dropout, drops)
        self.after = nn.ModuleList(Layers(*regularization.around(nn.ReLU(), channels)) for _ in range(layers))
        self.drops = dropout > 0
        self.out = mlp(channels, width, width)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        cells = self.stem(obs)
        if self.columns is not None and self.rows is not None:
            cells = cells + self.columns + self.rows
        key = observation_key(obs) if self.drops else None
        for layer, after in zip(self.layers, self.after, strict=True):
            cells = after(layer(cells).movedim(-1, 1), key).movedim(1, -1)
        return self.out(cells.amax((1, 2)))
