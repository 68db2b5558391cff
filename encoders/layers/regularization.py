"""What may be put around a non-linearity: a normalization before it, dropout after it. Options that trunks share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from encoders.layers.dropout import DROPS, Dropout
from encoders.layers.normalization import NORMALIZATIONS, normalization


@dataclass(frozen=True)
class Regularization:
    """`encoder.normalization`, `encoder.groups`, `encoder.dropout` and `encoder.drops`.

    Attributes:
        normalization: "none", "batch", "layer", "instance" or "group" (`encoders.layers.normalization`).
        groups: their number for "group".
        dropout: how likely a unit is dropped (`encoders.layers.dropout`).
        drops: what a unit is: "features", or "channels", whole maps.

    Raises:
        ValueError: another name, or a probability outside [0, 1).
    """

    normalization: str = "none"
    groups: int = 8
    dropout: float = 0.0
    drops: str = "features"

    def __post_init__(self) -> None:
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"encoder.normalization is {', '.join(NORMALIZATIONS)}; got {self.normalization!r}")
        if self.groups < 1:
            raise ValueError(f"encoder.groups is at least 1; got {self.groups!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"encoder.dropout is a probability below 1, like 0.1; got {self.dropout!r}")
        if self.drops not in DROPS:
            raise ValueError(f"encoder.drops is {' or '.join(DROPS)}; got {self.drops!r}")

    def around(self, activation: nn.Module | None, channels: int) -> list[nn.Module]:
        """An activation with the normalization before it and the dropout after it."""
        return [
            *normalization(self.normalization, channels, self.groups),
            *([] if activation is None else [activation]),
            *([Dropout(self.dropout, self.drops)] if self.dropout else []),
        ]
