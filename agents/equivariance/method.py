"""The ways to use a symmetry (hard, average, augment, loss, none), and what each changes in an agent's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv

from agents.dqn.algorithm import Valued
from agents.equivariance.augment import augmented
from agents.equivariance.normalization import check_actions
from agents.ppo.learning import Learning
from encoders.average import Average, check_sizes
from symmetry import Symmetry

METHODS = ("hard", "average", "augment", "loss", "none")


def promises(encoder: type[BaseFeaturesExtractor]) -> bool:
    """Whether an encoder promises how its features transform (`encoders.base.Encoder.equivariant`)."""
    return getattr(encoder, "equivariant", False)


def decided(method: str, encoder: type[BaseFeaturesExtractor], agent: str, symmetry: Symmetry | None) -> str:
    """The method with `auto` decided.

    Raises:
        ValueError: an unknown method, or one that is pointless with this encoder or impossible with this agent.
    """
    if method == "auto":
        return "hard" if promises(encoder) or symmetry is not None else "none"
    if method not in METHODS:
        raise ValueError(f"symmetry is auto, {', '.join(METHODS)}; got {method!r}")
    if promises(encoder) and method != "hard":
        name = encoder.__name__.lower()
        raise ValueError(f"encoder={name} obeys the symmetry by construction; use symmetry=auto, or encoder=mlp")
    if agent == "recurrent_ppo" and method in ("augment", "loss"):
        raise ValueError(
            f"symmetry={method} is not available for agent=recurrent_ppo, whose memory cannot be transformed; "
            "use agent=ppo"
        )
    return method


def required(symmetry: Symmetry | None, method: str) -> Symmetry:
    """Raise ValueError unless there is a symmetry."""
    if symmetry is None:
        raise ValueError(f"symmetry={method} needs an environment that declares a symmetry, and this one declares none")
    return symmetry


def encoding(
    encoder: type[BaseFeaturesExtractor], options: Mapping[str, Any], symmetry: Symmetry | None, method: str
) -> dict[str, Any]:
    """The keywords of an SB3 policy that choose its encoder under a method."""
    keywords: dict[str, Any] = dict(options)
    if method == "average":
        required(symmetry, method)
        encoder, keywords = Average, {"encoder": encoder, "options": keywords}
    if promises(encoder):
        keywords["symmetry"] = symmetry
    return {"features_extractor_class": encoder, "features_extractor_kwargs": keywords}


def using(
    method: str, algorithm: type[BaseAlgorithm], options: Mapping[str, Any], symmetry: Symmetry, env: VecEnv
) -> dict[str, Any]:
    """The options of an algorithm that learns with `augment` or `loss`.

    Raises:
        ValueError: they do not go together, or the symmetry does not match the environment.
    """
    check_sizes(symmetry, env.observation_space)
    check_actions(symmetry, env.action_space)
    if method == "augment":
        return augmented(algorithm, options, symmetry, env.observation_space)
    if issubclass(algorithm, (Learning, Valued)):
        if options.get("distinct") is True:
            raise ValueError("agent.distinct=true would weigh the penalty by observations; use agent.distinct=auto")
        return {**options, "distinct": False}
    return dict(options)
