"""R-GCN layers on grids without edges: the cost is linear in the number of cells.

W₀ and the relations to single cells are one 3×3 convolution. All cells of a column receive the same from the columns
beyond it, and likewise for rows: so each line is aggregated first, then the lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.relations import REMOTE
from encoders.layers.topology import OFFSETS

ALONG = {"columns": 2, "rows": 1}  # axis of (batch, x, y, features) along which a line's cells lie
AT_DISTANCE_1 = tuple(offset for offset in OFFSETS.values() if 0 in offset)

Weights = Float[Tensor, "matrices outputs inputs"]


class Structured(nn.Module):
    """W₀ h + Σ_r W_r agg_r(h) + b in all cells of a grid; this class computes the part that is a convolution.

    Args:
        relations: r = 1, 2, ...
        pixels: the factor of each relation's matrix in each pixel of the kernel.
    """

    def __init__(self, relations: Sequence[str], pixels: Mapping[str, Mapping[tuple[int, int], Fraction]]):
        super().__init__()
        around = (-1, 0, 1) if any(offset != (0, 0) for shares in pixels.values() for offset in shares) else (0,)
        offsets = [(x, y) for x in around for y in around]
        above, below = torch.zeros(len(offsets), 1 + len(relations)), torch.ones(len(offsets), 1 + len(relations))
        above[offsets.index((0, 0)), 0] = 1
        for number, relation in enumerate(relations, start=1):
            for offset, share in pixels.get(relation, {}).items():
                place = offsets.index(offset), number
                above[place], below[place] = share.numerator, share.denominator
        self.keep("pixels", above, below)
        self.side, self.number = len(around), {relation: number for number, relation in enumerate(relations, start=1)}

    def keep(self, name: str, above: Tensor, below: Tensor) -> None:
        """A quotient of whole numbers, as both: so `kept` is as exact as any precision the layer is moved to."""
        self.register_buffer(f"{name}_above", above, persistent=False)
        self.register_buffer(f"{name}_below", below, persistent=False)

    def kept(self, name: str) -> Tensor:
        return self.get_buffer(f"{name}_above") / self.get_buffer(f"{name}_below")

    def convolved(
        self, h: Float[Tensor, "batch x y inputs"], weights: Weights, bias: Float[Tensor, "outputs"]
    ) -> Float[Tensor, "batch x y outputs"]:
        kernel = torch.tensordot(self.kept("pixels"), weights, 1).permute(1, 2, 0).contiguous()
        kernel = kernel.unflatten(2, (self.side, self.side))
        return F.conv2d(h.permute(0, 3, 1, 2), kernel, bias, padding="same").permute(0, 2, 3, 1)

    def beside(self, weights: Weights, relations: Sequence[str]) -> Float[Tensor, "outputs several_inputs"]:
        """[W_r W_s ...]"""
        return torch.cat([weights[self.number[relation]] for relation in relations], dim=1)


class Totals(Structured):
    """Sums or means over neighbours.

    These are linear in h. Over lines: the totals of all columns, times a matrix (columns x columns) for each relation.
    The mean over the close cells is a quarter of their sum, which the convolution computes; cells on the rim
    of the grid have fewer, so there the difference is added.

    Args:
        relations, grid: as for GridRGCN.
        mean: instead of sums.
    """

    rim: Int[Tensor, "rim"]
    ring: Int[Tensor, "ring"]

    def __init__(self, relations: Sequence[str], grid: tuple[int, int], mean: bool):
        x, y = grid
        others = {"aligned": x + y - 2, "same_column": y - 1, "same_row": x - 1, "everywhere": x * y - 1}
        pixels: dict[str, dict[tuple[int, int], Fraction]] = {}
        lines: dict[str, dict[str, tuple[Tensor, Tensor]]] = defaultdict(dict)
        for relation in relations:
            number = max(others.get(relation, 1), 1) if mean else 1
            if relation in OFFSETS:
                pixels[relation] = {OFFSETS[relation]: Fraction(1)}
            elif relation == "close":
                pixels[relation] = dict.fromkeys(AT_DISTANCE_1, Fraction(1, 4 if mean else 1))
            elif relation in REMOTE:
                line, side = REMOTE[relation]
                here, cells = (x, y) if line == "columns" else (y, x)
                beyond = torch.ones(here, here).triu(1) if side > 0 else torch.ones(here, here).tril(-1)
                heard = cells * beyond.sum(1, keepdim=True) if mean else torch.ones(here, 1)
                lines[line][relation] = beyond, heard.clamp_min(1)
            if relation in ("aligned", "same_column"):
                lines["columns"][relation] = torch.eye(x), torch.full((x, 1), float(number))
            if relation in ("aligned", "same_row"):
                lines["rows"][relation] = torch.eye(y), torch.full((y, 1), float(number))
            if relation == "everywhere":
                lines["columns"][relation] = torch.ones(x, x), torch.full((x, 1), float(number))
            if relation in others:  # these totals contain the cell itself; aligned counts it in both its lines
                pixels[relation] = {(0, 0): Fraction(-2 if relation == "aligned" else -1, number)}
        super().__init__(relations, pixels)
        self.of = {line: tuple(matrices) for line, matrices in lines.items()}
        for line, matrices in lines.items():  # all relations of the first line, then of the second
            above, below = (torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*matrices.values(), strict=True))
            self.keep(line, above, below)
        self.has_rim = mean and "close" in relations
        if self.has_rim:
            rim, ring, near = close_on_the_rim(x, y)
            self.register_buffer("rim", rim, persistent=False)
            self.register_buffer("ring", ring, persistent=False)
            heard = near.sum(1, keepdim=True)
            self.keep("missing", near * (4 - heard), (4 * heard).clamp_min(1))  # 1/n - 1/4

    def forward(
        self, h: Float[Tensor, "batch x y inputs"], weights: Weights, bias: Float[Tensor, "outputs"]
    ) -> Float[Tensor, "batch x y outputs"]:
        out = self.convolved(h, weights, bias)
        for line, relations in self.of.items():
            total = h.sum(ALONG[line])
            received = (self.kept(line) @ total).unflatten(1, (-1, len(relations))).flatten(2)
            # not in place: this is a view of the convolution's output, and autograd would copy its gradient
            out = out + F.linear(received, self.beside(weights, relations)).unsqueeze(ALONG[line])
        if self.has_rim:
            missing = self.kept("missing") @ h.flatten(1, 2).index_select(1, self.ring)
            received = F.linear(missing, weights[self.number["close"]])
            out = out.flatten(1, 2).index_add(1, self.rim, received).view_as(out)
        return out


def close_on_the_rim(width: int, height: int) -> tuple[Int[Tensor, "rim"], Int[Tensor, "ring"], Tensor]:
    """The cells with fewer than 4 close ones, the cells close to them, and their adjacency: (rim, ring)."""
    x, y = torch.arange(width).repeat_interleave(height), torch.arange(height).repeat(width)
    rim = ((x == 0) | (x == width - 1) | (y == 0) | (y == height - 1)).nonzero()[:, 0]
    near = ((x[rim, None] - x).abs() + (y[rim, None] - y).abs() == 1).to(torch.get_default_dtype())
    ring = near.any(0).nonzero()[:, 0]
    return rim, ring, near[:, ring]


class Maxima(Structured):
    """Maxima over neighbours; 0 where there is none.

    Args:
        relations, grid: as for GridRGCN.
    """

    def __init__(self, relations: Sequence[str], grid: tuple[int, int]):
        super().__init__(relations, {name: {OFFSETS[name]: Fraction(1)} for name in relations if name in OFFSETS})
        self.farther = [relation for relation in relations if relation not in OFFSETS]

    def forward(
        self, h: Float[Tensor, "batch x y inputs"], weights: Weights, bias: Float[Tensor, "outputs"]
    ) -> Float[Tensor, "batch x y outputs"]:
        @cache
        def highest(line: str) -> Tensor:
            return h.amax(ALONG[line])

        @cache
        def others(line: str) -> Tensor:
            return highest_other(h, ALONG[line])

        by_line: dict[str, dict[str, Tensor]] = {"columns": {}, "rows": {}}
        by_cell: dict[str, Tensor] = {}
        for relation in self.farther:
            if relation in REMOTE:
                line, side = REMOTE[relation]
                by_line[line][relation] = highest_beyond(highest(line), side)
            elif relation == "close":
                by_cell[relation] = highest_close(h)
            elif relation == "everywhere":
                elsewhere = torch.maximum(*(highest_beyond(highest("columns"), side) for side in (-1, 1)))
                by_cell[relation] = torch.maximum(others("columns"), elsewhere[:, :, None])
            elif relation == "aligned":
                by_cell[relation] = torch.maximum(others("columns"), others("rows"))
            else:
                by_cell[relation] = others("columns" if relation == "same_column" else "rows")
        out = self.convolved(h, weights, bias)
        for line, received in by_line.items():
            if received:
                out = out + self.product(received, weights).unsqueeze(ALONG[line])
        return out + self.product(by_cell, weights) if by_cell else out

    def product(self, received: Mapping[str, Tensor], weights: Weights) -> Tensor:
        """Σ_r W_r · maximum by r, as one product."""
        most = torch.cat([*received.values()], dim=-1)
        return F.linear(most.masked_fill(most == -torch.inf, 0), self.beside(weights, [*received]))


def highest_close(h: Float[Tensor, "batch x y inputs"]) -> Float[Tensor, "batch x y inputs"]:
    """Maximum over the 4 cells at distance 1: windows of 3 cells without the middle one, across and down."""
    cells = h.permute(0, 3, 1, 2)
    # max_pool2d's own padding would give a window of padding alone no index for the gradient
    across = F.max_pool2d(F.pad(cells, (0, 0, 1, 1), value=-torch.inf), (2, 1), 1, 0, (2, 1))
    down = F.max_pool2d(F.pad(cells, (1, 1), value=-torch.inf), (1, 2), 1, 0, (1, 2))
    return torch.maximum(across, down).permute(0, 2, 3, 1)


def highest_other(h: Float[Tensor, "batch x y inputs"], axis: int) -> Float[Tensor, "batch x y inputs"]:
    """Maximum over the other cells along an axis: the highest; for the cell that holds it, the second highest."""
    first, where = h.max(axis, keepdim=True)
    has_it = torch.arange(h.shape[axis], device=h.device).reshape(-1, *[1] * (3 - axis)) == where
    return torch.where(has_it, h.masked_fill(has_it, -torch.inf).amax(axis, keepdim=True), first)


def highest_beyond(lines: Float[Tensor, "batch lines inputs"], side: int) -> Float[Tensor, "batch lines inputs"]:
    """For each line, the maximum over all lines on one side (-1: before it, 1: after it)."""
    ordered = lines.flip(1) if side > 0 else lines
    nothing = torch.full_like(lines[:, :1], -torch.inf)
    passed = torch.cat([nothing, ordered.cummax(1).values[:, :-1]], dim=1)
    return passed.flip(1) if side > 0 else passed
