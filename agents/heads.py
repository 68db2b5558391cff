"""What every policy of this project says about itself: which encoders it has, and the outputs of its heads.

The symmetry loss, the equivariance error and the export read policies through this alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from symmetry import Symmetry

ACTS, SCALES, SAME = "acts", "scales", "same"  # how an output transforms: by ψ, by |ψ|, not at all

Outputs = dict[str, tuple[str, Tensor]]  # name -> (how it transforms, tensor)


def transformed(symmetry: Symmetry, how: str, g: int, output: Tensor) -> Tensor:
    """ψ(g)h, |ψ(g)|h or h, as `how` says."""
    if how == SAME:
        return output
    return (symmetry.action if how == ACTS else symmetry.action.unsigned())(g, output)


class Headed:
    """A policy that names its encoders and heads.

    Attributes:
        penalized: names of the encoders whose heads the symmetry loss compares (`agents.equivariance.loss`).
    """

    penalized: ClassVar[tuple[str, ...]] = ()

    def encoders(self) -> dict[str, nn.Module]:
        """Every encoder, named after the network it belongs to; a shared encoder has several names.

        Empty for policies with memory, whose outputs are not a function of one observation.
        """
        return {}

    def heads(self, features: Mapping[str, Tensor], actions: Tensor | None = None) -> Outputs:
        """The outputs of every head whose features are given: name -> (how it transforms, tensor).

        Logits are normalized to log-probabilities.

        Args:
            features: the name of an encoder -> its features.
            actions: where continuous critics are evaluated; default: at tanh(mean) of the actor.
        """
        return {}
