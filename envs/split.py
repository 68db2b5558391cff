"""What is trained on and what is tested on: levels of training and of tests, of which none is in both.

    env.levels=N                   training: the first N distinct levels of the seeds 0, 1, 2, ...
    env.levels=all, env.bank=N     training: the levels of the seeds 0 to N - 1
    env.levels=all, env.bank=0     training: all levels but the tenth that is held out
    env.held_out=right             training: those of them that have a property (`envs.held_out`), tests: opposite ones

Tests play levels of evaluations (`envs.levels.EVALUATION`): those of the tenth, or all that are not of training. Two
levels are the same if their content is, whatever their seeds (`envs.engine.hashes`): DoorKey-5x5 has 48 levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs.distinct import Distinct
from envs.engine.farama import Unsupported
from envs.engine.hashes import hashes
from envs.engine.kernel import Levels
from envs.engine.levels import generate, maker_of
from envs.engine.rules import RULES, step_owner, unsupported
from envs.errors import EnvironmentFailed
from envs.held_out import HELD_OUT
from envs.levels import BANK, EVALUATION, TUNING, Part
from envs.missions import checked_words, words_beyond
from envs.names import resolve_id, unknown
from envs.single import made

LOOKED_AT = 2_000, 100_000  # levels, to say how many there are: where Farama's Python makes them, and compiled code
MOST = 20_000, 1_000_000  # levels, to find as many as asked for
COMPARED = 1_000, 100_000  # the most levels of a bank that tests are held against
ENDLESS = 256, 100  # a tenth is held out where so many levels have so many distinct ones among them
LEFT = 1_000, 5  # there are levels for tests where so many evaluation levels have so many among them
SORTED = 4_096  # evaluation levels among which those with a property are tests
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
        apart: every evaluation plays levels of tests, because the user said which levels are trained on.
        held_out: the property that tells the two apart, if it is one.
        like_training: then, levels of evaluations that have it.
    """

    training: Part
    test: Part | None = None
    reason: str = ""
    distinct: int | None = None
    found: int = 0
    looked: int = 0
    complete: bool = False
    apart: bool = False
    held_out: str | None = None
    like_training: Part | None = None

    @property
    def tuning(self) -> Part:
        """Levels that tune.py evaluates on: of seeds that tests do not draw, and with the property of training."""
        if self.like_training is not None:
            return self.like_training
        return Part(first=TUNING) if self.test is None else replace(self.test, first=TUNING)

    def __str__(self) -> str:
        if not self.looked:
            return ""
        seen = f"(in {self.looked:,} seeds)"
        there = f"{'at most' if self.complete else 'at least'} {self.found:,} {seen}"
        none_left = "" if self.test else f"; none are left for tests: {self.reason}"
        if self.distinct is None:
            return f"distinct levels: {there}{none_left or ', a tenth of all is held out'}"
        of_all = f" of {there}" if self.complete or self.found > self.distinct else f" {seen}"
        others = f"; env.held_out={self.held_out} leaves others for tests" if self.held_out else none_left
        return f"distinct levels: {self.distinct:,}{of_all}{others}"


def split_of(id: str, levels: int | str, bank: int = BANK, held_out: str | None = None, **options: Any) -> Split:
    """The levels of training and of tests of a MiniGrid environment.

    Args:
        id, options: as for `envs.make_env`.
        levels: N, or "all".
        bank: of training, for "all".
        held_out: a property (`envs.held_out.HELD_OUT`) that levels of training have, and those of tests have not.

    Raises:
        ValueError: as for `envs.make_env`; the environment has no levels, or fewer than N, or they cannot be compared;
            no such property, or one that its levels do not have.
    """
    if levels != "all" and not (isinstance(levels, int) and levels >= 1):
        raise ValueError(f"levels is all, or a whole number, at least 1; got {levels!r}")
    env = made(resolve_id(id), None, options.get("kwargs"))
    inner = env.unwrapped
    if not isinstance(inner, MiniGridEnv):
        asked = f"levels={levels}" if held_out is None else f"env.held_out={held_out}"
        raise ValueError(f"{id} has no levels, of which {asked} could be played")
    if held_out is not None and held_out not in HELD_OUT:
        raise ValueError(unknown("property of levels", str(held_out), HELD_OUT))
    said = options.get("words")
    words = words_beyond(inner) if said is None else checked_words(said)
    bank = bank if levels == "all" else 0
    key = (type(inner), repr(inner.spec and (inner.spec.id, inner.spec.kwargs)), levels, bank, words, held_out)
    if key not in _known:
        while len(_known) >= 8:
            _known.pop(next(iter(_known)))
        _known[key] = _split(env, levels, bank, words, held_out)
    return _known[key]


_known: dict[Any, Split] = {}  # the environments of a run share one split


def _split(
    env: gymnasium.Env, levels: int | str, bank: int, words: tuple[str, ...], held_out: str | None = None
) -> Split:
    if held_out is not None:
        return _by_property(env, held_out, levels, bank, words)
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


def _by_property(env: gymnasium.Env, name: str, levels: int | str, bank: int, words: tuple[str, ...]) -> Split:
    """Levels of training have a property that levels of tests do not have."""

    def sides(levels: Levels) -> tuple[np.ndarray, np.ndarray]:
        return HELD_OUT[name](levels, RULES[step_owner(env)].code)

    try:
        if reason := unsupported(env):
            raise Unsupported(f"its levels cannot be compared, because {reason}")
        if levels == "all" and not bank:
            raise ValueError("it needs a number of levels, env.bank=<number> or env.levels=<number>, and env.bank is 0")
        seeds = np.arange(EVALUATION, EVALUATION + SORTED)
        training, test = sides(generate(env, seeds.tolist(), words).levels)
        for part, use in ((training, "training"), (test, "tests")):
            if part.sum() < LEFT[1]:
                raise ValueError(f"{part.sum()} of {SORTED:,} levels are left for {use}")
        known = Distinct(env, words, lambda levels: sides(levels)[0])
        if levels == "all":
            while known.looked < bank:
                known.look(min(CHUNK, bank - known.looked))
            played = known.played
            if not len(played):
                raise ValueError(f"none of the {bank:,} levels of env.bank is left for training; give more")
        else:
            assert isinstance(levels, int)
            played = _first(known, levels, is_compiled(env, words))
    except ValueError as error:
        raise ValueError(f"env.held_out={name} does not suit {_name(env)}: {error}") from error
    there = len(known.seeds)
    distinct = there if levels == "all" else len(played)
    counted: dict[str, Any] = {"distinct": distinct, "found": there, "looked": known.looked, "complete": known.complete}
    apart: dict[str, Any] = {"apart": True, "held_out": name, "like_training": Part(seeds=seeds[training])}
    return Split(Part(seeds=played), Part(seeds=seeds[test]), **counted, **apart)


def _of_number(env: gymnasium.Env, wanted: int, words: tuple[str, ...]) -> Split:
    known = Distinct(env, words)
    seeds = _first(known, wanted, is_compiled(env, words))
    test, reason = _others(env, words, known.hashes[:wanted])
    there, apart = len(known.seeds), test is not None
    return Split(Part(seeds=seeds), test, reason, wanted, there, known.looked, known.complete, apart)


def _first(known: Distinct, wanted: int, fast: bool) -> np.ndarray:
    """The seeds of the first so many distinct levels."""
    while not known.complete:
        lacking = len(known.seeds) < wanted
        if known.looked >= (MOST if lacking else LOOKED_AT)[fast] or (not lacking and known.no_end):
            break
        known.look(min(max(known.looked, 256), CHUNK))
    there = len(known.seeds)
    if there < wanted:
        name = _name(known.env)
        found = f"{name} has at most {there:,} distinct levels"
        if not known.complete:
            found = f"no more than {there:,} distinct levels of {name} were found"
        of_training = " for training" if known.has else ""
        raise ValueError(
            f"env.levels={wanted}: {found}{of_training} (in {known.looked:,} seeds); give fewer, or env.levels=all"
        )
    return known.seeds[:wanted]


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


def examples(id: str, levels: int | str, count: int, held_out: str | None = None) -> dict[str, list[int]]:
    """The seeds of distinct levels of "training" and of "test" with `levels=N`; `count` of each, if there are as many.

    Raises:
        ValueError: as `split_of`.
    """
    split, env = split_of(id, levels, held_out=held_out), made(resolve_id(id), None, None)
    words, looked = words_beyond(env.unwrapped), max(LEFT[0], 4 * count)

    def distinct(part: Part) -> list[int]:
        seeds = np.arange(part.first, part.first + looked) if part.seeds is None else part.seeds[:looked]
        found = hashes_of(env, words, seeds)
        first = np.sort(np.unique(found, return_index=True)[1])
        return seeds[first[part.accepts(found[first])]][:count].tolist()

    return {"training": distinct(split.training), "test": [] if split.test is None else distinct(split.test)}


def is_compiled(env: gymnasium.Env, words: tuple[str, ...]) -> bool:
    """Whether compiled code makes an environment's levels."""
    return maker_of(env, words).compiled is not None


def hashes_of(env: gymnasium.Env, words: tuple[str, ...], seeds: Sequence[int] | np.ndarray) -> np.ndarray:
    """The hashes of an environment's levels of these seeds."""
    return hashes(generate(env, [int(seed) for seed in seeds], words).levels)


def _name(env: gymnasium.Env) -> str:
    spec = env.unwrapped.spec
    return spec.id if spec else type(env.unwrapped).__name__
