"""The rollout of recurrent PPO: PPO's rollout, the states of the LSTMs, and minibatches of whole sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.ppo.rollout import Rollout
from agents.recurrent.network import SequenceMinibatch
from agents.recurrent.sequences import Sequences, arranged


class RecurrentRollout(Rollout):
    """A rollout with sb3-contrib's minibatches: samples in order, cut where an episode or an environment begins."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.states: list[Tensor] = []

    def reset(self) -> None:
        super().reset()
        self.states = []

    def remember(self, states: Tensor) -> None:
        """Store the states (LSTMs, 2, layers, environments, width) before the step that is added next."""
        self.states.append(states)

    def minibatches(self, order: np.ndarray, batch_size: int) -> Iterator[SequenceMinibatch]:  # type: ignore[override]
        """Minibatches of samples in the given order: all indices, rotated (`FastRecurrentPPO.order`)."""
        for index in np.split(order, range(batch_size, len(order), batch_size)):
            places = torch.from_numpy(index).to(self.device)
            observations, rows = self._observed(places)
            log_probs, values, advantages, returns = self.measured[:, places].unbind()
            samples = (self._taken(places), log_probs, values, advantages, returns)
            yield SequenceMinibatch(observations, rows, *samples, self.sequences(index))

    def sequences(self, index: np.ndarray) -> Sequences:
        """The sequences that samples with these indices form, with the LSTM states before each sequence."""
        environments, times = np.divmod(index, self.n_steps)
        fresh = self.starts[environments, times] == 1
        begins = fresh | (times == 0)
        begins[0] = True
        first = np.flatnonzero(begins)
        order, stretches, cells, places = arranged(np.diff(first, append=len(index)))
        blank = torch.zeros_like(self.states[0][..., 0, :])
        states = [blank if fresh[i] else self.states[times[i]][..., environments[i], :] for i in first[order]]
        cells_of, places_of = (torch.from_numpy(part).to(self.device) for part in (cells, places))
        return Sequences(stretches, cells_of, places_of, torch.stack(states, dim=-2))
