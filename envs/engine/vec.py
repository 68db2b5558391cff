"""The batched engines as SB3's `VecEnv` and Gymnasium's `VectorEnv`, with the results of the real environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from envs.engine.episodes import Divisible, Engine, Episodes, Part
from envs.vec_env import VecEnv


class BatchedVecEnv(VecEnv):
    """Environments stepped together; it returns what a `DummyVecEnv` of the real ones would return.

    With MiniGrid, `reset_infos[i]` has the `level_seed` of the episode that began, and so has each `infos[i]` that ends
    an episode: `make_env(id).reset(seed=level_seed)` is that level.
    """

    engine = "batched"
    actions: np.ndarray

    def __init__(
        self, batch: Engine, space: spaces.Space, action_space: spaces.Space, history: int, reward_scale: float
    ):
        super().__init__(batch.n, space, action_space)
        self.batch = batch
        self.reward_scale = reward_scale
        self.episodes = Episodes(batch, space, history)
        self.nothing_new: list[dict[str, Any]] = [{"TimeLimit.truncated": False}] * batch.n
        self.halves: list[Part] = []
        self.under_way: dict[int, Future[VecEnvStepReturn]] = {}  # of a half
        self.worker: ThreadPoolExecutor | None = None

    def reset(self) -> VecEnvObs:
        self._abandon()
        seed = self._seeds[0]
        options = next((options for options in self._options if options), None)
        observation = self.episodes.reset(None if seed is None else int(seed), options)
        self.reset_infos = [self.episodes.of_beginning(i) for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        if self.under_way:
            raise RuntimeError("a half of the environments is being stepped; call step_half_wait before step")
        return self._step(self.actions, self.episodes.everyone)

    def no_halves(self) -> str | None:
        """Why `step_half_async` cannot be used; None if it can."""
        if not isinstance(self.batch, Divisible):
            return f"{type(self.batch).__name__} steps all of its environments in one go"
        return f"n_envs={self.num_envs} has no halves" if self.num_envs % 2 else None

    def step_half_async(self, half: int, actions: np.ndarray) -> None:
        """Begin to step half 0 or half 1 of the environments in the background, in a thread of its own.

        Stepping both halves, in either order, is one `step` of all. Until `step_half_wait` has returned for each half
        that was begun, no other method may be called.
        """
        if half in self.under_way:
            raise RuntimeError(f"half {half} is already being stepped; call step_half_wait first")
        if self.worker is None:
            middle = self.num_envs // 2
            self.halves = [Part(self.batch, 0, middle), Part(self.batch, middle, self.num_envs)]
            self.worker = ThreadPoolExecutor(1, "engine")
        self.under_way[half] = self.worker.submit(self._step, actions, self.halves[half])

    def step_half_wait(self, half: int) -> VecEnvStepReturn:
        """Wait for a half -> what `step` would return for it."""
        return self.under_way.pop(half).result()

    def _step(self, actions: np.ndarray, part: Part) -> VecEnvStepReturn:
        observation, ended, last = self.episodes.step(actions, part)
        result = self.batch.result
        infos = [info.copy() for info in self.nothing_new[part.which]]  # faster than new dicts
        for row, i in enumerate(ended.tolist()):
            began = self.episodes.of_beginning(i)
            infos[i - part.first] = {
                **self.episodes.of_episode(i),
                "TimeLimit.truncated": bool(result["truncated"][i] and not result["terminated"][i]),
                "terminal_observation": self.episodes.row(last, row),
                **began,
            }
            self.reset_infos[i] = began
        reward = part.reward if self.reward_scale == 1 else part.reward * self.reward_scale
        return observation, reward.astype(np.float32), part.done.copy(), infos

    def saved(self) -> dict[str, Any]:
        """The state of all environments (`envs.saved`)."""
        return self.episodes.saved()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put all environments into a state of `saved`."""
        self.episodes.restore(state)
        self.reset_infos = [self.episodes.of_beginning(i) for i in range(self.num_envs)]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset; the levels are those of `envs.make_vec_env(..., engine="gymnasium", bank=...)`."""
        return super().seed(seed)

    def close(self) -> None:
        self._abandon()
        if self.worker is not None:
            self.worker.shutdown()

    def _abandon(self) -> None:
        """Wait for the halves that are being stepped, and drop their results."""
        for future in self.under_way.values():
            future.exception()
        self.under_way.clear()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name == "render_mode":  # asked for while this object is being made
            return [None for _ in self._get_indices(indices)]
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"the batched engine has no environments to set {attr_name!r} on; use engine=gymnasium")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        raise AttributeError(f"the batched engine has no environments to call {method_name!r} of; use engine=gymnasium")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        # SB3 asks whether episodes are reported as Monitor does, and they are
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


class BatchedVectorEnv(VectorEnv):
    """The engine as Gymnasium's vector environment: `AutoresetMode.SAME_STEP`, and the infos of `SyncVectorEnv`."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self, batch: Engine, space: spaces.Space, action_space: spaces.Space, history: int, reward_scale: float
    ):
        self.num_envs = batch.n
        self.batch = batch
        self.reward_scale = reward_scale
        self.single_observation_space, self.single_action_space = space, action_space
        self.observation_space, self.action_space = batch_space(space, batch.n), batch_space(action_space, batch.n)
        self.episodes = Episodes(batch, space, history)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.episodes.reset(seed, options), self._began(np.arange(self.num_envs))

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observation, ended, last = self.episodes.step(np.asarray(actions), self.episodes.everyone)
        infos = self._began(ended) if len(ended) else {}
        for row, i in enumerate(ended.tolist()):
            final = {"final_obs": self.episodes.row(last, row), "final_info": self.episodes.of_episode(i)}
            infos = self._add_info(infos, final, i)
        result = self.batch.result
        reward = result["reward"] * self.reward_scale
        return observation, reward, result["terminated"].copy(), result["truncated"].copy(), infos

    def _began(self, which: np.ndarray) -> dict[str, Any]:
        """The infos of the episodes that begin in these environments."""
        infos: dict[str, Any] = {}
        for key, array in self.batch.began.items():
            began = np.zeros(self.num_envs, bool)
            began[which] = True
            infos |= {key: np.where(began, array, 0), f"_{key}": began}
        return infos
