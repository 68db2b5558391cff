"""What the cells of a grid receive by remote relations, without edges: the cost is linear in the number of cells.

All cells of a column (or row) receive the same from the columns beyond it, so lines are aggregated first, and then what
accumulates along them. Aggregates come with the matrix that they are to be multiplied by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

REMOTE = {"right_of": ("columns", 1), "left_of": ("columns", -1), "under": ("rows", 1), "over": ("rows", -1)}
ALONG = {"columns": 2, "rows": 1}  # axis of (batch, x, y, features) that the cells of such a line run along

Weighted = list[tuple[Tensor, Tensor]]  # (aggregate, matrix)


@dataclass
class Received:
    """Σ matrix · aggregate is what a cell receives: by its column, its row, and alone; minus `itself` · its own."""

    columns: Weighted = field(default_factory=list)  # aggregates (batch, x, inputs)
    rows: Weighted = field(default_factory=list)  # aggregates (batch, y, inputs)
    cells: Weighted = field(default_factory=list)  # aggregates (batch, x, y, inputs)
    itself: Tensor | float = 0.0  # sums over a line contain the cell: what is to be taken off again


def totals(h: Float[Tensor, "batch x y inputs"], matrices: dict[str, Tensor], mean: bool) -> Received:
    """Sums or means over the neighbours by each relation."""
    x, y = h.shape[1:3]
    received = Received()
    lines = {"columns": received.columns, "rows": received.rows}
    others = {"aligned": x + y - 2, "same_column": y - 1, "same_row": x - 1, "everywhere": x * y - 1}

    @cache
    def total(line: str) -> Tensor:
        return h.sum(ALONG[line])

    for relation, matrix in matrices.items():
        if relation in REMOTE:
            line, side = REMOTE[relation]
            over = beyond(total(line), side, "sum")
            if mean:
                cells = torch.full_like(over[:1, :, :1], h.shape[ALONG[line]])
                over = over / beyond(cells, side, "sum").clamp_min(1)
            lines[line].append((over, matrix))
        elif relation == "close":
            received.cells.append((close(h, mean), matrix))
        else:
            matrix = matrix / max(others[relation], 1) if mean else matrix
            if relation in ("aligned", "same_column"):
                received.columns.append((total("columns"), matrix))
            if relation in ("aligned", "same_row"):
                received.rows.append((total("rows"), matrix))
            if relation == "everywhere":
                received.columns.append((total("columns").sum(1, keepdim=True).expand(-1, x, -1), matrix))
            received.itself = received.itself + (2 * matrix if relation == "aligned" else matrix)
    return received


def maxima(h: Float[Tensor, "batch x y inputs"], matrices: dict[str, Tensor]) -> Received:
    """Maxima over the neighbours by each relation; 0 where there is none."""
    received = Received()
    lines = {"columns": received.columns, "rows": received.rows}

    @cache
    def highest(line: str) -> Tensor:
        return h.amax(ALONG[line])

    @cache
    def others(line: str) -> Tensor:
        return highest_other(h, ALONG[line])

    for relation, matrix in matrices.items():
        if relation in REMOTE:
            line, side = REMOTE[relation]
            lines[line].append((beyond(highest(line), side, "max"), matrix))
            continue
        if relation == "close":
            most = highest_close(h)
        elif relation == "everywhere":
            elsewhere = torch.maximum(*(beyond(highest("columns"), side, "max") for side in (-1, 1)))
            most = torch.maximum(others("columns"), elsewhere[:, :, None])
        elif relation == "aligned":
            most = torch.maximum(others("columns"), others("rows"))
        else:
            most = others("columns" if relation == "same_column" else "rows")
        received.cells.append((most, matrix))
    for part in (received.columns, received.rows, received.cells):
        part[:] = [(most.masked_fill(most == -torch.inf, 0), matrix) for most, matrix in part]
    return received


def close(h: Float[Tensor, "batch x y inputs"], mean: bool) -> Float[Tensor, "batch x y inputs"]:
    """Sum or mean over the 4 cells at distance 1, fewer at the border: a convolution of each feature by itself."""
    cross = h.new_tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).expand(h.shape[3], 1, 3, 3)
    total = F.conv2d(h.permute(0, 3, 1, 2), cross, padding=1, groups=h.shape[3]).permute(0, 2, 3, 1)
    if not mean:
        return total
    number = F.conv2d(torch.ones_like(h[0, None, :, :, 0]), cross[:1], padding=1).clamp_min(1)
    return total / number[0, :, :, None]


def highest_close(h: Float[Tensor, "batch x y inputs"]) -> Float[Tensor, "batch x y inputs"]:
    """Maximum over the 4 cells at distance 1: windows of 3 cells without the middle one, across and down."""
    cells = h.permute(0, 3, 1, 2)
    # with the padding of max_pool2d itself, a window of padding alone would have no index for the gradient
    across = F.max_pool2d(F.pad(cells, (0, 0, 1, 1), value=-torch.inf), (2, 1), 1, 0, (2, 1))
    down = F.max_pool2d(F.pad(cells, (1, 1), value=-torch.inf), (1, 2), 1, 0, (1, 2))
    return torch.maximum(across, down).permute(0, 2, 3, 1)


def highest_other(h: Float[Tensor, "batch x y inputs"], axis: int) -> Float[Tensor, "batch x y inputs"]:
    """Maximum over the other cells along an axis: the highest, and for the cell that has it the second highest."""
    first, where = h.max(axis, keepdim=True)
    has_it = torch.arange(h.shape[axis], device=h.device).reshape(-1, *[1] * (3 - axis)) == where
    return torch.where(has_it, h.masked_fill(has_it, -torch.inf).amax(axis, keepdim=True), first)


def beyond(lines: Float[Tensor, "batch lines inputs"], side: int, how: str) -> Float[Tensor, "batch lines inputs"]:
    """For each line, the sum or maximum over all those on the one side (-1: before it, 1: after it)."""
    ordered = lines.flip(1) if side > 0 else lines
    until = ordered.cummax(1).values if how == "max" else ordered.cumsum(1)
    nothing = torch.full_like(lines[:, :1], -torch.inf if how == "max" else 0.0)
    passed = torch.cat([nothing, until[:, :-1]], dim=1)
    return passed.flip(1) if side > 0 else passed


def weighted(parts: Weighted) -> Tensor:
    """Σ matrix · aggregate over the last axis, as one product."""
    return F.linear(torch.cat([part for part, _ in parts], dim=-1), torch.cat([matrix for _, matrix in parts], dim=1))
