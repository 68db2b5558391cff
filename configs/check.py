"""What a training configuration may say, as far as the configuration alone can tell: kinds and ranges of values.

The ranges of an agent's and an encoder's options are checked by what has them (agents/ranges.py, encoders/ranges.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configs.compose import UsageError

LEAST = {  # whole numbers, and the least each may be
    "total_timesteps": 1,
    "n_envs": 1,
    "seed": 0,
    "threads": 1,
    "evaluation.every": 1,
    "evaluation.episodes": 1,
    "evaluation.final_episodes": 1,
    "evaluation.patience": 1,
    "env.history": 0,
    "env.bank": 0,
}
AUTO = ("threads", "evaluation.every")
LEVELS = 2**31  # evaluations play those from there on


def checked(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, its whole numbers as such: 1e5 is 100000, for every option that is a whole number.

    Args:
        config: a composed configuration; it stays as it is.
        defaults: what the same choices give without further options; it tells which options are whole numbers.

    Raises:
        UsageError: the first value that no run can have, and what it may be.
    """
    settled = _whole(config, defaults)
    for key, value in _leaves(settled).items():
        if key not in LEAST or (value == "auto" and key in AUTO):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < LEAST[key]:
            raise UsageError(f"{key} is a whole number, at least {LEAST[key]}; got {value!r}")
    if not isinstance(settled["env"].get("id", ""), str):
        raise UsageError(f"env.id is the id of an environment, like CartPole-v1; got {settled['env']['id']!r}")
    scale = settled["env"].get("reward_scale")
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not 0 < scale < float("inf"):
        raise UsageError(f"env.reward_scale is a positive number; got {scale!r}")
    if settled["device"] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device is auto, cpu or cuda; got {settled['device']!r}")
    if settled["env"].get("bank", 0) > LEVELS:
        raise UsageError(f"env.bank is at most {LEVELS}: evaluations play the levels from there on")
    for key in ("overwrite", "progress"):
        if not isinstance(settled[key], bool):
            raise UsageError(f"{key} is true or false; got {settled[key]!r}")
    if not isinstance(settled["trust"], list):
        raise UsageError(f"trust is a list of modules, like trust=[my_pkg]; got {settled['trust']!r}")
    return settled


def _whole(config: Mapping[str, Any], defaults: Any, prefix: str = "") -> dict[str, Any]:
    """Floats that are whole numbers as integers, where the default is one or `LEAST` names the option."""
    settled = {}
    for key, value in config.items():
        usual = defaults.get(key) if isinstance(defaults, Mapping) else None
        if isinstance(value, Mapping):
            value = _whole(value, usual, f"{prefix}{key}.")
        elif isinstance(value, float) and value.is_integer():
            whole = isinstance(usual, int) and not isinstance(usual, bool)
            value = int(value) if whole or f"{prefix}{key}" in LEAST else value
        settled[key] = value
    return settled


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name, of the top level and of the mappings in it."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        within = value.items() if isinstance(value, Mapping) else ()
        leaves |= {f"{key}.{name}": leaf for name, leaf in within} or {key: value}
    return leaves
