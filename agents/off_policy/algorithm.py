"""What FastDQN, FastQRDQN, FastSAC and FastTD3 share: SB3's algorithm and replay buffer, with faster updates.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch: equal to rounding

What SB3 alone can do (`sb3_only`) is left to SB3's own classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from torch import Tensor, nn

log = logging.getLogger(__name__)

IMPLEMENTATIONS = ("auto", "sb3", "eager", "compiled")


class OffPolicy(OffPolicyAlgorithm):
    """A fast form of an off-policy algorithm; SB3's own class is the second base class.

    Args:
        implementation: "eager", "compiled", or "auto": compiled on a CPU with a C++ compiler if the run has `repaid`
            minibatches or more and the networks can be traced, else eager; decided when `learn` is called.
        args, kwargs: SB3's.

    Attributes:
        repaid: the number of minibatches from which on "auto" compiles them.

    Raises:
        ValueError: an option that only SB3's class has.
    """

    repaid: ClassVar[int]

    def __init__(self, *args: Any, implementation: str = "auto", **kwargs: Any):
        if implementation not in IMPLEMENTATIONS or implementation == "sb3":
            raise ValueError(f"agent.implementation is {', '.join(IMPLEMENTATIONS)}; got {implementation!r}")
        self.implementation = implementation
        self.update: Any = None
        super().__init__(*args, **kwargs)

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        """Why these options need SB3's own class; None if they do not."""
        raise NotImplementedError

    def _setup_model(self) -> None:
        reason = self.sb3_only(vars(self), self.action_space)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation} cannot do {reason}; use sb3 (or auto)")
        super()._setup_model()

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update"]

    def law(self) -> Any:
        """What a minibatch does, with the present coefficients."""
        raise NotImplementedError

    def encoder(self) -> nn.Module:
        """The encoder of the network that acts."""
        raise NotImplementedError

    def new_update(self) -> Any:
        """The eager update of the present networks."""
        raise NotImplementedError

    def new_compiled_update(self) -> Any:
        """The compiled update of the present networks, ready for minibatches.

        Raises:
            Exception: a network cannot be traced (the message says why), or compiling failed.
        """
        raise NotImplementedError

    def minibatch(self, update: Any, size: int, step: int) -> Tensor:
        """Learn from one minibatch, the `step`-th of this call of `train` -> the law's statistics."""
        raise NotImplementedError

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        """SB3's."""
        self.decide(total_timesteps)
        return super().learn(total_timesteps, *args, **kwargs)

    def decide(self, total_timesteps: int) -> str:
        """Settle what is `auto` for a run of this length; returns the reason for the implementation.

        Raises:
            ValueError: implementation="compiled", and that cannot be done.
        """
        if self.implementation == "compiled":
            self.ready()  # fails here, before anything is collected, if it cannot be compiled
        if self.implementation != "auto":
            return "as chosen"
        updates = self._updates_of(total_timesteps)
        if self.device.type != "cpu":
            reason = "compiled graphs have not been measured on this device"
        elif updates < self.repaid:
            reason = f"{updates:,} minibatches do not repay the compiling"
        else:
            try:
                self.update = self._compiled()
                self.implementation = "compiled"
                return f"{updates:,} minibatches repay the compiling"
            except ValueError as error:
                reason = str(error)
                log.warning("agent.implementation=eager: %s", reason)
        self.implementation = "eager"
        return reason

    def _updates_of(self, total_timesteps: int) -> int:
        """How many minibatches a run of this length has; 0 where that depends on the length of its episodes."""
        steps = max(total_timesteps - self.learning_starts, 0)
        frequency: Any = self.train_freq
        if self.gradient_steps < 0:  # as many as steps of one environment
            return steps // self.n_envs
        if not isinstance(frequency, int):
            if frequency.unit is not TrainFrequencyUnit.STEP:
                return 0
            frequency = frequency.frequency
        return steps // (frequency * self.n_envs) * self.gradient_steps

    def ready(self) -> Any:
        """The update of the present networks and coefficients: a callback may have changed them."""
        update = self.update
        if update is None or update.law != self.law() or not update.holds():
            if self.implementation == "compiled":
                try:
                    update = self._compiled()
                except ValueError as error:
                    raise ValueError(f"agent.implementation=compiled: {error}; use eager") from error
            else:
                update = self.new_update()
            self.update = update
        return update

    def _compiled(self) -> Any:
        """The compiled update; a ValueError says why there is none."""
        from agents.ppo.compiled import compiler  # takes a while to import

        if self.device.type == "cpu" and compiler() is None:
            raise ValueError("there is no C++ compiler (g++ or clang++)")
        log.warning("compiling a minibatch's step (20 to 60 s; kept on disk for the next run like it)")
        try:
            return self.new_compiled_update()
        except Exception as error:  # whatever the encoder does that cannot be traced
            encoder = type(self.encoder()).__name__
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the encoder {encoder} cannot be traced: {why}") from error

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """`gradient_steps` minibatches; logs what SB3 logs.

        Raises:
            FloatingPointError: the loss is not a number any more, so neither is any parameter.
        """
        update = self.ready()
        update.begin()
        self._update_learning_rate(update.optimizers())
        statistics = [self.minibatch(update, batch_size, step) for step in range(gradient_steps)]
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        columns = torch.stack(statistics).cpu().double().numpy().T
        self._log(dict(zip(update.law.statistics, columns, strict=True)))

    def _log(self, columns: dict[str, np.ndarray]) -> None:
        for key, column in columns.items():
            if key.endswith("loss") and np.isnan(column[-1]):
                after = f"the loss is not a number after {self.num_timesteps:,} steps"
                raise FloatingPointError(f"learning diverged: {after}; try a lower learning rate")
            self.logger.record(f"train/{key}", column.mean())
