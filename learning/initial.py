"""What a run starts from: weights of a saved policy (`initial=`), or of its encoder alone (`encoder.initial=`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize

from agents import Policy, load_policy, start_from
from agents.equivariance.normalization import SymmetricStatistics
from agents.saved.hub import is_on_hub
from agents.saved.initial import Taken
from agents.saved.policy import opened
from agents.saved.tensors import FILE
from configs.compose import UsageError
from learning.build import Built
from storage.manifest import checksum

COUNTED = 1e5  # observations that a policy's statistics stand for: its file does not say of how many they are


def start(built: Built, config: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Start an untrained model from what a configuration names -> the SHA-256 of its parameters; what was taken.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as `agents.load_policy`, or the encoder is another one.
    """
    option, source = named(config)
    if source is None:
        return {}, ""
    with opened(source) as folder:
        policy, digest = load_policy(folder, device="cpu", trust=config["trust"]), checksum(folder / FILE)
    try:
        taken = start_from(built.model, policy, encoder_only=option == "encoder.initial")
    except ValueError as error:
        raise UsageError(f"{option}={source} is {error}") from error
    statistics = _take_statistics(built.model.get_vec_normalize_env(), policy)
    said = [f"starts from {source}: {taken}", _hint(taken, policy, config), statistics]
    return {"initial_sha256": digest}, "\n".join(filter(None, said)).replace("\n", "\n    ")


def _hint(taken: Taken, policy: Policy, config: Mapping[str, Any]) -> str:
    """With which options more of an encoder would be taken; empty if all of it was."""
    words = [f"encoder.{key}={value}" for key, value in taken.options.items()]
    if words and config["encoder"].get("parameters"):
        words.insert(0, "encoder.parameters=null")
    view = (policy.spec["environment"] or {}).get("view")
    if words and view and config["env"].get("view") not in (None, view):
        words.append(f"env.view={view}")
    return f"more of its encoder fits with its options: add {' '.join(words)}" if words else ""


def named(config: Mapping[str, Any]) -> tuple[str, str | None]:
    """The option that names what a run starts from, and its value; None if none does."""
    if config["initial"] is not None:
        return "initial", config["initial"]
    return "encoder.initial", config["encoder"]["initial"]


def _take_statistics(normalizer: VecNormalize | None, policy: Policy) -> str:
    """Take the statistics of a policy's observations, if both have some -> what is to be said about it."""
    found = policy.spec["normalization"]
    if normalizer is None:
        return "" if found is None else "its observations were normalized, and these are not: add env.normalize=true"
    if found is None:
        return "its observations were not normalized, and these are"
    running: Any = normalizer.obs_rms
    mean, variance = np.array(found["mean"]), np.array(found["variance"])
    if mean.shape != running.mean.shape:
        return f"statistics of observations: not taken (shape {running.mean.shape} here, {mean.shape} there)"
    running.mean, running.var, running.count = mean, variance, COUNTED
    if isinstance(running, SymmetricStatistics):
        running.symmetrize()
    return "statistics of observations: taken"


def changed(config: Mapping[str, Any]) -> str:
    """What is to be said of a run with this configuration whose source has changed since; empty if it has not.

    A source that is not there any more is not needed any more. The Hub is not asked.
    """
    source = named({"initial": config.get("initial"), "encoder": {"initial": None, **config["encoder"]}})[1]
    if source is None or is_on_hub(source):
        return ""
    try:
        with opened(source) as folder:
            same = checksum(folder / FILE) == config.get("initial_sha256")
    except OSError:
        return ""
    return "" if same else f"{source}, from which this run started, has changed since"
