"""What FastDQN, FastQRDQN, FastSAC and FastTD3 share: SB3's algorithm and replay buffer, with faster updates.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch: equal to rounding

What SB3 alone can do (`sb3_only`) is left to SB3's own classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from torch import Tensor

from agents.ppo.implementation import Fast, check_losses

MEASURED = 1000  # minibatches for one whose gradient's norms are logged


class OffPolicy(Fast, OffPolicyAlgorithm):
    """A fast form of an off-policy algorithm; SB3's own class is a later base class. Arguments as of `Fast`."""

    counted = "minibatches"
    logs_gradient_norm = True

    def law(self) -> Any:
        """What a minibatch does, with the present coefficients."""
        raise NotImplementedError

    def minibatch(self, update: Any, size: int, step: int) -> Tensor:
        """Learn from one minibatch, the `step`-th of this call of `train` -> the law's statistics."""
        raise NotImplementedError

    def measures(self, updates: int) -> bool:
        """Whether a minibatch's gradient norms are logged; `updates`: how many of this `train` came before it."""
        return (self._n_updates + updates + 1) % MEASURED == 0

    def is_current(self, update: Any) -> bool:
        return update.law == self.law() and update.holds()

    def count_updates(self, total_timesteps: int) -> int:
        steps = max(total_timesteps - self.learning_starts, 0)
        frequency: Any = self.train_freq
        if self.gradient_steps < 0:  # as many as steps of all environments
            return steps
        if not isinstance(frequency, int):
            if frequency.unit is not TrainFrequencyUnit.STEP:
                return 0  # it depends on the length of the episodes
            frequency = frequency.frequency
        return steps // (frequency * self.n_envs) * self.gradient_steps

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """`gradient_steps` minibatches; logs what SB3 logs.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        update = self.ready()
        update.begin()
        self._update_learning_rate(update.optimizers())
        statistics = []
        for step in range(gradient_steps):
            statistics.append(self.minibatch(update, batch_size, step))
            if self.measures(step):
                norms = update.parts.last()
                self.logger.record("train/gradient_norm", norms.norm().item())
                update.parts.log(self.logger, norms)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        columns = torch.stack(statistics).cpu().double().numpy().T
        self._log(dict(zip(update.law.statistics, columns, strict=True)))

    def _log(self, columns: dict[str, np.ndarray]) -> None:
        check_losses({key: column for key, column in columns.items() if key.endswith("loss")}, self.num_timesteps)
        for key, column in columns.items():
            self.logger.record(f"train/{key}", column.mean())
