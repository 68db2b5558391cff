"""What goes wrong inside an environment, reported with the place where it went wrong."""

from __future__ import annotations

from typing import Any

import gymnasium

Place = tuple[int | None, int, int, bool]


class EnvironmentFailed(RuntimeError):
    """An environment raised an exception, which is this one's `__cause__`, or broke its promises; says where.

    Attributes:
        played: the environment's options and the episode that led there (`envs.recorded.Recorded.played`), if known.
        level: that could not be made, in the batched engine.
    """

    played: dict[str, Any] | None = None
    level: int | None = None


class Reported(gymnasium.Wrapper):
    """Raises an environment's exceptions as `EnvironmentFailed`, with its id, and the episode's seed and step.

    An environment that calls `sys.exit` has failed too.

    Attributes:
        has_levels: whether each seed is that of a level.
        place: (seed of the last seeded reset, episodes since then, steps of this episode; 0 for the reset itself), and
            `has_levels`.
        ended: the place at which the last episode ended.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.id = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        self.seed: int | None = None
        self.has_levels = False
        self.episode = self.steps = 0
        self.ended = self.place

    @property
    def place(self) -> Place:
        return self.seed, self.episode, self.steps, self.has_levels

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.ended = self.place
        if seed is not None:
            self.seed, self.episode = seed, 0
        self.episode += 1
        self.steps = 0
        try:
            return self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise self._failed(error) from error

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.steps += 1
        try:
            return self.env.step(action)
        except (Exception, SystemExit) as error:
            raise self._failed(error) from error

    def _failed(self, error: BaseException) -> EnvironmentFailed:
        said = f": {error}" if str(error) else ""
        return EnvironmentFailed(f"environment {self.id} raised {type(error).__name__} {at(self.place)}{said}")


def at(place: Place) -> str:
    """A place in words: "in step 17 of episode 2 since reset(seed=5)", or "in step 17 of level 5"."""
    seed, episode, step, has_levels = place
    since = f"since reset(seed={seed})" if seed is not None else "of an environment without a seed"
    episode_or_level = f"level {seed}" if has_levels else f"episode {episode} {since}"
    return f"in {f'step {step}' if step else 'the reset'} of {episode_or_level}"
