"""Make one environment with the observations and actions that agents are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium.wrappers import TransformReward
from minigrid.minigrid_env import MiniGridEnv
from stable_baselines3.common.monitor import Monitor

from envs.errors import Reported
from envs.history import History
from envs.minigrid import MiniGridObservation
from envs.missions import words_beyond
from envs.names import resolve_id
from envs.shuffle import ShuffledCells
from envs.spaces import readable
from envs.symmetries import declaration_of, declared_symmetry
from symmetry import Symmetry


def make_env(
    id: str,
    *,
    view: str = "partial",
    shuffle: int | None = None,
    words: Sequence[str] | None = None,
    history: int = 0,
    reward_scale: float = 1.0,
    render_mode: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> gymnasium.Env:
    """One environment as agents see it; `.symmetry` is the symmetry that it declares, or None.

    Spaces that agents cannot read as they are, such as Tuple and Discrete(3, start=5), are converted (`envs.spaces`).

    Args:
        id: a short name (CartPole, DoorKey-5x5) or any Gymnasium id.
        view: of MiniGrid environments: "partial" (what the agent sees), "full", "rgb" or "flat" (`envs.minigrid`).
        shuffle: of MiniGrid environments: the seed of a fixed permutation of the cells of "partial" and "full". It
            breaks the symmetry, so none is declared. None leaves the cells in their places.
        words: of MiniGrid environments: the words of missions besides MiniGrid's and BabyAI's own. None takes all words
            of the mission space, and the names of objects and colours registered besides MiniGrid's own.
        history: K > 0 gives windows of the last K observations with a mask `valid`; 0 gives single observations.
        reward_scale: a factor on the reward that the learner sees; episode statistics stay unscaled.
        render_mode, kwargs: for `gymnasium.make`.

    Raises:
        ValueError: no such environment, one that cannot be made or read (the message says why), or an option that it
            does not have.

    `reset` and `step` raise `envs.errors.EnvironmentFailed` for an exception of the environment itself.
    """
    env_id = resolve_id(id)
    env: gymnasium.Env = Reported(made(env_id, render_mode, kwargs))
    if isinstance(env.unwrapped, MiniGridEnv):
        env = MiniGridObservation(env, view, words)
        env = env if shuffle is None else ShuffledCells(env, shuffle)
    elif view != "partial" or shuffle is not None or words:
        option = "env.view" if view != "partial" else "env.words" if words else "env.shuffle"
        raise ValueError(f"{option} is an option of MiniGrid environments, which {env_id} is not")
    else:
        env = _readable(env)
    if history:
        env = History(env, history)
    # inside the reward scaling, so that what is reported is the environment's own return
    env = Monitor(env)
    if reward_scale != 1:
        env = TransformReward(env, lambda reward: float(reward) * reward_scale)
    shown: Any = env
    shown.symmetry = declared_symmetry(env)
    return shown


def symmetry_of(env: str | gymnasium.Env, **options: Any) -> Symmetry | None:
    """The symmetry that an environment declares; None if none, or for windows (`env.history`), pixels, shuffled cells.

    Args:
        env: an environment made by `make_env`, or a short name or Gymnasium id with the options of `make_env`.

    Raises:
        ValueError: no such environment, or a declaration that does not match its spaces.
    """
    if isinstance(env, str):
        declaration = declaration_of(resolve_id(env))
        if declaration is None or (isinstance(declaration, Symmetry) and not options):
            return declaration  # no environment needs to be made
        env = make_env(env, **options)
    return declared_symmetry(env)


def has_levels(id: str, kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether an environment is one of MiniGrid's, or derived from them.

    Raises:
        ValueError: it cannot be made.
    """
    return isinstance(made(resolve_id(id), None, kwargs).unwrapped, MiniGridEnv)


def words_of(id: str, kwargs: Mapping[str, Any] | None = None) -> list[str]:
    """The words in the mission space of a MiniGrid environment that are not MiniGrid's own.

    Raises:
        ValueError: it cannot be made.
    """
    core = made(resolve_id(id), None, kwargs).unwrapped
    return list(words_beyond(core)) if isinstance(core, MiniGridEnv) else []


def made(env_id: str, render_mode: str | None, kwargs: Mapping[str, Any] | None) -> gymnasium.Env:
    """The environment as Gymnasium makes it.

    Raises:
        ValueError: it cannot be made.
    """
    try:
        # a user's environment need not take a render mode
        given = dict(kwargs or {}) if render_mode is None else {"render_mode": render_mode, **(kwargs or {})}
        return gymnasium.make(env_id, **given)
    except (gymnasium.error.Error, ImportError, TypeError, AttributeError) as error:
        refused = ("unexpected keyword argument 'render_mode'", "takes no arguments")
        if render_mode is not None and any(words in str(error) for words in refused):
            raise ValueError(
                f"environment {env_id} cannot be filmed: its class takes no render_mode. Take it as a keyword of "
                "__init__, set self.render_mode to it, list it in metadata['render_modes'] and return a picture from "
                "render(); without video= the policy can be evaluated as it is"
            ) from error
        raise ValueError(f"environment {env_id} cannot be made: {error}") from error


def _readable(env: gymnasium.Env) -> gymnasium.Env:
    try:
        return readable(env)
    except ValueError as error:
        raise ValueError(f"no agent can play {env.get_wrapper_attr('id')}: {error}") from error
