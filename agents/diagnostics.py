"""Measurements of a policy: how far it is from a symmetry, states that force ties, what a transformer attends to.

    error = max over g, states and outputs h of |h(φ(g)s) - ψ_h(g) h(s)| / max(1, |h(s)|)

It is 0 up to rounding for equivariant heads; other policies may have learned anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.preprocessing import preprocess_obs
from torch import Tensor

from agents.heads import Outputs, transformed
from agents.saved.policy import Policy
from encoders.average import observe
from encoders.base import describe, kind_of
from encoders.transformer import Transformer
from symmetry import Symmetry


@torch.no_grad()
def outputs(policy: Policy, states: Any, actions: Tensor | None = None) -> Outputs:
    """The outputs of every head on a batch of (raw) observations, target networks included: `agents.heads`.

    Computed in the type of the policy's parameters. Empty for policies with memory.
    """
    module: Any = policy.module
    dtype = next(module.parameters()).dtype
    ready = as_encoded(policy, states)
    obs = {key: part.to(dtype) for key, part in ready.items()} if isinstance(ready, Mapping) else ready.to(dtype)
    features = {name: encoder(obs) for name, encoder in module.encoders().items()}
    return module.heads(features, None if actions is None else actions.to(dtype))


def as_encoded(policy: Policy, states: Any) -> Any:
    """A batch of observations as the policy hands it to its encoder."""
    module = policy.module
    raw = module.obs_to_tensor(policy.normalize(states))[0]
    return preprocess_obs(raw, module.observation_space, normalize_images=module.normalize_images)


@torch.no_grad()
def equivariance_error(policy: Policy, symmetry: Symmetry, states: Any) -> float | None:
    """The largest violation of the law over these (raw) observations; None for policies with memory."""
    policy.module.set_training_mode(False)
    here, worst = outputs(policy, states), 0.0
    for g in range(1, symmetry.group.order):
        twins = twin_states(symmetry, g, states)
        actions = symmetry.action(g, torch.tanh(here["actor"][1])) if "actor" in here else None
        for name, (how, there) in outputs(policy, twins, actions).items():
            expected = transformed(symmetry, how, g, here[name][1])
            worst = max(worst, float(((there - expected).abs() / expected.abs().clamp_min(1)).max()))
    return worst if here else None


def forced_ties(symmetry: Symmetry, states: Any) -> float:
    """The share of observations with φ(g)s = s for some g whose ψ(g) permutes actions.

    A policy that obeys the symmetry must give the actions that ψ(g) exchanges equal probability there.
    """
    identity = torch.eye(symmetry.action.size, dtype=torch.float64)
    parts = states if isinstance(states, Mapping) else {"observation": states}
    tied = np.zeros(len(next(iter(parts.values()))), bool)
    for g in range(1, symmetry.group.order):
        if torch.equal(symmetry.action(g, identity), identity):
            continue
        twins = twin_states(symmetry, g, states)
        moved = twins if isinstance(twins, Mapping) else {"observation": twins}
        same = [(moved[key] == parts[key]).reshape(len(tied), -1).all(1) for key in parts]
        tied |= np.logical_and.reduce(same)
    return float(tied.mean())


def twin_states(symmetry: Symmetry, g: int, states: Any) -> Any:
    """φ(g) of a batch of observations that are arrays."""
    if not isinstance(states, Mapping):
        return observe(symmetry, g, torch.as_tensor(states)).numpy()
    twins = observe(symmetry, g, {key: torch.as_tensor(part) for key, part in states.items()})
    return {key: part.numpy() for key, part in twins.items()}


def transformer_of(policy: Policy) -> Transformer:
    """The transformer through which a policy reads a grid.

    Raises:
        ValueError: it has another encoder, or reads vectors.
    """
    found = next((module for module in policy.module.modules() if isinstance(module, Transformer)), None)
    if found is None:
        encoder = policy.spec["encoder"]["class"]
        raise ValueError(f"attention maps need a policy with encoder=transformer; this one has {encoder}")
    if kind_of(policy.observation_space) != "grid":
        raise ValueError(
            f"attention maps are drawn over a grid; this policy reads {describe(policy.observation_space)}"
        )
    return found


@torch.no_grad()
def attention(policy: Policy, states: Any) -> dict[str, np.ndarray]:
    """`Transformer.attention` of a policy's transformer on a batch of (raw) observations.

    Raises:
        ValueError: as `transformer_of`.
    """
    maps = transformer_of(policy).attention(as_encoded(policy, states))
    return {key: part.cpu().numpy() for key, part in maps.items()}
