"""An environment of any spaces, which refuses actions outside its own."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 5  # steps of an episode

VECTOR = spaces.Box(-1, 1, (3,))
OBSERVATIONS = {
    "discrete": spaces.Discrete(19, start=2),
    "dict of discrete": spaces.Dict(a=spaces.Discrete(3, start=5)),
    "multidiscrete": spaces.MultiDiscrete([3, 2], start=[5, -1]),
    "2-d multidiscrete": spaces.MultiDiscrete([[3, 2], [2, 4]]),
    "number": spaces.Box(-1, 1, ()),
    "tuple": spaces.Tuple((spaces.Box(-1, 1, (2,)), spaces.Discrete(3, start=1))),
    "nested": spaces.Dict(
        body=spaces.Dict(arms=spaces.Tuple((VECTOR, VECTOR)), mass=spaces.Box(0, 1, ())), foot=VECTOR
    ),
}
CHOICES = {
    "discrete": spaces.Discrete(3, start=-1),
    "multidiscrete": spaces.MultiDiscrete([3, 2], start=[5, -1]),
    "2-d multidiscrete": spaces.MultiDiscrete([[3, 2], [2, 4]]),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3, start=4))),
    "2-d multibinary": spaces.MultiBinary([2, 3]),
}
NUMBERS = {
    "number": spaces.Box(-1, 1, ()),
    "matrix": spaces.Box(-1, 1, (2, 3)),
    "dict": spaces.Dict(a=spaces.Box(-2, 1, (2,)), b=spaces.Box(-1, 1, ())),
}
UNREADABLE = {
    "Text": spaces.Dict(said=spaces.Text(5), seen=VECTOR),
    "Graph": spaces.Tuple((spaces.Graph(VECTOR, None),)),
    "Sequence": spaces.Dict(body=spaces.Dict(path=spaces.Sequence(VECTOR))),
}


class Strange(gymnasium.Env):
    """Random observations; `taken` lists the actions of all such environments, in order."""

    taken: ClassVar[list[Any]] = []

    def __init__(
        self,
        observation: spaces.Space = VECTOR,
        action: spaces.Space = spaces.Discrete(2),  # noqa: B008
        length: int = LENGTH,
    ):
        self.length = length
        self.observation_space, self.action_space = observation, action
        self.shown: Any = None
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps, self.shown = 0, self.observation_space.sample()
        return self.shown, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), f"{action!r} is outside {self.action_space}"
        self.taken.append(action)
        self.steps, self.shown = self.steps + 1, self.observation_space.sample()
        return self.shown, 1.0, self.steps == self.length, False, {}


class Broken(Strange):
    """It raises `error` in step `step` of episode `episode`; step 0 is the reset."""

    def __init__(self, step: int = 3, episode: int = 1, error: BaseException = ValueError("the door is gone")):  # noqa: B008
        super().__init__()
        self.step_of_error, self.episode_of_error, self.error, self.episodes = step, episode, error, 0

    def _fail(self) -> None:
        if (self.episodes, self.steps) == (self.episode_of_error, self.step_of_error):
            raise self.error

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.episodes += 1
        shown = super().reset(**kwargs)
        self._fail()
        return shown

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        result = super().step(action)
        self._fail()
        return result


class Poisoned(Strange):
    """In step `step` of its second episode, `key` ("reward", or a key of the observation) is `value`."""

    def __init__(self, key: str = "b", step: int = 3, value: float = np.nan, poisoned: bool = True):
        super().__init__(spaces.Dict(a=VECTOR, b=VECTOR, c=spaces.Discrete(3)))
        self.key, self.step_of_fault, self.value, self.poisoned, self.episodes = key, step, value, poisoned, 0

    def _shown(self, observation: Any) -> Any:
        due = self.poisoned and (self.episodes, self.steps) == (2, self.step_of_fault)
        return {**observation, self.key: np.array([0, self.value, 0], np.float32)} if due else observation

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.episodes += 1
        observation, info = super().reset(**kwargs)
        return self._shown(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, *rest = super().step(action)
        if self.key == "reward":
            due = self.poisoned and (self.episodes, self.steps) == (2, self.step_of_fault)
            return observation, self.value if due else reward, *rest
        return self._shown(observation), reward, *rest


# Gymnasium's own checker warns of every unusual space
for _name, _made in (("Strange-v0", Strange), ("Broken-v0", Broken), ("Poisoned-v0", Poisoned)):
    gymnasium.register(_name, _made, disable_env_checker=True)
gymnasium.register("Leaving-v0", Broken, kwargs={"error": SystemExit(0)}, disable_env_checker=True)
