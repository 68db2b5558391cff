"""Many MiniGrid environments in one compiled loop: the levels they play, their state, their observations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numba
import numpy as np

from envs.engine import kernel
from envs.engine.bank import bank as bank_of
from envs.engine.kernel import AGENT, RESULT, TILE, VIEW, Levels, Output, State
from envs.engine.levels import Unsupported, generate
from envs.engine.rules import RULES, step_owner, unsupported
from envs.engine.tables import geometry
from envs.levels import draw, level_seeds, mix

log = logging.getLogger(__name__)

VIEWS = {"partial": kernel.PARTIAL, "full": kernel.FULL, "rgb": kernel.RGB}
AHEAD = 64  # episodes whose levels are drawn together, since drawing one takes as long


class Batch:
    """`n` environments; `reset` and `step` write into the arrays `seen` and `result`, which the next overwrites.

    Episodes follow one another: one that ends leaves its last observation in `seen_last` and its statistics in
    `result`, and the next begins in the same step. Levels follow the law of envs/levels.py.

    Args:
        env: a MiniGrid environment as `gymnasium.make` gives it, which makes the levels.
        n: how many environments.
        view: "partial", "full" or "rgb".
        bank: number of levels; 0 makes a new one for every episode.
        first_level: the seed of the bank's first level.
        threads: above 1, the loop runs on that many.

    Raises:
        Unsupported: the engine cannot step it exactly; the message says why.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        n: int,
        view: str = "partial",
        bank: int = 10_000,
        first_level: int = 0,
        threads: int = 1,
    ):
        reason = unsupported(env)
        if reason:
            raise Unsupported(reason)
        self.env, self.n, self.view, self.bank, self.first_level = env.unwrapped, n, view, bank, first_level
        self.everyone = np.arange(n)
        # without a bank: two rows for every environment, the level it plays and the one it plays next
        self.made = bank_of(env, first_level, bank) if bank else generate(env, [first_level])
        levels = self.made.levels
        levels = levels if bank else Levels(*(np.repeat(array, 2 * n, axis=0) for array in levels))
        # files and copies forget that records are aligned, and numba would compile everything again
        self.levels = levels._replace(agent=levels.agent.view(AGENT))
        rule = RULES[step_owner(env)]
        width, height = self.made.width, self.made.height
        see = VIEWS[view]
        self.geometry = geometry(width, height, self.made.sees_through, rule.code, see)
        self.state = _state(self.levels, n)
        shape = {"partial": (VIEW, VIEW), "full": (width, height), "rgb": (VIEW * TILE, VIEW * TILE)}[view]
        self.out = _output(n, shape, levels.mission.shape[1])
        named = ["image", "direction", *(["carrying"] if view == "full" else [])]
        named += ["mission"] if levels.mission.shape[1] else []
        self.seen = {name: getattr(self.out, name)[kernel.NOW] for name in named}
        self.seen_last = {name: getattr(self.out, name)[kernel.LAST] for name in named}
        self.result = {name: self.out.result[name] for name in kernel.RESULT.names or ()}
        self.episode = np.zeros(n, np.int64)
        self.level_seed = np.zeros(n, np.int64)
        self.next_seed = np.zeros(n, np.int64)
        self.began = {"level_seed": self.level_seed}
        self.order = np.zeros((n, AHEAD), np.int64)  # the levels of these episodes and some more
        self.seed: int | None = None
        announce()
        self.step_all: Callable[..., int] = kernel.step_all
        if rule.step is not None:
            self.step_all = kernel.step_all_with(rule.step)
        elif threads > 1:
            self.step_all = partial(kernel.step_all_parallel, min(threads, numba.get_num_threads()))

    def reset(self, seed: int | None = None) -> None:
        """Every environment begins its next episode; a seed begins with episode 0, and so does the first reset."""
        if seed is not None or self.seed is None:
            self.seed = int(np.random.randint(2**31)) if seed is None else seed
            self.episode[:] = -1
            self.state.agent["chance"] = mix(draw(self.seed, self.everyone, self.episode))
            self._choose(self.everyone)
        kernel.reset_all(self.state, self.levels, self.geometry, self.out)
        self._advance(self.everyone)

    def step(self, actions: np.ndarray) -> np.ndarray:
        """-> the environments (indices) whose episode ended, and whose next one began.

        Raises:
            ValueError: an action that is none.
        """
        actions = np.asarray(actions, np.int64, order="C")
        ended = -1
        if actions.shape == (self.n,):
            ended = self.step_all(actions, self.state, self.levels, self.geometry, self.out)
        if ended < 0:
            raise ValueError(f"actions are {self.n} integers from 0 to {kernel.DONE}, got {actions}")
        if not ended:
            return NOBODY
        which = np.flatnonzero(self.result["done"])
        self._advance(which)
        return which

    def ended(self, i: int) -> dict[str, Any]:
        """What `MiniGridObservation` says at the end of an episode of environment i."""
        return {"is_success": bool(self.result["terminated"][i] and self.result["reward"][i] > 0)}

    def _advance(self, which: np.ndarray) -> None:
        self.level_seed[which] = self.next_seed[which]
        self.episode[which] += 1
        self._choose(which)

    def _choose(self, which: np.ndarray) -> None:
        """The levels these play in their next episode."""
        assert self.seed is not None
        episode = self.episode[which] + 1
        column = episode % AHEAD
        stale = column == 0
        if stale.any():
            coming = episode[stale, None] + np.arange(AHEAD)
            some = which[stale, None]
            self.order[which[stale]] = level_seeds(self.seed, some, coming, self.bank, self.first_level)
        seeds = self.next_seed[which] = self.order[which, column]
        if self.bank:
            self.state.agent["next_level"][which] = seeds - self.first_level
            return
        rows = which + self.n * (episode % 2)
        self.state.agent["next_level"][which] = rows
        for array, made in zip(self.levels, generate(self.env, seeds.tolist()).levels, strict=True):
            array[rows] = made


NOBODY = np.zeros(0, np.int64)


def _state(levels: Levels, n: int) -> State:
    rows = [np.zeros((n, *array.shape[1:]), array.dtype) for array in levels[:4]]
    return State(*rows, moves=np.full((n, levels.obstacles.shape[1]), -1, np.int32))


def _output(n: int, shape: tuple[int, ...], words: int) -> Output:
    seen = [(*shape, 3), (1,), (2,), (words,)]
    arrays = [np.zeros((2, n, *size), np.uint8) for size in seen]
    return Output(np.zeros(n, RESULT), *arrays)


def announce() -> None:
    """Says that the engine is about to be compiled, where numba has not kept it from an earlier time."""
    if not kernel.step_all.signatures and not any(
        Path(str(kernel.step_all.stats.cache_path)).glob("kernel.step_all-*.nbi")
    ):
        log.warning("compiling the batched engine, once (about 15 s; `python -m envs.engine` does it ahead)")
