"""A symmetric policy without its symmetry: the same outputs from nn.Linear and nn.Conv2d alone.

An equivariant layer is an ordinary one whose weight is gathered from fewer numbers, so it can be written out. Acting
then costs what an MLP's does, and `save_plain` writes a file that torch alone reads.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

import symmetry
from agents.diagnostics import outputs
from agents.saved.policy import Policy


def to_plain(policy: Policy) -> Policy:
    """A copy of a policy whose every equivariant layer is an ordinary one with the same weights: f'(s) = f(s).

    It shares nothing with the original, and training it would leave the symmetry behind.
    """
    # the last distribution that SB3 made holds the graph of a minibatch, which cannot be copied
    last = getattr(getattr(policy.module, "action_dist", None), "distribution", None)
    module: Any = symmetry.to_plain(copy.deepcopy(policy.module, {id(last): None}))
    for critic in (part for part in module.modules() if hasattr(part, "q_networks")):
        critic.q_networks = [getattr(critic, f"qf{i}") for i in range(len(critic.q_networks))]  # SB3 keeps a list too
    return Policy(policy.spec, module)


class Greedy(nn.Module):
    """Raw observations -> the greedy actions of a policy, normalization included; a module that can be traced."""

    def __init__(self, policy: Policy):
        super().__init__()
        self.policy = policy.module
        self.statistics = policy.spec["normalization"]

    def forward(self, observation: Any) -> Tensor:
        policy: Any = self.policy
        if self.statistics is not None:
            mean, variance = (torch.tensor(self.statistics[key]).double() for key in ("mean", "variance"))
            standard = (observation - mean) / torch.sqrt(variance + self.statistics["epsilon"])
            observation = standard.clamp(-self.statistics["clip"], self.statistics["clip"]).float()
        actions = policy._predict(observation, deterministic=True)
        if not isinstance(policy.action_space, spaces.Box):
            return actions
        low, high = (torch.as_tensor(bound) for bound in (policy.action_space.low, policy.action_space.high))
        return low + 0.5 * (actions + 1) * (high - low) if policy.squash_output else actions.clamp(low, high)


def save_plain(policy: Policy, file: str | Path, observation: Any) -> Path:
    """Write the plain policy's greedy actions as TorchScript: `torch.jit.load(file)(observations)` needs torch alone.

    Args:
        observation: an example batch of observations, as arrays.

    Raises:
        ValueError: a policy with memory, or one that cannot be traced.
    """
    if not outputs(policy, observation):
        raise ValueError("a policy with memory cannot be saved as a function of the observation")
    module = Greedy(to_plain(policy)).eval().requires_grad_(False)
    example = policy.module.obs_to_tensor(observation)[0]
    with torch.no_grad():
        torch.jit.trace(module, (example,), check_trace=False).save(str(file))
    return Path(file)
