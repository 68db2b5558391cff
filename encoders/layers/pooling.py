"""Pooling over nodes: independent of their number and order."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from encoders.layers.topology import reduce
from encoders.ranges import require_choice

POOLINGS = ("max", "mean", "attention")


class Pooling(nn.Module):
    """max, mean, or Σᵢ αᵢ hᵢ with α = softmax over nodes of w·hᵢ (attention, similar to Li et al. 2016, eq. 7).

    Args:
        features: per node.
        how: "max", "mean" or "attention".

    Raises:
        ValueError: another way.
    """

    def __init__(self, features: int, how: str = "max"):
        super().__init__()
        require_choice(POOLINGS, pooling=how)
        self.how = how
        # a bias would add the same to every score, which softmax ignores
        self.score = nn.Linear(features, 1, bias=False) if how == "attention" else None

    def forward(
        self, h: Float[Tensor, "batch nodes features"], there: Bool[Tensor, "batch nodes"] | None = None
    ) -> Float[Tensor, "batch features"]:
        if self.score is None:
            return reduce(h, None if there is None else there[..., None], self.how)
        scores = self.score(h)
        if there is not None:
            scores = scores.masked_fill(~there[..., None], torch.finfo(scores.dtype).min)
        return (scores.softmax(1) * h).sum(1)
