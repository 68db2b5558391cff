"""Gymnasium's environments have no common way to save their state; but what led to it can be played again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from envs.errors import EnvironmentFailed, Reported
from envs.levels import BankLevels


class Recorded(gymnasium.Wrapper):
    """Remembers how the present episode began and the actions since, so that it can be played again.

    An episode is a function of the environment's random state before its reset, the seed given to the reset, and the
    actions. This does not hold for an environment that keeps something else from one episode to the next.

    Args:
        env: the environment.
        made: the options of `envs.make.make_nth_env` that it was made with.
    """

    def __init__(self, env: gymnasium.Env, made: Mapping[str, Any] | None = None):
        super().__init__(env)
        self.made = dict(made or {})
        self.begin: dict[str, Any] = {}
        self.actions, self.count = np.zeros(0), 0  # the first `count` are those of this episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        random = self.unwrapped.np_random.bit_generator.state
        counters = [[wrapper.seed, wrapper.episode] for wrapper in self._counting()]
        self.begin, self.count = {"seed": seed, "random": random, "counters": counters}, 0
        try:
            return self.env.reset(seed=seed, options=options)
        except EnvironmentFailed as error:
            error.played = self.played()
            raise

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        taken = np.asarray(action)
        if self.count == len(self.actions) or taken.dtype != self.actions.dtype:
            more = np.zeros((max(self.count, 16), *taken.shape), taken.dtype)
            self.actions = np.concatenate([self.actions[: self.count], more]) if self.count else more
        self.actions[self.count] = taken
        self.count += 1
        try:
            return self.env.step(action)
        except EnvironmentFailed as error:
            error.played = self.played()
            raise

    def saved(self) -> dict[str, Any]:
        """How the episode began, and its actions."""
        return {**self.begin, "actions": self.actions[: self.count].copy()}

    def played(self) -> dict[str, Any]:
        """The same, with the environment's options, and its level if it has levels."""
        level = next((wrapper.level for wrapper in self._counting() if isinstance(wrapper, BankLevels)), None)
        return {"environment": self.made, "level": level, **self.saved()}

    def begin_again(self, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Begin a saved episode again -> its first observation and info."""
        for wrapper, (seed, episode) in zip(self._counting(), state["counters"], strict=True):
            wrapper.seed, wrapper.episode = seed, episode
        self.unwrapped.np_random.bit_generator.state = state["random"]
        return self.reset(seed=state["seed"])

    def replay(self, state: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Play a saved episode again -> its last observation, and the info of its first."""
        observation, info = self.begin_again(state)
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
