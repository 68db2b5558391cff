"""Levels shifted, for evaluations: mirrored, turned, or in other colours, as arrays of the engine.

    mirror     (x, y) -> (width - 1 - x, y); missions exchange "left" and "right"
    rotate     (x, y) -> (height - 1 - y, x), a quarter turn clockwise; what the agent sees ahead of it stays the same
    colours    colour c -> c + 1 modulo 6 of doors, keys, balls and boxes, in missions too; all else keeps its colour

A shifted level is as hard as the level itself: matching actions meet matching observations and rewards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX

from envs.engine import kernel
from envs.engine.farama import Made, put
from envs.engine.kernel import BALL, BOX, DOOR, KEY, MARGIN, Levels
from envs.engine.rules import RULES, step_owner
from envs.missions import WORDS, missions_vary
from envs.names import unknown

SHIFTS = ("mirror", "rotate", "colours")
COLOURS = sorted(COLOR_TO_IDX, key=lambda name: COLOR_TO_IDX[name])[:6]  # Farama's own, by code
NEXT = dict(zip(COLOURS, [*COLOURS[1:], COLOURS[0]], strict=True))
EXCHANGED = {"mirror": {"left": "right", "right": "left"}, "rotate": {}, "colours": NEXT}  # words of missions
PLACES = {  # parameters of rules that are positions
    kernel.GO_TO: [0],
    kernel.MEMORY: [0, 1],
    kernel.PUT_NEAR: [1],
    kernel.RED_BLUE: [0, 1],
    kernel.UNLOCK: [0],
}
KINDS = {kernel.FETCH: [0], kernel.PUT_NEAR: [0]}  # parameters that are a type and a colour
NAMED = rf"({'|'.join(COLOURS)}) (door|key|ball|box)"


class Maker(Protocol):
    """Makes levels from seeds."""

    def made(self, seeds: Sequence[int]) -> Made: ...


class ShiftedMaker:
    """Makes the levels of another maker, shifted.

    Args:
        maker: of the levels as they are.
        env: whose levels they are.
        shift: "mirror", "rotate" or "colours".

    Raises:
        ValueError: no such shift; it changes nothing; or it would change what a level is about.
    """

    def __init__(self, maker: Maker, env: gymnasium.Env, shift: str):
        if shift not in SHIFTS:
            raise ValueError(unknown("shift", shift, SHIFTS))
        inner: Any = env.unwrapped
        self.maker, self.shift, self.name = maker, shift, type(inner).__name__
        self.rule = RULES[step_owner(env)].code
        if self.rule == kernel.CUSTOM:
            raise ValueError(f"shift={shift} is not known to the rule of {self.name}, which is one of your own")
        tried = maker.made([0]).levels  # which sets the mission
        said = re.search(NAMED if shift == "colours" else r"\b(left|right)\b", inner.mission)
        if said and not missions_vary(inner) and shift != "rotate":
            raise ValueError(
                f"shift={shift} would change the task of {self.name}: its mission is always {inner.mission!r}, and "
                f"policies are not told of another {said[0]}"
            )
        if shift == "colours" and not is_coloured(tried.grid).any():
            raise ValueError(f"shift=colours changes nothing in {self.name}: it has no doors, keys, balls or boxes")

    def made(self, seeds: Sequence[int]) -> Made:
        """New rows for the levels of these seeds."""
        made = self.maker.made(seeds)
        if self.shift == "colours":
            return made._replace(levels=self._recoloured(made))
        return self._moved(made)

    def make(self, levels: Levels, rows: np.ndarray, seeds: np.ndarray) -> None:
        """Write the levels of these seeds into these rows."""
        put(levels, rows, self.made(seeds.tolist()).levels)

    def _moved(self, made: Made) -> Made:
        old, mirrors = made.levels, self.shift == "mirror"
        width, height = (made.width, made.height) if mirrors else (made.height, made.width)
        stride = width + MARGIN

        def move(places: np.ndarray) -> np.ndarray:
            """The indices of positions."""
            y, x = np.divmod(places - MARGIN, made.width + MARGIN)
            x, y = (made.width - 1 - x, y - MARGIN) if mirrors else (made.height - 1 - (y - MARGIN), x)
            return MARGIN + (y + MARGIN) * stride + x

        def moved(cells: np.ndarray) -> np.ndarray:
            """Cells, or marks, of all levels."""
            if not cells.size:  # no marks
                return cells
            around = cells[:, :1]  # the walls around a grid are all alike
            new = np.repeat(around, MARGIN + (height + 2 * MARGIN) * stride, axis=1)
            new[:, move(inside)] = cells[:, inside]
            return new

        rows, columns = np.mgrid[: made.height, : made.width]
        inside = (MARGIN + (rows + MARGIN) * (made.width + MARGIN) + columns).ravel()
        agent = old.agent.copy()
        agent["position"], agent["stride"] = move(old.agent["position"]), stride
        agent["direction"] = (2 - old.agent["direction"] if mirrors else old.agent["direction"] + 1) % 4
        for place in PLACES.get(self.rule, []):
            agent["parameters"][:, place] = move(old.agent["parameters"][:, place])
        levels = old._replace(
            agent=agent,
            grid=moved(old.grid),
            marks=moved(old.marks),
            obstacles=move(old.obstacles),
            image=old.image[:, ::-1].copy() if mirrors else old.image,
            mission=self._said(old.mission),
        )
        return made._replace(width=width, height=height, levels=levels)

    def _recoloured(self, made: Made) -> Levels:
        old, agent, image = made.levels, made.levels.agent.copy(), made.levels.image.copy()
        self._check_walls(made)
        agent["carrying"] = recoloured(old.agent["carrying"])
        for kind in KINDS.get(self.rule, []):
            agent["parameters"][:, kind] = recoloured(old.agent["parameters"][:, kind])
        seen = image[..., 0] | image[..., 1].astype(np.int16) << 4
        image[..., 1] = recoloured(seen) >> 4
        grid, contents = recoloured(old.grid), recoloured(old.contents)
        return old._replace(agent=agent, grid=grid, contents=contents, image=image, mission=self._said(old.mission))

    def _said(self, missions: np.ndarray) -> np.ndarray:
        """Missions in which words are exchanged."""
        known = np.arange(256, dtype=np.uint8)
        for word, other in EXCHANGED[self.shift].items():
            known[WORDS.index(word)] = WORDS.index(other)
        return known[missions]

    def _check_walls(self, made: Made) -> None:
        """Raise ValueError if a mission asks to go to "a grey object", or to put one next to it: walls stay grey."""
        agent, grid = made.levels.agent, made.levels.grid
        asked = np.zeros(len(grid), np.uint8)  # the descriptions of things to go to, and of things to put next to
        for atom in range(kernel.ATOMS):
            kind = agent["program"][:, 2 + 2 * atom]
            bit = np.where(kind == kernel.REACH, 1, np.where(kind == kernel.PUT_NEXT, 2, 0))
            asked |= (bit << 2 * atom).astype(np.uint8)
        of_walls = np.where((grid & 15) == kernel.WALL, np.take_along_axis(made.levels.masks, grid >> 9, 1), 0)
        meant = (of_walls & asked[:, None]).any(1)
        if meant.any():
            raise ValueError(
                f"shift=colours would change the task of level {made.seeds[meant][0]} of {self.name}: it speaks of "
                "walls, which keep their colour"
            )


def is_coloured(cells: np.ndarray) -> np.ndarray:
    """Where there is a door, a key, a ball or a box."""
    return np.isin(cells & 15, (DOOR, KEY, BALL, BOX))


def recoloured(cells: np.ndarray) -> np.ndarray:
    """Cells with the next colour of every door, key, ball and box."""
    colour = (cells >> 4) & 7
    following = np.where(colour < len(COLOURS), (colour + 1) % len(COLOURS), colour)
    return np.where(is_coloured(cells), cells & ~(7 << 4) | following << 4, cells).astype(cells.dtype)
