"""SB3's distributions of actions as plain functions of the policy head's output: sampling and log-probabilities.

They compute what torch.distributions computes, in the same order, so the bits are the same. They make no objects and
check no arguments, which takes most of the time for a small batch. Sampling takes its noise as an argument, so
that it can be part of a compiled graph: argmax(p / q) with q ~ Exp(1) is what `torch.multinomial` computes for one
draw, and consumes the random stream as it does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from gymnasium import spaces
from jaxtyping import Float, Int
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.nn import functional as F


class Distribution(Protocol):
    """Actions given the head's output; `log_std` is the policy's parameter, None where there is none."""

    def noise(self, output: Tensor) -> Tensor:
        """The random numbers that `sample` needs."""
        ...

    def draw(self, output: Tensor, log_std: Tensor | None, noise: Tensor) -> Tensor:
        """-> actions."""
        ...

    def sample(self, output: Tensor, log_std: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
        """-> actions, their log probabilities (batch,)."""
        ...

    def mode(self, output: Tensor) -> Tensor:
        """-> the greedy actions."""
        ...

    def measure(self, output: Tensor, log_std: Tensor | None, actions: Tensor) -> tuple[Tensor, Tensor]:
        """-> log probabilities (batch,) of the actions, entropies (batch,)."""
        ...


@dataclass(frozen=True)
class Categorical:
    """Discrete actions; the output is their unnormalised logits."""

    def noise(self, output: Float[Tensor, "batch actions"]) -> Float[Tensor, "batch actions"]:
        return torch.empty_like(output).exponential_()

    def draw(
        self, output: Float[Tensor, "batch actions"], log_std: None, noise: Float[Tensor, "batch actions"]
    ) -> Int[Tensor, " batch"]:
        # what logsumexp does, in two thirds of its time: it also looks for infinities
        largest = output.amax(-1, keepdim=True)
        normalizer = (output - largest).exp_().sum(-1, keepdim=True).log_().add_(largest)
        return (torch.softmax(output - normalizer, -1) / noise).argmax(-1)

    def sample(
        self, output: Float[Tensor, "batch actions"], log_std: None, noise: Float[Tensor, "batch actions"]
    ) -> tuple[Int[Tensor, " batch"], Float[Tensor, " batch"]]:
        logits = output - output.logsumexp(-1, keepdim=True)
        actions = (F.softmax(logits, -1) / noise).argmax(-1)
        return actions, logits.gather(-1, actions[:, None])[:, 0]

    def mode(self, output: Float[Tensor, "batch actions"]) -> Int[Tensor, " batch"]:
        return F.softmax(output - output.logsumexp(-1, keepdim=True), -1).argmax(-1)

    def measure(
        self, output: Float[Tensor, "batch actions"], log_std: None, actions: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        logits = output - output.logsumexp(-1, keepdim=True)
        log_prob = logits.gather(-1, actions[:, None])[:, 0]
        bounded = logits.clamp(min=torch.finfo(logits.dtype).min)  # before softmax: gradients are added in this order
        return log_prob, -(bounded * F.softmax(logits, -1)).sum(-1)


@dataclass(frozen=True)
class Gaussian:
    """Continuous actions with independent components; the output is their mean."""

    def noise(self, output: Float[Tensor, "batch actions"]) -> Float[Tensor, "batch actions"]:
        return torch.empty_like(output).normal_()

    def draw(
        self,
        output: Float[Tensor, "batch actions"],
        log_std: Float[Tensor, " actions"],
        noise: Float[Tensor, "batch actions"],
    ) -> Float[Tensor, "batch actions"]:
        return output + noise * (torch.ones_like(output) * log_std.exp())

    def sample(
        self,
        output: Float[Tensor, "batch actions"],
        log_std: Float[Tensor, " actions"],
        noise: Float[Tensor, "batch actions"],
    ) -> tuple[Float[Tensor, "batch actions"], Float[Tensor, " batch"]]:
        actions = self.draw(output, log_std, noise)
        return actions, self.measure(output, log_std, actions)[0]

    def mode(self, output: Float[Tensor, "batch actions"]) -> Float[Tensor, "batch actions"]:
        return output

    def measure(
        self,
        output: Float[Tensor, "batch actions"],
        log_std: Float[Tensor, " actions"],
        actions: Float[Tensor, "batch actions"],
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        log_prob, entropy = _components(output, log_std, actions)
        return log_prob.sum(1), entropy.sum(1)


def _components(
    mean: Float[Tensor, "batch actions"], log_std: Float[Tensor, " actions"], actions: Float[Tensor, "batch actions"]
) -> tuple[Float[Tensor, "batch actions"], Float[Tensor, "batch actions"]]:
    """Log probability and entropy of each component of a Gaussian."""
    std = torch.ones_like(mean) * log_std.exp()
    variance = std**2
    log_prob = -((actions - mean) ** 2) / (2 * variance) - std.log() - math.log(math.sqrt(2 * math.pi))
    return log_prob, 0.5 + 0.5 * math.log(2 * math.pi) + std.log()


@dataclass(frozen=True)
class MaskedGaussian(Gaussian):
    """Continuous actions of which only some are somebody's: the output is their mean and, behind it, a mask.

    Log probabilities and entropies are sums over the actions that are; the others are drawn as 0.
    """

    def noise(self, output: Float[Tensor, "batch means_and_mask"]) -> Float[Tensor, "batch actions"]:
        return super().noise(output.chunk(2, dim=1)[0])

    def draw(
        self,
        output: Float[Tensor, "batch means_and_mask"],
        log_std: Float[Tensor, " actions"],
        noise: Float[Tensor, "batch actions"],
    ) -> Float[Tensor, "batch actions"]:
        mean, mask = output.chunk(2, dim=1)
        return super().draw(mean, log_std, noise * mask)

    def mode(self, output: Float[Tensor, "batch means_and_mask"]) -> Float[Tensor, "batch actions"]:
        return output.chunk(2, dim=1)[0]

    def measure(
        self,
        output: Float[Tensor, "batch means_and_mask"],
        log_std: Float[Tensor, " actions"],
        actions: Float[Tensor, "batch actions"],
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        mean, mask = output.chunk(2, dim=1)
        log_prob, entropy = _components(mean, log_std, actions)
        return (log_prob * mask).sum(1), (entropy * mask).sum(1)


def distribution_for(policy: ActorCriticPolicy) -> Distribution | None:
    """The distribution of a policy's actions; None if it is not implemented here."""
    if getattr(policy, "per_node", None) is not None:
        return MaskedGaussian()  # type: ignore[return-value]
    return distribution_of(policy.action_space)


def distribution_of(space: spaces.Space) -> Distribution | None:
    """The distribution SB3 uses for an action space; None if it is not implemented here."""
    if isinstance(space, spaces.Discrete):
        return Categorical()  # type: ignore[return-value]
    if isinstance(space, spaces.Box):
        return Gaussian()  # type: ignore[return-value]
    return None
