"""`policy.yaml`: everything about a policy except its parameters, as plain data.

format          1
agent           key of `agents.AGENTS`
encoder         class (a name that `encoders.resolve` accepts) and options; in those of Average the encoder it lifts
head            keywords of SB3's policy that describe the network (`HEADS_BEFORE` where they are left out)
symmetry        `symmetry.Symmetry.to_data`, or null
observation_space, action_space
normalization   mean, variance, epsilon, clip of the observations, or null
environment     options of `envs.make_env`, its id among them, and the levels of training (bank, levels), or null
score, command, versions
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from agents.equivariance.method import promises
from agents.make import AGENTS, FIXED_POLICY_KEYS
from agents.saved.schema import LARGEST_YAML, check_policy
from agents.saved.spaces import space_to_data
from agents.sb3_policies import HeadedCritics
from encoders.average import Average
from encoders.resolve import name_of, resolve
from storage.manifest import read_checked
from storage.plain import from_yaml
from storage.schema import is_whole
from symmetry import Symmetry

FORMAT = 1
HEADS_BEFORE: dict[str, dict[str, Any]] = {  # what files meant that do not say it
    "sac": {"critic_hidden": (256, 256)},
    "td3": {"critic_hidden": (256, 256)},
}
VERSIONED = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "minigrid", "mujoco", "numpy")


def specification(
    model: BaseAlgorithm,
    *,
    environment: Mapping[str, Any] | None = None,
    score: Mapping[str, Any] | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """The content of `policy.yaml` for a model made by `make_agent`."""
    # not subclasses of these, which may compute something else
    names = [
        name
        for name, agent in AGENTS.items()
        if type(model) in (agent.algorithm, agent.fast, agent.of_bodies) and type(model.policy) is agent.policy
    ]
    if not names:
        raise ValueError(f"only models made by agents.make_agent can be saved as policies, got {type(model).__name__}")
    arguments = dict(model.policy_kwargs)
    encoder, options = arguments["features_extractor_class"], arguments["features_extractor_kwargs"]
    symmetry = arguments["symmetry"]
    return {
        "format": FORMAT,
        "agent": names[0],
        "encoder": encoder_to_data(encoder, options),
        "head": head_arguments(model),
        "symmetry": None if symmetry is None else symmetry.to_data(),
        "observation_space": space_to_data(model.observation_space),
        "action_space": space_to_data(model.action_space),
        "normalization": normalization(model),
        "environment": dict(environment) if environment else None,
        "score": dict(score) if score else None,
        "command": command,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The releases of what a policy's numbers depend on; without MuJoCo, where that is not installed."""
    return {name: found for name in VERSIONED if (found := _release(name))}


@cache  # a policy is described at every evaluation, and looking for packages takes 5 ms
def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def encoder_to_data(encoder: type[BaseFeaturesExtractor], options: Mapping[str, Any]) -> dict[str, Any]:
    """An encoder as plain data: its class by name and its options, those of an encoder within it likewise."""
    written = {key: value for key, value in options.items() if key != "symmetry"}
    if encoder is Average:
        written = {"encoder": encoder_to_data(written["encoder"], written.get("options") or {})}
    return {"class": name_of(encoder), "options": written}


def encoder_from_data(
    data: Mapping[str, Any], trust: Sequence[str], symmetry: Symmetry | None
) -> tuple[type[BaseFeaturesExtractor], dict[str, Any]]:
    """The inverse of `encoder_to_data`: a class, and keywords that it takes.

    Raises:
        ValueError: a class that must not be imported, or something is missing.
    """
    try:
        encoder, options = resolve(data["class"], trust), dict(data["options"])
        if encoder is Average:
            options = dict(zip(("encoder", "options"), encoder_from_data(options["encoder"], trust, None), strict=True))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the policy's encoder or head is damaged: {error!r}") from error
    return encoder, {**options, "symmetry": symmetry} if promises(encoder) else options


def head_arguments(model: BaseAlgorithm) -> dict[str, Any]:
    """The policy's keywords that describe its network, other than encoder and symmetry; not those of its optimizer."""
    ignored = (*FIXED_POLICY_KEYS, "use_sde", "optimizer_class", "optimizer_kwargs", "weight_decay")
    arguments = {key: value for key, value in model.policy_kwargs.items() if key not in ignored}
    # SB3 passes use_sde to some policies within policy_kwargs, to others separately; every policy's default is False
    if getattr(model, "use_sde", False):
        arguments["use_sde"] = True
    if isinstance(model.policy, HeadedCritics):  # the default depends on the encoder
        arguments["critic_hidden"] = list(model.policy.critic_hidden)
    return arguments


def normalization(model: BaseAlgorithm) -> dict[str, Any] | None:
    """The running statistics with which a model's observations are normalized, as plain numbers."""
    normalizer = model.get_vec_normalize_env()
    if normalizer is None:
        return None
    statistics: Any = normalizer.obs_rms
    return {
        "mean": statistics.mean.tolist(),
        "variance": statistics.var.tolist(),
        "epsilon": normalizer.epsilon,
        "clip": normalizer.clip_obs,
    }


def read_specification(folder: Path) -> dict[str, Any]:
    """`policy.yaml`, checked to be what a policy's is (`agents.saved.schema`).

    Raises:
        ValueError: it is damaged, or of a format that this version does not read.
    """
    file = folder / "policy.yaml"
    content = read_checked(folder, "policy.yaml", LARGEST_YAML)
    try:
        spec = from_yaml(content)
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(spec, dict) or not is_whole(spec.get("format")) or spec["format"] < 1:
        raise ValueError(f"{file} is damaged: it states no format")
    if spec["format"] > FORMAT:
        raise ValueError(
            f"{folder} has policy format {spec['format']}, this version reads up to {FORMAT}; update inductive-rl"
        )
    try:
        check_policy(spec)
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    return spec
