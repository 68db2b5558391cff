"""Stepping a mixture of bodies: this project's batch against Gymnasium's SyncVectorEnv and mujoco.rollout.

    python benchmarks/bodies.py [--envs 32] [--steps 100] [--rounds 5]

The environments are Centipede-4, 6 and 8 in equal shares, with the same actions for all: a fifth of full power, so that
most bodies stay up. SyncVectorEnv steps this project's single environments. The physics alone is timed too: the batch's
threads, one of them, and `mujoco.rollout`, whose threads step states that are handed over. Figures are steps of one
environment per second of wall time, medians over rounds that time all in turn.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import mujoco
import numpy as np
from mujoco import rollout

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine

from envs.bodies.batch import Bodies
from envs.make import make_vector_env
from envs.single import make_env

MIXTURE = {"train": ["Centipede-4", "Centipede-6", "Centipede-8"]}
POWER = 0.2


def whole(engine: str, n: int, actions: np.ndarray) -> Callable[[], None]:
    """All of a step: physics, observations, rewards, ends."""
    env = make_vector_env("bodies", n_envs=n, engine=engine, kwargs=MIXTURE)

    def play() -> None:
        env.reset(seed=0)
        for action in actions:
            env.step(action)

    return play


def threads(n: int, actions: np.ndarray, count: int | None) -> Callable[[], None]:
    """The physics of the batch alone."""
    batch = Bodies(make_env("bodies", kwargs=MIXTURE), n, threads=count)

    def play() -> None:
        batch.reset(0)
        for action in actions:
            batch.advance(action)

    return play


def rolled(n: int, actions: np.ndarray) -> Callable[[], None]:
    """The same physics by mujoco.rollout: each call steps all environments from the states of the one before."""
    batch = Bodies(make_env("bodies", kwargs=MIXTURE), n)
    kind, count = int(mujoco.mjtState.mjSTATE_FULLPHYSICS), len(os.sched_getaffinity(0))
    pool = rollout.Rollout(nthread=count)

    def play() -> None:
        batch.reset(0)
        for group in batch.groups:
            model = group.kind.model
            states = np.zeros((len(group.data), mujoco.mj_stateSize(model, kind)))
            for data, state in zip(group.data, states, strict=True):
                mujoco.mj_getState(model, data, state, kind)
            scratch = [mujoco.MjData(model) for _ in range(count)]
            for action in actions:
                controls = group.kind.controls(action[group.which])
                repeated = np.repeat(controls[:, None], group.kind.task.frame_skip, axis=1)
                states = pool.rollout(model, scratch, states, repeated)[0][:, -1]

    return play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    machine("mujoco", "gymnasium")
    shape = (options.steps, options.envs, *make_env("bodies", kwargs=MIXTURE).action_space.shape)
    actions = (POWER * np.random.default_rng(0).uniform(-1, 1, shape)).astype(np.float32)
    calls = {
        "gymnasium.vector.SyncVectorEnv": whole("gymnasium", options.envs, actions),
        "this project's batch": whole("batched", options.envs, actions),
        "physics alone, one thread": threads(options.envs, actions, 1),
        "physics alone, this project's threads": threads(options.envs, actions, None),
        "physics alone, mujoco.rollout": rolled(options.envs, actions),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    rates = {name: options.steps * options.envs / median(taken) for name, taken in seconds.items()}
    slowest = rates["gymnasium.vector.SyncVectorEnv"]
    for name, rate in rates.items():
        print(f"{name:<40} {rate:>8,.0f} steps/s {rate / slowest:>6.2f}x")


if __name__ == "__main__":
    main()
