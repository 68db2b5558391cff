"""The type of vectorised environments that `envs.make_vec_env` returns, and the form that steps Gymnasium's in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3.common.vec_env as sb3

from envs.errors import EnvironmentFailed, at
from symmetry import Symmetry


class VecEnv(sb3.VecEnv):
    """SB3's `VecEnv` with the declared symmetry of its environments and the name of their engine.

    Attributes:
        symmetry: the symmetry that the environment declares, or None.
        engine: "gymnasium" or "batched".
    """

    symmetry: Symmetry | None = None
    engine: str


class LevelsVecEnv(sb3.DummyVecEnv, VecEnv):
    """Environments stepped in turn; when an episode ends, `infos[i]` also has the level seed of the next episode.

    Raises:
        FloatingPointError: an environment returned NaN or infinity; the message says which, when, and for which key.
        EnvironmentFailed: it returned an observation of another shape than its space declares.
    """

    engine = "gymnasium"

    def __init__(self, env_fns: list[Callable[[], gymnasium.Env]]):
        super().__init__(env_fns)
        self.floats = [key for key, array in self.buf_obs.items() if array.dtype.kind == "f"]
        # views of the buffers, so they always show the present contents
        self.flat = [array.reshape(-1) for array in (self.buf_rews, *(self.buf_obs[key] for key in self.floats))]

    def reset(self) -> Any:
        observation = super().reset()
        self.buf_rews[:] = 0
        self._check_finite(())
        return observation

    def step_wait(self) -> Any:
        observation, reward, done, infos = super().step_wait()
        ended = np.flatnonzero(done)
        for i in ended:
            if "level_seed" in self.reset_infos[i]:
                infos[i]["level_seed"] = self.reset_infos[i]["level_seed"]
        self._check_finite(ended)
        return observation, reward, done, infos

    def _save_obs(self, env_idx: int, obs: Any) -> None:
        for key, array in self.buf_obs.items():
            given = np.shape(obs if key is None else obs[key])
            if given != array.shape[1:]:  # NumPy would repeat an observation that is too small
                env = self.envs[env_idx]
                raise EnvironmentFailed(
                    f"environment {env.get_wrapper_attr('id')} returned an {_named(key)} of shape {given}, and its "
                    f"observation_space declares {array.shape[1:]}, {at(env.get_wrapper_attr('place'))}"
                )
        super()._save_obs(env_idx, obs)

    def saved(self) -> dict[str, Any]:
        """The episode of each environment, and the present observations (`envs.saved`)."""
        episodes: list[Any] = [env.saved() for env in self.envs]  # type: ignore[attr-defined]
        return {"episodes": episodes, "observations": [self.buf_obs[key].copy() for key in self.keys]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Play the episodes again.

        Raises:
            ValueError: an environment showed another observation at the end: it keeps something from one episode to the
                next, or draws from random numbers that are not its own.
        """
        for i, (env, episode) in enumerate(zip(self.envs, state["episodes"], strict=True)):
            observation, self.reset_infos[i] = env.replay(episode)  # type: ignore[attr-defined]
            self._save_obs(i, observation)
            for key, before in zip(self.keys, state["observations"], strict=True):
                if not np.array_equal(self.buf_obs[key][i], before[i], equal_nan=before.dtype.kind == "f"):
                    raise ValueError(
                        f"environment {env.get_wrapper_attr('id')} cannot be resumed: played again from the same "
                        "random state with the same actions, its episode came to another observation; "
                        "overwrite=true trains anew"
                    )

    def _check_finite(self, ended: Any) -> None:
        # A sum of squares is finite only if every number is, and takes a quarter of the time of checking each number.
        finite = True
        for array in self.flat:
            finite = finite and isfinite(np.vdot(array, array))
        for i in ended:
            last = self.buf_infos[i]["terminal_observation"]
            for key in self.floats:
                part = last if key is None else last[key]
                finite = finite and isfinite(np.vdot(part, part))
        if not finite:
            for i in range(self.num_envs):
                self._check_one(i, self.buf_infos[i]["terminal_observation"] if i in ended else None)

    def _check_one(self, i: int, last: Any) -> None:
        """Raise FloatingPointError if environment i returned NaN or infinity, unless its action was not finite."""
        action = getattr(self, "actions", None)
        if action is not None and not np.isfinite(action[i]).all():
            return
        shown = {key: array[i] for key, array in self.buf_obs.items()}
        env = self.envs[i]
        place = env.get_wrapper_attr("place")
        ended = place if last is None else env.get_wrapper_attr("ended")
        found = [("reward", self.buf_rews[i], ended)]
        found += [(_named(key), part, ended) for key, part in self._floats_of(last).items()]
        found += [(_named(key), shown[key], place) for key in self.floats]
        for what, values, where in found:
            wrong = np.ravel(values)[~np.isfinite(np.ravel(values))]
            if wrong.size:
                raise FloatingPointError(
                    f"environment {env.get_wrapper_attr('id')}, number {i} of 0 to {self.num_envs - 1}, returned "
                    f"{wrong[0]} as {what} {at(where)}"
                )

    def _floats_of(self, observation: Any) -> dict[Any, np.ndarray]:
        """The parts of one observation that are floating-point numbers."""
        if observation is None:
            return {}
        return {key: np.asarray(observation if key is None else observation[key]) for key in self.floats}


def _named(key: str | None) -> str:
    return "observation" if key is None else f"observation {key!r}"
