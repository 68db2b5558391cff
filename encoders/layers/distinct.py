"""Rows that many samples share, found so that each is computed once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def distinct(parts: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """The distinct rows of the parts of an observation, taken together, and the index of each sample's row."""
    columns = {key: part.flatten(1) for key, part in parts.items()}
    rows, which = torch.cat(list(columns.values()), dim=1).unique(dim=0, return_inverse=True)
    pieces = rows.split([column.shape[1] for column in columns.values()], dim=1)
    return {key: piece.reshape(-1, *parts[key].shape[1:]) for key, piece in zip(parts, pieces, strict=True)}, which


def traced(tensor: Tensor) -> bool:
    """Whether a graph is being traced, as in agents/ppo/compiled.py: shapes are known then, values are not."""
    return isinstance(tensor, FakeTensor)
