"""A symmetric policy without its symmetry: the same outputs from nn.Linear and nn.Conv2d alone.

An equivariant layer is an ordinary one whose weight is gathered from fewer numbers, so it can be written out. Acting
then costs what an MLP's does, and `save_plain` writes a file that torch alone reads.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

import symmetry
from agents.diagnostics import outputs
from agents.saved.policy import Policy
from encoders.layers.stem import CONTEXT_KEYS
from storage.durable import write_file

NEARLY = 1e-4  # relative difference that rounding may leave between a network and its trace


def to_plain(policy: Policy) -> Policy:
    """A copy of a policy whose every equivariant layer is an ordinary one with the same weights: f'(s) = f(s).

    It shares nothing with the original, and training it would break the symmetry.
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

    The file takes batches of any size. Before it is written, its actions are compared with `policy.predict` on batches
    of other sizes, with other missions up to the longest.

    Args:
        observation: an example batch of observations, as arrays.

    Raises:
        ValueError: a policy with memory, or one whose trace does not act as the policy does; nothing is written.
    """
    if not outputs(policy, observation):
        raise ValueError("a policy with memory cannot be saved as a function of the observation")
    plain = to_plain(policy)
    plain.module.to("cpu")
    module = Greedy(plain).eval().requires_grad_(False)
    with torch.no_grad(), warnings.catch_warnings():
        # each warns of what a trace may freeze, which the comparison below finds out
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(module, (as_tensors(plain, observation),), check_trace=False)
        for other in other_batches(policy.observation_space, observation):
            compare(policy, other, traced, as_tensors(plain, other))
    write_file(Path(file), traced.save_to_buffer())
    return Path(file)


def as_tensors(policy: Policy, observation: Any) -> Any:
    """A batch of observations as the file takes it."""
    return policy.module.obs_to_tensor(observation)[0]


def other_batches(space: spaces.Space, observation: Any) -> list[Any]:
    """Two batches unlike the example of n observations: the first alone, and 2n + 1 in reverse with other contexts.

    Directions and carried objects are drawn at random, missions too, with 1, 2, ... words up to the most that fit.
    """
    parts = observation if isinstance(observation, Mapping) else {"observation": observation}
    count = len(next(iter(parts.values())))
    rows, random = np.arange(2 * count + 1, 0, -1) % count, np.random.default_rng(0)
    more = {key: np.asarray(part)[rows] for key, part in parts.items()}
    for key in CONTEXT_KEYS:
        if key in more:
            box = space[key]  # type: ignore[index]
            lowest = 1 if key == "mission" else box.low
            drawn = random.integers(lowest, box.high.astype(np.int64) + 1, more[key].shape)
            if key == "mission":
                words = np.arange(1, drawn.shape[-1] + 1)
                lengths = np.linspace(1, drawn.shape[-1], len(rows)).round().reshape(-1, *[1] * (drawn.ndim - 1))
                drawn = np.where(words <= lengths, drawn, 0)
            more[key] = drawn.astype(more[key].dtype)
    if isinstance(observation, Mapping):
        return [{key: np.asarray(part)[:1] for key, part in parts.items()}, more]
    return [observation[:1], more["observation"]]


def compare(policy: Policy, observation: Any, traced: Any, tensors: Any) -> None:
    """Raise ValueError unless the trace acts as the policy does, where rounding does not decide between two actions."""
    expected = policy.predict(observation, deterministic=True)[0]
    encoder = policy.spec["encoder"]["class"]
    try:
        actions = traced(tensors).numpy().reshape(expected.shape)
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"the policy cannot be exported: traced, its encoder {encoder} fails on a batch of {len(expected)}: {why}"
        ) from error
    if isinstance(policy.action_space, spaces.Box):
        wrong = ~np.isclose(actions, expected, rtol=NEARLY, atol=NEARLY).reshape(len(expected), -1).all(1)
    else:
        wrong = (actions != expected).reshape(len(expected), -1).any(1)
    if isinstance(policy.action_space, spaces.Discrete) and wrong.any():
        wrong &= ~equally_good(policy, observation, actions, expected)
    if wrong.any():
        raise ValueError(
            f"the policy cannot be exported: traced, its encoder {encoder} acts otherwise in {wrong.sum()} of "
            f"{len(wrong)} observations that were not in the example"
        )


def equally_good(policy: Policy, observation: Any, actions: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each observation, whether a policy with discrete actions prefers neither of two actions, but for rounding."""
    kind, values = next(iter(outputs(policy, observation).items()))
    scores = values[1].mean(1) if kind == "quantiles" else values[1]
    one, other = (
        scores.gather(1, torch.as_tensor(each).to(scores.device)[:, None])[:, 0] for each in (actions, others)
    )
    return ((one - other).abs() <= NEARLY * other.abs().clamp_min(1)).cpu().numpy()
