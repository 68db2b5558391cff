"""How many distinct levels there are: levels are the same if their content is, whatever their seeds."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import numpy as np

from envs.engine.hashes import hashes
from envs.engine.kernel import Levels
from envs.engine.levels import generate


class Distinct:
    """The distinct levels among those of the seeds 0 to looked - 1.

    Args:
        has: which levels count, if not all.

    Attributes:
        seeds: int64, ascending: the first seed of each.
        hashes: uint64: their hashes, in the same order.
        played: int64, ascending: the seeds of all levels that count.
    """

    def __init__(self, env: gymnasium.Env, words: tuple[str, ...], has: Callable[[Levels], np.ndarray] | None = None):
        self.env, self.words, self.has = env, words, has
        self.looked, self.fresh = 0, 1.0
        self.seeds, self.hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)
        self.played = np.zeros(0, np.int64)

    def look(self, more: int) -> None:
        """Look at the levels of so many further seeds."""
        seeds = np.arange(self.looked, self.looked + more)
        levels = generate(self.env, seeds.tolist(), self.words).levels
        has = np.ones(more, bool) if self.has is None else self.has(levels)
        seeds, found = seeds[has], hashes(levels)[has]
        first = np.sort(np.unique(found, return_index=True)[1])
        new = first[~np.isin(found[first], self.hashes)]
        self.seeds = np.concatenate([self.seeds, seeds[new]])
        self.hashes = np.concatenate([self.hashes, found[new]])
        self.played = np.concatenate([self.played, seeds])
        self.looked += more
        self.fresh = len(new) / max(len(seeds), 1)

    @property
    def no_end(self) -> bool:
        """Whether most levels are still new after 10,000."""
        return self.looked >= 10_000 and self.fresh > 0.5

    @property
    def complete(self) -> bool:
        """Whether the last nine tenths of the seeds, and at least 1,000, brought no new level."""
        return len(self.seeds) > 0 and self.looked >= max(10 * (int(self.seeds[-1]) + 1), int(self.seeds[-1]) + 1_000)
