"""Gradient norms of SB3's own algorithms; those of this project log them themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn


class GradientNorm(BaseCallback):
    """Logs the norm of the gradient, and of each of its parts, before clipping.

    It is that of the first minibatch of an update, once in `every` steps at most. The parameters have hooks during that
    minibatch only, so all others run at full speed. A model that logs the norms itself (`logs_gradient_norm`) is left
    alone.

    Args:
        parts_of: the part of each parameter of a policy, by its name.
        every: see above.
    """

    def __init__(self, parts_of: Callable[[nn.Module], Mapping[str, str]], every: int = 1000):
        super().__init__()
        self.parts_of, self.every, self.next = parts_of, every, 0
        self.squares: list[torch.Tensor] = []
        self.seen: dict[int, None] = {}  # the parameters, by number, whose gradient was measured, in that order
        self.hooks: list[Any] = []

    def saved(self) -> dict[str, Any]:
        """What was measured of an update that lasts."""
        squares = [square.cpu().numpy() for square in self.squares]
        return {"next": self.next, "squares": squares, "seen": [*self.seen], "open": bool(self.hooks)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `saved`."""
        self.next, self.seen = state["next"], dict.fromkeys(state["seen"])
        self.squares = [torch.from_numpy(square).to(self.model.device) for square in state["squares"]]
        if state["open"]:
            self._watch()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.squares:
            self._log()
        if self.num_timesteps >= self.next and not self.hooks and not getattr(self.model, "logs_gradient_norm", False):
            self.next, self.seen = self.num_timesteps + self.every, {}
            self._watch()

    def _log(self) -> None:
        parts, names = self.parts_of(self.model.policy), [name for name, _ in self._trained()]
        squares = torch.stack(self.squares).tolist()
        sums: dict[str, float] = {}
        for number, square in zip(self.seen, squares, strict=True):
            part = parts[names[number]]
            sums[part] = sums.get(part, 0.0) + square
        self.logger.record("train/gradient_norm", sum(squares) ** 0.5)
        for part, total in sums.items():
            self.logger.record(f"train/gradient_norm/{part}", total**0.5)
        self.squares = []

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [each for each in self.model.policy.named_parameters() if each[1].requires_grad]

    def _watch(self) -> None:
        def record(number: int, parameter: torch.Tensor) -> None:
            if number in self.seen:  # the second minibatch begins
                self._remove()
            elif parameter.grad is not None:
                self.seen[number] = None
                self.squares.append(parameter.grad.detach().square().sum())

        trained = enumerate(self._trained())
        self.hooks = [p.register_post_accumulate_grad_hook(partial(record, i)) for i, (_, p) in trained]

    def _on_training_end(self) -> None:
        self._remove()

    def _remove(self) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
