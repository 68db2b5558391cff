"""The batched engine as SB3's `VecEnv` and Gymnasium's `VectorEnv`, saying what the real environments would."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from envs.engine.batch import Batch


class Windows:
    """`envs.history.History` for all environments at once."""

    def __init__(self, space: spaces.Dict, n: int, length: int):
        self.arrays = {key: np.zeros((n, *box.shape), box.dtype) for key, box in space.items()}  # type: ignore[misc]
        self.ones = np.ones(n, np.uint8)

    def begin(self, observation: dict[str, np.ndarray], which: Any = slice(None)) -> None:
        """New episodes, of which these are the first observations."""
        for key, window in self.arrays.items():
            window[which] = 0
            window[which, -1] = observation.get(key, self.ones)[which]

    def push(self, observation: dict[str, np.ndarray]) -> None:
        """The next observation of every environment."""
        for key, window in self.arrays.items():
            window[:, :-1] = window[:, 1:]
            window[:, -1] = observation.get(key, self.ones)

    def copy(self, which: Any = slice(None)) -> dict[str, np.ndarray]:
        return {key: np.array(window[which]) for key, window in self.arrays.items()}


def _copied(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: array.copy() for key, array in observation.items()}


class _Episodes:
    """What both adapters say about the engine: observations, windows of them, and the episodes that end."""

    def __init__(self, batch: Batch, space: spaces.Dict, history: int):
        self.batch = batch
        self.windows = Windows(space, batch.n, history) if history else None
        self.begun = time.time()

    def reset(self, seed: int | None) -> dict[str, np.ndarray]:
        self.batch.reset(seed)
        if self.windows is None:
            return _copied(self.batch.seen)
        self.windows.begin(self.batch.seen)
        return self.windows.copy()

    def step(self, actions: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]:
        """-> observations, the environments whose episode ended, and the last observations of these."""
        ended = self.batch.step(actions)
        seen = self.batch.seen
        last = {key: array[ended] for key, array in self.batch.seen_last.items()} if len(ended) else {}
        if self.windows is None:
            return _copied(seen), ended, last
        if not len(ended):
            self.windows.push(seen)
            return self.windows.copy(), ended, last
        until = _copied(seen)
        for key, array in last.items():
            until[key][ended] = array
        self.windows.push(until)
        last = self.windows.copy(ended)
        self.windows.begin(seen, ended)
        return self.windows.copy(), ended, last

    def of_episode(self, i: int) -> dict[str, Any]:
        """What `MiniGridObservation` and `Monitor` say at the end of an episode of environment i."""
        result = self.batch.result
        elapsed = round(time.time() - self.begun, 6)
        return {
            "is_success": bool(result["terminated"][i] and result["reward"][i] > 0),
            "episode": {
                "r": round(float(result["episode_return"][i]), 6),
                "l": int(result["episode_length"][i]),
                "t": elapsed,
            },
        }


class BatchedVecEnv(VecEnv):
    """MiniGrid environments stepped together; what it returns is what `DummyVecEnv` of the real ones would.

    Each `infos[i]` whose episode ended also tells `level_seed`, the level of the one that began, and so does
    `reset_infos[i]`: `make_env(id).reset(seed=level_seed)` is that level.
    """

    actions: np.ndarray

    def __init__(self, batch: Batch, space: spaces.Dict, action_space: spaces.Space, history: int, reward_scale: float):
        super().__init__(batch.n, space, action_space)
        self.batch = batch
        self.reward_scale = reward_scale
        self.episodes = _Episodes(batch, space, history)

    def reset(self) -> dict[str, np.ndarray]:  # type: ignore[override]
        seed = self._seeds[0]
        observation = self.episodes.reset(None if seed is None else int(seed))
        self.reset_infos = [{"level_seed": level} for level in self.batch.level_seed.tolist()]
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[dict[str, Any]]]:  # type: ignore[override]
        observation, ended, final = self.episodes.step(self.actions)
        result = self.batch.result
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": False} for _ in range(self.num_envs)]
        for row, i in enumerate(ended.tolist()):
            level = int(self.batch.level_seed[i])
            infos[i] = {
                **self.episodes.of_episode(i),
                "TimeLimit.truncated": bool(result["truncated"][i] and not result["terminated"][i]),
                "terminal_observation": {key: array[row] for key, array in final.items()},
                "level_seed": level,
            }
            self.reset_infos[i] = {"level_seed": level}
        reward = result["reward"] if self.reward_scale == 1 else result["reward"] * self.reward_scale
        return observation, reward.astype(np.float32), result["done"].copy(), infos

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset; the levels are those of `envs.make_vec_env(..., engine="gymnasium", bank=...)`."""
        return super().seed(seed)

    def close(self) -> None:
        self.batch.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name == "render_mode":  # asked for while this object is being made
            return [None for _ in self._get_indices(indices)]
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"the batched engine has no environments to set {attr_name!r} on; use engine=gymnasium")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        raise AttributeError(f"the batched engine has no environments to call {method_name!r} of; use engine=gymnasium")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        # it reports episodes as Monitor does, which is what SB3 asks
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


class BatchedVectorEnv(VectorEnv):
    """The same as Gymnasium's vector environment, with `AutoresetMode.SAME_STEP` and the infos of `SyncVectorEnv`."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, batch: Batch, space: spaces.Dict, action_space: spaces.Space, history: int, reward_scale: float):
        self.num_envs = batch.n
        self.batch = batch
        self.reward_scale = reward_scale
        self.single_observation_space, self.single_action_space = space, action_space
        self.observation_space, self.action_space = batch_space(space, batch.n), batch_space(action_space, batch.n)
        self.episodes = _Episodes(batch, space, history)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.episodes.reset(seed), self._levels(np.arange(self.num_envs))

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observation, ended, final = self.episodes.step(np.asarray(actions))
        infos = self._levels(ended) if len(ended) else {}
        for row, i in enumerate(ended.tolist()):
            last = {key: array[row] for key, array in final.items()}
            infos = self._add_info(infos, {"final_obs": last, "final_info": self.episodes.of_episode(i)}, i)
        result = self.batch.result
        reward = result["reward"] * self.reward_scale
        return observation, reward, result["terminated"].copy(), result["truncated"].copy(), infos

    def close_extras(self, **kwargs: Any) -> None:
        self.batch.close()

    def _levels(self, which: np.ndarray) -> dict[str, Any]:
        """The levels of the episodes that begin."""
        began = np.zeros(self.num_envs, bool)
        began[which] = True
        return {"level_seed": np.where(began, self.batch.level_seed, 0), "_level_seed": began}
