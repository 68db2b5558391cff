"""Environments exactly as the agents see them, one or many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.wrappers import TransformReward
from minigrid.minigrid_env import MiniGridEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from envs.history import History
from envs.minigrid import MiniGridObservation
from envs.names import resolve_id
from envs.symmetries import symmetry_of


def make_env(
    id: str,
    *,
    view: str = "partial",
    history: int = 0,
    reward_scale: float = 1.0,
    render_mode: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> gymnasium.Env:
    """One environment, with the observations DESIGN calls for.

    Args:
        id: a short name (CartPole, DoorKey-5x5) or any Gymnasium id.
        view: of MiniGrid environments: "partial" (what the agent sees), "full" or "rgb".
        history: K > 0 gives windows of the last K observations with a mask `valid`; 0 gives single observations.
        reward_scale: factor on the reward the learner sees; episode statistics stay unscaled.
        render_mode, kwargs: for `gymnasium.make`.

    Raises:
        ValueError: no such environment, one that cannot be made (the message says why), or an option it does not have.
    """
    env_id = resolve_id(id)
    try:
        # an environment of one's own need not take a render mode
        given = dict(kwargs or {}) if render_mode is None else {"render_mode": render_mode, **(kwargs or {})}
        env = gymnasium.make(env_id, **given)
    except (gymnasium.error.Error, ImportError, TypeError, AttributeError) as error:
        raise ValueError(f"environment {env_id} cannot be made: {error}") from error
    if isinstance(env.unwrapped, MiniGridEnv):
        env = MiniGridObservation(env, view)
    elif view != "partial":
        raise ValueError(f"env.view is an option of MiniGrid environments; {env_id} is none")
    if history:
        env = History(env, history)
    # inside the reward scaling, so that what is reported is the environment's own return
    env = Monitor(env)
    if reward_scale != 1:
        env = TransformReward(env, lambda reward: float(reward) * reward_scale)
    return env


def make_vec_env(id: str, *, n_envs: int = 8, seed: int | None = None, **options: Any) -> VecEnv:
    """`n_envs` environments stepped in turn, the i-th seeded with seed + i; `.symmetry` is what they declare.

    Args:
        id, options: as for `make_env`.
        n_envs: how many.
        seed: seeds the next reset; None leaves it to chance.

    Raises:
        ValueError: as for `make_env`, or n_envs < 1.
    """
    if n_envs < 1:
        raise ValueError(f"n_envs is at least 1, got {n_envs}")
    env = DummyVecEnv([lambda: make_env(id, **options)] * n_envs)
    if seed is not None:
        env.seed(seed)
        env.action_space.seed(seed)
    env.symmetry = None if isinstance(env.observation_space, spaces.Dict) else symmetry_of(id)  # type: ignore[attr-defined]
    return env
