"""What is trained on and what is tested on: levels of training and of tests, of which none is in both.

    env.levels=N                   training: the first N distinct levels of the seeds 0, 1, 2, ...
    env.levels=all, env.bank=N     training: the levels of the seeds 0 to N - 1
    env.levels=all, env.bank=0     training: all levels but the tenth that is held out

Tests play levels of evaluations (`envs.levels.EVALUATION`): those of the tenth, or all that are not of training. Two
levels are the same if their content is, whatever their seeds (`envs.engine.hashes`): DoorKey-5x5 has 48 levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs.engine.farama import Unsupported
from envs.engine.hashes import hashes
from envs.engine.levels import generate, maker_of
from envs.engine.rules import unsupported
from envs.errors import EnvironmentFailed
from envs.levels import BANK, EVALUATION, Part
from envs.missions import checked_words, words_beyond
from envs.names import resolve_id
from envs.single import made

LOOKED_AT = 2_000, 100_000  # levels, to say how many there are: where Farama's Python makes them, and compiled code
MOST = 20_000, 1_000_000  # levels, to find as many as asked for
COMPARED = 1_000, 100_000  # the most levels of a bank that tests are held against
ENDLESS = 256, 100  # a tenth is held out where so many levels have so many distinct ones among them
LEFT = 1_000, 5  # there are levels for tests where so many evaluation levels have so many among them
CHUNK = 4_096  # levels made at a time


@dataclass(frozen=True)
class Split:
    """Levels of training and of tests.

    Attributes:
        training: the levels of training.
        test: those of tests; None if there are none.
        reason: why there are none.
        distinct: how many distinct levels training has; None where they have no end.
        found, looked: how many distinct levels there are among those of the seeds 0 to looked - 1.
        complete: the last nine tenths of them brought nothing new.
    """

    training: Part
    test: Part | None = None
    reason: str = ""
    distinct: int | None = None
    found: int = 0
    looked: int = 0
    complete: bool = False

    def __str__(self) -> str:
        if not self.looked:
            return ""
        seen = f"(in {self.looked:,} seeds)"
        there = f"{'at most' if self.complete else 'at least'} {self.found:,} {seen}"
        if self.distinct is None:
            return f"distinct levels: {there}" + (", a tenth of all is held out" if self.test else "")
        of_all = f" of {there}" if self.complete or self.found > self.distinct else f" {seen}"
        return f"distinct levels: {self.distinct:,}{of_all}"


def split_of(id: str, levels: int | str, bank: int = BANK, **options: Any) -> Split:
    """The levels of training and of tests of a MiniGrid environment.

    Args:
        id, options: as for `envs.make_env`.
        levels: N, or "all".
        bank: of training, for "all".

    Raises:
        ValueError: as for `envs.make_env`; the environment has no levels, or fewer than N, or they cannot be compared.
    """
    if levels != "all" and not (isinstance(levels, int) and levels >= 1):
        raise ValueError(f"levels is all, or a whole number, at least 1; got {levels!r}")
    env = made(resolve_id(id), None, options.get("kwargs"))
    inner = env.unwrapped
    if not isinstance(inner, MiniGridEnv):
        raise ValueError(f"{id} has no levels, of which levels={levels} could be played")
    said = options.get("words")
    words = words_beyond(inner) if said is None else checked_words(said)
    bank = bank if levels == "all" else 0
    key = (type(inner), repr(inner.spec and (inner.spec.id, inner.spec.kwargs)), levels, bank, words)
    if key not in _known:
        while len(_known) >= 8:
            _known.pop(next(iter(_known)))
        _known[key] = _split(env, levels, bank, words)
    return _known[key]


_known: dict[Any, Split] = {}  # the environments of a run share one split


def _split(env: gymnasium.Env, levels: int | str, bank: int, words: tuple[str, ...]) -> Split:
    reason = unsupported(env)
    if levels != "all":
        try:
            if reason:
                raise Unsupported(reason)
            assert isinstance(levels, int)
            return _of_number(env, levels, words)
        except Unsupported as unlike:
            raise ValueError(
                f"env.levels={levels}: the levels of {_name(env)} cannot be compared: {unlike}; use env.levels=all"
            ) from unlike
    everything = Split(Part(bank), reason=f"its levels cannot be compared: {reason}")
    if reason:
        return everything
    try:
        return _of_bank(env, bank, words) if bank else _endless(env, words)
    except (ValueError, EnvironmentFailed) as error:  # training may never meet the level that cannot be made
        return Split(Part(bank), reason=f"its levels cannot be compared: {error}")


def _of_number(env: gymnasium.Env, wanted: int, words: tuple[str, ...]) -> Split:
    known, fast = Distinct(env, words), is_compiled(env, words)
    while not known.complete:
        lacking = len(known.seeds) < wanted
        if known.looked >= (MOST if lacking else LOOKED_AT)[fast] or (not lacking and known.no_end):
            break
        known.look(min(max(known.looked, 256), CHUNK))
    there = len(known.seeds)
    if there < wanted:
        found = f"{_name(env)} has at most {there:,} distinct levels"
        if not known.complete:
            found = f"no more than {there:,} distinct levels of {_name(env)} were found"
        raise ValueError(f"env.levels={wanted}: {found} (in {known.looked:,} seeds); give fewer, or env.levels=all")
    test, reason = _others(env, words, known.hashes[:wanted])
    return Split(Part(seeds=known.seeds[:wanted]), test, reason, wanted, there, known.looked, known.complete)


def _of_bank(env: gymnasium.Env, bank: int, words: tuple[str, ...]) -> Split:
    fast = is_compiled(env, words)
    if bank > COMPARED[fast]:
        without = "" if fast else " without a compiled maker"
        return Split(Part(bank), reason=f"comparing {bank:,} levels takes too long{without}")
    known = Distinct(env, words)
    while known.looked < bank:
        known.look(min(CHUNK, bank - known.looked))
    test, reason = _others(env, words, known.hashes)
    there = len(known.seeds)
    return Split(Part(bank), test, reason, there, there, known.looked, known.complete)


def _endless(env: gymnasium.Env, words: tuple[str, ...]) -> Split:
    known = Distinct(env, words)
    seeds, enough = ENDLESS
    known.look(seeds)
    there = len(known.seeds)
    if there < enough:
        return Split(Part(), reason=f"{there} distinct levels are too few to hold some out", found=there, looked=seeds)
    return Split(Part(held_out=False), Part(first=EVALUATION, held_out=True), found=there, looked=seeds)


def _others(env: gymnasium.Env, words: tuple[str, ...], refused: np.ndarray) -> tuple[Part | None, str]:
    """The levels of evaluations that are none of these; None and the reason, if there are hardly any."""
    part = Part(first=EVALUATION, refused=np.sort(refused))
    seeds, enough = LEFT
    looked = accepted = 0
    while looked < seeds:
        more = min(max(looked, 50), seeds - looked)
        found = hashes_of(env, words, range(part.first + looked, part.first + looked + more))
        accepted += int(part.accepts(found).sum())
        looked += more
        if accepted >= enough:
            return part, ""
    return None, f"training has {seeds - accepted:,} of {seeds:,} levels that evaluations draw"


class Distinct:
    """The distinct levels among those of the seeds 0 to looked - 1.

    Attributes:
        seeds: int64, ascending: the first seed of each.
        hashes: uint64: their hashes, in the same order.
    """

    def __init__(self, env: gymnasium.Env, words: tuple[str, ...]):
        self.env, self.words, self.looked, self.fresh = env, words, 0, 1.0
        self.seeds, self.hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)

    def look(self, more: int) -> None:
        """Look at the levels of so many further seeds."""
        found = hashes_of(self.env, self.words, range(self.looked, self.looked + more))
        first = np.sort(np.unique(found, return_index=True)[1])
        new = first[~np.isin(found[first], self.hashes)]
        self.seeds = np.concatenate([self.seeds, self.looked + new])
        self.hashes = np.concatenate([self.hashes, found[new]])
        self.looked += more
        self.fresh = len(new) / more

    @property
    def no_end(self) -> bool:
        """Whether most levels are still new after 10,000."""
        return self.looked >= 10_000 and self.fresh > 0.5

    @property
    def complete(self) -> bool:
        """Whether the last nine tenths of the seeds, and at least 1,000, brought no new level."""
        return self.looked > 0 and self.looked >= max(10 * (int(self.seeds[-1]) + 1), int(self.seeds[-1]) + 1_000)


def examples(id: str, levels: int, count: int) -> dict[str, list[int]]:
    """The seeds of distinct levels of "training" and of "test" with `levels=N`; `count` of each, if there are as many.

    Raises:
        ValueError: as `split_of`.
    """
    split, env = split_of(id, levels), made(resolve_id(id), None, None)
    found = hashes_of(env, words_beyond(env.unwrapped), range(EVALUATION, EVALUATION + max(LEFT[0], 4 * count)))
    first = np.sort(np.unique(found, return_index=True)[1])
    tests = [] if split.test is None else first[split.test.accepts(found[first])][:count]
    assert split.training.seeds is not None
    return {"training": split.training.seeds[:count].tolist(), "test": [EVALUATION + int(place) for place in tests]}


def is_compiled(env: gymnasium.Env, words: tuple[str, ...]) -> bool:
    """Whether compiled code makes an environment's levels."""
    return maker_of(env, words).compiled is not None


def hashes_of(env: gymnasium.Env, words: tuple[str, ...], seeds: Sequence[int] | np.ndarray) -> np.ndarray:
    """The hashes of an environment's levels of these seeds."""
    return hashes(generate(env, [int(seed) for seed in seeds], words).levels)


def _name(env: gymnasium.Env) -> str:
    spec = env.unwrapped.spec
    return spec.id if spec else type(env.unwrapped).__name__
