"""RMSprop (Tieleman & Hinton 2012) on one flat vector, with torch's bits; see agents/ppo/flat_adam.py.

v ← α v + (1 - α) g²,  θ ← θ - η g / (√v + ε)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.ppo.flat_adam import FlatAdam


class FlatRMSprop(FlatAdam):
    """The state of a `torch.optim.RMSprop` in two vectors: parameters, averages of squared gradients."""

    averages = ("square_avg",)

    @classmethod
    def unsupported(cls, optimizer: torch.optim.Optimizer) -> str | None:
        """Why an optimizer is not plain RMSprop; None if it is."""
        if type(optimizer) is not torch.optim.RMSprop:
            return f"the optimizer is {type(optimizer).__name__}, not RMSprop"
        if len(optimizer.param_groups) != 1:
            return "the optimizer has several groups of parameters"
        group = optimizer.param_groups[0]
        if any(group[key] for key in ("weight_decay", "momentum", "centered", "maximize", "capturable")):
            return "the optimizer has options beyond lr, alpha and eps"
        return None

    def advance(self, gradient: Tensor) -> None:
        (square,), alpha = self.moments, self.group["alpha"]
        square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        scale = torch.sqrt(square, out=self.scale).add_(self.group["eps"])
        self.flat.addcdiv_(gradient, scale, value=-self.group["lr"])

    def numbers(self) -> list[float]:
        """What changes from step to step in `stepped`: η."""
        return [self.group["lr"]]

    def stepped(self, gradient: Tensor, vectors: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
        """RMSprop's step as a function, for a graph: the vectors (parameters, averages) after it."""
        (flat, square), (rate,), alpha = vectors, numbers, self.group["alpha"]
        new_square = square * alpha + gradient * gradient * (1 - alpha)
        return [flat - rate * gradient / (new_square.sqrt() + self.group["eps"]), new_square]
