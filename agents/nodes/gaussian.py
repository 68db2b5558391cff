"""`agents.ppo.distributions.MaskedGaussian` in SB3's form: only some of the actions are somebody's."""

from __future__ import annotations

from stable_baselines3.common.distributions import DiagGaussianDistribution
from torch import Tensor


class MaskedDiagGaussian(DiagGaussianDistribution):
    """Log probabilities and entropies are sums over the actions of nodes that act; the others are 0."""

    mask: Tensor

    def proba_distribution(self, mean_actions: Tensor, log_std: Tensor) -> MaskedDiagGaussian:  # type: ignore[override]
        """Args:
        mean_actions: the output of a `NodeHead`, means and behind them the mask.
        log_std: (nodes,).
        """
        mean, self.mask = mean_actions.chunk(2, dim=1)
        super().proba_distribution(mean, log_std)
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        return (self.distribution.log_prob(actions) * self.mask).sum(1)

    def entropy(self) -> Tensor:
        return (self.distribution.entropy() * self.mask).sum(1)

    def sample(self) -> Tensor:
        return super().sample() * self.mask
