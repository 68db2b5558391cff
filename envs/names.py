"""Environment names: short ones (configs/env/*.yaml) and Gymnasium's ids."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import minigrid  # noqa: F401  registers the MiniGrid and BabyAI ids
import yaml
from gymnasium.envs.registration import load_env_creator

from envs.bodies.families import NAMES as BODIES

for size in (8, 12, 16):
    gymnasium.register(f"Inductive-Goal-{size}x{size}-v0", "envs.tasks:GoalEnv", kwargs={"size": size})
gymnasium.register("Inductive-AlignedFar-v0", "envs.tasks:AlignedEnv")
gymnasium.register("Inductive-AlignedNear-v0", "envs.tasks:AlignedEnv", kwargs={"near": True})
gymnasium.register("Inductive-Recall-v0", "envs.tasks:RecallEnv")
gymnasium.register("Inductive-Majority-v0", "envs.tasks:MajorityEnv")
gymnasium.register("Inductive-OneBall-v0", "envs.tasks:MajorityEnv", kwargs={"balls": 1})
gymnasium.register("Inductive-Chomsky-v0", "envs.chomsky.environment:ChomskyEnv")
BODY = "envs.bodies.environment:BodyEnv"
gymnasium.register("Inductive-Bodies-v0", BODY, max_episode_steps=1000)
for body in BODIES:
    gymnasium.register(body, BODY, max_episode_steps=1000, kwargs={"train": [body]})

PROVIDERS = {"ALE": "ale_py"}  # namespace of ids -> the module that registers them when it is imported
CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "env"


@cache
def short_names() -> dict[str, str]:
    """Short name -> Gymnasium id, from the files of configs/env."""
    named = {}
    for file in sorted(CONFIGS.glob("*.yaml")):
        env_id = yaml.safe_load(file.read_text())["id"]
        if env_id != "???":  # gym.yaml, whose id the user gives
            named[file.stem] = env_id
    return named


def short_name_of(env_id: str) -> str | None:
    """The short name of a Gymnasium id, if it has one. Of several, the shortest: the others set more than the id."""
    return min((name for name, known in short_names().items() if known == env_id), key=len, default=None)


def id_of(name: str) -> str:
    """The id behind a short name; whatever else is given as it is."""
    return short_names().get(name, name)


def resolve_id(name: str) -> str:
    """The Gymnasium id of a short name or an id ("my_package:Env-v0" imports my_package, as `gymnasium.make` does).

    Raises:
        ValueError: no such environment; the message lists the closest names.
    """
    if name in short_names():
        return short_names()[name]
    if ":" in name or name in gymnasium.registry:
        return name
    namespace = name.rpartition("/")[0]
    if namespace:
        module = PROVIDERS.get(namespace, "")
        if module and find_spec(module):
            return f"{module}:{name}"
        raise ValueError(not_registered(name))
    raise ValueError(unknown("environment", name, [*short_names(), *gymnasium.registry]))


def not_registered(name: str) -> str:
    """The message for an id with a namespace, like ALE/Pong-v5, that no imported package has registered."""
    namespace = name.rpartition("/")[0]
    module = PROVIDERS.get(namespace)
    if module:
        return (
            f"{name} is not registered: {namespace}/ ids come with the package {module.replace('_', '-')} "
            f"(pip install {module.replace('_', '-')}); then write env=gym env.id={name}"
        )
    return (
        f"{name} is not registered: {namespace}/ ids come with a package that has to be imported; "
        f"write env=gym env.id=<its module>:{name}"
    )


def unknown(
    what: str, name: str, existing: Iterable[str], listed: Iterable[str] | None = None, surely: bool = False
) -> str:
    """The message for a name that does not exist: the closest ones (`surely`: all of them), and what there is."""
    existing = list(existing)
    folded = {candidate.lower(): candidate for candidate in existing}
    matches = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
    close = existing if surely else [folded[match] for match in matches]
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    shown = sorted(short_names()) if listed is None and what == "environment" else sorted(listed or existing)
    return f"no {what} is called {name!r}{hint} There are: {', '.join(shown)}" + (
        ", and every registered Gymnasium id (env=gym env.id=<id> for ids with / or :)" if what == "environment" else ""
    )


def creator_of(env_id: str) -> Any:
    """The class of an environment, or the function that makes it; None for an id that is not registered."""
    spec = gymnasium.registry.get(env_id.split(":")[-1])
    creator = spec and spec.entry_point
    return load_env_creator(creator) if isinstance(creator, str) else creator


def simulator_of(env_id: str) -> str:
    """The package whose release decides what an environment does: "mujoco", "minigrid" or else "gymnasium"."""
    modules = [kind.__module__ for kind in getattr(creator_of(env_id), "__mro__", ())]
    if any(module.startswith("gymnasium.envs.mujoco") for module in modules):
        return "mujoco"
    return "minigrid" if any(module.startswith("minigrid.") for module in modules) else "gymnasium"


def family_of(env_id: str) -> list[str]:
    """The ids of MiniGrid or BabyAI whose class is that of an id: the same task in several sizes; [] for other ids."""
    spec = gymnasium.registry.get(env_id)
    if spec is None or not is_minigrid(env_id):
        return []
    return [name for name, other in gymnasium.registry.items() if other.entry_point == spec.entry_point]


def is_body(env_id: str) -> bool:
    """Whether an id is one of the bodies of `envs.bodies`, or of several of them."""
    spec = gymnasium.registry.get(env_id)
    return spec is not None and spec.entry_point == BODY


def is_minigrid(env_id: str) -> bool:
    """Whether an id belongs to MiniGrid or BabyAI."""
    return env_id.startswith(("MiniGrid-", "BabyAI-"))
