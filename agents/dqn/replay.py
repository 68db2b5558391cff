"""A replay buffer that stores each distinct observation once, and a network's outputs for those.

A grid world shows an agent few different observations: 280 in 100,000 random steps of DoorKey-5x5. A transition then
takes 14 bytes instead of 316, and what the target network says of an observation is computed once until it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from torch import Tensor

from agents.ppo.rollout import ObservationTable

Observations = Any  # a tensor, or a dict of them
SPARE = 1024  # rows that the table may have beyond twice those in use, before unused ones are dropped


class Drawn(NamedTuple):
    """Transitions whose observations are rows of a table.

    Attributes:
        rows, next_rows: (batch,) of s and s'.
        actions, rewards, dones: (batch, 1); an episode that a time limit ended is not done.
    """

    rows: np.ndarray
    next_rows: np.ndarray
    actions: Tensor
    rewards: Tensor
    dones: Tensor


class DistinctReplay(BaseBuffer):
    """SB3's `DictReplayBuffer` of uint8 observations, which draws the same transitions and stores less.

    It lies in main memory. A minibatch crosses to the device with each of its distinct observations once.

    Args:
        buffer_size: transitions of all environments together.
        observation_space: a Dict of uint8 parts.
        action_space: Discrete.
        device, n_envs: as of SB3's.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        device: torch.device | str = "auto",
        n_envs: int = 1,
    ):
        super().__init__(buffer_size, observation_space, action_space, device, n_envs=n_envs)
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.table = ObservationTable(observation_space, self.device)
        shape = (self.buffer_size, n_envs)
        self.rows, self.next_rows = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        self.actions = np.zeros(shape, np.min_scalar_type(int(action_space.n) - 1))
        self.rewards, self.dones = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
        self.most = SPARE

    @property
    def nbytes(self) -> int:
        """The bytes of the transitions and of the table, its index included."""
        arrays = (self.rows, self.next_rows, self.actions, self.rewards, self.dones, self.table.rows)
        return sum(array.nbytes for array in arrays) + self.table.index_nbytes

    def add(  # type: ignore[override]
        self,
        obs: dict[str, np.ndarray],
        next_obs: dict[str, np.ndarray],
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """One step of every environment, as SB3 gives it."""
        at = self.pos
        self.rows[at], self.next_rows[at] = self.table.number(obs), self.table.number(next_obs)
        self.actions[at], self.rewards[at] = action.reshape(self.n_envs), reward
        self.dones[at] = done
        for i in np.flatnonzero(done):
            self.dones[at, i] = not infos[i].get("TimeLimit.truncated", False)
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full, self.pos = True, 0
        if len(self.table) > self.most:
            self._sweep()

    def _sweep(self) -> None:
        """Drop the observations that no transition has any more, and number the others anew."""
        stored = slice(self.size())
        used = np.zeros(len(self.table), np.bool_)
        used[self.rows[stored]] = used[self.next_rows[stored]] = True
        number = np.cumsum(used, dtype=np.int32) - 1
        for rows in (self.rows, self.next_rows):
            rows[stored] = number[rows[stored]]
        self.table.keep(np.flatnonzero(used))
        self.most = 2 * len(self.table) + SPARE

    def saved_table(self) -> dict[str, Any]:
        """The distinct observations, in the order of their numbers."""
        return {"rows": self.table.rows[: len(self.table)].copy(), "most": self.most}

    def restore_table(self, state: Mapping[str, Any]) -> None:
        """Hold the observations of `saved_table`."""
        self.table.restore(state["rows"])
        self.most = state["most"]

    def draw(self, size: int, normalizer: Any = None) -> Drawn:
        """The transitions that `DictReplayBuffer.sample(size, normalizer)` would draw."""
        steps = np.random.randint(0, self.size(), size=size)
        return self._at(steps, normalizer)

    def _at(self, steps: np.ndarray, normalizer: Any) -> Drawn:
        at = (steps, np.random.randint(0, high=self.n_envs, size=len(steps)))
        rewards = self._normalize_reward(self.rewards[at].reshape(-1, 1), normalizer)
        measured = torch.from_numpy(np.concatenate([rewards, self.dones[at][:, None]], axis=1, dtype=np.float32))
        actions = torch.from_numpy(self.actions[at].astype(np.int64)[:, None])
        measured, actions = measured.to(self.device), actions.to(self.device)
        return Drawn(self.rows[at], self.next_rows[at], actions, measured[:, :1], measured[:, 1:])

    def _get_samples(self, batch_inds: np.ndarray, env: Any = None) -> DictReplayBufferSamples:  # type: ignore[override]
        drawn = self._at(batch_inds, env)
        here, there = self.table.at(drawn.rows), self.table.at(drawn.next_rows)
        return DictReplayBufferSamples(here, drawn.actions, there, drawn.dones, drawn.rewards)


class Known:
    """What a network makes of the observations of a table, each computed when it is first asked for.

    `forget` is to be called when the network has changed.
    """

    def __init__(self, table: ObservationTable):
        self.table = table
        self.forget()

    def forget(self) -> None:
        """Everything is to be computed again."""
        self.numbering = self.table.numbers

    @property
    def is_outdated(self) -> bool:
        """Whether the table has numbered its observations anew."""
        return self.numbering is not self.table.numbers


class KnownActions(Known):
    """The best actions."""

    def forget(self) -> None:
        super().forget()
        self.known: dict[int, int] = {}  # by row: faster than an array for the few environments that act

    def saved(self) -> list[list[int]]:
        """The rows and actions that are known."""
        return [[*pair] for pair in self.known.items()] if not self.is_outdated else []

    def restore(self, state: list[list[int]]) -> None:
        """Know the actions of `saved`, of a table that holds the same observations."""
        self.forget()
        self.known = {row: act for row, act in state}

    def __call__(self, rows: np.ndarray, act: Callable[[Observations], Tensor]) -> np.ndarray:
        """The actions for the observations in these rows."""
        if self.is_outdated:
            self.forget()
        asked = rows.tolist()
        if unknown := [row for row in dict.fromkeys(asked) if row not in self.known]:
            self.known.update(zip(unknown, act(self.table.at(np.array(unknown))).tolist(), strict=True))
        return np.array([self.known[row] for row in asked])


class KnownOutputs(Known):
    """All outputs."""

    def forget(self) -> None:
        super().forget()
        self.known = np.zeros(len(self.table.rows), np.bool_)

    def saved(self) -> dict[str, Any] | None:
        """The outputs that are known; None if none are."""
        if self.is_outdated or not self.known.any():
            return None
        return {"known": self.known.copy(), "outputs": self.outputs.detach().cpu().numpy().copy()}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Know the outputs of `saved`, of a table that holds the same observations."""
        self.forget()
        if state is not None:
            self.known, self.outputs = state["known"], torch.from_numpy(state["outputs"]).to(self.table.device)

    def __call__(self, rows: np.ndarray, network: Callable[[Observations], Tensor]) -> Tensor:
        """The outputs for the observations in these rows."""
        if self.is_outdated:
            self.forget()
        if len(self.known) < len(self.table.rows):
            self.known = np.concatenate([self.known, np.zeros(len(self.table.rows) - len(self.known), np.bool_)])
        unknown = rows[~self.known[rows]]
        if len(unknown):
            unknown = np.unique(unknown)
            found = network(self.table.at(unknown))
            if not self.known.any():
                self.outputs = found.new_zeros(len(self.known), *found.shape[1:])
            elif len(self.outputs) < len(self.known):
                more = found.new_zeros(len(self.known) - len(self.outputs), *found.shape[1:])
                self.outputs = torch.cat([self.outputs, more])
            self.outputs[torch.from_numpy(unknown).long().to(found.device)] = found
            self.known[unknown] = True
        return self.outputs[torch.from_numpy(rows).long().to(self.outputs.device)]
