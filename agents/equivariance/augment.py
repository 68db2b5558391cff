"""Augmentation: every minibatch is extended by its transformed samples, the baseline for an equivariant network.

In PPO and A2C (φ(g)s, ψ(g)a) has the advantage, return, old value and old log-probability of (s, a). In DQN, QR-DQN,
SAC and TD3 it has the same reward and the same end, and s' becomes φ(g)s'. The loss of an extended minibatch is the
mean of the losses of its |G| transformed copies, and so is its gradient (without advantage normalisation).
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common import buffers
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.ppo.learning import Learning
from agents.ppo.rollout import Minibatch, Rollout
from encoders.average import orbit
from symmetry import Symmetry

Samples = TypeVar("Samples")


def joined(samples: Samples, symmetry: Symmetry) -> Samples:
    """Samples and their transformed copies: |G| times as many, element after element (the identity's first).

    Args:
        samples: a Minibatch or one of SB3's named tuples; discrete actions are integers.
    """
    order = symmetry.group.order

    def part(name: str, value: Any) -> Any:
        if value is None:
            return None
        if name in ("observations", "next_observations"):
            return orbit(symmetry, value)
        if name == "actions":
            return torch.cat([symmetry.act(g, value) for g in range(order)])
        return value.repeat(order, *[1] * (value.dim() - 1))

    fields = vars(samples) if isinstance(samples, Minibatch) else samples._asdict()  # type: ignore[attr-defined]
    parts = {name: part(name, value) for name, value in fields.items()}
    if parts.get("rows") is not None:  # each sample's row in the table of distinct observations, now |G| tables
        observations: Any = fields["observations"]
        count = len(next(iter(observations.values())) if isinstance(observations, Mapping) else observations)
        parts["rows"] = torch.cat([fields["rows"] + g * count for g in range(order)])
    return type(samples)(**parts)


class JoinedRollout(Rollout):
    """The rollout of the fast PPO; its minibatches are extended by their transformed samples."""

    def __init__(self, *args: Any, symmetry: Symmetry, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.symmetry = symmetry

    def minibatches(self, order: np.ndarray, batch_size: int) -> Iterator[Minibatch]:
        for batch in super().minibatches(order, batch_size):
            yield joined(batch, self.symmetry)

    def example(self, batch_size: int) -> Minibatch:
        return joined(super().example(batch_size), self.symmetry)


class _Joined:
    """What SB3's buffers need in order to extend samples: the symmetry, and discrete actions as integers."""

    action_space: spaces.Space

    def __init__(self, *args: Any, symmetry: Symmetry, **kwargs: Any):
        self.symmetry = symmetry
        super().__init__(*args, **kwargs)

    def join(self, samples: Any) -> Any:
        if isinstance(self.action_space, spaces.Discrete):
            samples = samples._replace(actions=samples.actions.long())
        return joined(samples, self.symmetry)


class _JoinedRollouts(_Joined):
    def get(self, batch_size: int | None = None) -> Generator[Any]:
        """Minibatches of |G| · batch_size samples."""
        for samples in super().get(batch_size):  # type: ignore[misc]
            yield self.join(samples)


class _JoinedReplays(_Joined):
    def sample(self, batch_size: int, env: Any = None) -> Any:
        """`batch_size` samples, of which batch_size / |G| were met (QR-DQN relies on the number it asks for)."""
        return self.join(super().sample(batch_size // self.symmetry.group.order, env))  # type: ignore[misc]


class JoinedRolloutBuffer(_JoinedRollouts, buffers.RolloutBuffer):  # type: ignore[misc]
    """SB3's buffer with extended samples."""


class JoinedDictRolloutBuffer(_JoinedRollouts, buffers.DictRolloutBuffer):  # type: ignore[misc]
    """SB3's buffer with extended samples."""


class JoinedReplayBuffer(_JoinedReplays, buffers.ReplayBuffer):  # type: ignore[misc]
    """SB3's buffer with extended samples."""


class JoinedNStepReplayBuffer(_JoinedReplays, buffers.NStepReplayBuffer):  # type: ignore[misc]
    """SB3's buffer with extended samples."""


class JoinedDictReplayBuffer(_JoinedReplays, buffers.DictReplayBuffer):  # type: ignore[misc]
    """SB3's buffer with extended samples."""


def augmented(
    algorithm: type[BaseAlgorithm], options: Mapping[str, Any], symmetry: Symmetry, space: spaces.Space
) -> dict[str, Any]:
    """The options of an algorithm, changed so that it learns from extended minibatches.

    `batch_size` counts samples that were met; a minibatch has |G| times as many.
    """
    many = isinstance(space, spaces.Dict)
    if issubclass(algorithm, OnPolicyAlgorithm):
        stock = JoinedDictRolloutBuffer if many else JoinedRolloutBuffer
        buffer: Any = JoinedRollout if issubclass(algorithm, Learning) else stock
        return {**options, "rollout_buffer_class": buffer, "rollout_buffer_kwargs": {"symmetry": symmetry}}

    def option(name: str) -> Any:
        signatures = (inspect.signature(each).parameters for each in algorithm.__mro__)  # ours hand SB3's on
        return options[name] if name in options else next(own[name].default for own in signatures if name in own)

    keywords, several = {"symmetry": symmetry}, option("n_steps") > 1 and not many
    if several:
        keywords |= {"n_steps": option("n_steps"), "gamma": option("gamma")}
    single = JoinedNStepReplayBuffer if several else JoinedReplayBuffer
    return {
        **{name: value for name, value in options.items() if name != "n_steps" or many},
        "batch_size": option("batch_size") * symmetry.group.order,
        "replay_buffer_class": JoinedDictReplayBuffer if many else single,
        "replay_buffer_kwargs": keywords,
    }
