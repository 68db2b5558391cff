"""The networks of SAC and TD3, and what one minibatch does with them."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import ContinuousCritic
from torch import Tensor, nn

from agents.continuous.laws import SAC, TD3, Moments, Networks
from agents.off_policy.networks import Following, Trained
from agents.off_policy.replay import Batch
from agents.ppo.flat_adam import PartNorms


def moments(actor: Any, observations: Any) -> Moments:
    """What SAC's actor gives for a batch of observations."""
    mean, log_std, _ = actor.get_action_dist_params(observations)
    if mean.shape == log_std.shape:
        return Moments(mean, log_std)
    mean, acting = mean.chunk(2, dim=1)  # of the nodes of a body: `encoders.heads.NodeHead`
    return Moments(mean, log_std, acting)


class Gaussian(nn.Module):
    """SAC's actor: observations -> `Moments`."""

    def __init__(self, actor: Any):
        super().__init__()
        self.actor = actor

    def forward(self, observations: Any) -> Moments:
        return moments(self.actor, observations)


class Critics(nn.Module):
    """Observations and actions -> the values of all critics, or of the first `count`."""

    def __init__(self, critic: ContinuousCritic):
        super().__init__()
        self.critic = critic

    def forward(self, observations: Any, actions: Tensor, count: int | None = None) -> tuple[Tensor, ...]:
        if count == 1:
            return (self.critic.q1_forward(observations, actions),)
        return self.critic(observations, actions)


class Number(nn.Module):
    """SAC's log α, a tensor that belongs to no module of SB3's."""

    log_ent_coef: Tensor

    def __init__(self, log_ent_coef: Tensor):
        super().__init__()
        self.register_buffer("log_ent_coef", log_ent_coef)

    def forward(self) -> Tensor:
        return self.log_ent_coef


class Update:
    """One minibatch, operation by operation: SB3's parameters, bit for bit.

    Args:
        model: an SB3 SAC or TD3.
        law: what is done with its networks.
    """

    def __init__(self, model: Any, law: SAC | TD3):
        self.law, self.policy = law, model.policy
        sac, learned = isinstance(law, SAC), isinstance(law, SAC) and law.ent_coef is None
        actor = Trained(Gaussian(model.actor) if sac else model.actor, model.actor.optimizer)
        critic = Trained(Critics(model.critic), model.critic.optimizer)
        self.nets = Networks(
            actor,
            critic,
            Following(Critics(model.critic_target), critic),
            None if sac else Following(model.actor_target, actor),
            Trained(Number(model.log_ent_coef), model.ent_coef_optimizer) if learned else None,
        )
        self.all = [net for net in self.nets if net is not None]
        self.parts = PartNorms(model.policy, [part.adam for part in self.learners])

    @property
    def learners(self) -> list[Trained]:
        """The networks that learn."""
        return [part for part in self.all if isinstance(part, Trained)]

    @property
    def followers(self) -> list[Following]:
        """The networks that follow others."""
        return [part for part in self.all if isinstance(part, Following)]

    def holds(self) -> bool:
        """Whether the model's networks are still these, and where they were."""
        return all(part.holds() for part in self.all)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of the networks that learn."""
        return [part.optimizer for part in self.learners]

    def begin(self) -> None:
        """Called before minibatches, after actions."""
        self.policy.set_training_mode(True)

    def __call__(self, batch: Batch, follows: bool, eagerly: bool = True) -> Tensor:
        """One minibatch -> the law's statistics; `eagerly`: not as a graph, which keeps no gradient for `parts`."""
        statistics = self.law(self.nets, batch, self.law.noises(batch.actions), follows)
        return torch.stack([each.detach() for each in statistics])
