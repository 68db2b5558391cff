"""Checks of a training configuration that need nothing but the configuration: types and ranges of values.

The options of agents and encoders have their own checks (agents/ranges.py, encoders/ranges.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from configs.compose import UsageError
from envs.names import unknown

LEAST = {  # options that are whole numbers -> their smallest values
    "total_timesteps": 1,
    "n_envs": 1,
    "seed": 0,
    "threads": 1,
    "evaluation.every": 1,
    "evaluation.episodes": 1,
    "evaluation.final_episodes": 1,
    "evaluation.patience": 1,
    "evaluation.videos": 0,
    "snapshot.every": 1,
    "snapshot.keep": 0,
    "encoder.parameters": 1,
    "env.history": 0,
    "env.bank": 0,
    "env.levels": 1,
}
WORDS = {  # what else these options may be
    **dict.fromkeys(("threads", "evaluation.every", "evaluation.videos", "snapshot.every"), "auto"),
    "env.levels": "all",
    "encoder.parameters": None,
}
TRANSFER = {"id": str, "kwargs": Mapping, "shift": str, "shuffle": int}  # options of an entry
MEANT = {
    "id": "the name or id of an environment",
    "kwargs": "a mapping",
    "shift": "mirror, rotate or colours",
    "shuffle": "the seed of a permutation",
}
SNAPSHOT = 10**12  # the most steps between two snapshots
WEEK = 7 * 24 * 60  # minutes
LEVELS = 2**31  # evaluations play the levels from this seed on
TUNING = range(10_000_000, 11_000_000)  # the seeds of runs with evaluation.purpose=tuning, and of no others


def checked(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with whole numbers as integers: 1e5 becomes 100000 in every option that is a whole number.

    Args:
        config: a composed configuration, which is not changed.
        defaults: the configuration of the same choices without further options; options whose default is an integer
            are whole numbers.

    Raises:
        UsageError: a value is outside its range; the message names the first one and the range.
    """
    settled = _whole(config, defaults)
    leaves = _leaves(settled)
    for key, value in leaves.items():
        if key not in LEAST or (key in WORDS and value == WORDS[key]):
            continue
        if key == "snapshot.every":
            _check_every(value)
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < LEAST[key]:
            word = "all, or " if key == "env.levels" else ""
            raise UsageError(f"{key} is {word}a whole number, at least {LEAST[key]}; got {value!r}")
    if not isinstance(settled["env"].get("id", ""), str):
        raise UsageError(f"env.id is the id of an environment, like CartPole-v1; got {settled['env']['id']!r}")
    scale = settled["env"].get("reward_scale")
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not 0 < scale < float("inf"):
        raise UsageError(f"env.reward_scale is a positive number; got {scale!r}")
    if settled["device"] not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device is auto, cpu or cuda; got {settled['device']!r}")
    if settled["on_nonfinite"] not in ("stop", "rollback"):
        raise UsageError(f"on_nonfinite is stop or rollback; got {settled['on_nonfinite']!r}")
    if settled["env"].get("bank", 0) > LEVELS:
        raise UsageError(f"env.bank is at most {LEVELS}: evaluations play the levels from there on")
    levels, bank = settled["env"].get("levels", "all"), settled["env"].get("bank")
    if levels != "all" and bank != defaults["env"]["bank"]:
        raise UsageError(f"env.levels={levels} says what is trained on; leave env.bank={bank} out")
    if settled["logger"] not in (None, "wandb"):
        raise UsageError(f"logger is null or wandb, beside TensorBoard's files; got {settled['logger']!r}")
    for key in ("overwrite", "progress", "encoder.freeze"):
        if not isinstance(leaves[key], bool):
            raise UsageError(f"{key} is true or false; got {leaves[key]!r}")
    _check_purpose(settled["evaluation"]["purpose"], settled["seed"])
    _check_transfer(settled["transfer"])
    _check_initial(leaves["initial"], leaves["encoder.initial"])
    if not isinstance(settled["trust"], list):
        raise UsageError(f"trust is a list of modules, like trust=[my_pkg]; got {settled['trust']!r}")
    return settled


def _check_purpose(purpose: Any, seed: int) -> None:
    if purpose not in ("report", "tuning"):
        raise UsageError(f"evaluation.purpose is report or tuning; got {purpose!r}")
    if (purpose == "tuning") != (seed in TUNING):
        seeds = f"the seeds {TUNING[0]:,} to {TUNING[-1]:,} are"
        raise UsageError(f"{seeds} those of runs with evaluation.purpose=tuning, and of no others; got seed={seed}")


def _check_transfer(transfer: Any) -> None:
    """Whether the entries of `transfer` are options; what they mean is seen when the policy is played."""
    if not isinstance(transfer, Mapping):
        raise UsageError(f"transfer is a mapping, like {{mirrored: {{shift: mirror}}}}; got {transfer!r}")
    for name, entry in transfer.items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]{1,100}", name):
            raise UsageError(f"the names in transfer are of letters, digits and . _ + -; got {name!r}")
        if entry is None:  # left out, by a file or an option after the one that has it
            continue
        if not isinstance(entry, Mapping) or not entry:
            raise UsageError(f"transfer.{name} is a mapping of {', '.join(TRANSFER)}; got {entry!r}")
        for key, value in entry.items():
            if key not in TRANSFER:
                raise UsageError(f"transfer.{name}: {unknown('option', str(key), TRANSFER)}")
            if not isinstance(value, TRANSFER[key]):
                raise UsageError(f"transfer.{name}.{key} is {MEANT[key]}; got {value!r}")


def _check_initial(everything: Any, encoder: Any) -> None:
    kinds = "a policy folder, a run folder, pretrained/<name> or hub:owner/name"
    for key, value in (("initial", everything), ("encoder.initial", encoder)):
        if value is not None and not (isinstance(value, str) and value):
            raise UsageError(f"{key} is {kinds}; got {value!r}")
    if everything is not None and encoder is not None:
        raise UsageError("initial= and encoder.initial= name two sources; give one: initial= takes all that fits")


def minutes(every: Any) -> float | None:
    """The minutes of `snapshot.every=10min`; None if it is no number of minutes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)min", every) if isinstance(every, str) else None
    return float(found[1]) if found else None


def _check_every(value: Any) -> None:
    steps = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= SNAPSHOT
    if not steps and not 0 < (minutes(value) or 0) <= WEEK:
        raise UsageError(
            f"snapshot.every is a whole number of steps from 1 to {SNAPSHOT:,}, or minutes like 10min, at most "
            f"{WEEK}min; got {value!r}"
        )


def _whole(config: Mapping[str, Any], defaults: Any, prefix: str = "") -> dict[str, Any]:
    """Replace floats by integers where they are whole and the default is an integer or `LEAST` names the option."""
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
    """The values of the top level and of the mappings in it, by dotted name."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        within = value.items() if isinstance(value, Mapping) else ()
        leaves |= {f"{key}.{name}": leaf for name, leaf in within} or {key: value}
    return leaves
