"""An agent that Stable-Baselines3 saved -> a policy, without executing anything in the files."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from gymnasium import spaces

from agents.imported.archive import read_parts
from agents.imported.network import build, draw_noise, family_of
from agents.imported.spaces import as_played, read_space
from agents.imported.statistics import Statistics, read_statistics
from agents.imported.weights import read_weights
from agents.saved.policy import Policy
from agents.saved.spaces import space_to_data
from storage.reading import read_regular

LARGEST = 2**27  # bytes of a file


def import_sb3(
    zip: str | Path,
    normalization: str | Path | None = None,
    *,
    device: str = "auto",
    observation_space: spaces.Space | None = None,
    action_space: spaces.Space | None = None,
) -> Policy:
    """The policy of a model that Stable-Baselines3 1.x or 2.x saved; its actions are those of SB3's `predict`.

    Policies of PPO, A2C, TRPO, DQN, QR-DQN, SAC, TD3 and DDPG, with SB3's MlpPolicy or CnnPolicy and layers of any
    widths. Both files hold pickles, none of which is executed: tensors and statistics are read as data, everything
    else from the plain text beside the pickles.

    Args:
        zip: what `model.save` wrote.
        normalization: what `VecNormalize.save` wrote, if the observations were normalized.
        device: "auto" (CUDA if there is one), "cpu" or "cuda".
        observation_space, action_space: of the environment that it is to play in; default: those of training, with
            bounds as far as they are printed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged or of another kind, the policy has parts of its own, or the spaces do not fit.
    """
    content = _content(zip)
    statistics = None if normalization is None else _statistics(normalization)
    try:
        data, weights, version = read_parts(content)
        observed, acted = (read_space(data.get(f"{what}_space"), what) for what in ("observation", "action"))
        observed = observed if observation_space is None else as_played(observed, observation_space, "observation")
        acted = acted if action_space is None else as_played(acted, action_space, "action")
        module = build(data, read_weights(weights), observed, acted)
    except ValueError as error:
        raise ValueError(f"{zip} cannot be imported: {_printable(error)}") from error
    if statistics is not None and statistics.mean.shape != observed.shape:
        raise ValueError(
            f"{normalization} has statistics of shape {statistics.mean.shape}, and the policy in {zip} reads "
            f"observations of shape {observed.shape}"
        )
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    module.to(chosen).set_training_mode(False)
    draw_noise(module)
    encoder = module.features_extractor_class
    spec = {
        "agent": family_of(data)[1],
        "encoder": {"class": f"{encoder.__module__}.{encoder.__qualname__}", "options": {}},
        "head": {},
        "symmetry": None,
        "observation_space": space_to_data(observed),
        "action_space": space_to_data(acted),
        "normalization": None if statistics is None else statistics.to_data(),
        "environment": None,
        "score": None,
        "command": None,
        "versions": {} if version is None else {"stable-baselines3": version},
    }
    return Policy(spec, module)


def _content(file: str | Path) -> bytes:
    # whoever names a link means what it leads to; in the cache of huggingface_hub all files are links
    try:
        return read_regular(Path(os.path.realpath(file)), LARGEST)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {file}") from error


def _statistics(file: str | Path) -> Statistics | None:
    content = _content(file)
    try:
        return read_statistics(content)
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {_printable(error)}") from error


def _printable(error: ValueError) -> str:
    """What an error says, in one line: names in it may come from the file."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(error).split()))
