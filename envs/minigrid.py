"""MiniGrid observations: cell codes as they are, and everything the view hides as keys of its own.

image      Box(0, 10, (x, y, 3), uint8), Farama's axis order: object type, colour, state of each cell
direction  Box(0, 3, (1,), uint8), where the agent faces
carrying   Box(0, 10, (2,), uint8), type and colour of the carried object, (1, 0) for none; full view only,
           where the image hides it
mission    Box(0, V-1, (72,), uint8), word ids followed by zeros; only where missions vary
"""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from textwrap import shorten
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.minigrid_env import MiniGridEnv
from minigrid.wrappers import FullyObsWrapper, RGBImgPartialObsWrapper

VIEWS = ("partial", "full", "rgb")
TILE_PIXELS = 8  # of the rgb view
MISSION_LENGTH = 72  # the longest sentence of BabyAI's grammar
EMPTY_HAND = (1, 0)  # the code of an empty cell

# Every word of every MiniGrid and BabyAI mission. 0 pads, 1 stands for a word not listed here. The order is part of
# the policy format: new words go to the end.
WORDS = """
<pad> <unknown> , a after and at avoid ball behind blue box door end fetch find from front get go goal green
grey hallway in key lava left matching must near next object of on open opening pick purple put reach red
right room rooms square the then to traverse unlock up use yellow you your
""".split()
WORD_IDS = {word: index for index, word in enumerate(WORDS)}
UNKNOWN = 1


class MiniGridObservation(gymnasium.ObservationWrapper):
    """A MiniGrid environment with the observations described above, for the view "partial", "full" or "rgb".

    It also states success as `info["is_success"]` at the end of an episode: terminated with a reward above zero.

    Raises:
        ValueError: an unknown view.
    """

    def __init__(self, env: gymnasium.Env, view: str = "partial"):
        if view not in VIEWS:
            raise ValueError(f"env.view is one of {', '.join(VIEWS)}, got {view!r}")
        self.missions_vary = missions_vary(env.unwrapped)
        if view == "full":
            env = FullyObsWrapper(env)
        if view == "rgb":
            env = RGBImgPartialObsWrapper(env, tile_size=TILE_PIXELS)
        super().__init__(env)
        self.view = view
        assert isinstance(env.observation_space, spaces.Dict)
        shape = env.observation_space["image"].shape
        assert shape is not None
        parts: dict[str, spaces.Space] = {
            "image": spaces.Box(0, 255 if view == "rgb" else max(OBJECT_TO_IDX.values()), shape, np.uint8),
            "direction": spaces.Box(0, 3, (1,), np.uint8),
        }
        if view == "full":
            parts["carrying"] = spaces.Box(0, max(OBJECT_TO_IDX.values()), (2,), np.uint8)
        if self.missions_vary:
            parts["mission"] = spaces.Box(0, len(WORDS) - 1, (MISSION_LENGTH,), np.uint8)
        self.observation_space = spaces.Dict(parts)

    def observation(self, observation: dict[str, Any]) -> dict[str, np.ndarray]:
        parts = {
            "image": observation["image"].astype(np.uint8, copy=False),
            "direction": np.array([observation["direction"]], np.uint8),
        }
        if self.view == "full":
            carried = self.unwrapped.carrying  # type: ignore[attr-defined]
            code = (OBJECT_TO_IDX[carried.type], COLOR_TO_IDX[carried.color]) if carried else EMPTY_HAND
            parts["carrying"] = np.array(code, np.uint8)
        if self.missions_vary:
            parts["mission"] = word_ids(observation["mission"])
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
        ValueError: it is no MiniGrid environment.
    """
    core = env.unwrapped
    if not isinstance(core, MiniGridEnv):
        raise ValueError(f"the cells of {type(core).__name__} cannot be drawn; MiniGrid's environments can")
    return core.get_frame(highlight=False, tile_size=32, agent_pov=view == "partial")


def missions_vary(env: Any) -> bool:
    """Whether an environment's missions depend on the level: BabyAI, or a mission with placeholders."""
    assert isinstance(env, MiniGridEnv)
    return isinstance(env, RoomGridLevel) or bool(env.observation_space["mission"].ordered_placeholders)  # type: ignore


def word_ids(mission: str) -> np.ndarray:
    """A mission as MISSION_LENGTH word ids.

    Raises:
        ValueError: the mission has more words than that.
    """
    words = re.findall(r"[a-z]+|[^a-z\s]", mission.lower())
    if len(words) > MISSION_LENGTH:
        shown = shorten(mission, 60, placeholder=" ...")
        raise ValueError(f"missions have at most {MISSION_LENGTH} words, got {len(words)}; shorten {shown!r}")
    ids = np.zeros(MISSION_LENGTH, np.uint8)
    ids[: len(words)] = [WORD_IDS.get(word, UNKNOWN) for word in words]
    return ids
