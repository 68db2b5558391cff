"""What PPO collects between two updates, as tensors on the training device, in the order in which it is sampled.

Index k of the flattened arrays is step k % n_steps of environment k // n_steps, the order of SB3's rollout buffer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

Observation = Any  # an array or tensor, or a dict of them
DECAY = 0.03  # of the peak of advantages, with each rollout
TOGETHER = 1024  # observations encoded in one call, which bounds the memory of their activations


@dataclass
class Minibatch:
    """Samples drawn together.

    Attributes:
        observations: one row for each sample; with distinct observations, one for each that occurs.
        rows: which of these rows each sample has; None if its own.
        actions, log_probs, values: the policy's, when it collected.
        advantages, returns: of generalized advantage estimation.
    """

    observations: Observation
    rows: Tensor | None
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


class ObservationTable:
    """The distinct observations among many, numbered in the order in which they came.

    Two observations are the same if all their bytes are. `outputs` and `values` cache the policy's results for the
    first `cached` of them; they are valid until its parameters change.
    """

    def __init__(self, space: spaces.Dict, device: torch.device):
        self.space, self.device = space, device
        self.sizes = {key: int(np.prod(part.shape)) for key, part in space.items()}  # type: ignore[arg-type]
        self.rows = np.zeros((64, sum(self.sizes.values())), np.uint8)
        self.numbers: dict[bytes, int] = {}
        self.keep(np.zeros(0, np.int64))

    def keep(self, chosen: np.ndarray) -> None:
        """Keep these observations alone, and forget all cached outputs."""
        remaining = self.rows[chosen]
        self.rows[: len(remaining)] = remaining
        self.numbers = {row.tobytes(): number for number, row in enumerate(remaining)}
        self.cached = 0  # how many have cached outputs
        self.outputs: Tensor | None = None
        self.values = torch.zeros(0, device=self.device)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def index_nbytes(self) -> int:
        """The bytes of the index by which observations are found: a Python dict from their bytes to their numbers."""
        keys = len(self.numbers) * (sys.getsizeof(self.rows[0].tobytes()) + sys.getsizeof(len(self.numbers)))
        return sys.getsizeof(self.numbers) + keys

    def restore(self, rows: np.ndarray) -> None:
        """Hold these observations, one in each row, and no others."""
        self.rows = np.concatenate([rows, np.zeros((64, self.rows.shape[1]), np.uint8)])
        self.keep(np.arange(len(rows)))

    def number(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """The numbers (n,) of a batch of observations; new ones are added."""
        count = len(next(iter(observation.values())))
        packed = np.concatenate([observation[key].reshape(count, size) for key, size in self.sizes.items()], axis=1)
        packed = packed.astype(np.uint8, copy=False)  # environments may give wider integers than they declare
        content, width = packed.tobytes(), packed.shape[1]
        found = np.empty(count, np.int64)
        numbers = self.numbers
        for i in range(count):
            key = content[i * width : (i + 1) * width]
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(numbers)
                if number == len(self.rows):
                    self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
                self.rows[number] = packed[i]
            found[i] = number
        return found

    def observations(self, first: int = 0, end: int | None = None) -> dict[str, Tensor]:
        """Observations number `first`, first + 1, ..., end - 1 (None: all from `first` on), unpacked."""
        return self._unpacked(self.rows[first : len(self.numbers) if end is None else end])

    def at(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """These observations, unpacked."""
        return self._unpacked(self.rows.take(chosen, axis=0))

    def _unpacked(self, rows: np.ndarray) -> dict[str, Tensor]:
        parts = torch.from_numpy(rows).to(self.device).split(list(self.sizes.values()), dim=1)
        return {key: part.reshape(-1, *self.space[key].shape) for key, part in zip(self.sizes, parts, strict=True)}  # type: ignore[misc]

    def look_up(
        self, observation: dict[str, np.ndarray], network: Callable[[Observation], tuple[Tensor, Tensor]]
    ) -> tuple[np.ndarray, Tensor, Tensor]:
        """-> numbers, outputs and values of a batch of observations; the network computes those of new ones."""
        numbers = self.number(observation)
        while self.cached < len(self.numbers):
            end = min(self.cached + TOGETHER, len(self.numbers))
            outputs, values = network(self.observations(self.cached, end))
            self.outputs = outputs if self.outputs is None else torch.cat([self.outputs, outputs])
            self.values = torch.cat([self.values, values])
            self.cached = end
        rows = torch.from_numpy(numbers).to(self.device)
        assert self.outputs is not None
        return numbers, self.outputs[rows], self.values[rows]


class Rollout:
    """`n_steps` steps of `n_envs` environments; takes the place of SB3's `RolloutBuffer`.

    Args:
        buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs: as SB3 gives them.
        distinct: store each distinct observation once.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: torch.device | str = "cpu",
        gae_lambda: float = 1.0,
        gamma: float = 0.99,
        n_envs: int = 1,
        distinct: bool = False,
    ):
        self.n_steps, self.n_envs, self.gae_lambda, self.gamma = buffer_size, n_envs, gae_lambda, gamma
        self.observation_space, self.action_space, self.device = observation_space, action_space, torch.device(device)
        self.distinct = ObservationTable(observation_space, self.device) if distinct else None  # type: ignore[arg-type]
        shape = (n_envs, buffer_size)
        self.numbers = np.zeros(shape, np.int64)
        self.observations = None if distinct else _storage(observation_space, shape, self.device)
        self.actions = _storage(action_space, shape, self.device)
        if isinstance(action_space, spaces.Box):
            self.actions = self.actions.reshape(*shape, -1)
        self.values, self.log_probs = torch.zeros(shape, device=self.device), torch.zeros(shape, device=self.device)
        self.advantages, self.returns = torch.zeros(shape, device=self.device), torch.zeros(shape, device=self.device)
        # the environments give these on the CPU
        self.rewards, self.starts = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.position = 0

    @staticmethod
    def nbytes(
        n_steps: int, n_envs: int, observation_space: spaces.Space, action_space: spaces.Space, distinct: bool = False
    ) -> int:
        """The bytes it takes, linear in n_steps · n_envs; with `distinct`, without the table of observations."""
        parts = observation_space.spaces.values() if isinstance(observation_space, spaces.Dict) else [observation_space]
        observation = 0 if distinct else sum(_size(part) for part in parts)
        return n_steps * n_envs * (observation + _size(action_space) + 6 * 4 + 8)

    def reset(self) -> None:
        """Start a new rollout; the observations of the last one stay in the table, since most will be met again."""
        if self.distinct is not None:
            last = np.unique(self.numbers[:, : self.position])
            self.distinct.keep(last if self.position else np.arange(len(self.distinct.numbers)))
        self.position = 0

    def saved(self) -> dict[str, np.ndarray]:
        """What stays between two rollouts: the table."""
        table = self.distinct
        return {} if table is None else {"table": table.rows[: len(table.numbers)].copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Begin with the table of `saved`."""
        if self.distinct is not None:
            self.distinct.restore(state["table"])
        self.position = 0

    def add(
        self,
        observation: Observation,
        actions: Tensor,
        rewards: np.ndarray,
        starts: np.ndarray,
        values: Tensor,
        log_probs: Tensor,
    ) -> None:
        """One step of every environment; with distinct observations, `observation` is their numbers."""
        t = self.position
        if self.distinct is not None:
            self.numbers[:, t] = observation
        elif isinstance(self.observations, dict):
            for key, storage in self.observations.items():
                storage[:, t] = observation[key].reshape(storage[:, t].shape)
        else:
            assert self.observations is not None
            self.observations[:, t] = observation.reshape(self.observations[:, t].shape)
        self.actions[:, t], self.values[:, t], self.log_probs[:, t] = actions, values, log_probs
        self.rewards[:, t], self.starts[:, t] = rewards, starts
        self.position += 1

    def finish(self, last_values: Tensor, dones: np.ndarray) -> None:
        """Returns and advantages (Schulman et al. 2016), in SB3's order of operations.

        δ_t = r_t + γ V_{t+1} (1 - done_t) - V_t,    A_t = δ_t + γ λ (1 - done_t) A_{t+1},    R_t = A_t + V_t
        """
        # from here on the first axis is time, over which the recursion runs
        rewards = torch.from_numpy(self.rewards).to(self.device).T
        ended = np.concatenate([self.starts[:, 1:], dones[:, None].astype(np.float32)], axis=1)
        going_on = 1.0 - torch.from_numpy(ended).to(self.device).T
        values = self.values.T
        next_values = torch.cat([values[1:], last_values[None]])
        delta = rewards + self.gamma * next_values * going_on - values
        factor = self.gamma * self.gae_lambda * going_on
        advantage = torch.zeros_like(last_values)
        advantages = []
        for step_delta, step_factor in zip(reversed(delta.unbind()), reversed(factor.unbind()), strict=True):
            advantage = step_delta + step_factor * advantage
            advantages.append(advantage)
        self.advantages = torch.stack(advantages[::-1], dim=1)
        self.returns = self.advantages + self.values

    def scale_advantages(self, before: float) -> float:
        """Divide the advantages by a decaying peak of recent RMS advantages, s ← max(0.97 s, rms A); returns it.

        Where rewards are rare, most rollouts have none, and their advantages are errors of the value function. PPO
        divides those by their own standard deviation in each minibatch: they become as large as the advantage of a
        reward, and the policy learns noise until it meets no reward any more. Divided by the peak, they stay small.
        """
        scale = max((1 - DECAY) * before, self.advantages.square().mean().sqrt().item())
        self.advantages = self.advantages / (scale + 1e-8)
        return scale

    def minibatches(self, order: np.ndarray, batch_size: int) -> Iterator[Minibatch]:
        """All samples in the given order (a permutation of their indices), `batch_size` at a time, the rest last."""
        indices = torch.from_numpy(order).to(self.device)
        # shuffled once, so that a minibatch is a slice
        actions = self._taken(indices).split(batch_size)
        numbers = self.measured[:, indices].split(batch_size, dim=1)
        for index, acted, measured in zip(indices.split(batch_size), actions, numbers, strict=True):
            observations, rows = self._observed(index)
            yield Minibatch(observations, rows, acted, *measured.unbind())

    def _taken(self, index: Tensor | slice) -> Tensor:
        """Actions as the distribution reads them; continuous ones of any precision as float32."""
        actions = self.actions.flatten(0, 1)[index]
        return actions.float() if isinstance(self.action_space, spaces.Box) else actions

    def _observed(self, index: Tensor) -> tuple[Observation, Tensor | None]:
        if self.distinct is None:
            if isinstance(self.observations, dict):
                return {key: part.flatten(0, 1)[index] for key, part in self.observations.items()}, None
            assert self.observations is not None
            return self.observations.flatten(0, 1)[index], None
        chosen, rows = self.indices[index].unique(return_inverse=True)
        return {key: part[chosen] for key, part in self.table.items()}, rows

    def example(self, batch_size: int) -> Minibatch:
        """A minibatch of zeros, of the shapes that `minibatches` gives."""
        size = min(batch_size, self.n_steps * self.n_envs)
        numbers = torch.zeros((4, size), device=self.device).unbind()
        rows = None if self.distinct is None else torch.zeros(size, dtype=torch.long, device=self.device)
        some = blank(self.observation_space, size if rows is None else max(2, size // 4), self.device)
        return Minibatch(some, rows, torch.zeros_like(self._taken(slice(size))), *numbers)

    def freeze(self) -> None:
        """Prepare what minibatches are drawn from; to be called once, when the rollout is full."""
        parts = (self.log_probs, self.values, self.advantages, self.returns)
        self.measured = torch.stack([part.flatten() for part in parts])
        if self.distinct is not None:
            self.table = self.distinct.observations()
            self.indices = torch.from_numpy(self.numbers).to(self.device).flatten()


def blank(space: spaces.Space, count: int, device: torch.device) -> Observation:
    """A batch of `count` observations that are all zeros."""
    made = _storage(space, (1, count), device)
    return {key: part[0] for key, part in made.items()} if isinstance(made, dict) else made[0]


def _storage(space: spaces.Space, shape: tuple[int, int], device: torch.device) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _storage(part, shape, device) for key, part in space.items()}
    sample = np.zeros((), space.dtype)
    size = () if isinstance(space, spaces.Discrete) else space.shape
    return torch.zeros((*shape, *size), dtype=torch.from_numpy(sample[None]).dtype, device=device)  # type: ignore[misc]


def _size(space: spaces.Space) -> int:
    """Bytes of one sample."""
    return int(np.dtype(space.dtype).itemsize * np.prod(space.shape or ()))
