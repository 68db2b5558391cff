"""PPO's loss on one minibatch (Schulman et al. 2017, equation 9).

ratio  = π(a|s) / π_old(a|s)
L      = -mean min(A·ratio, A·clamp(ratio, 1 - ε, 1 + ε)) + c_v · mean (R - V)² - c_e · mean H
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.ppo.distributions import Distribution
from agents.ppo.rollout import Minibatch

STATISTICS = ("policy_loss", "value_loss", "entropy_loss", "loss", "clip_fraction", "kl")


@dataclass(frozen=True)
class Loss:
    """The loss, with its coefficients."""

    distribution: Distribution
    normalize_advantage: bool
    ent_coef: float
    vf_coef: float
    clips_values: bool

    def __call__(
        self,
        output: Tensor,
        values: Tensor,
        log_std: Tensor | None,
        batch: Minibatch,
        clip_range: Any,
        clip_range_vf: Any,
    ) -> tuple[Tensor, Tensor]:
        """-> the loss, and the `STATISTICS` of this minibatch as one tensor."""
        log_prob, entropy = self.distribution.measure(output, log_std, batch.actions)
        advantages = batch.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_prob - batch.log_probs
        ratio = log_ratio.exp()
        clipped = torch.clamp(ratio, 1 - clip_range, 1 + clip_range)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        if self.clips_values:
            values = batch.values + torch.clamp(values - batch.values, -clip_range_vf, clip_range_vf)
        value_loss = F.mse_loss(batch.returns, values)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            clip_fraction = ((ratio - 1).abs() > clip_range).float().mean()
            kl = ((log_ratio.exp() - 1) - log_ratio).mean()
            statistics = torch.stack([policy_loss, value_loss, entropy_loss, loss, clip_fraction, kl])
        return loss, statistics
