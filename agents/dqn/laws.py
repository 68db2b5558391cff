"""Targets and losses of DQN (Mnih et al. 2015) and QR-DQN (Dabney et al. 2018), operation by operation as SB3.

    DQN      y = r + γ (1 - d) max_a' Q̄(s', a'),       L = mean huber(Q(s, a) - y)
    QR-DQN   y_j = r + γ (1 - d) θ̄_j(s', a*),  a* = argmax_a' mean_j θ̄_j(s', a')
             L = mean_{s, j} Σ_i |τ_i - 1[y_j < θ_i(s, a)]| huber(y_j - θ_i(s, a)),   τ_i = (i + ½) / n

Q̄ and θ̄ are the target network's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from sb3_contrib.common.utils import quantile_huber_loss
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class DQN:
    """DQN's law; a network's outputs are Q values (batch, actions).

    Attributes:
        max_grad_norm: a longer gradient is shortened to it; None: no limit.
    """

    max_grad_norm: float | None

    statistics = ("loss",)

    def greedy(self, outputs: Float[Tensor, "batch actions"]) -> Int[Tensor, " batch"]:
        """The best actions."""
        return outputs.argmax(dim=1)

    def next_values(self, outputs: Float[Tensor, "batch actions"]) -> Float[Tensor, "batch 1"]:
        """What the target network says that s' is worth."""
        return outputs.max(dim=1)[0].reshape(-1, 1)

    def loss(
        self,
        outputs: Float[Tensor, "batch actions"],
        actions: Int[Tensor, "batch 1"],
        wanted: Float[Tensor, "batch 1"],
    ) -> Tensor:
        """L; `wanted` is y."""
        return F.smooth_l1_loss(torch.gather(outputs, dim=1, index=actions), wanted)


@dataclass(frozen=True)
class QRDQN:
    """QR-DQN's law; a network's outputs are quantiles (batch, quantiles, actions).

    Attributes:
        max_grad_norm: a longer gradient is shortened to it; None: no limit.
    """

    max_grad_norm: float | None

    statistics = ("loss",)

    def greedy(self, outputs: Float[Tensor, "batch quantiles actions"]) -> Int[Tensor, " batch"]:
        """The actions whose quantiles are best on average."""
        return outputs.mean(dim=1).argmax(dim=1)

    def next_values(self, outputs: Float[Tensor, "batch quantiles actions"]) -> Float[Tensor, "batch quantiles"]:
        """The target network's quantiles of s', for its best action."""
        best = outputs.mean(dim=1, keepdim=True).argmax(dim=2, keepdim=True).expand(-1, outputs.shape[1], 1)
        return outputs.gather(dim=2, index=best).squeeze(dim=2)

    def loss(
        self,
        outputs: Float[Tensor, "batch quantiles actions"],
        actions: Int[Tensor, "batch 1"],
        wanted: Float[Tensor, "batch quantiles"],
    ) -> Tensor:
        """L; `wanted` is y."""
        taken = torch.gather(outputs, dim=2, index=actions[..., None].expand(-1, outputs.shape[1], 1)).squeeze(dim=2)
        return quantile_huber_loss(taken, wanted, sum_over_quantiles=True)
