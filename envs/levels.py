"""Which level an environment plays: a function of (seed, environment, episode) only, the same for every engine.

Level s is what `env.reset(seed=s)` makes. A bank of N levels, first ... first + N - 1, is drawn from with replacement.
Training draws levels below 2^31, evaluations those from there to 2^32 - 1.

python -m envs.levels env=DoorKey-8x8 count=16 levels.png   draws some of both (envs/pictures.py)
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

EVALUATION = 2**31  # the first level of evaluations


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


class BankLevels(gymnasium.Wrapper):
    """The `index`-th of several environments, playing the levels that the law above gives it.

    `reset(seed=s)` begins episode 0 of the environments that share the seed s - index: SB3 and Gymnasium seed the i-th
    environment with seed + i.
    """

    def __init__(self, env: gymnasium.Env, index: int, bank: int, first: int = 0):
        super().__init__(env)
        self.index, self.bank, self.first = index, bank, first
        self.seed: int | None = None
        self.episode = 0
        self.level: int | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.episode += 1
        if seed is not None or self.seed is None:
            self.seed = int(np.random.randint(2**31)) if seed is None else seed - self.index
            self.episode = 0
        environment, episode = np.array([self.index]), np.array([self.episode])
        level = self.level = int(level_seeds(self.seed, environment, episode, self.bank, self.first)[0])
        observation, info = self.env.reset(seed=level, options=options)
        # The seed fixes the level only: otherwise obstacles would repeat their moves whenever the level returns.
        chance = int(mix(draw(self.seed, environment, episode))[0])
        self.unwrapped.np_random = np.random.Generator(np.random.PCG64(chance))
        return observation, {**info, "level_seed": level}


if __name__ == "__main__":
    from envs.arguments import run_command
    from envs.pictures import main

    run_command(main)
