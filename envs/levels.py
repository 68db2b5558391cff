"""Which level an environment plays: a function of (seed, environment, episode) only, the same for every engine.

Level s is what `env.reset(seed=s)` makes. A bank of N levels, first ... first + N - 1, is drawn from with replacement.
Training draws levels below 2^31, evaluations those from there to 2^32 - 1, and the evaluations of tune.py as many from
there on. Many seeds can make one level, so a `Part` tells levels of training and of tests apart by their content.

python -m envs.levels env=DoorKey-8x8 count=16 levels.png   draws some of both (envs/pictures.py)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

EVALUATION = 2**31  # the first level of evaluations
PLAYED = ("bank", "levels", "held_out")  # options of an environment that say which levels are trained on
TUNING = 2**32  # the first level of the evaluations of tune.py
FRESH = {"bank": 0, "first_level": EVALUATION}  # of `make_vec_env`: levels that training never draws, without end
FRESH_FOR_TUNING = {"bank": 0, "first_level": TUNING}  # the same, and none that reports draw
BANK = 10_000  # levels to draw from, if not chosen
SEEDS = 2**31  # of training, and as many of evaluations
TENTH = 10  # one level of ten is held out where training has no end of levels
MOST = 10_000  # levels that are looked at until one is accepted


def mix(words: np.ndarray) -> np.ndarray:
    """splitmix64 (Steele, Lea & Flood 2014): every bit of the result depends on every bit of the word."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def draw(seed: int, environment: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """A random word (uint64) for each environment and episode."""
    start = mix(np.array([seed % 2**64], np.uint64))
    return mix(mix(start + environment.astype(np.uint64)) + episode.astype(np.uint64))


def level_seeds(seed: int, environment: np.ndarray, episode: np.ndarray, bank: int, first: int = 0) -> np.ndarray:
    """The levels (int64) that environments play in these episodes; bank = 0: any of 2^31 levels."""
    words = draw(seed, environment, episode)
    return first + (words % np.uint64(bank) if bank else words >> np.uint64(33)).astype(np.int64)


@dataclass(frozen=True)
class Part:
    """Which of an environment's levels are played.

    With `seeds`, the word w of the law above gives level seeds[w mod N]. Otherwise the law draws level s, of a bank or
    of all, and the first of s, s + 1, s + 2, ... that is accepted is played. Levels are told apart by the hashes of
    their content (`envs.engine.hashes`).

    Attributes:
        bank, first: as for `level_seeds`.
        seeds: int64 (N,), ascending: the levels to draw from.
        refused: uint64, ascending: the hashes of levels that are not accepted.
        held_out: True accepts the tenth of all levels whose hash is a multiple of ten, False all others.
    """

    bank: int = 0
    first: int = 0
    seeds: np.ndarray | None = None
    refused: np.ndarray | None = None
    held_out: bool | None = None

    @property
    def count(self) -> int:
        """How many levels there are to draw from; 0 for no end."""
        return self.bank if self.seeds is None else len(self.seeds)

    @property
    def listed(self) -> np.ndarray:
        """The levels to draw from (int64, ascending), where they have an end."""
        return np.arange(self.first, self.first + self.bank) if self.seeds is None else self.seeds

    @property
    def selects(self) -> bool:
        """Whether a level must be made before it is known to be played."""
        return self.refused is not None or self.held_out is not None

    def draw(self, seed: int, environment: np.ndarray, episode: np.ndarray) -> np.ndarray:
        """The levels (int64) that are drawn for these episodes."""
        if self.seeds is None:
            return level_seeds(seed, environment, episode, self.bank, self.first)
        return self.seeds[level_seeds(seed, environment, episode, len(self.seeds))]

    def accepts(self, hashes: np.ndarray) -> np.ndarray:
        """Whether levels with these hashes are played."""
        accepted = np.ones(len(hashes), bool)
        if self.refused is not None:
            place = np.minimum(np.searchsorted(self.refused, hashes), len(self.refused) - 1)
            accepted &= self.refused[place] != hashes
        if self.held_out is not None:
            accepted &= (hashes % np.uint64(TENTH) == 0) == self.held_out
        return accepted

    def settle(self, seeds: np.ndarray, hashes_of: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace the levels that are drawn by those that are played, in place.

        Args:
            hashes_of: the hashes of the levels of some seeds.

        Raises:
            ValueError: none of 10,000 levels is accepted.
        """
        left = np.arange(len(seeds))
        for _ in range(MOST):
            left = left[~self.accepts(hashes_of(seeds[left]))]
            if not len(left):
                return
            seeds[left] = self.first + (seeds[left] - self.first + 1) % SEEDS
        raise ValueError(f"none of {MOST:,} levels, up to that of seed {seeds[left[0]]}, is one to be played")


class BankLevels(gymnasium.Wrapper):
    """The `index`-th of several environments, playing the levels that the law above gives it.

    `reset(seed=s)` begins episode 0 of the environments that share the seed s - index: SB3 and Gymnasium seed the i-th
    environment with seed + i.

    Args:
        env: the environment.
        index: its number.
        part: which levels it plays.
        hashes_of: the hashes of the levels of some seeds, for a part that selects.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        index: int,
        part: Part,
        hashes_of: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        super().__init__(env)
        self.index, self.part, self.hashes_of = index, part, hashes_of
        self.seed: int | None = None
        self.episode = 0
        self.level: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.episode += 1
        if seed is not None or self.seed is None:
            self.seed = int(np.random.randint(2**31)) if seed is None else seed - self.index
            self.episode = 0
        environment, episode = np.array([self.index]), np.array([self.episode])
        drawn = self.part.draw(self.seed, environment, episode)
        if self.hashes_of is not None:
            self.part.settle(drawn, self.hashes_of)
        level = self.level = int(drawn[0])
        observation, info = self.env.reset(seed=level, options=options)
        # The seed fixes the level only: otherwise obstacles would repeat their moves whenever the level returns.
        chance = int(mix(draw(self.seed, environment, episode))[0])
        self.unwrapped.np_random = np.random.Generator(np.random.PCG64(chance))
        return observation, {**info, "level_seed": level}


if __name__ == "__main__":
    from envs.arguments import run_command
    from envs.pictures import main

    run_command(main)
