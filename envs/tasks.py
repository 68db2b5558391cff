"""Small MiniGrid environments in which one property of a level decides, made to compare encoders (see atlas/).

    Goal-8x8       reach the goal, which may be anywhere: what matters can be at places that training never showed
    AlignedFar     two ways out; a tile in the row of the right one lies at the other end of the room
    AlignedNear    the same, and the tile lies before the right one
    Recall         MemoryS11 from the beginning of its corridor: what the first view shows decides at its end
    Majority       go left if most balls are red, right if most are blue: what matters is how many, and not where

In all of them rewards are MiniGrid's, 1 - 0.9 t / T for success in step t of at most T, and 0 for failure.
"""

from __future__ import annotations

from typing import Any

from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Floor, Goal, Wall
from minigrid.envs import MemoryEnv
from minigrid.minigrid_env import MiniGridEnv


class GoalEnv(MiniGridEnv):
    """An empty room of size x size cells, with its walls; the agent and the goal are anywhere in it."""

    def __init__(self, size: int = 8, max_steps: int | None = None, **kwargs: Any):
        mission = MissionSpace(mission_func=lambda: "get to the green goal square")
        steps = max_steps or 4 * size**2
        super().__init__(mission, grid_size=size, max_steps=steps, see_through_walls=True, **kwargs)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.place_obj(Goal())
        self.place_agent()
        self.mission = "get to the green goal square"


class TwoExits(MemoryEnv):
    """A room with two cells that end an episode: `success_pos` and `failure_pos`, whose rule is MemoryEnv's."""

    def __init__(self, size: int, max_steps: int | None = None, **kwargs: Any):
        super().__init__(size=size, max_steps=max_steps or 4 * size**2, **kwargs)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.mission = self._gen_mission()
        self._lay(width, height)

    def _lay(self, width: int, height: int) -> None:
        raise NotImplementedError


class AlignedEnv(TwoExits):
    """Two openings in the east wall of a room, and a blue tile in the row of the right one.

    Args:
        near: the tile lies before the opening; otherwise at the west wall, size - 4 cells away.
    """

    def __init__(self, near: bool = False, size: int = 9, **kwargs: Any):
        self.near = near
        super().__init__(size, **kwargs)

    @staticmethod
    def _gen_mission() -> str:
        return "leave through the opening in the row of the tile"

    def _lay(self, width: int, height: int) -> None:
        rows = list(range(1, height - 1))
        right = self._rand_elem(rows)
        wrong = self._rand_elem([row for row in rows if row != right])
        openings = width - 2
        for row in rows:
            if row not in (right, wrong):
                self.grid.set(openings, row, Wall())
        self.grid.set(openings - 1 if self.near else 1, right, Floor("blue"))
        self.success_pos, self.failure_pos = (openings, right), (openings, wrong)
        self.place_agent(top=(2, 1), size=(width - 5, height - 2))


class RecallEnv(MemoryEnv):
    """MemoryEnv in which the agent begins beside the object that it has to remember.

    In sizes 7 and 9 a view from the end of the corridor shows that object and both exits; from 11 on, none does.
    """

    def __init__(self, size: int = 11, **kwargs: Any):
        super().__init__(size=size, **kwargs)

    def _gen_grid(self, width: int, height: int) -> None:
        super()._gen_grid(width, height)
        self.agent_pos = (1, height // 2)


class MajorityEnv(TwoExits):
    """Red and blue balls lie around an agent in the middle of a room; the exits are the cells at its left and right.

    Args:
        balls: an odd number of them, so one colour has more.
    """

    def __init__(self, balls: int = 5, size: int = 7, **kwargs: Any):
        self.balls = balls
        super().__init__(size, **kwargs)

    @staticmethod
    def _gen_mission() -> str:
        return "go west if most balls are red, else east"

    def _lay(self, width: int, height: int) -> None:
        x, y = width // 2, height // 2
        self.agent_pos, self.agent_dir = (x, y), 3
        west, east = (x - 1, y), (x + 1, y)
        reds = self._rand_int(0, self.balls + 1)
        for number in range(self.balls):
            self.place_obj(
                Ball("red" if number < reds else "blue"), reject_fn=lambda _, place: tuple(place) in (west, east)
            )
        self.success_pos, self.failure_pos = (west, east) if 2 * reds > self.balls else (east, west)
