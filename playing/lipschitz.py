"""How far a policy's output can move when its observation moves: its Lipschitz constant, from below and from above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from agents.diagnostics import as_encoded
from analysis.cells import as_function, input_of
from analysis.lipschitz import gradient_norms, upper_bound

if TYPE_CHECKING:
    from agents import Policy

AT_ONCE = 128  # observations whose gradients are held at a time


def actor_of(policy: Policy, option: str = "lipschitz") -> tuple[str, nn.Sequential]:
    """What the policy chooses its actions by, in words, and the network that computes it from encoded observations.

    Args:
        option: of `evaluate.py`, which an error names.

    Raises:
        ValueError: a policy with memory.
    """
    module: Any = policy.module
    if not module.encoders():
        raise ValueError(f"{option}= needs a policy without memory: this one's outputs depend on the episode so far")
    if isinstance(module, ActorCriticPolicy):
        kind = "logits" if hasattr(policy.action_space, "n") else "means of the actions"
        return kind, nn.Sequential(module.pi_features_extractor, module.mlp_extractor.policy_net, module.action_net)
    for kind, network in (("Q values", "q_net"), ("quantiles", "quantile_net")):
        if hasattr(module, network):
            net = getattr(module, network)
            return kind, nn.Sequential(net.features_extractor, getattr(net, network))
    actor = module.actor
    layers = [actor.latent_pi, actor.mu, nn.Tanh()] if hasattr(actor, "latent_pi") else [actor.mu]
    return "actions in [-1, 1]", nn.Sequential(actor.features_extractor, *layers)


def lipschitz(policy: Policy, states: Any) -> dict[str, Any]:
    """Both bounds of a policy's Lipschitz constant, as `evaluate.py` writes them.

    Args:
        states: (raw) observations that it met; the lower bound is over them.

    Raises:
        ValueError: a policy with memory, or one that turns the codes of a grid before it reads them.
    """
    output, network = actor_of(policy)
    policy.module.set_training_mode(False)
    found: dict[str, Any] = {
        "of": output,
        "to": input_of(policy.observation_space),
        "states": 0,
        "lower": 0.0,
        "upper": None,
    }
    observations = as_encoded(policy, states)
    number = len(next(iter(observations.values())) if isinstance(observations, dict) else observations)
    for rows in torch.arange(number).split(AT_ONCE):
        some = {k: v[rows] for k, v in observations.items()} if isinstance(observations, dict) else observations[rows]
        function, x = as_function(network, some)
        found["states"] += len(x)
        found["lower"] = max(found["lower"], float(gradient_norms(function, x).max()))
    try:
        found["upper"] = upper_bound(network, x.shape[1:])
    except ValueError as error:
        found["why_no_upper"] = str(error)
    return found


def lipschitz_line(found: dict[str, Any]) -> str:
    """The bounds in words."""
    lower, upper = found["lower"], found["upper"]
    above = f"at most {upper:.4g} everywhere" if upper is not None else found["why_no_upper"]
    return (
        f"Lipschitz constant of its {found['of']}: at least {lower:.4g}, the largest gradient norm in "
        f"{found['states']:,} states met; {above}\n  input: {found['to']}"
    )
