"""One step of PPO on one minibatch: loss, gradient, clipping, Adam.

    g ← ∇L · min(1, max_norm / ‖∇L‖),  then Adam or AdamW

`Update` runs it operation by operation, with SB3's bits; `agents.ppo.compiled` runs it as one graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from agents.ppo.flat_adam import FlatAdam, PartNorms
from agents.ppo.flat_rmsprop import FlatRMSprop
from agents.ppo.loss import Loss
from agents.ppo.rollout import Minibatch
from encoders.layers.dropout import acting, dropouts


def depends_on_more(network: nn.Module) -> bool:
    """Whether a network's output for an observation depends on chance, the rest of the batch, or its mode.

    With dropout and batch normalization of `encoders.layers` it does not, during a rollout and its update.
    """
    return any(
        isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd))
        or bool(getattr(module, "dropout", 0.0))  # of recurrent layers and attention, a number
        for module in network.modules()
    )


class ActorCritic(nn.Module):
    """Observations -> (the policy head's output, values (batch,)).

    Args:
        policy: a policy with one or two encoders and heads on their features.
        autocast: whether the encoder computes in bfloat16.
        learning: whether PPO learns from it, so that dropout is on in evaluation mode too.
        rows: for each sample, the row of its observation; None: row i for sample i.
    """

    def __init__(self, policy: ActorCriticPolicy, autocast: bool = False, learning: bool = False):
        super().__init__()
        self.policy, self.autocast = policy, autocast
        self.dropouts = dropouts(policy) if learning else ()

    def forward(self, observations: Any, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        policy = self.policy
        with torch.autocast(policy.device.type, torch.bfloat16, enabled=self.autocast), acting(self.dropouts):
            features: Any = policy.extract_features(observations)
        actors, critics = (features, features) if policy.share_features_extractor else features
        if self.autocast:
            actors, critics = actors.float(), critics.float()
        latent_pi = policy.mlp_extractor.forward_actor(actors)
        latent_vf = policy.mlp_extractor.forward_critic(critics)
        output, values = policy.action_net(latent_pi), policy.value_net(latent_vf).flatten()
        # the heads come first: one row of their output is narrower than one of features
        return (output, values) if rows is None else (output[rows], values[rows])


@dataclass(frozen=True)
class Settings:
    """What an update is built on.

    Attributes:
        policy: what is trained; its `optimizer` is Adam, AdamW or RMSprop.
        loss: the loss.
        max_grad_norm: gradients longer than this are shortened to it.
        target_kl: a minibatch whose KL divergence exceeds 1.5 times this changes nothing; None: no limit.
        autocast: whether the encoder computes in bfloat16.
    """

    policy: ActorCriticPolicy
    loss: Loss
    max_grad_norm: float
    target_kl: float | None
    autocast: bool = False


class Update:
    """The step on one minibatch, operation by operation."""

    def __init__(self, settings: Settings):
        self.settings, self.policy, self.loss = settings, settings.policy, settings.loss
        self.max_grad_norm, self.target_kl = settings.max_grad_norm, settings.target_kl
        self.network = self.network_of(settings)
        optimizer = settings.policy.optimizer
        flat = FlatRMSprop if isinstance(optimizer, torch.optim.RMSprop) else FlatAdam
        self.adam = flat(optimizer, settings.policy.parameters())
        self.parts = PartNorms(settings.policy, [self.adam])

    def network_of(self, settings: Settings) -> Any:
        """What is evaluated: observations -> the policy head's output, values."""
        return ActorCritic(settings.policy, settings.autocast, learning=True)

    def evaluated(self, batch: Minibatch) -> tuple[Tensor, Tensor]:
        """-> the policy head's output and the values of a minibatch."""
        return self.network(batch.observations, batch.rows)

    def act(self, observations: Any) -> tuple[Tensor, Tensor, Tensor]:
        """-> actions drawn for a batch of observations, values, log probabilities."""
        output, values = self.network(observations)
        actions, log_probs = self.draw(output)
        return actions, values, log_probs

    def values(self, observations: Any) -> Tensor:
        """V of a batch of observations."""
        return self.network(observations)[1]

    def draw(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """-> actions drawn from the policy head's output, their log probabilities."""
        distribution = self.loss.distribution
        return distribution.sample(output, getattr(self.policy, "log_std", None), distribution.noise(output))

    def norms(self) -> Tensor:
        """The norms of the last gradient in each of `parts`, before clipping."""
        return self.parts.last()

    def __call__(self, batch: Minibatch, clip_range: float, clip_range_vf: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """-> the `STATISTICS`, and the gradient's norm before clipping; None if the KL divergence forbids a step."""
        output, values = self.evaluated(batch)
        log_std = getattr(self.policy, "log_std", None)
        loss, statistics = self.loss(output, values, log_std, batch, clip_range, clip_range_vf)
        if self.target_kl is not None and statistics[-1].item() > 1.5 * self.target_kl:
            return statistics, None
        parameters = self.adam.parameters
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            return statistics, self.adam.step(gradients, self.max_grad_norm)
