"""The batched engines as SB3's `VecEnv` and Gymnasium's `VectorEnv`, saying what the real environments would."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

PLAIN = "observation"  # as History calls it


class Engine(Protocol):
    """Environments stepped together, as `Batch` and `Classic` do; what is in its arrays stays until the next step."""

    n: int
    seen: dict[str, np.ndarray]  # what every environment shows; a plain Box is the key PLAIN
    seen_last: dict[str, np.ndarray]  # what it showed last, where its episode ended
    result: dict[str, np.ndarray]  # reward, terminated, truncated, done; episode_return, episode_length where done
    began: dict[str, np.ndarray]  # what the info of an episode's first observation tells

    def reset(self, seed: int | None = None) -> None: ...

    def step(self, actions: np.ndarray) -> np.ndarray:
        """-> the environments whose episode ended."""
        ...

    def ended(self, i: int) -> dict[str, Any]:
        """What the environment says in the last info of an episode."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Divisible(Protocol):
    """An engine that can also step a part of its environments, as `Batch` can."""

    def step_part(self, actions: np.ndarray, start: int, stop: int) -> np.ndarray:
        """`step` of the environments from `start` to `stop` - 1; the others stay as they are."""
        ...


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

    def push(self, observation: dict[str, np.ndarray], which: slice) -> None:
        """The next observations of these environments."""
        for key, array in self.arrays.items():
            window = array[which]
            window[:, :-1] = window[:, 1:]
            window[:, -1] = observation.get(key, self.ones)[which]

    def copy(self, which: Any = slice(None)) -> dict[str, np.ndarray]:
        return {key: np.array(window[which]) for key, window in self.arrays.items()}


def _copied(observation: dict[str, np.ndarray], which: slice = slice(None)) -> dict[str, np.ndarray]:
    return {key: array[which].copy() for key, array in observation.items()}


class _Episodes:
    """What both adapters say about the engine: observations, windows of them, and the episodes that end."""

    def __init__(self, batch: Engine, space: spaces.Space, history: int):
        self.batch = batch
        self.plain = not isinstance(space, spaces.Dict)
        self.windows = Windows(space, batch.n, history) if isinstance(space, spaces.Dict) and history else None
        self.since = time.time()

    def reset(self, seed: int | None, options: Any = None) -> Any:
        if options:
            raise ValueError(f"the batched engine has no options of a reset, got {options}; use engine=gymnasium")
        self.batch.reset(seed)
        if self.windows is not None:
            self.windows.begin(self.batch.seen)
        return self._seen()

    def step(self, actions: np.ndarray, part: slice | None = None) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
        """-> observations, the environments whose episode ended, and the last observations of these.

        part: of a `Divisible` engine, whose turn it is; None: everyone's.
        """
        batch: Any = self.batch
        ended = batch.step(actions) if part is None else batch.step_part(actions, part.start, part.stop)
        which = part or slice(None)
        last = {key: array.take(ended, 0) for key, array in self.batch.seen_last.items()} if len(ended) else {}
        if self.windows is None:
            return self._seen(which), ended, last
        seen = self.batch.seen
        if not len(ended):
            self.windows.push(seen, which)
            return self._seen(which), ended, last
        until = _copied(seen)
        for key, array in last.items():
            until[key][ended] = array
        self.windows.push(until, which)
        last = self.windows.copy(ended)
        self.windows.begin(seen, ended)
        return self._seen(which), ended, last

    def _seen(self, which: slice = slice(None)) -> Any:
        if self.windows is not None:
            return self.windows.copy(which)
        return self.batch.seen[PLAIN][which].copy() if self.plain else _copied(self.batch.seen, which)

    def row(self, observation: dict[str, np.ndarray], row: int) -> Any:
        """One of several observations."""
        return observation[PLAIN][row] if self.plain else {key: array[row] for key, array in observation.items()}

    def of_episode(self, i: int) -> dict[str, Any]:
        """What the environment and `Monitor` say at the end of an episode of environment i."""
        result = self.batch.result
        statistics = {
            "r": round(float(result["episode_return"][i]), 6),
            "l": int(result["episode_length"][i]),
            "t": round(time.time() - self.since, 6),
        }
        return {**self.batch.ended(i), "episode": statistics}

    def of_beginning(self, i: int) -> dict[str, Any]:
        """What the info of the first observation says."""
        return {key: array[i].item() for key, array in self.batch.began.items()}


class BatchedVecEnv(VecEnv):
    """Environments stepped together; what it returns is what `DummyVecEnv` of the real ones would.

    With MiniGrid, each `infos[i]` whose episode ended also tells `level_seed`, the level of the one that began, and so
    does `reset_infos[i]`: `make_env(id).reset(seed=level_seed)` is that level.
    """

    actions: np.ndarray

    def __init__(
        self, batch: Engine, space: spaces.Space, action_space: spaces.Space, history: int, reward_scale: float
    ):
        super().__init__(batch.n, space, action_space)
        self.batch = batch
        self.reward_scale = reward_scale
        self.episodes = _Episodes(batch, space, history)
        self.nothing_new: list[dict[str, Any]] = [{"TimeLimit.truncated": False}] * batch.n
        self.halves = slice(0, batch.n // 2), slice(batch.n // 2, batch.n)
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
        return self._step(self.actions)

    def no_halves(self) -> str | None:
        """Why `step_half_async` cannot be used; None if it can."""
        if not isinstance(self.batch, Divisible):
            return f"{type(self.batch).__name__} steps all of its environments in one go"
        return f"n_envs={self.num_envs} has no halves" if self.num_envs % 2 else None

    def step_half_async(self, half: int, actions: np.ndarray) -> None:
        """Half 0 or half 1 of the environments begins to step in the background, on a thread of its own.

        Both halves, each with its part of the actions and in any order, are one `step` of all. Until they have been
        waited for, the environments may be used for nothing else.
        """
        if half in self.under_way:
            raise RuntimeError(f"half {half} is being stepped; call step_half_wait first")
        self.worker = self.worker or ThreadPoolExecutor(1, "engine")
        self.under_way[half] = self.worker.submit(self._step, actions, self.halves[half])

    def step_half_wait(self, half: int) -> VecEnvStepReturn:
        """What `step` would say about that half."""
        return self.under_way.pop(half).result()

    def _step(self, actions: np.ndarray, part: slice | None = None) -> VecEnvStepReturn:
        observation, ended, last = self.episodes.step(actions, part)
        which, result = part or slice(0, self.num_envs), self.batch.result
        infos = [info.copy() for info in self.nothing_new[which]]  # faster than making them
        for row, i in enumerate(ended.tolist()):
            began = self.episodes.of_beginning(i)
            infos[i - which.start] = {
                **self.episodes.of_episode(i),
                "TimeLimit.truncated": bool(result["truncated"][i] and not result["terminated"][i]),
                "terminal_observation": self.episodes.row(last, row),
                **began,
            }
            self.reset_infos[i] = began
        reward = result["reward"][which]
        reward = reward if self.reward_scale == 1 else reward * self.reward_scale
        return observation, reward.astype(np.float32), result["done"][which].copy(), infos

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset; the levels are those of `envs.make_vec_env(..., engine="gymnasium", bank=...)`."""
        return super().seed(seed)

    def close(self) -> None:
        self._abandon()
        if self.worker is not None:
            self.worker.shutdown()
        self.batch.close()

    def _abandon(self) -> None:
        """Let what is under way come to its end, whatever that is."""
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
        # it reports episodes as Monitor does, which is what SB3 asks
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


class BatchedVectorEnv(VectorEnv):
    """The same as Gymnasium's vector environment, with `AutoresetMode.SAME_STEP` and the infos of `SyncVectorEnv`."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self, batch: Engine, space: spaces.Space, action_space: spaces.Space, history: int, reward_scale: float
    ):
        self.num_envs = batch.n
        self.batch = batch
        self.reward_scale = reward_scale
        self.single_observation_space, self.single_action_space = space, action_space
        self.observation_space, self.action_space = batch_space(space, batch.n), batch_space(action_space, batch.n)
        self.episodes = _Episodes(batch, space, history)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.episodes.reset(seed, options), self._began(np.arange(self.num_envs))

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observation, ended, last = self.episodes.step(np.asarray(actions))
        infos = self._began(ended) if len(ended) else {}
        for row, i in enumerate(ended.tolist()):
            final = {"final_obs": self.episodes.row(last, row), "final_info": self.episodes.of_episode(i)}
            infos = self._add_info(infos, final, i)
        result = self.batch.result
        reward = result["reward"] * self.reward_scale
        return observation, reward, result["terminated"].copy(), result["truncated"].copy(), infos

    def close_extras(self, **kwargs: Any) -> None:
        self.batch.close()

    def _began(self, which: np.ndarray) -> dict[str, Any]:
        """What the first infos of the episodes that begin say."""
        infos: dict[str, Any] = {}
        for key, array in self.batch.began.items():
            began = np.zeros(self.num_envs, bool)
            began[which] = True
            infos |= {key: np.where(began, array, 0), f"_{key}": began}
        return infos
