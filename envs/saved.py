"""The state of simulations as plain data, and back into them: what a snapshot of a run stores of its environments.

`saved(env)` describes an environment between two steps. `restore(env, state)` puts another one, made with the same
options, into that state: from then on both give the same observations for the same actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv as AnyVecEnv
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize, VecTransposeImage


def copied(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copies of arrays; records as their bytes."""
    return {name: _plain(array).copy() for name, array in arrays.items()}


def refill(arrays: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> None:
    """Copy what `copied` gave into arrays.

    Raises:
        ValueError: an array of another shape or dtype.
    """
    for name, array in arrays.items():
        place, given = _plain(array), state[name]
        if given.shape != place.shape or given.dtype != place.dtype:
            raise ValueError(f"{name} is {given.dtype} {given.shape}, needed here is {place.dtype} {place.shape}")
        place[...] = given


def _plain(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint8) if array.dtype.names else array


def not_saved(env: AnyVecEnv) -> str | None:
    """Why the state of an environment cannot be saved; None if it can."""
    for layer in layers(env):
        if not isinstance(layer, (VecNormalize, VecTransposeImage)) and not hasattr(type(layer), "saved"):
            return f"{type(layer).__name__} cannot save its state"
    return None


def saved(env: AnyVecEnv) -> dict[str, Any]:
    """The state of vectorised environments, and of what wraps them."""
    *wrappers, core = layers(env)
    statistics = [_statistics(wrapper) for wrapper in _counting(wrappers)]
    return {"core": core.saved(), "statistics": statistics}


def restore(env: AnyVecEnv, state: Mapping[str, Any]) -> None:
    """Put vectorised environments into a state of `saved`.

    Raises:
        ValueError: the state is one of other environments, or an episode played again came to another observation.
    """
    *wrappers, core = layers(env)
    core.restore(state["core"])
    for wrapper, statistics in zip(_counting(wrappers), state["statistics"], strict=True):
        _restore_statistics(wrapper, statistics)


def layers(env: Any) -> list[Any]:
    """The wrappers of vectorised environments, outermost first, and what they wrap at the end."""
    found = [env]
    while isinstance(found[-1], VecEnvWrapper):
        found.append(found[-1].venv)
    return found


def _counting(wrappers: list[Any]) -> list[Any]:
    """Those that have a state."""
    return [wrapper for wrapper in wrappers if not isinstance(wrapper, VecTransposeImage)]


def _statistics(wrapper: Any) -> dict[str, Any]:
    if not isinstance(wrapper, VecNormalize):
        return wrapper.saved()
    running = {name: getattr(wrapper, name) for name in ("obs_rms", "ret_rms")}
    moments = {name: {"mean": r.mean, "var": r.var, "count": r.count} for name, r in running.items()}
    return {**moments, "returns": wrapper.returns.copy()}


def _restore_statistics(wrapper: Any, state: Mapping[str, Any]) -> None:
    if not isinstance(wrapper, VecNormalize):
        return wrapper.restore(state)
    for name in ("obs_rms", "ret_rms"):
        running, given = getattr(wrapper, name), state[name]
        running.mean, running.var, running.count = given["mean"], given["var"], given["count"]
    refill({"returns": wrapper.returns}, state)
