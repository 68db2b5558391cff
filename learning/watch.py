"""What is not finite ends a run: a loss, a gradient, a parameter, a reward, an observation.

An optimizer's average of gradients is not finite once a gradient was not, so gradients need not be kept to be named.
Each update costs one sum over all trained parameters, which is finite only if each of them is; a name is looked for
only if the sum is not. Everything is looked through before each snapshot and evaluation, so none is made of a policy
that is not finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from agents.ppo.implementation import Diverged
from agents.saved.training import optimizers, tensors

AVERAGES = {"exp_avg": "gradient", "exp_avg_sq": "square of the gradient", "square_avg": "square of the gradient"}


class NotFinite(FloatingPointError):
    """A run met something that is not finite.

    Args:
        error: says what, when and where.
        steps: after which it was met.
        taken: those of the last snapshot; 0 if there is none.
        rollbacks: of the run so far.
        left: what the run leaves behind, in words.

    Attributes:
        learned: whether learning was the cause, rather than an environment.
    """

    def __init__(
        self, error: FloatingPointError, steps: int, taken: int, rollbacks: Sequence[Mapping[str, Any]], left: str
    ):
        super().__init__(f"{error}. {left}")
        self.reason, self.learned = str(error), isinstance(error, Diverged)
        self.steps, self.taken, self.rollbacks = steps, taken, rollbacks


class Watch(BaseCallback):
    """Ends learning where something is not finite; to be the first of the callbacks.

    Raises:
        Diverged: a loss, a gradient or a parameter is NaN or infinite.
        FloatingPointError: a reward is.
    """

    def _on_training_start(self) -> None:
        groups = [group for optimizer in optimizers(self.model).values() for group in optimizer.param_groups]
        self.trained = Memory([parameter for group in groups for parameter in group["params"]])
        self.updates = self.model._n_updates  # type: ignore[attr-defined]

    def _on_rollout_start(self) -> None:
        updates = self.model._n_updates  # type: ignore[attr-defined]
        if updates == self.updates:
            return
        self.updates = updates
        for name, value in self.logger.name_to_value.items():  # SB3's own classes look at none of them
            if name.startswith("train/") and name.endswith("loss") and not isfinite(value):
                raise Diverged(name.removeprefix("train/"), self.model.num_timesteps)
        if not isfinite(self.trained.total()):
            self.check()

    def _on_step(self) -> bool:
        rewards = self.locals["rewards"]
        if not isfinite(np.dot(rewards, rewards)):  # a sum of squares that are all finite may be infinite
            for i in np.flatnonzero(~np.isfinite(rewards)):
                raise FloatingPointError(
                    f"environment number {i} of 0 to {len(rewards) - 1} returned {rewards[i]} as reward, multiplied by "
                    f"env.reward_scale, after {self.num_timesteps:,} steps (seed {(self.model.seed or 0) + i})"
                )
        return True

    def check(self) -> None:
        """Raise Diverged if a gradient or a parameter is not finite."""
        name = bad_tensor(self.model)
        if name is not None:
            raise Diverged(name, self.model.num_timesteps)


class Memory:
    """The memory of tensors, of which many may share one block. They may be moved."""

    def __init__(self, tensors: Sequence[Tensor]):
        self.tensors = tensors
        self.places: list[int] = []
        self.blocks: list[Tensor] = []

    def total(self) -> float:
        """The sum of all its numbers; infinite or NaN if one of them is, or if they are too large to be added up."""
        places = [tensor.data_ptr() for tensor in self.tensors]
        if places != self.places:
            self.places = places
            first = {tensor.untyped_storage().data_ptr(): tensor for tensor in self.tensors}
            self.blocks = [
                torch.empty(0, dtype=t.dtype, device=t.device).set_(t.untyped_storage()) for t in first.values()
            ]
        return sum(block.sum() for block in self.blocks).item()  # type: ignore[union-attr]


def bad_tensor(model: BaseAlgorithm) -> str | None:
    """The name of a tensor of a model that holds NaN or infinity; None if all are finite."""
    names = {id(parameter): name for name, parameter in model.policy.named_parameters()}
    for name, optimizer in optimizers(model).items():
        for parameter in (each for group in optimizer.param_groups for each in group["params"]):
            for key, average in optimizer.state.get(parameter, {}).items():
                if key in AVERAGES and not average.isfinite().all():
                    return f"{AVERAGES[key]} of {names.get(id(parameter), name)}"
    found = ((name, tensor) for name, tensor in tensors(model).items() if tensor.is_floating_point())
    return next((name for name, tensor in found if not tensor.isfinite().all()), None)
