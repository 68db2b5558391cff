"""The networks of SAC and TD3, each on one flat vector: a step of Adam, or of a target, is a few operations.

The vectors are laid out alike in a network and its target (agents/ppo/flat_adam.py), and the modules' own parameters
are views of them: SB3's files, `policy.state_dict()` and evaluations see nothing of it.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.utils import get_parameters_by_name, polyak_update
from torch import Tensor, nn

from agents.continuous.laws import SAC, TD3, Batch, Networks
from agents.ppo.flat_adam import FlatAdam


class Gaussian(nn.Module):
    """SAC's actor: observations -> means and log standard deviations."""

    def __init__(self, actor: Any):
        super().__init__()
        self.actor = actor

    def forward(self, observations: Any) -> tuple[Tensor, Tensor]:
        mean, log_std, _ = self.actor.get_action_dist_params(observations)
        return mean, log_std


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


class Trained:
    """A network and the Adam that trains it, in place.

    Args:
        module: the network.
        optimizer: SB3's, of its parameters.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer):
        self.module, self.optimizer = module, optimizer
        self.adam = FlatAdam(optimizer, [*module.parameters(), *module.buffers()])  # type: ignore[list-item]

    def __call__(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def learn(self, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, self.adam.parameters, allow_unused=True)
        with torch.no_grad():
            self.adam.step(gradients)

    def holds(self) -> bool:
        """Whether the network still lives in these vectors. `load` and `to` replace all of them, or none."""
        first, (mean, _) = self.adam.parameters[0], self.adam.moments
        state = self.optimizer.state.get(first) or {}
        pairs = ((first, self.adam.flat), (state.get("exp_avg", first), mean))
        return all(one.data_ptr() == other.data_ptr() for one, other in pairs)


class Following:
    """A network whose parameters follow those of another, in place.

    Args:
        module: the network.
        leader: the one it follows, of the same architecture.
    """

    def __init__(self, module: nn.Module, leader: Trained):
        self.module, self.leader = module, leader
        own = {id(p): q for p, q in zip(leader.module.parameters(), module.parameters(), strict=True)}
        self.parameters = [own[id(parameter)] for parameter in leader.adam.parameters]
        self.flat = leader.adam.joined([parameter.data for parameter in self.parameters])
        for parameter, view in zip(self.parameters, leader.adam.views(self.flat), strict=True):
            parameter.data = view
        self.led, self.statistics = (get_parameters_by_name(each, ["running_"]) for each in (leader.module, module))

    def __call__(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def follow(self, tau: float) -> None:
        with torch.no_grad():
            torch.add(self.flat.mul_(1 - tau), self.leader.adam.flat, alpha=tau, out=self.flat)
        polyak_update(self.led, self.statistics, 1.0)

    def holds(self) -> bool:
        """Whether the network still lives in this vector."""
        return self.parameters[0].data_ptr() == self.flat.data_ptr()


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
        self.parts = [net for net in self.nets if net is not None]

    @property
    def learners(self) -> list[Trained]:
        """The networks that learn."""
        return [part for part in self.parts if isinstance(part, Trained)]

    @property
    def followers(self) -> list[Following]:
        """The networks that follow others."""
        return [part for part in self.parts if isinstance(part, Following)]

    def holds(self) -> bool:
        """Whether the model's networks are still these, and where they were."""
        return all(part.holds() for part in self.parts)

    def begin(self) -> None:
        """Called before minibatches, after actions."""
        self.policy.set_training_mode(True)

    def __call__(self, batch: Batch, follows: bool) -> Tensor:
        """One minibatch -> the law's statistics."""
        statistics = self.law(self.nets, batch, self.law.noises(batch.actions), follows)
        return torch.stack([each.detach() for each in statistics])
