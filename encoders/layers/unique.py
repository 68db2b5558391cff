"""Observations that many samples share, found so that each is computed once."""

from __future__ import annotations

import torch
from torch import Tensor


def unique_rows(parts: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """The different observations among a batch, in parts as given, and the index of each sample's among them."""
    columns = {key: part.flatten(1) for key, part in parts.items()}
    rows, which = torch.cat(list(columns.values()), dim=1).unique(dim=0, return_inverse=True)
    pieces = rows.split([column.shape[1] for column in columns.values()], dim=1)
    return {key: piece.reshape(-1, *parts[key].shape[1:]) for key, piece in zip(parts, pieces, strict=True)}, which
