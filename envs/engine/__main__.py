"""Compile the engines in advance; numba keeps the result on disk, so that the next program starts at once."""

from __future__ import annotations

import time

import gymnasium
import minigrid  # noqa: F401  registers the ids
import numpy as np

from envs.engine.batch import Batch
from envs.engine.classic import CLASSICS
from envs.engine.compiled import callback
from envs.engine.makers.families import FAMILIES
from envs.engine.makers.world import LAY
from envs.optimum import oracle
from envs.split import split_of

if __name__ == "__main__":
    begin = time.perf_counter()
    for threads in (1, 2):
        batch = Batch(gymnasium.make("MiniGrid-Empty-5x5-v0"), n=2, bank=0, threads=threads)
        batch.reset(0)
        batch.step(np.zeros(2, np.int64))
    oracle("MiniGrid-Empty-5x5-v0", 0)
    for family in FAMILIES.values():
        callback(LAY, family.lay)
    split_of("MiniGrid-Empty-5x5-v0", 1)
    for name in ("CartPole-v1", "Acrobot-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0"):
        env = gymnasium.make(name)
        classic = CLASSICS[type(env.unwrapped)](env, n=2)
        classic.reset(0)
        classic.step(np.array([env.action_space.sample()] * 2))
    print(f"the engines are compiled ({time.perf_counter() - begin:.1f} s)")
