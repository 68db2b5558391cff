"""R-GCN layers (Schlichtkrull et al. 2018) on grids, over the relations of grid-to-graph (Jiang et al. 2021).

Every cell is a node. Relation r gives cell i the neighbours N_r(i), and a layer computes

    h'_i = W₀ h_i + Σ_r W_r agg_{j ∈ N_r(i)} h_j + b        (a relation without neighbours contributes nothing)

where agg is the mean, the sum or the maximum. Relations, with the grid's axes (x to the right, y downwards):

    right, left, below, above, below_right, ...   the one cell at that offset (8 relations)
    right_of, left_of, under, over                every cell on that side, at any distance (4 remote relations)
    aligned                                       every other cell of the same column or row
    close                                         the 4 cells at Manhattan distance 1
    same_column, same_row                         every other cell of the same column, of the same row
    everywhere                                    every other cell

Nothing here builds edges: single neighbours and W₀ are one 3×3 convolution, lines and half-planes are totals of columns
and rows and what accumulates along them, so the cost is linear in the number of cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.graph import Graph
from encoders.layers.structured import REMOTE, maxima, totals, weighted
from encoders.layers.topology import AGGREGATIONS, OFFSETS

RELATIONS = (*OFFSETS, *REMOTE, "aligned", "close", "same_column", "same_row", "everywhere")
RELATION_SETS = {
    "local": tuple(OFFSETS),
    "b3": (*OFFSETS, *REMOTE, "aligned", "close"),
    # aligned mixes columns with rows, and no relation of b3 spans the grid: here each line has its own, and so has all
    "all": RELATIONS,
}


def relations_named(relations: str | Sequence[str]) -> tuple[str, ...]:
    """The relations of a set, or those of a list.

    Raises:
        ValueError: a set or a relation that does not exist, or one that is listed twice; the message lists what exists.
    """
    names = RELATION_SETS.get(relations, ()) if isinstance(relations, str) else tuple(relations)
    unknown = [relations] if not names else [name for name in names if name not in RELATIONS]
    if unknown:
        raise ValueError(
            f"encoder.relations is one of {', '.join(RELATION_SETS)}, or a list of {', '.join(RELATIONS)}; "
            f"got {', '.join(map(str, unknown))}"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"encoder.relations lists a relation twice: {', '.join(names)}")
    return names


def neighbours(relation: str, width: int, height: int) -> Bool[Tensor, "cells cells"]:
    """The definition: entry (i, j) tells whether j ∈ N_relation(i), for cells numbered x·height + y."""
    x = torch.arange(width).repeat_interleave(height)
    y = torch.arange(height).repeat(width)
    dx, dy = x[None] - x[:, None], y[None] - y[:, None]  # from i to j
    if relation in OFFSETS:
        return (dx == OFFSETS[relation][0]) & (dy == OFFSETS[relation][1])
    other = (dx != 0) | (dy != 0)
    return {
        "right_of": dx > 0,
        "left_of": dx < 0,
        "under": dy > 0,
        "over": dy < 0,
        "aligned": ((dx == 0) | (dy == 0)) & other,
        "close": dx.abs() + dy.abs() == 1,
        "same_column": (dx == 0) & other,
        "same_row": (dy == 0) & other,
        "everywhere": other,
    }[relation]


def grid_edges(
    relations: Sequence[str], width: int, height: int
) -> tuple[Int[Tensor, "2 edges"], Int[Tensor, "edges"]]:
    """The grid's graph edge by edge, as in an explicit graph observation: `edge_index` (j, i) and `edge_type` r."""
    receiver_sender = [neighbours(relation, width, height).nonzero().T for relation in relations]
    types = [torch.full((pairs.shape[1],), index) for index, pairs in enumerate(receiver_sender)]
    return torch.cat(receiver_sender, dim=1).flip(0), torch.cat(types)


class RGCN(nn.Module):
    """One R-GCN layer, on explicit graphs.

    With `bases`, W_r = Σ_b a_rb V_b (Schlichtkrull et al. 2018, eq. 3); W₀ is a matrix of its own all the same.

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
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"encoder.aggregation is {', '.join(AGGREGATIONS)}, got {aggregation!r}")
        if bases is not None and (not isinstance(bases, int) or bases < 1):
            raise ValueError(f"encoder.bases is null, or a whole number, at least 1; got {bases!r}")
        self.aggregation = aggregation
        bound = 1 / math.sqrt(inputs * (1 + relations))
        # weight[0] is W₀, then one matrix a relation, or the bases
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
        relations: "local" (8 neighbours), "b3" (those, 4 half-planes, aligned, close), "all", or a list of relations.
        aggregation, bases: as above.

    Raises:
        ValueError: an unknown relation, or one of the above.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        relations: str | Sequence[str] = "b3",
        aggregation: str = "mean",
        bases: int | None = None,
    ):
        names = relations_named(relations)
        super().__init__(inputs, outputs, len(names), aggregation, bases)
        self.relations = names

    def forward(  # type: ignore[override]
        self, h: Float[Tensor, "batch x y inputs"]
    ) -> Float[Tensor, "batch x y outputs"]:
        weights = self.weights()
        matrices = dict(zip(self.relations, weights[1:], strict=True))
        pixels = {
            (0, 0): weights[0],
            **{OFFSETS[name]: matrices.pop(name) for name in self.relations if name in OFFSETS},
        }
        if self.aggregation == "max":
            received = maxima(h, matrices)
        else:
            received = totals(h, matrices, mean=self.aggregation == "mean")
        pixels[0, 0] = pixels[0, 0] - received.itself
        out = F.conv2d(h.permute(0, 3, 1, 2), kernel(pixels), self.bias, padding="same")
        if received.columns:
            out += weighted(received.columns).mT.unsqueeze(3)
        if received.rows:
            out += weighted(received.rows).mT.unsqueeze(2)
        if received.cells:
            out += weighted(received.cells).permute(0, 3, 1, 2)
        return out.permute(0, 2, 3, 1)


def kernel(pixels: dict[tuple[int, int], Tensor]) -> Float[Tensor, "outputs inputs x y"]:
    """One matrix for each pixel of a convolution's kernel: of 3×3 pixels, or of the one in the middle."""
    around = (-1, 0, 1) if len(pixels) > 1 else (0,)
    nothing = torch.zeros_like(pixels[0, 0])
    return torch.stack([torch.stack([pixels.get((x, y), nothing) for y in around], -1) for x in around], -2)
