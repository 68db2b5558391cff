"""MiniGrid observations: cell codes unchanged, and a key each for what the view hides.

image      Box(0, L, (x, y, 3), uint8), Farama's axis order: object type, colour, state of each cell
direction  Box(0, 3, (1,), uint8), where the agent faces
carrying   Box(0, L, (2,), uint8), type and colour of the carried object, (1, 0) for none; full view only,
           where the image hides it
mission    Box(0, V-1, (72,), uint8), word ids followed by zeros; only where missions vary

The view "flat" is one vector: image, then the letters of the mission (`envs.missions.letters`), whether missions vary
or not. It is that of Farama's FlatObsWrapper, which RL Baselines3 Zoo trains with.

L is the largest code that an environment can show: 10 with MiniGrid's own objects and colours (`envs.codes`). V is the
size of the vocabulary (`envs.missions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.minigrid_env import MiniGridEnv
from minigrid.wrappers import FullyObsWrapper, RGBImgPartialObsWrapper

from envs.codes import PIXELS, number_of_codes
from envs.missions import MISSION_LENGTH, WORDS, checked_words, letters, missions_vary, word_ids, words_beyond

VIEWS = ("partial", "full", "rgb", "flat")
TILE_PIXELS = 8  # of the rgb view
EMPTY_HAND = (1, 0)  # the code of an empty cell


class MiniGridObservation(gymnasium.ObservationWrapper):
    """A MiniGrid environment with the observations described above.

    At the end of an episode it states success as `info["is_success"]`: terminated with a reward above zero.

    Args:
        env: a MiniGrid environment.
        view: "partial", "full", "rgb" or "flat".
        words: the words of missions outside `envs.missions.WORDS`; default: those of `envs.missions.words_beyond`.

    Attributes:
        codes: how many codes there are for types, for colours and for states.
        words: the words of missions outside `envs.missions.WORDS`, in the order of their ids.

    Raises:
        ValueError: an unknown view, `words` that is not a list of words, or codes that do not fit a byte.
    """

    def __init__(self, env: gymnasium.Env, view: str = "partial", words: Sequence[str] | None = None):
        if view not in VIEWS:
            raise ValueError(f"env.view is one of {', '.join(VIEWS)}, got {view!r}")
        self.codes = number_of_codes(env.unwrapped)
        self.missions_vary = missions_vary(env.unwrapped)
        self.words = words_beyond(env.unwrapped) if words is None else checked_words(words)
        if view == "full":
            env = FullyObsWrapper(env)
        if view == "rgb":
            env = RGBImgPartialObsWrapper(env, tile_size=TILE_PIXELS)
        super().__init__(env)
        self.view, self.largest = view, PIXELS if view == "rgb" else max(self.codes) - 1
        assert isinstance(env.observation_space, spaces.Dict)
        shape = env.observation_space["image"].shape
        assert shape is not None
        parts: dict[str, spaces.Space] = {
            "image": spaces.Box(0, self.largest, shape, np.uint8),
            "direction": spaces.Box(0, 3, (1,), np.uint8),
        }
        if view == "full":
            parts["carrying"] = spaces.Box(0, self.largest, (2,), np.uint8)
        if self.missions_vary:
            vocabulary = len(WORDS) + len(self.words)
            parts["mission"] = spaces.Box(0, vocabulary - 1, (MISSION_LENGTH,), np.uint8)
        self.observation_space = spaces.Dict(parts)
        if view == "flat":
            size = int(np.prod(shape)) + len(letters(""))
            self.observation_space = spaces.Box(0, self.largest, (size,), np.uint8)

    def observation(self, observation: dict[str, Any]) -> Any:
        image = observation["image"].astype(np.uint8, copy=False)
        if image.max() > self.largest:
            raise ValueError(
                f"{type(self.unwrapped).__name__} shows the code {image.max()}, but its largest known code is "
                f"{self.largest}: register objects and colours in minigrid.core.constants before the environment is "
                "made, or declare the largest code as the bound of its observation_space['image']"
            )
        if self.view == "flat":
            return np.concatenate((image.ravel(), letters(observation["mission"])))
        parts = {"image": image, "direction": np.array([observation["direction"]], np.uint8)}
        if self.view == "full":
            carried = self.unwrapped.carrying  # type: ignore[attr-defined]
            code = (OBJECT_TO_IDX[carried.type], COLOR_TO_IDX[carried.color]) if carried else EMPTY_HAND
            parts["carrying"] = np.array(code, np.uint8)
        if self.missions_vary:
            parts["mission"] = word_ids(observation["mission"], self.words)
        return parts

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        with redirect_stdout(StringIO()):  # BabyAI prints each level it rejects
            return super().reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            info["is_success"] = bool(terminated and reward > 0)  # type: ignore[operator]
        return observation, reward, terminated, truncated, info


def picture(env: gymnasium.Env, view: str) -> np.ndarray:
    """The cells of an observation as they look, for the view "partial" or "full": pixels (32 y, 32 x, 3).

    Raises:
        ValueError: it is not a MiniGrid environment.
    """
    core = env.unwrapped
    if not isinstance(core, MiniGridEnv):
        raise ValueError(f"the cells of {type(core).__name__} cannot be drawn; MiniGrid's environments can")
    return core.get_frame(highlight=False, tile_size=32, agent_pov=view == "partial")
