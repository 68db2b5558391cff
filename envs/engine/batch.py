"""Many MiniGrid environments in one compiled loop: the levels they play, their state, their observations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import gymnasium
import numba
import numpy as np

from envs.engine import kernel
from envs.engine.bank import Bank
from envs.engine.compiled import announce
from envs.engine.farama import Made, Unsupported
from envs.engine.hashes import hashes
from envs.engine.kernel import AGENT, RESULT, TILE, VIEW, Levels, Output, State
from envs.engine.levels import TRIED, generate, maker_of
from envs.engine.rules import RULES, step_owner, unsupported
from envs.engine.shift import ShiftedMaker
from envs.engine.tables import geometry
from envs.levels import Part, draw, mix
from envs.memory import available_memory, shown
from envs.saved import copied, refill

log = logging.getLogger(__name__)

VIEWS = {"partial": kernel.PARTIAL, "full": kernel.FULL, "rgb": kernel.RGB}
AHEAD = 64  # episodes whose levels are drawn together: one alone takes as long
CHUNK = 4_096  # levels made at a time, to be looked at only


class Batch:
    """`n` environments; each `reset` and `step` writes into the arrays `seen` and `result`.

    When an episode ends, its last observation is in `seen_last` and its statistics are in `result`; the next episode
    begins in the same step. envs/levels.py says which level each episode plays.

    Args:
        env: a MiniGrid environment made by `gymnasium.make`; it makes the levels.
        n: how many environments.
        view: "partial", "full" or "rgb".
        bank: how many levels; 0 makes a new one for every episode.
        first_level: the seed of the bank's first level.
        threads: how many threads run the loop.
        words: that missions say beside `envs.missions.WORDS`.
        part: which levels are played, if not those of a bank.
        shift: changes every level (`envs.engine.shift`).

    Raises:
        Unsupported: the engine cannot step the environment exactly; the message says why.
        ValueError: there is not enough memory, or the environment cannot make its levels.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        n: int,
        view: str = "partial",
        bank: int = 10_000,
        first_level: int = 0,
        threads: int = 1,
        words: tuple[str, ...] = (),
        part: Part | None = None,
        shift: str | None = None,
    ):
        self.part = part or Part(bank, first_level)
        first_level, bank = self.part.first, self.part.count
        reason = unsupported(env)
        if reason:
            raise Unsupported(reason)
        self.env, self.n, self.view = env.unwrapped, n, view
        self.unshifted = maker_of(env, words)
        self.maker = self.unshifted if shift is None else ShiftedMaker(self.unshifted, env, shift)
        tried = self.maker.made(range(first_level, first_level + (1 if bank else TRIED)))
        turned = (tried.width, tried.height) != (self.env.width, self.env.height)  # type: ignore[attr-defined]
        if turned and view == "full":
            raise ValueError(
                f"shift={shift} makes a grid of {tried.width}x{tried.height} cells, and policies of env.view=full know "
                f"{tried.height}x{tried.width}; shift=mirror keeps its size"
            )
        # Farama's Python makes no level that may not be played
        self.ahead = 1 if self.part.selects and self.unshifted.compiled is None else AHEAD
        self.nbytes = _nbytes(tried, n, view, bank, self.ahead)
        _check_memory(self.nbytes, n, bank)
        self.everyone = np.arange(n)
        # without a bank: two rows for every environment, the level it plays and the one it plays next
        self.bank = Bank(self.maker, self.part.listed) if bank else None
        levels = self.bank.levels if self.bank else Levels(*(np.repeat(a[:1], 2 * n, axis=0) for a in tried.levels))
        self.levels = levels._replace(agent=levels.agent.view(AGENT))
        rule = RULES[step_owner(env)]
        self.geometry = geometry(tried.width, tried.height, tried.sees_through, rule.code, VIEWS[view])
        self.state = _state(self.levels, n)
        self.out = _output(tried, n, view)
        named = ["image", "direction", *(["carrying"] if view == "full" else [])]
        named += ["mission"] if levels.mission.shape[1] else []
        self.seen = {name: getattr(self.out, name)[kernel.NOW] for name in named}
        self.seen_last = {name: getattr(self.out, name)[kernel.LAST] for name in named}
        self.result = {name: self.out.result[name] for name in kernel.RESULT.names or ()}
        self.episode = np.zeros(n, np.int64)
        self.level_seed = np.zeros(n, np.int64)
        self.next_seed = np.zeros(n, np.int64)
        self.began = {"level_seed": self.level_seed}
        self.order = np.zeros((n, self.ahead), np.int64)  # the levels of the next episodes
        self.seed: int | None = None
        announce(kernel.step_all, "the batched engine", 20)
        self.step_all: Callable[..., int] = kernel.step_all
        if rule.step is not None:
            self.step_all = kernel.step_all_with(rule.step)
        elif threads > 1:
            # in a thread of its own: OpenMP would raise the calling thread's number of threads for PyTorch as well
            apart, threads = ThreadPoolExecutor(1, "engine"), min(threads, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
            self.step_all = lambda *rest: apart.submit(kernel.step_all_parallel, threads, *rest).result()

    @staticmethod
    def nbytes_for(env: gymnasium.Env, n: int, view: str = "partial", bank: int = 10_000) -> int:
        """How many bytes of memory `Batch(env, n, view, bank)` takes."""
        return _nbytes(generate(env, [0]), n, view, bank)

    def reset(self, seed: int | None = None) -> None:
        """Begin the next episode of every environment; with a seed, and at the first reset, episode 0."""
        if seed is not None or self.seed is None:
            self.seed = int(np.random.randint(2**31)) if seed is None else seed
            self.episode[:] = -1
            self.state.agent["chance"] = mix(draw(self.seed, self.everyone, self.episode))
            self._choose(self.everyone)
        kernel.reset_all(self.state, self.levels, self.geometry, self.out)
        self._advance(self.everyone)

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step every environment -> the indices of those whose episode ended and whose next one began.

        Raises:
            ValueError: an action outside the action space.
        """
        return self.step_part(actions, 0, self.n)

    def step_part(self, actions: np.ndarray, start: int, stop: int) -> np.ndarray:
        """`step`, for the environments from `start` to `stop` - 1 only."""
        actions, ended = np.asarray(actions, np.int64, order="C"), -1
        if actions.shape == (stop - start,):
            if start:  # the loop reads the action of environment i at index i
                actions = np.concatenate([np.zeros(start, np.int64), actions])
            ended = self.step_all(start, stop, actions, self.state, self.levels, self.geometry, self.out)
        if ended < 0:
            raise ValueError(f"actions are {stop - start} integers from 0 to {kernel.DONE}, got {actions}")
        if not ended:
            return NOBODY
        which = start + np.flatnonzero(self.result["done"][start:stop])
        self._advance(which)
        return which

    def ended(self, i: int) -> dict[str, Any]:
        """What `MiniGridObservation` adds to the last info of an episode of environment i."""
        return {"is_success": bool(self.result["terminated"][i] and self.result["reward"][i] > 0)}

    def saved(self) -> dict[str, Any]:
        """The state of all environments; their levels are made again from their seeds."""
        return {"seed": self.seed, **copied(self._arrays())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put all environments into a state of `saved`.

        Raises:
            ValueError: the state is one of other environments.
        """
        refill(self._arrays(), state)
        self.seed = state["seed"]
        self._make(self.everyone, self.episode, self.level_seed)
        self._make(self.everyone, self.episode + 1, self.next_seed)

    def _arrays(self) -> dict[str, np.ndarray]:
        named = ("episode", "level_seed", "next_seed", "order")
        own = {name: getattr(self, name) for name in named}
        shown = {f"shown_{name}": array for name, array in self.out._asdict().items()}
        return {**self.state._asdict(), **shown, **own}

    def _advance(self, which: np.ndarray) -> None:
        self.level_seed[which] = self.next_seed[which]
        self.episode[which] += 1
        self._choose(which)

    def _choose(self, which: np.ndarray) -> None:
        """Choose and make the levels that these environments play in their next episode."""
        assert self.seed is not None
        episode = self.episode[which] + 1
        column = episode % self.ahead
        stale = column == 0
        if stale.any():
            coming = episode[stale, None] + np.arange(self.ahead)
            drawn = self.part.draw(self.seed, which[stale, None], coming)
            if self.part.selects:
                self.part.settle(drawn.reshape(-1), self._hashes)
            self.order[which[stale]] = drawn
        seeds = self.next_seed[which] = self.order[which, column]
        self.state.agent["next_level"][which] = self._make(which, episode, seeds)

    def _hashes(self, seeds: np.ndarray) -> np.ndarray:
        """The hashes of the levels of these seeds, as they are before they are shifted."""
        parts = np.split(seeds, range(CHUNK, len(seeds), CHUNK))
        with continuing():
            return np.concatenate([hashes(self.unshifted.made(part.tolist()).levels) for part in parts])

    def _make(self, which: np.ndarray, episode: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Make the levels that these environments play in these episodes -> their rows."""
        with continuing():
            if self.bank:
                return self.bank.rows(seeds)
            rows = which + self.n * (episode % 2)
            self.maker.make(self.levels, rows, seeds)
            return rows


@contextmanager
def continuing() -> Iterator[None]:
    """A level that cannot be represented is an error that says how to go on."""
    try:
        yield
    except Unsupported as reason:
        raise ValueError(f"the batched engine cannot continue: {reason}; use env.engine=gymnasium") from reason


NOBODY = np.zeros(0, np.int64)


def _state(levels: Levels, n: int) -> State:
    rows = [np.zeros((n, *array.shape[1:]), array.dtype) for array in levels[:4]]
    return State(*rows, moves=np.full((n, levels.obstacles.shape[1]), -1, np.int32))


def _output(made: Made, n: int, view: str) -> Output:
    shapes = {"partial": (VIEW, VIEW), "full": (made.width, made.height), "rgb": (VIEW * TILE, VIEW * TILE)}
    seen = [(*shapes[view], 3), (1,), (2,), made.levels.mission.shape[1:]]
    arrays = [np.zeros((2, n, *size), np.uint8) for size in seen]
    return Output(np.zeros(n, RESULT), *arrays)


def _nbytes(made: Made, n: int, view: str, bank: int, ahead: int = AHEAD) -> int:
    """The bytes of n environments and of the rows of levels, without the copies that callers get."""
    level = sum(array[0].nbytes for array in made.levels)
    one = sum(array.nbytes for arrays in (_state(made.levels, 1), _output(made, 1, view)) for array in arrays)
    return n * (one + 8 * (4 + ahead)) + (bank or 2 * n) * level


def _check_memory(needed: int, n: int, bank: int) -> None:
    """Log how much memory is needed.

    Raises:
        ValueError: it is more than the system says is free.
    """
    log.info("n_envs=%s and %s levels take %s", n, bank or 2 * n, shown(needed))
    available = available_memory()
    if available is not None and needed > available:
        levels = f" and env.bank={bank}" if bank else ""
        raise ValueError(
            f"n_envs={n}{levels} need {shown(needed)} of memory in the batched engine, and {shown(available)} are "
            "free; take fewer"
        )
