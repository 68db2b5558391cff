"""What a training configuration may say: the kind and the range of each value, checked before anything is built."""

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
    "agent.n_steps": 1,
    "agent.batch_size": 1,
    "agent.n_epochs": 1,
    "encoder.width": 1,
    "encoder.layers": 0,
    "encoder.channels": 1,
    "encoder.embedding": 1,
    "encoder.kernel": 1,
    "encoder.stride": 1,
    "encoder.padding": 0,
    "encoder.pooled": 1,
    "encoder.groups": 1,
}
AUTO = ("threads", "evaluation.every")
POSITIVE = ("env.reward_scale", "agent.learning_rate")
SCHEDULES = ("agent.learning_rate", "agent.clip_range", "agent.clip_range_vf")  # "lin_3e-4"
WORDS = {"agent.normalize_advantage": ("peak",)}  # of PPO's, besides true and false
LEVELS = 2**31  # evaluations play those from there on


def check(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse values that no run can have.

    Args:
        config: a composed configuration.
        defaults: what the same choices give without further options; it tells which values are numbers.

    Raises:
        UsageError: the first such value, and what it may be.
    """
    values, usual = _leaves(config), _leaves(defaults)
    for key, value in values.items():
        if value == "auto" and key in AUTO:
            continue
        if key in LEAST and not (_is_number(value, int) and value >= LEAST[key]):
            hint = f", write {int(value)}" if isinstance(value, float) and value.is_integer() else ""
            raise UsageError(f"{key} is a whole number, at least {LEAST[key]}; got {value!r}{hint}")
        if key in SCHEDULES and isinstance(value, str):
            continue
        if key in POSITIVE and not (_is_number(value, (int, float)) and value > 0):
            raise UsageError(f"{key} is a positive number; got {value!r}")
        if key.startswith(("agent.", "encoder.")):
            words = WORDS.get(key, ()) if "implementation" in config["agent"] else ()
            if isinstance(usual.get(key), bool) and not isinstance(value, bool) and value not in words:
                raise UsageError(f"{key} is {', '.join(['true', *words, 'false'][:-1])} or false; got {value!r}")
            if _is_number(usual.get(key), (int, float)) and isinstance(value, (str, bool)):
                raise UsageError(f"{key} is a number, like {usual[key]}; got {value!r}")
    if config["device"] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device is auto, cpu or cuda; got {config['device']!r}")
    if config["env"].get("bank", 0) > LEVELS:
        raise UsageError(f"env.bank is at most {LEVELS}: evaluations play the levels from there on")
    for key in ("overwrite", "progress"):
        if not isinstance(config[key], bool):
            raise UsageError(f"{key} is true or false; got {config[key]!r}")
    if not isinstance(config["trust"], list):
        raise UsageError(f"trust is a list of modules, like trust=[my_pkg]; got {config['trust']!r}")


def _is_number(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name, of the top level and of the mappings in it."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        within = value.items() if isinstance(value, Mapping) else ()
        leaves |= {f"{key}.{name}": leaf for name, leaf in within} or {key: value}
    return leaves
