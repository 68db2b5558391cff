"""What can be seen of a policy: how far it is from a symmetry, states that force ties, what a transformer attends to.

    error = max over g, states and outputs h of |h(φ(g)s) - ψ_h(g) h(s)| / max(1, |h(s)|)

It is 0 up to rounding for equivariant heads, and whatever was learned for other policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from torch import Tensor

from agents.saved.policy import Policy
from encoders.average import observe
from encoders.base import describe, kind_of
from encoders.transformer import Transformer
from symmetry import Symmetry

ACTS, SCALES, SAME = "acts", "scales", "same"  # how an output transforms: by ψ, by |ψ|, not at all


@torch.no_grad()
def outputs(policy: Policy, states: Any, actions: Tensor | None = None) -> dict[str, tuple[str, Tensor]]:
    """What every head says of a batch of observations: name -> (how it transforms, tensor), target networks too.

    Computed in the type of the policy's parameters. Logits are normalized to log-probabilities. Empty for policies with
    memory, whose outputs are no function of the observation.

    Args:
        actions: where a continuous critic is asked; default: the actor's own, tanh(mean).
    """
    module: Any = policy.module
    if isinstance(module, RecurrentActorCriticPolicy):
        return {}
    dtype = next(module.parameters()).dtype
    ready = as_encoded(policy, states)
    obs = {key: part.to(dtype) for key, part in ready.items()} if isinstance(ready, Mapping) else ready.to(dtype)
    if isinstance(module, ActorCriticPolicy):
        output = module.action_net(module.mlp_extractor.forward_actor(module.pi_features_extractor(obs)))
        values = module.value_net(module.mlp_extractor.forward_critic(module.vf_features_extractor(obs)))
        if isinstance(module.action_space, spaces.Discrete):
            return {"log_probs": (ACTS, output.log_softmax(-1)), "value": (SAME, values)}
        found = {"mean": (ACTS, output), "value": (SAME, values)}
        if not module.use_sde and isinstance(module.action_space, spaces.Box):
            found["log_std"] = (SCALES, module.log_std.detach().expand_as(output))
        return found
    if hasattr(module, "q_net"):
        networks = {"q": module.q_net, "target": module.q_net_target}
        return {name: (ACTS, net.q_net(net.features_extractor(obs))) for name, net in networks.items()}
    if hasattr(module, "quantile_net"):
        networks = {"quantiles": module.quantile_net, "target": module.quantile_net_target}
        shape = (-1, module.n_quantiles, int(module.action_space.n))
        return {
            name: (ACTS, net.quantile_net(net.features_extractor(obs)).reshape(shape)) for name, net in networks.items()
        }
    found = {}
    for name in ("actor", "actor_target"):
        if hasattr(module, name):
            actor = getattr(module, name)
            latent = getattr(actor, "latent_pi", torch.nn.Identity())(actor.features_extractor(obs))
            found[name] = (ACTS, actor.mu(latent))
            if hasattr(actor, "latent_pi") and not actor.use_sde:
                found["log_std"] = (SCALES, actor.log_std(latent))
    taken = torch.tanh(found["actor"][1]) if actions is None else actions.to(dtype)
    for name in ("critic", "critic_target"):
        critic = getattr(module, name)
        inputs = torch.cat([critic.features_extractor(obs), taken], dim=1)
        found |= {f"{name}{i}": (SAME, network(inputs)) for i, network in enumerate(critic.q_networks)}
    return found


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
    unsigned, taken = symmetry.action.unsigned(), None
    for g in range(1, symmetry.group.order):
        twins = transformed(symmetry, g, states)
        if "actor" in here:
            taken = symmetry.action(g, torch.tanh(here["actor"][1]))
        for name, (_, there) in outputs(policy, twins, taken).items():
            kind, output = here[name]
            expected = {ACTS: symmetry.action, SCALES: unsigned}[kind](g, output) if kind != SAME else output
            worst = max(worst, float(((there - expected).abs() / expected.abs().clamp_min(1)).max()))
    return worst if here else None


def forced_ties(symmetry: Symmetry, states: Any) -> float:
    """The share of observations with φ(g)s = s for some g whose ψ(g) moves actions.

    A policy that obeys the symmetry must give the actions that ψ(g) exchanges equal probability there.
    """
    identity = torch.eye(symmetry.action.size, dtype=torch.float64)
    parts = states if isinstance(states, Mapping) else {"observation": states}
    tied = np.zeros(len(next(iter(parts.values()))), bool)
    for g in range(1, symmetry.group.order):
        if torch.equal(symmetry.action(g, identity), identity):
            continue
        twins = transformed(symmetry, g, states)
        moved = twins if isinstance(twins, Mapping) else {"observation": twins}
        same = [(moved[key] == parts[key]).reshape(len(tied), -1).all(1) for key in parts]
        tied |= np.logical_and.reduce(same)
    return float(tied.mean())


def transformed(symmetry: Symmetry, g: int, states: Any) -> Any:
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
