"""The policy that `evaluate.py` is asked for, the environment it plays, and where files about it go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium import spaces

import envs
from agents import Policy, import_sb3, load_policy
from agents.saved.hub import is_on_hub, title
from agents.saved.policy import environment_id, find
from agents.saved.schema import check_grid
from configs.compose import UsageError
from encoders.base import kind_of
from envs.levels import FRESH, PLAYED
from envs.missions import WORDS
from envs.names import family_of, id_of, is_body
from envs.single import has_levels
from envs.split import Split, split_of

if TYPE_CHECKING:
    from envs.vec_env import VecEnv

ENVIRONMENTS = 20  # played side by side


def is_sb3(settings: Mapping[str, Any]) -> bool:
    """Whether the policy is in the zip of a Stable-Baselines3 model."""
    return Path(settings["policy"]).suffix == ".zip" and not str(settings["policy"]).startswith("hub:")


def load(settings: Mapping[str, Any], env: VecEnv | None = None) -> Policy:
    """The policy that the settings name, for the spaces of `env` if it is given.

    Raises:
        FileNotFoundError, ValueError: as `agents.load_policy` and `agents.import_sb3`.
    """
    source, statistics, device = settings["policy"], settings["normalization"], settings["device"]
    seen = None if env is None else env.observation_space
    if is_sb3(settings):
        acted = None if env is None else env.action_space
        return import_sb3(source, statistics, device=device, observation_space=seen, action_space=acted)
    if statistics is not None:
        raise UsageError("normalization= belongs to the .zip of a Stable-Baselines3 model; this policy has its own")
    return load_policy(source, device=device, trust=settings["trust"], observation_space=seen)


def environment_options(policy: Policy, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `envs.make_vec_env` for what the policy plays: its own environment, or the one of `env=`.

    A policy that was trained on N levels plays others in its own environment, if there are others.

    Raises:
        ValueError: there is no such environment, or it cannot be made.
    """
    saved = policy.spec["environment"] or {}
    options = {key: value for key, value in saved.items() if key not in ("engine", *PLAYED)}
    another = settings.get("env") or {}
    options["id"] = another.get("id") or environment_id(policy, settings["trust"])
    kwargs = another.get("kwargs") or {}
    own = options.get("kwargs") or {}
    other = id_of(options["id"]) != id_of(str(saved.get("id")))
    if other and is_body(id_of(options["id"])) and kind_of(policy.observation_space) == "body":
        own = as_body(saved)
    options["kwargs"] = {**own, **kwargs}
    mission = getattr(policy.observation_space, "spaces", {}).get("mission")
    if mission is not None and mission.high.max() < len(WORDS):
        options["words"] = []  # it knows MiniGrid's own, whatever else the environment says
    if is_sb3(settings) and len(policy.observation_space.shape or ()) == 1 and has_levels(options["id"], kwargs):
        options["view"] = "flat"
    if another and not has_levels(options["id"], kwargs):
        options = {key: value for key, value in options.items() if key not in ("view", "shuffle", "words")}
    if settings.get("shuffle") is not None:
        options["shuffle"] = settings["shuffle"]
    known = split(policy, options, settings)
    return {**options, **({**_trained_on(policy), "part": "test"} if known is not None and known.apart else FRESH)}


def as_body(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The options that show another body to a policy as it saw its own: padded like them, with their types of nodes.

    Args:
        saved: the options of `envs.make_env` that the policy was trained with.
    """
    own = envs.make_env(saved["id"], kwargs=saved.get("kwargs"))
    return {"test": own.get_wrapper_attr("bodies"), "types": own.get_wrapper_attr("types")}


def split(policy: Policy, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Split | None:
    """The levels that a policy was trained on, and others, if it plays its own environment and its file tells of them.

    Raises:
        ValueError: the environment has not so many levels.
    """
    if settings.get("env") or (policy.spec["environment"] or {}).get("bank") is None:
        return None
    return split_of(options["id"], **_trained_on(policy), words=options.get("words"), kwargs=options["kwargs"])


def on_part(part: str, policy: Policy, options: Mapping[str, Any], settings: Mapping[str, Any]) -> VecEnv:
    """Environments with the "training" or "test" levels of `split`."""
    return make(settings, {**options, **_trained_on(policy), "part": part})


def _trained_on(policy: Policy) -> dict[str, Any]:
    """The options that say which levels a policy was trained on, as its file tells."""
    return {"levels": "all", **{key: value for key, value in policy.spec["environment"].items() if key in PLAYED}}


def make(settings: Mapping[str, Any], options: Mapping[str, Any]) -> VecEnv:
    """Environments with these options, as many as are played side by side."""
    return envs.make_vec_env(**options, n_envs=min(settings["episodes"], ENVIRONMENTS), engine="auto")


def prepared(policy: Policy, options: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Policy, VecEnv]:
    """The policy for the spaces at hand, and the environments that it plays, on levels that training never draws.

    Raises:
        ValueError: the policy does not fit the environment.
    """
    check_grid({**options, "id": id_of(options["id"])})
    env = make(settings, options)
    bodies = kind_of(policy.observation_space) == kind_of(env.observation_space) == "body"
    if env.action_space != policy.action_space and not is_sb3(settings) and not bodies:
        raise ValueError(f"the policy acts in {policy.action_space}, {options['id']} in {env.action_space}")
    shown, read = _keys(env.observation_space), _keys(policy.observation_space)
    if settings.get("env") and shown != read and not is_sb3(settings):
        raise ValueError(
            f"{options['id']} shows {', '.join(shown) or 'one array'}, and the policy reads "
            f"{', '.join(read) or 'one array'}{_other_sizes(policy)}"
        )
    if settings.get("env") or env.observation_space != policy.observation_space:
        # the network is rebuilt for the space at hand, so that a larger grid can be played where the encoder allows it
        policy = load(settings, env)
    return policy, env


def another_family(policy: Policy, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """What to say if `env=` is no other size of the environment that the policy was trained in."""
    known = family_of(id_of(str((policy.spec["environment"] or {}).get("id"))))
    if not settings.get("env") or not known or id_of(options["id"]) in known:
        return None
    return f"{options['id']} is no other size of the policy's own environment, but another task{_other_sizes(policy)}"


def _other_sizes(policy: Policy) -> str:
    trained = str((policy.spec["environment"] or {}).get("id"))
    others = [name for name in family_of(id_of(trained)) if name != id_of(trained)]
    return f"; other sizes of {trained} are {', '.join(others)}" if others else ""


def _keys(space: spaces.Space) -> list[str]:
    """The parts of a Dict; [] for any other space."""
    return sorted(space.spaces) if isinstance(space, spaces.Dict) else []


def beside(settings: Mapping[str, Any], file: str) -> Path:
    """Where a file about the policy goes: into its run folder or its own, beside its zip, or, from the Hub, here."""
    if is_sb3(settings):
        return (source := Path(settings["policy"])).with_name(f"{source.stem}-{file}")
    if is_on_hub(settings["policy"]):
        return Path(f"{title(settings['policy'])}-{file}")
    folder = find(settings["policy"])
    return (folder.parent if folder.name in ("policy", ".policy.old") else folder) / file  # the latter after a crash
