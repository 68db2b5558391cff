"""The relations of grid-to-graph (Jiang et al. 2021): which cells send messages to a cell.

Every cell is a node, and relation r gives cell i the neighbours N_r(i). With the grid's axes (x to the right, y
downwards):

    right, left, below, above, below_right, ...   the one cell at that offset (8 relations)
    right_of, left_of, under, over                every cell on that side, at any distance (4 remote relations)
    aligned                                       every other cell of the same column or row
    close                                         the 4 cells at Manhattan distance 1
    same_column, same_row                         every other cell of the same column, of the same row
    everywhere                                    every other cell
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from encoders.layers.topology import OFFSETS

REMOTE = {"right_of": ("columns", 1), "left_of": ("columns", -1), "under": ("rows", 1), "over": ("rows", -1)}
RELATIONS = (*OFFSETS, *REMOTE, "aligned", "close", "same_column", "same_row", "everywhere")
RELATION_SETS = {
    "local": tuple(OFFSETS),
    "b3": (*OFFSETS, *REMOTE, "aligned", "close"),
    # beyond b3: columns and rows apart, which aligned mixes, and the whole grid
    "all": RELATIONS,
}


def relations_named(relations: str | Sequence[str]) -> tuple[str, ...]:
    """The relations of a set, or those of a list.

    Raises:
        ValueError: a set or a relation that does not exist, or one that is listed twice; the message lists what exists.
    """
    if isinstance(relations, str):
        names = RELATION_SETS.get(relations, ())
    else:
        names = tuple(relations) if isinstance(relations, Sequence) else ()
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
