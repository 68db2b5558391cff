"""SB3's Gaussians where only some of the actions are somebody's.

They compute what `agents.ppo.distributions.MaskedGaussian` and `agents.continuous.laws.squashed` compute.
"""

from __future__ import annotations

import torch
from stable_baselines3.common.distributions import (
    DiagGaussianDistribution,
    SquashedDiagGaussianDistribution,
    TanhBijector,
)
from torch import Tensor


class MaskedDiagGaussian(DiagGaussianDistribution):
    """Log probabilities and entropies are sums over the actions of nodes that act; the others are 0."""

    given: Tensor
    mask: Tensor

    def proba_distribution(self, mean_actions: Tensor, log_std: Tensor) -> MaskedDiagGaussian:  # type: ignore[override]
        """Args:
        mean_actions: the output of a `NodeHead`, means and behind them the mask.
        log_std: (nodes,).
        """
        self.given = mean_actions
        mean, self.mask = mean_actions.chunk(2, dim=1)
        super().proba_distribution(mean, log_std)
        return self

    def mode(self) -> Tensor:
        # not that of `distribution`: it was broadcast with a scale that ONNX makes as large as the batch of its example
        return self.given.chunk(2, dim=1)[0]

    def log_prob(self, actions: Tensor) -> Tensor:
        return (self.distribution.log_prob(actions) * self.mask).sum(1)

    def entropy(self) -> Tensor:
        return (self.distribution.entropy() * self.mask).sum(1)

    def sample(self) -> Tensor:
        return super().sample() * self.mask


class MaskedSquashedDiagGaussian(SquashedDiagGaussianDistribution, MaskedDiagGaussian):
    """tanh of a `MaskedDiagGaussian`: log π(a) = Σ_i acting_i (log N(u_i) - log(1 - a_i² + ε)), a_i = tanh(u_i)."""

    def log_prob(self, actions: Tensor, gaussian_actions: Tensor | None = None) -> Tensor:  # type: ignore[override]
        inner = TanhBijector.inverse(actions) if gaussian_actions is None else gaussian_actions
        squeezed = torch.log(1 - actions**2 + self.epsilon) * self.mask
        return MaskedDiagGaussian.log_prob(self, inner) - squeezed.sum(1)
