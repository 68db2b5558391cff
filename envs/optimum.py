"""The fewest steps in which a level can be solved, and so the best return that there is.

Success after k steps gives MiniGrid's return 1 - 0.9 k / max_steps, so the fewest steps give the best one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs.names import resolve_id
from envs.single import made, make_env

MOST = 1_000_000  # states that a search meets before it is given up
MOST_TOGETHER = 10_000_000  # for all levels of an evaluation: some seconds


class NoOptimum(ValueError):
    """The optimum of a level is not known; the message says why."""


class Optimum(NamedTuple):
    """A shortest way to success in a level.

    Attributes:
        steps: how many it takes.
        actions: int8 (steps,), one such way.
        best_return: 1 - 0.9 steps / max_steps.
        states: how many states the search met.
    """

    steps: int
    actions: np.ndarray
    best_return: float
    states: int


class Oracle:
    """Finds the optimum of any level of an environment.

    Args:
        id, options: as for `envs.make_env`.

    Raises:
        ValueError: as for `envs.make_env`.
        NoOptimum: it has no levels, chance decides, or the batched engine cannot step it.
    """

    def __init__(self, id: str, **options: Any):
        from envs.engine import RULES, kernel, unsupported  # numba takes a while to import
        from envs.engine.compiled import announce
        from envs.engine.rules import step_owner
        from envs.engine.search import search

        if not isinstance(make_env(id, **options).unwrapped, MiniGridEnv):
            raise NoOptimum(f"{id} has no levels")
        self.env = made(resolve_id(id), None, options.get("kwargs"))
        if why := unsupported(self.env):
            raise NoOptimum(why)
        self.rule = RULES[step_owner(self.env)].code
        if self.rule == kernel.OBSTACLES:
            raise NoOptimum("its obstacles move at random")
        if self.rule == kernel.CUSTOM:
            raise NoOptimum("its rule is one of your own")
        announce(search, "the search for shortest ways", 8)

    def __call__(self, seed: int, most: int = MOST) -> Optimum:
        """The optimum of the level of a seed.

        Args:
            most: the number of states after which the search is given up.

        Raises:
            ValueError: the environment cannot make this level.
            NoOptimum: the level cannot be solved, or it has too many states.
        """
        from envs.engine import Unsupported
        from envs.engine.kernel import AGENT
        from envs.engine.levels import generate
        from envs.engine.search import NO_SUCCESS, TOO_MANY, search

        try:
            level = generate(self.env, [seed]).levels
        except Unsupported as reason:
            raise NoOptimum(str(reason)) from reason
        start = level.agent.astype(AGENT)
        limit = int(start["max_steps"][0])
        path = np.zeros(limit, np.int8)
        parts = (level.grid[0], level.marks[0], level.masks[0], level.contents[0])
        steps, states = search(self.rule, start, *parts, most, path)
        if steps == NO_SUCCESS:
            raise NoOptimum(f"level {seed} cannot be solved within its {limit} steps")
        if steps == TOO_MANY:
            raise NoOptimum(f"level {seed} has more than {states:,} states")
        return Optimum(steps, path[:steps], 1 - 0.9 * (steps / limit), states)


def oracle(id: str, seed: int, *, most: int = MOST, **options: Any) -> Optimum:
    """The optimum of the level `make_env(id, **options).reset(seed=seed)`: no success takes fewer steps.

    Args:
        id, options: as for `envs.make_env`.
        seed: of the level, from 0.
        most: the number of states after which the search is given up.

    Raises:
        ValueError, NoOptimum: as for `Oracle`; the seed is no whole number from 0 on.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"a level's seed is a whole number from 0 on; got {seed!r}")
    return Oracle(id, **options)(int(seed), most)


def best_returns(id: str, seeds: np.ndarray, *, most: int = MOST_TOGETHER, **options: Any) -> np.ndarray:
    """The best returns (float64) of many levels.

    Args:
        most: the number of states of all levels together.

    Raises:
        ValueError, NoOptimum: as for `Oracle`.
    """
    find = Oracle(id, **options)
    distinct, of_level = np.unique(seeds, return_inverse=True)
    best, spent = [], 0
    for seed in distinct.tolist():
        optimum = find(seed)
        best.append(optimum.best_return)
        spent += optimum.states
        if spent > most:
            raise NoOptimum(f"its {len(distinct)} levels have more than {most:,} states together")
    return np.array(best)[of_level]
