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
        out = self._local(h)
        if self.relations == RELATION_SETS["b3"]:
            out = out + self._remote(h, 1) + self._remote(h, 2) + self._aligned(h) + self._close(h)
        return out

    def _local(self, h: Tensor) -> Tensor:
        """W₀ and the 8 single-neighbour relations: one convolution whose kernel pixels are the relations."""
        kernel = [[self.weight[0]] * 3 for _ in range(3)]
        for relation, (dx, dy) in OFFSETS.items():
            kernel[1 + dx][1 + dy] = self._weight(relation)
        stacked = torch.stack([torch.stack(row, dim=-1) for row in kernel], dim=-2)
        return F.conv2d(h.permute(0, 3, 1, 2), stacked, self.bias, padding=1).permute(0, 2, 3, 1)

    def _remote(self, h: Tensor, axis: int) -> Tensor:
        """Means over all cells beyond each line, by prefix sums: one vector a line, shared by its cells."""
        after, before = REMOTE[:2] if axis == 1 else REMOTE[2:]
        lines = h.mean(3 - axis)  # (batch, lines, inputs)
        size = lines.shape[1]
        position = torch.arange(size, device=h.device, dtype=h.dtype)[:, None]
        prefix = lines.cumsum(1)
        mean_before = (prefix - lines) / position.clamp_min(1)
        mean_after = (prefix[:, -1:] - prefix) / (size - 1 - position).clamp_min(1)
        message = F.linear(mean_after, self._weight(after)) + F.linear(mean_before, self._weight(before))
        return message.unsqueeze(3 - axis)

    def _aligned(self, h: Tensor) -> Tensor:
        weight = self._weight("aligned")
        number = max(h.shape[1] + h.shape[2] - 2, 1)
        column, row = F.linear(h.sum(2, keepdim=True), weight), F.linear(h.sum(1, keepdim=True), weight)
        return (column + row - 2 * F.linear(h, weight)) / number

    def _close(self, h: Tensor) -> Tensor:
        weight = self._weight("close")
        total = torch.zeros_like(h)
        number = h.new_zeros(1, *h.shape[1:3], 1)
        for axis in (1, 2):
            size = h.shape[axis]
            for start in (0, 1):
                here = [slice(None)] * 4
                there = [slice(None)] * 4
                here[axis], there[axis] = slice(start, size - 1 + start), slice(1 - start, size - start)
                total[tuple(here)] = total[tuple(here)] + h[tuple(there)]
                number[tuple(here)] += 1
        return F.linear(total / number.clamp_min(1), weight)
