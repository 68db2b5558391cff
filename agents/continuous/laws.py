"""What SAC and TD3 do with one minibatch (Haarnoja et al. 2018; Fujimoto et al. 2018), operation by operation as SB3.

    SAC   log α ← log α - η ∇ [-log α · (log π(a|s) + H̄)]
          Q_i   ← Q_i - η ∇ ½ Σ_i (Q_i(s, a) - y)²,   y = r + γ (1 - d) (min_i Q̄_i(s', a') - α log π(a'|s'))
          π     ← π - η ∇ [α log π(ã|s) - min_i Q_i(s, ã)]
          Q̄_i   ← (1 - τ) Q̄_i + τ Q_i

    TD3   Q_i   ← Q_i - η ∇ Σ_i (Q_i(s, a) - y)²,   y = r + γ (1 - d) min_i Q̄_i(s', clip(π̄(s') + clipped noise))
          every `policy_delay` minibatches:  π ← π + η ∇ Q_1(s, π(s)),  and Q̄_i, π̄ follow

A law knows its networks by what they can do (`Learner`, `Target`), so one text is both run and compiled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Observations = Tensor | dict[str, Tensor]


class Learner(Protocol):
    """A network that is trained."""

    def __call__(self, *inputs: Any) -> Any: ...

    def learn(self, loss: Tensor) -> None:
        """One step of Adam."""


class Target(Protocol):
    """A network that follows another."""

    def __call__(self, *inputs: Any) -> Any: ...

    def follow(self, tau: float) -> None:
        """θ̄ ← (1 - τ) θ̄ + τ θ"""


class Networks(NamedTuple):
    """All networks of an agent; `actor_target` is TD3's, `temperature` SAC's where α is learned."""

    actor: Any
    critic: Any
    critic_target: Any
    actor_target: Any = None
    temperature: Any = None


class Moments(NamedTuple):
    """What SAC's actor gives: of each action, its mean, its log standard deviation, and whether it is somebody's.

    `acting` is 1 or 0; None where all are.
    """

    mean: Float[Tensor, "batch actions"]
    log_std: Float[Tensor, "batch actions"]
    acting: Any = None


@dataclass(frozen=True)
class SAC:
    """SAC's law.

    Attributes:
        tau: τ.
        target_entropy: H̄; None: minus the number of actions that are somebody's, on average over the minibatch.
        ent_coef: α; None where it is learned.
    """

    tau: float
    target_entropy: float | None
    ent_coef: float | None

    statistics = ("actor_loss", "critic_loss", "ent_coef", "ent_coef_loss")
    draws = 2

    def noises(self, actions: Tensor) -> list[Tensor]:
        """Standard normal numbers for ã and for a'."""
        return [torch.empty_like(actions).normal_() for _ in range(self.draws)]

    def __call__(self, nets: Networks, batch: Batch, noises: Sequence[Tensor], follows: bool) -> list[Tensor]:
        """One minibatch -> `statistics`; the targets follow if `follows`."""
        moments = nets.actor(batch.observations)
        actions, log_prob = squashed(moments, noises[0])
        log_prob = log_prob.reshape(-1, 1)
        if self.ent_coef is None:
            log_ent_coef = nets.temperature()
            ent_coef = torch.exp(log_ent_coef.detach())
            ent_coef_loss = -(log_ent_coef * (log_prob + self._target(moments)).detach()).mean()
            nets.temperature.learn(ent_coef_loss)
        else:
            ent_coef = log_prob.new_tensor(self.ent_coef)
            ent_coef_loss = torch.zeros_like(ent_coef)
        with torch.no_grad():
            next_actions, next_log_prob = squashed(nets.actor(batch.next_observations), noises[1])
            next_q = smallest(nets.critic_target(batch.next_observations, next_actions))
            next_q = next_q - ent_coef * next_log_prob.reshape(-1, 1)
            wanted = batch.rewards + (1 - batch.dones) * batch.discounts * next_q
        values = nets.critic(batch.observations, batch.actions)
        critic_loss = 0.5 * sum(F.mse_loss(value, wanted) for value in values)
        nets.critic.learn(critic_loss)
        actor_loss = (ent_coef * log_prob - smallest(nets.critic(batch.observations, actions))).mean()
        nets.actor.learn(actor_loss)
        if follows:
            nets.critic_target.follow(self.tau)
        return [actor_loss, critic_loss, ent_coef.reshape(()), ent_coef_loss]

    def _target(self, moments: Moments) -> float | Tensor:
        return -moments.acting.sum(1).mean() if self.target_entropy is None else self.target_entropy


@dataclass(frozen=True)
class TD3:
    """TD3's law.

    Attributes:
        tau: τ.
        target_policy_noise: standard deviation of the noise on a'.
        target_noise_clip: the most it may be.
    """

    tau: float
    target_policy_noise: float
    target_noise_clip: float

    statistics = ("actor_loss", "critic_loss")
    draws = 1

    def noises(self, actions: Tensor) -> list[Tensor]:
        """The noise on a', before clipping."""
        return [torch.empty_like(actions).normal_(0, self.target_policy_noise)]

    def __call__(self, nets: Networks, batch: Batch, noises: Sequence[Tensor], follows: bool) -> list[Tensor]:
        """One minibatch -> `statistics`; the actor learns and the targets follow if `follows`, else its loss is NaN."""
        with torch.no_grad():
            noise = noises[0].clamp(-self.target_noise_clip, self.target_noise_clip)
            next_actions = (nets.actor_target(batch.next_observations) + noise).clamp(-1, 1)
            next_q = smallest(nets.critic_target(batch.next_observations, next_actions))
            wanted = batch.rewards + (1 - batch.dones) * batch.discounts * next_q
        values = nets.critic(batch.observations, batch.actions)
        critic_loss = torch.as_tensor(sum(F.mse_loss(value, wanted) for value in values))
        nets.critic.learn(critic_loss)
        if not follows:
            return [torch.full_like(critic_loss, torch.nan), critic_loss]
        actor_loss = -nets.critic(batch.observations, nets.actor(batch.observations), 1)[0].mean()
        nets.actor.learn(actor_loss)
        nets.critic_target.follow(self.tau)
        nets.actor_target.follow(self.tau)
        return [actor_loss, critic_loss]


def squashed(
    moments: Moments, noise: Float[Tensor, "batch actions"]
) -> tuple[Float[Tensor, "batch actions"], Float[Tensor, " batch"]]:
    """Actions tanh(μ + σ ε) and their log probabilities, as SB3's `SquashedDiagGaussianDistribution` computes them.

    Actions that are nobody's are 0 and have no part in a log probability.
    """
    mean, acting = moments.mean, moments.acting
    std, before = _drawn(moments, noise)
    actions = torch.tanh(before)
    log_prob = -((before - mean) ** 2) / (2 * std**2) - std.log() - math.log(math.sqrt(2 * math.pi))
    squeezed = torch.log(1 - actions**2 + 1e-6)
    if acting is not None:
        log_prob, squeezed = log_prob * acting, squeezed * acting
    return actions, log_prob.sum(1) - squeezed.sum(1)


def drawn(moments: Moments, noise: Float[Tensor, "batch actions"]) -> Float[Tensor, "batch actions"]:
    """The actions of `squashed` alone."""
    return torch.tanh(_drawn(moments, noise)[1])


def _drawn(moments: Moments, noise: Tensor) -> tuple[Tensor, Tensor]:
    """σ, and μ + σ ε."""
    mean, log_std, acting = moments
    std = torch.ones_like(mean) * log_std.exp()
    before = mean + noise * std
    return std, before if acting is None else before * acting


def smallest(values: Sequence[Float[Tensor, "batch 1"]]) -> Float[Tensor, "batch 1"]:
    """The smallest of the critics' values."""
    return torch.cat(tuple(values), dim=1).min(dim=1, keepdim=True)[0]
