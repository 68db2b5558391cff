"""R-GCN layers (Schlichtkrull et al. 2018), on explicit graphs, and on grids over the relations of grid-to-graph.

Relation r gives node i the neighbours N_r(i), and a layer computes

    h'_i = W₀ h_i + Σ_r W_r agg_{j ∈ N_r(i)} h_j + b        (a relation without neighbours contributes nothing)

where agg is the mean, the sum or the maximum. On a grid no edges are built: encoders.layers.relations
lists the relations, encoders.layers.structured computes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.graph import Graph
from encoders.layers.relations import relations_named
from encoders.layers.structured import Maxima, Totals
from encoders.layers.topology import AGGREGATIONS
from encoders.ranges import require_choice, require_whole


class RGCN(nn.Module):
    """One R-GCN layer, on explicit graphs.

    With `bases`, W_r = Σ_b a_rb V_b (Schlichtkrull et al. 2018, eq. 3); W₀ stays free.

    Args:
        inputs, outputs: features per node.
        relations: number of relations.
        aggregation: "mean", "sum" or "max".
        bases: number of matrices V_b; None: every relation has its own.

    Raises:
        ValueError: an unknown aggregation, or no basis.
    """

    def __init__(self, inputs: int, outputs: int, relations: int, aggregation: str = "mean", bases: int | None = None):
        super().__init__()
        require_choice((*AGGREGATIONS,), aggregation=aggregation)
        if bases is not None:
            require_whole(1, bases=bases)
        self.aggregation = aggregation
        bound = 1 / math.sqrt(inputs * (1 + relations))
        # weight[0] is W₀; then one matrix per relation, or the bases
        number = relations if bases is None else bases
        self.weight = nn.Parameter(torch.empty(1 + number, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.coefficients = None if bases is None else nn.Parameter(torch.randn(relations, bases) / math.sqrt(bases))

    def weights(self) -> Float[Tensor, "matrices outputs inputs"]:
        """W₀, then W_r of every relation."""
        if self.coefficients is None:
            return self.weight
        return torch.cat([self.weight[:1], torch.tensordot(self.coefficients, self.weight[1:], 1)])

    def forward(self, h: Float[Tensor, "batch nodes inputs"], graph: Graph) -> Float[Tensor, "batch nodes outputs"]:
        received = graph.by_type(graph.from_sources(h), self.aggregation)
        weights = self.weights().transpose(0, 1).flatten(1)  # [W₀ W₁ ... W_R]
        return F.linear(torch.cat([h, received], dim=2), weights, self.bias)


class GridRGCN(RGCN):
    """One R-GCN layer on a grid, in structured form.

    Args:
        inputs, outputs: features per cell.
        grid: cells along x and y.
        relations: "local" (8 neighbours), "b3" (those, 4 half-planes, aligned, close), "all", or a list of relations.
        aggregation, bases: as above.

    Raises:
        ValueError: an unknown relation, an option of the above outside its range, or another grid.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        grid: tuple[int, int],
        relations: str | Sequence[str] = "b3",
        aggregation: str = "mean",
        bases: int | None = None,
    ):
        names = relations_named(relations)
        super().__init__(inputs, outputs, len(names), aggregation, bases)
        self.relations, self.grid = names, tuple(grid)
        self.structure = Maxima(names, grid) if aggregation == "max" else Totals(names, grid, aggregation == "mean")

    def forward(  # type: ignore[override]
        self, h: Float[Tensor, "batch x y inputs"]
    ) -> Float[Tensor, "batch x y outputs"]:
        if h.shape[1:3] != self.grid:
            raise ValueError(f"this layer is of a grid of {self.grid} cells, got {tuple(h.shape[1:3])}")
        return self.structure(h, self.weights(), self.bias)
