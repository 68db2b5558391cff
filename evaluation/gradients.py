"""Gradient norms of SB3's own algorithms; those of this project log them themselves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback


class GradientNorm(BaseCallback):
    """Logs the gradient's norm before clipping, for the first minibatch of an update, once in `every` steps at most.

    The parameters have hooks during that minibatch only, so all others run at full speed. A model that logs the norm
    itself (`logs_gradient_norm`) is left alone.
    """

    def __init__(self, every: int = 1000):
        super().__init__()
        self.every, self.next = every, 0
        self.squares: list[torch.Tensor] = []
        self.seen: set[int] = set()  # the parameters, by number, whose gradient was measured
        self.hooks: list[Any] = []

    def saved(self) -> dict[str, Any]:
        """What was measured of an update that lasts."""
        squares = [square.cpu().numpy() for square in self.squares]
        return {"next": self.next, "squares": squares, "seen": sorted(self.seen), "open": bool(self.hooks)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `saved`."""
        self.next, self.seen = state["next"], set(state["seen"])
        self.squares = [torch.from_numpy(square).to(self.model.device) for square in state["squares"]]
        if state["open"]:
            self._watch()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.squares:
            self.logger.record("train/gradient_norm", float(torch.stack(self.squares).sum().sqrt()))
            self.squares = []
        if self.num_timesteps >= self.next and not self.hooks and not getattr(self.model, "logs_gradient_norm", False):
            self.next, self.seen = self.num_timesteps + self.every, set()
            self._watch()

    def _watch(self) -> None:
        def record(number: int, parameter: torch.Tensor) -> None:
            if number in self.seen:  # the second minibatch begins
                self._remove()
            elif parameter.grad is not None:
                self.seen.add(number)
                self.squares.append(parameter.grad.detach().square().sum())

        trained = [parameter for parameter in self.model.policy.parameters() if parameter.requires_grad]
        self.hooks = [p.register_post_accumulate_grad_hook(partial(record, i)) for i, p in enumerate(trained)]

    def _on_training_end(self) -> None:
        self._remove()

    def _remove(self) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
