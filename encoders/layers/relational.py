"""R-GCN layers on grids (Schlichtkrull et al. 2018) over the relations of grid-to-graph (Jiang et al. 2021).

Every cell is a node. Relation r gives cell i the neighbours N_r(i), and a layer computes

    h'_i = W₀ h_i + Σ_r 1/|N_r(i)| Σ_{j ∈ N_r(i)} W_r h_j + b        (a relation without neighbours contributes nothing)

Relations, with the grid's axes (x to the right, y downwards):

    right, left, below, above, below_right, ...   the one cell at that offset (8 relations)
    right_of, left_of, under, over                every cell on that side, at any distance (4 remote relations)
    aligned                                       every other cell of the same column or row
    close                                         the 4 cells at Manhattan distance 1

Nothing here builds edges: the 8 neighbours and W₀ are one 3×3 convolution, the remote relations prefix sums over
columns or rows, so the cost is linear in the number of cells.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

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
REMOTE = ("right_of", "left_of", "under", "over")
RELATION_SETS = {
    "local": tuple(OFFSETS),
    "b3": (*OFFSETS, *REMOTE, "aligned", "close"),
}


def neighbours(relation: str, width: int, height: int) -> Bool[Tensor, "cells cells"]:
    """The definition: entry (i, j) tells whether j ∈ N_relation(i), for cells numbered x·height + y."""
    x = torch.arange(width).repeat_interleave(height)
    y = torch.arange(height).repeat(width)
    dx, dy = x[None] - x[:, None], y[None] - y[:, None]  # from i to j
    if relation in OFFSETS:
        return (dx == OFFSETS[relation][0]) & (dy == OFFSETS[relation][1])
    return {
        "right_of": dx > 0,
        "left_of": dx < 0,
        "under": dy > 0,
        "over": dy < 0,
        "aligned": ((dx == 0) | (dy == 0)) & ((dx != 0) | (dy != 0)),
        "close": dx.abs() + dy.abs() == 1,
    }[relation]


class GridRGCN(nn.Module):
    """One R-GCN layer with mean aggregation on a grid, in structured form.

    Args:
        inputs, outputs: features per cell.
        relations: "local" (8 neighbours) or "b3" (those, 4 half-planes, aligned, close).

    Raises:
        ValueError: an unknown relation set.
    """

    def __init__(self, inputs: int, outputs: int, relations: str = "b3"):
        super().__init__()
        if relations not in RELATION_SETS:
            raise ValueError(f"encoder.relations is one of {', '.join(RELATION_SETS)}, got {relations!r}")
        self.relations = RELATION_SETS[relations]
        bound = 1 / math.sqrt(inputs * (1 + len(self.relations)))
        # weight[0] is W₀, then one matrix a relation
        self.weight = nn.Parameter(torch.empty(1 + len(self.relations), outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def _weight(self, relation: str) -> Tensor:
        return self.weight[1 + self.relations.index(relation)]

    def forward(self, h: Float[Tensor, "batch x y inputs"]) -> Float[Tensor, "batch x y outputs"]:
        if self.relations == RELATION_SETS["local"]:
            return self._local(h, self.weight[0])
        # "aligned" sums a column and a row without the cell itself: what is subtracted joins W₀
        number = max(h.shape[1] + h.shape[2] - 2, 1)
        aligned = self._weight("aligned") / number
        lines = self._lines(h, 1, aligned) + self._lines(h, 2, aligned)
        return self._local(h, self.weight[0] - 2 * aligned) + lines + self._close(h)

    def _local(self, h: Tensor, centre: Tensor) -> Tensor:
        """W₀ and the 8 single-neighbour relations: one convolution whose kernel pixels are the relations."""
        kernel = [[centre] * 3 for _ in range(3)]
        for relation, (dx, dy) in OFFSETS.items():
            kernel[1 + dx][1 + dy] = self._weight(relation)
        stacked = torch.stack([torch.stack(row, dim=-1) for row in kernel], dim=-2)
        return F.conv2d(h.permute(0, 3, 1, 2), stacked, self.bias, padding=1).permute(0, 2, 3, 1)

    def _lines(self, h: Tensor, axis: int, aligned: Tensor) -> Tensor:
        """Messages that all cells of a line share: from its own sum, and from the means over all lines beyond it."""
        after, before = REMOTE[:2] if axis == 1 else REMOTE[2:]
        sums = h.sum(3 - axis)  # (batch, lines, inputs)
        size, length = sums.shape[1], h.shape[3 - axis]
        position = torch.arange(size, device=h.device, dtype=h.dtype)[:, None]
        prefix = sums.cumsum(1)
        mean_before = (prefix - sums) / (length * position.clamp_min(1))
        mean_after = (prefix[:, -1:] - prefix) / (length * (size - 1 - position).clamp_min(1))
        weight = torch.cat([self._weight(after), self._weight(before), aligned], dim=1)
        return F.linear(torch.cat([mean_after, mean_before, sums], dim=2), weight).unsqueeze(3 - axis)

    def _close(self, h: Tensor) -> Tensor:
        """The mean over the 4 cells at distance 1, fewer at the border."""
        ones = F.pad(torch.ones_like(h[:1, :, :, :1]), (0, 0, 1, 1, 1, 1))
        padded = F.pad(h, (0, 0, 1, 1, 1, 1))
        total, number = (p[:, 2:, 1:-1] + p[:, :-2, 1:-1] + p[:, 1:-1, 2:] + p[:, 1:-1, :-2] for p in (padded, ones))
        return F.linear(total / number.clamp_min(1), self._weight("close"))
