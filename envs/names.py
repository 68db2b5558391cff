"""Environment names: short ones (configs/env/*.yaml) and Gymnasium's ids."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import minigrid  # noqa: F401  registers the MiniGrid and BabyAI ids
import yaml
from gymnasium.envs.registration import load_env_creator

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "env"


@cache
def short_names() -> dict[str, str]:
    """Short name -> Gymnasium id, as the files of configs/env say."""
    named = {}
    for file in sorted(CONFIGS.glob("*.yaml")):
        env_id = yaml.safe_load(file.read_text())["id"]
        if env_id != "???":  # gym.yaml, whose id the user gives
            named[file.stem] = env_id
    return named


def short_name_of(env_id: str) -> str | None:
    """The short name of a Gymnasium id, if it has one."""
    return next((name for name, known in short_names().items() if known == env_id), None)


def resolve_id(name: str) -> str:
    """The Gymnasium id of a short name or an id ("my_package:Env-v0" imports my_package, as `gymnasium.make` does).

    Raises:
        ValueError: no such environment; the message lists the closest names.
    """
    if name in short_names():
        return short_names()[name]
    if ":" in name or name in gymnasium.registry:
        return name
    raise ValueError(unknown("environment", name, [*short_names(), *gymnasium.registry]))


def unknown(what: str, name: str, existing: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """The message for a name that does not exist: the closest ones, and what there is."""
    existing = list(existing)
    folded = {candidate.lower(): candidate for candidate in existing}
    close = [folded[match] for match in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)]
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    shown = sorted(short_names()) if listed is None and what == "environment" else sorted(listed or existing)
    return f"no {what} is called {name!r}{hint} There is: {', '.join(shown)}" + (
        ", and every registered Gymnasium id (env=gym env.id=<id> for ids with / or :)" if what == "environment" else ""
    )


def simulator_of(env_id: str) -> str:
    """The package whose release decides what an environment does: "mujoco", "minigrid" or else "gymnasium"."""
    spec = gymnasium.registry.get(env_id.split(":")[-1])
    creator: Any = spec and spec.entry_point
    if isinstance(creator, str):
        creator = load_env_creator(creator)
    modules = [kind.__module__ for kind in getattr(creator, "__mro__", ())]
    if any(module.startswith("gymnasium.envs.mujoco") for module in modules):
        return "mujoco"
    return "minigrid" if any(module.startswith("minigrid.") for module in modules) else "gymnasium"


def is_minigrid(env_id: str) -> bool:
    """Whether an id belongs to MiniGrid or BabyAI."""
    return env_id.startswith(("MiniGrid-", "BabyAI-"))
