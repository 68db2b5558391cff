"""Gymnasium's environments have no common way to save their state; but what led to it can be played again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.errors import Reported
from envs.levels import BankLevels


class Recorded(gymnasium.Wrapper):
    """Remembers how the present episode began and the actions since, so that it can be played again.

    An episode is a function of the environment's random state before its reset, the seed given to the reset, and the
    actions. This does not hold for an environment that keeps something else from one episode to the next.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.begin: dict[str, Any] = {}
        self.actions, self.count = np.zeros(0), 0  # the first `count` are those of this episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        random = self.unwrapped.np_random.bit_generator.state
        counters = [[wrapper.seed, wrapper.episode] for wrapper in self._counting()]
        self.begin, self.count = {"seed": seed, "random": random, "counters": counters}, 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        taken = np.asarray(action)
        if self.count == len(self.actions) or taken.dtype != self.actions.dtype:
            more = np.zeros((max(self.count, 16), *taken.shape), taken.dtype)
            self.actions = np.concatenate([self.actions[: self.count], more]) if self.count else more
        self.actions[self.count] = taken
        self.count += 1
        return self.env.step(action)

    def saved(self) -> dict[str, Any]:
        """How the episode began, and its actions."""
        return {**self.begin, "actions": self.actions[: self.count].copy()}

    def replay(self, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Play a saved episode again -> its last observation, and the info of its first."""
        for wrapper, (seed, episode) in zip(self._counting(), state["counters"], strict=True):
            wrapper.seed, wrapper.episode = seed, episode
        self.unwrapped.np_random.bit_generator.state = state["random"]
        observation, info = self.reset(seed=state["seed"])
        for action in state["actions"]:
            observation = self.step(action)[0]
        return observation, info

    def _counting(self) -> Iterator[Any]:
        """The wrappers that count episodes."""
        env = self.env
        while isinstance(env, gymnasium.Wrapper):
            if isinstance(env, (BankLevels, Reported)):
                yield env
            env = env.env
