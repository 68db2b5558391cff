"""A2C's loss on a rollout (Mnih et al. 2016): L = -mean A·log π(a|s) + c_v · mean (R - V)² - c_e · mean H."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from agents.ppo.distributions import Distribution
from agents.ppo.rollout import Minibatch

STATISTICS = ("policy_loss", "value_loss", "entropy_loss", "loss")


@dataclass(frozen=True)
class A2CLoss:
    """The constants of the loss."""

    distribution: Distribution
    normalize_advantage: bool
    ent_coef: float
    vf_coef: float

    def __call__(
        self, output: Tensor, values: Tensor, log_std: Tensor | None, batch: Minibatch, *unused: Any
    ) -> tuple[Tensor, Tensor]:
        """-> the loss, and the `STATISTICS` of this minibatch as one tensor."""
        log_prob, entropy = self.distribution.measure(output, log_std, batch.actions)
        advantages = batch.advantages
        if self.normalize_advantage:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss = -(advantages * log_prob).mean()
        value_loss = F.mse_loss(batch.returns, values)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            return loss, torch.stack([policy_loss, value_loss, entropy_loss, loss])
