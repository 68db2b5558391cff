"""Stepping a mixture of bodies: this project's batch against Gymnasium's SyncVectorEnv and mujoco.rollout.

    python benchmarks/bodies.py [--envs 32] [--steps 100] [--rounds 5]

The environments are Centipede-4, 6 and 8 in equal shares, with the same actions for all: a fifth of full power, so that
most bodies stay up. SyncVectorEnv steps this project's single environments. The physics alone is timed too: the batch's
threads, one of them, and `mujoco.rollout`, whose threads step states that are handed over. Figures are steps of one
environment per second of wall time, medians over rounds that time all in turn.

At the end: what a batch of 512 observations of the mixture costs each encoder, forwards and backwards, against one of
512 of the largest body alone, in CPU time of one thread. Both are padded to the same size.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import mujoco
import numpy as np
import torch
from mujoco import rollout
from stable_baselines3.common.preprocessing import preprocess_obs

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine

from agents.make import encoder_named
from envs.bodies.batch import Bodies
from envs.make import make_vector_env
from envs.single import make_env

MIXTURE = {"train": ["Centipede-4", "Centipede-6", "Centipede-8"]}
ENCODERS = ("gnn", "modular", "transformer", "mlp")
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


def learned(name: str, bodies: Sequence[str], rows: int = 512) -> Callable[[], None]:
    """An encoder reads a batch of these bodies, and its gradients are computed."""
    kwargs = {"train": bodies, "test": MIXTURE["train"]}
    env = make_vector_env("bodies", n_envs=rows, engine="batched", kwargs=kwargs)
    seen = {key: torch.as_tensor(part) for key, part in env.reset(seed=0)[0].items()}
    space = env.single_observation_space
    encoder = encoder_named(name)(space)
    observations = preprocess_obs(seen, space)

    def learn() -> None:
        encoder.zero_grad()
        encoder(observations).sum().backward()

    return learn


def cost_of_padding(rounds: int) -> None:
    """Print the CPU time of a mixed batch and of one of the largest body, for each encoder."""
    torch.set_num_threads(1)
    for name in ENCODERS:
        calls = {"mixed": learned(name, MIXTURE["train"]), "largest": learned(name, MIXTURE["train"][-1:])}
        taken: dict[str, list[float]] = {which: [] for which in calls}
        for turn in range(1 + 2 * rounds):
            for which, call in calls.items():
                began = time.process_time()
                call()
                if turn:
                    taken[which].append(time.process_time() - began)
        mixed, largest = (1000 * median(seconds) for seconds in taken.values())
        print(f"a mixed batch, {name:<25} {mixed:>8,.1f} ms      {mixed / largest:>6.2f}x the largest body's")


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
    cost_of_padding(options.rounds)


if __name__ == "__main__":
    main()
