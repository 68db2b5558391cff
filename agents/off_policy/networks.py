"""Networks on one flat vector each: a step of Adam, or of a target, is a few operations.

The vectors are laid out alike in a network and its target (agents/ppo/flat_adam.py), and the modules' own parameters
are views of them: SB3's files, `policy.state_dict()` and evaluations see nothing of it.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.utils import get_parameters_by_name, polyak_update
from torch import Tensor, nn

from agents.ppo.flat_adam import FlatAdam


class Trained:
    """A network and the Adam that trains it, in place.

    Args:
        module: the network.
        optimizer: SB3's, of its parameters.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer):
        self.module, self.optimizer = module, optimizer
        self.adam = FlatAdam(optimizer, [*module.parameters(), *module.buffers()])  # type: ignore[list-item]

    def __call__(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def learn(self, loss: Tensor, max_norm: float | None = None) -> None:
        """One step of Adam; a gradient longer than `max_norm` is shortened to it."""
        gradients = torch.autograd.grad(loss, self.adam.parameters, allow_unused=True)
        with torch.no_grad():
            self.adam.step(gradients, max_norm)

    def holds(self) -> bool:
        """Whether the network still lives in these vectors. `load` and `to` replace all of them, or none."""
        first, (mean, _) = self.adam.parameters[0], self.adam.moments
        state = self.optimizer.state.get(first) or {}
        pairs = ((first, self.adam.flat), (state.get("exp_avg", first), mean))
        return all(one.data_ptr() == other.data_ptr() for one, other in pairs)


class Following:
    """A network whose parameters follow those of another, in place.

    Args:
        module: the network.
        leader: the one it follows, of the same architecture.
    """

    def __init__(self, module: nn.Module, leader: Trained):
        self.module, self.leader = module, leader
        own = {id(p): q for p, q in zip(leader.module.parameters(), module.parameters(), strict=True)}
        self.parameters = [own[id(parameter)] for parameter in leader.adam.parameters]
        self.flat = leader.adam.joined([parameter.data for parameter in self.parameters])
        for parameter, view in zip(self.parameters, leader.adam.views(self.flat), strict=True):
            parameter.data = view
        self.led, self.statistics = (get_parameters_by_name(each, ["running_"]) for each in (leader.module, module))

    def __call__(self, *inputs: Any) -> Any:
        return self.module(*inputs)

    def follow(self, tau: float) -> None:
        with torch.no_grad():
            torch.add(self.flat.mul_(1 - tau), self.leader.adam.flat, alpha=tau, out=self.flat)
        polyak_update(self.led, self.statistics, 1.0)

    def holds(self) -> bool:
        """Whether the network still lives in this vector."""
        return self.parameters[0].data_ptr() == self.flat.data_ptr()
