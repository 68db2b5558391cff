"""How a fast form of an SB3 algorithm computes: eagerly, or with compiled graphs; and its `auto` rules."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

log = logging.getLogger(__name__)


class Diverged(FloatingPointError):
    """A tensor of learning is not finite.

    Args:
        tensor: its name.
        steps: after which it was found.
    """

    def __init__(self, tensor: str, steps: int):
        super().__init__(f"learning diverged: {tensor} is not finite after {steps:,} steps; try a lower learning rate")


def check_losses(losses: Mapping[str, Any], steps: int) -> None:
    """Check what an update measured.

    Args:
        losses: the values of all its minibatches, by name, the sum of losses last: it is not finite if one of them is.

    Raises:
        Diverged: one is NaN or infinite.
    """
    for name, values in losses.items():
        if not np.isfinite(values).all():
            raise Diverged(name, steps)


class Fast(BaseAlgorithm):
    """A fast form of an SB3 algorithm, on- or off-policy; SB3's own class is a later base class.

    Args:
        implementation: one of `implementations`; "auto": compiled on a CPU with a C++ compiler if the run has `repaid`
            updates or more and the encoder can be traced, else eager; decided when `learn` is called.
        args, kwargs: SB3's.

    Attributes:
        implementations: what `implementation` may be.
        repaid: the number of updates from which on "auto" compiles them.
        counted: what the updates are called in messages.

    Raises:
        ValueError: an option that only SB3's class has.
    """

    implementations: ClassVar[tuple[str, ...]] = ("auto", "sb3", "eager", "compiled")
    repaid: ClassVar[int]
    counted: ClassVar[str] = "minibatch steps"

    def __init__(self, *args: Any, implementation: str = "auto", **kwargs: Any):
        if implementation not in self.implementations or implementation == "sb3":
            raise ValueError(f"agent.implementation is {', '.join(self.implementations)}; got {implementation!r}")
        self.implementation = implementation
        self.update: Any = None
        super().__init__(*args, **kwargs)

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        """Why these options need SB3's own class; None if they do not."""
        raise NotImplementedError

    def encoder(self) -> nn.Module:
        """The encoder of the network that acts."""
        raise NotImplementedError

    def count_updates(self, total_timesteps: int) -> int:
        """How many updates a run of this length has; 0 where that is not known."""
        raise NotImplementedError

    def is_current(self, update: Any) -> bool:
        """Whether an update still has the present networks and coefficients, which a callback may have changed."""
        raise NotImplementedError

    def new_update(self) -> Any:
        """The eager update of the present networks."""
        raise NotImplementedError

    def new_compiled_update(self) -> Any:
        """The compiled update of the present networks.

        Raises:
            Exception: a network cannot be traced (the message says why), or compiling failed.
        """
        raise NotImplementedError

    def _setup_model(self) -> None:
        reason = self.sb3_only(vars(self), self.action_space)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation} cannot do {reason}; use sb3 (or auto)")
        super()._setup_model()  # type: ignore[safe-super]

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update"]

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        """SB3's."""
        self.decide(total_timesteps)
        return super().learn(total_timesteps, *args, **kwargs)  # type: ignore[safe-super]

    def decide(self, total_timesteps: int) -> str:
        """Settle what is `auto` for a run of this length; returns the reason for the implementation.

        Raises:
            ValueError: what was chosen cannot be done.
        """
        if self.implementation == "compiled":
            self.ready()  # fails here, before anything is collected, if it cannot be compiled
        if self.implementation != "auto":
            return "as chosen"
        updates = self.count_updates(total_timesteps)
        if "compiled" not in self.implementations:
            reason = "the only fast form"
        elif self.device.type != "cpu":
            reason = "compiled graphs have not been measured on this device"
        elif updates < self.repaid:
            reason = f"{updates:,} {self.counted} do not repay the compiling"
        else:
            try:
                self.update = self._compiled()
                self.implementation = "compiled"
                return f"{updates:,} {self.counted} repay the compiling"
            except ValueError as error:
                reason = str(error)
                log.warning("agent.implementation=eager: %s", reason)
        self.implementation = "eager"
        return reason

    def ready(self) -> Any:
        """The update of the present networks and coefficients."""
        if self.update is None or not self.is_current(self.update):
            if self.implementation == "compiled":
                try:
                    self.update = self._compiled()
                except ValueError as error:
                    raise ValueError(f"agent.implementation=compiled: {error}; use eager") from error
            else:
                self.update = self.new_update()
        return self.update

    def _compiled(self) -> Any:
        """The compiled update; a ValueError says why there is none."""
        from agents.ppo.compiled import compiler  # takes a while to import

        if self.device.type == "cpu" and compiler() is None:
            raise ValueError("there is no C++ compiler (g++ or clang++)")
        log.warning("compiling the minibatch step (10 to 60 s; kept on disk for the next run like it)")
        try:
            return self.new_compiled_update()
        except Exception as error:  # whatever the encoder does that cannot be traced
            encoder = type(self.encoder()).__name__
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the encoder {encoder} cannot be traced: {why}") from error


def check_distinct(distinct: bool | str) -> None:
    """Raise a ValueError unless this is a value of the option `distinct`."""
    if distinct not in ("auto", True, False):
        raise ValueError(f"agent.distinct is auto, true or false; got {distinct!r}")


def settled_distinct(distinct: bool | str, reason: str | None, device: torch.device) -> bool:
    """`distinct` with "auto" settled: on a CPU, if it is possible.

    Args:
        distinct: the option.
        reason: why it is impossible, or does not pay; None if it is possible and pays.
        device: the training device.

    Raises:
        ValueError: it was asked for, and is impossible.
    """
    if distinct is True and reason:
        raise ValueError(f"agent.distinct=true is not possible here: {reason}")
    return reason is None and device.type == "cpu" if distinct == "auto" else bool(distinct)
