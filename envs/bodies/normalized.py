"""Rewards of several bodies on one scale, so that no body's gradients drown another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from envs.saved import refill

EPSILON, MOST = 1e-8, 10.0  # as SB3's VecNormalize


class NormalizedPerBody(VecEnvWrapper):
    """The rewards of each body are divided by the standard deviation of its own discounted returns so far.

        G ← γ G + r,    r' = clip(r / √(Var_b[G] + ε), -10, 10)    for an environment that plays body b

    For one body this is SB3's `VecNormalize` of rewards. Episode statistics stay those of the environments.

    Args:
        env: environment i plays body i, counted around.
        bodies: how many there are.
        gamma: the discount γ.
    """

    def __init__(self, env: VecEnv, bodies: int, gamma: float):
        super().__init__(env)
        self.gamma = gamma
        self.body = np.arange(env.num_envs) % bodies
        self.of_body = [RunningMeanStd(shape=()) for _ in range(bodies)]
        self.returns = np.zeros(env.num_envs)

    def reset(self) -> VecEnvObs:
        self.returns[:] = 0
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        observation, reward, done, infos = self.venv.step_wait()
        self.returns = self.returns * self.gamma + reward
        for number, statistics in enumerate(self.of_body):
            if (returns := self.returns[self.body == number]).size:
                statistics.update(returns)
        scale = np.sqrt([statistics.var + EPSILON for statistics in self.of_body])[self.body]
        self.returns[done] = 0
        return observation, np.clip(reward / scale, -MOST, MOST).astype(np.float32), done, infos

    def saved(self) -> dict[str, Any]:
        """The statistics of each body, and the returns so far (`envs.saved`)."""
        moments = [[float(each.mean), float(each.var), float(each.count)] for each in self.of_body]
        return {"moments": np.array(moments), "returns": self.returns.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `saved`.

        Raises:
            ValueError: it is one of another number of bodies or environments.
        """
        moments = self.saved()["moments"]
        refill({"moments": moments, "returns": self.returns}, state)
        for each, (mean, variance, count) in zip(self.of_body, moments, strict=True):
            each.mean, each.var, each.count = mean, variance, count
