"""Regularization around a non-linearity: normalization before it, dropout after it. Trunks share these options."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from encoders.layers.dropout import DROPS, Dropout
from encoders.layers.normalization import NORMALIZATIONS, normalization
from encoders.ranges import require_choice, require_probability, require_whole


@dataclass(frozen=True)
class Regularization:
    """`encoder.normalization`, `encoder.groups`, `encoder.dropout` and `encoder.drops`.

    Attributes:
        normalization: "none", "batch", "layer", "instance" or "group" (`encoders.layers.normalization`).
        groups: number of groups for "group".
        dropout: probability that a unit is dropped (`encoders.layers.dropout`).
        drops: whether a unit is one of the "features", or one of the "channels", a whole map.

    Raises:
        ValueError: another name, or a probability outside [0, 1).
    """

    normalization: str = "none"
    groups: int = 8
    dropout: float = 0.0
    drops: str = "features"

    def __post_init__(self) -> None:
        require_choice((*NORMALIZATIONS,), normalization=self.normalization)
        require_whole(1, groups=self.groups)
        require_probability(dropout=self.dropout)
        require_choice((*DROPS,), drops=self.drops)

    def around(self, activation: nn.Module | None, channels: int) -> list[nn.Module]:
        """An activation with the normalization before it and the dropout after it."""
        return [
            *normalization(self.normalization, channels, self.groups),
            *([] if activation is None else [activation]),
            *([Dropout(self.dropout, self.drops)] if self.dropout else []),
        ]
