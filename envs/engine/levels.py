"""Levels from seeds. Level s of an environment is what `env.reset(seed=s)` makes, so that it can be replayed there.

Compiled code makes them for the families that it knows (envs/engine/makers), Farama's Python for all others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium
import minigrid
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs.engine.farama import Made, put, read_levels
from envs.engine.kernel import AGENT, Levels
from envs.engine.makers.families import Unlike
from envs.engine.makers.make import CompiledMaker

log = logging.getLogger(__name__)

PROVED = ("3.1.0", "3.2.0")  # releases of MiniGrid whose levels the compiled makers have been proved to make
TRIED = 8  # levels that Farama makes first, to find out whether compiled code makes the same ones
TRIED_OF_OTHERS = 500  # the same in other releases: a change may show in one level of a hundred


class LevelMaker:
    """Makes the levels of an environment from their seeds, by compiled code where there is some for its family.

    Args:
        env: the environment.
        words: that its missions say beside `envs.missions.WORDS`.

    Attributes:
        compiled: the maker that does it fast, or None.

    Every method may raise what `read_levels` raises.
    """

    def __init__(self, env: gymnasium.Env, words: tuple[str, ...] = ()):
        self.inner, self.words = env.unwrapped, words
        assert isinstance(self.inner, MiniGridEnv)
        self.compiled: CompiledMaker | None = None
        name = type(self.inner).__name__
        try:
            compiled = CompiledMaker(self.inner)
            tried = TRIED if minigrid.__version__ in PROVED else TRIED_OF_OTHERS
            self.sample = read_levels(env, range(tried), words)
        except Unlike as reason:
            say(logging.INFO, f"Farama's Python makes the levels of {name}, since {reason}")
        except ValueError:
            return  # whoever asks for that level is told
        else:
            if compiled.agrees(self.sample.seeds, self.sample.levels):
                self.compiled = compiled
            else:
                say(
                    logging.WARNING,
                    f"MiniGrid {minigrid.__version__} makes other levels of {name} than the compiled maker, which is "
                    f"that of MiniGrid {' and '.join(PROVED)}: Farama's Python makes them, more slowly",
                )

    def made(self, seeds: Sequence[int]) -> Made:
        """New rows for the levels of these seeds."""
        if self.compiled is None:
            return read_levels(self.inner, seeds, self.words)
        count, like = len(seeds), self.sample.levels
        levels = Levels(*(np.zeros((count, *array.shape[1:]), array.dtype) for array in like))
        levels = levels._replace(agent=np.zeros(count, AGENT))
        self.make(levels, np.arange(count), np.asarray(seeds, np.int64))
        return self.sample._replace(seeds=np.array(seeds, np.int64), levels=levels)

    def make(self, levels: Levels, rows: np.ndarray, seeds: np.ndarray) -> None:
        """Write the levels of these seeds into these rows."""
        if self.compiled is not None:
            made = self.compiled.make(levels, rows, seeds)
            if made.all():
                return
            rows, seeds = rows[~made], seeds[~made]
        put(levels, rows, read_levels(self.inner, seeds.tolist(), self.words).levels)


def maker_of(env: gymnasium.Env, words: tuple[str, ...] = ()) -> LevelMaker:
    """The maker of an environment's levels, which is kept as long as the environment."""
    known = _makers.setdefault(env.unwrapped, {})
    if words not in known:
        known[words] = LevelMaker(env, words)
    return known[words]


@cache
def say(importance: int, line: str) -> None:
    """Log a line, once in a program."""
    log.log(importance, line)


_makers: WeakKeyDictionary[Any, dict[tuple[str, ...], LevelMaker]] = WeakKeyDictionary()


def generate(env: gymnasium.Env, seeds: Sequence[int], words: tuple[str, ...] = ()) -> Made:
    """The levels that an environment makes from these seeds; its missions say `words` beside `envs.missions.WORDS`.

    Raises:
        Exception: as `read_levels`.
    """
    return maker_of(env, words).made(seeds)
