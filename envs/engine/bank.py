"""A bank of levels: a fixed number of them, each made when it is first drawn."""

from __future__ import annotations

import numpy as np

from envs.engine.kernel import AGENT, Levels
from envs.engine.levels import LevelMaker
from envs.engine.shift import ShiftedMaker


class Bank:
    """The levels of these seeds, one row for each.

    Args:
        maker: makes the levels.
        seeds: int64, ascending.

    Attributes:
        levels: rows of levels not yet made are zeros.
        made: bool (seeds,), which levels have been made.
    """

    def __init__(self, maker: LevelMaker | ShiftedMaker, seeds: np.ndarray):
        self.maker, self.seeds = maker, seeds
        count, like = len(seeds), maker.made(seeds[:1].tolist()).levels
        # the operating system gives memory only to rows that are written
        self.levels = Levels(*(np.zeros((count, *array.shape[1:]), array.dtype) for array in like))
        self.levels = self.levels._replace(agent=np.zeros(count, AGENT))
        self.made = np.zeros(count, bool)

    def rows(self, seeds: np.ndarray) -> np.ndarray:
        """The rows of the levels of these seeds, which are made if they have not been.

        Raises:
            Unsupported: a level cannot be represented.
        """
        rows = np.searchsorted(self.seeds, seeds)
        if not self.made[rows].all():
            missing = np.unique(rows[~self.made[rows]])
            self.maker.make(self.levels, missing, self.seeds[missing])
            self.made[missing] = True
        return rows
