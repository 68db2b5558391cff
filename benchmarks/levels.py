"""The speed of levels: making them, playing an endless stream of them, training on it.

    python benchmarks/levels.py [making] [stream] [training] [oracle] [--seconds 0.5] [--repeats 3] [--ids ...]

    making      levels per CPU-second of every registered id that has a compiled maker, beside Farama's bare
                `reset(seed=s)`; medians and extremes over families, each of which counts by its slowest id
    stream      steps per CPU-second of 256 environments of DoorKey-8x8 in which every episode ends after 20 steps and
                the next one begins on a new level: the batched engine with `env.bank=0`, the same with Farama's Python
                making the levels, the same with a bank of 10,000 levels, and EnvPool where it is installed
    training    CPU-seconds per step of a run of `ppo_fast` with `mlp` and `env.bank=0`, relative to a bank of 10,000
                levels all of which are made; beside it the same with Farama's Python making the levels. Here and above,
                every new level is hashed, and played unless it is one of the tenth that is held out for tests
    oracle      CPU-milliseconds in which `envs.optimum.Oracle` makes a level of evaluations and finds a shortest way to
                success, over 100 levels of an environment; and how many of them are left out

Random actions, one thread. What is compared is timed in turn; figures of the first two are medians over rounds. They
vary by 25 % between runs, so compare figures of the same run only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, output

from agents import make_agent
from configs.compose import compose
from envs import make_vec_env
from envs.engine.levels import maker_of
from envs.engine.makers.families import ids_of_families
from envs.levels import EVALUATION
from envs.names import resolve_id
from envs.optimum import NoOptimum, Oracle
from learning.build import encoder_options, env_options

try:
    import envpool
except ImportError:
    envpool = None

SECTIONS = ("making", "stream", "training", "oracle")
N_ENVS, EPISODE, BANK = 256, 20, 10_000
TRAINED = ("DoorKey-5x5", "DoorKey-8x8", "FourRooms")
SOLVED = (
    *("DoorKey-8x8", "MiniGrid-DoorKey-16x16-v0", "LavaCrossingS9N1", "LavaGapS7", "FourRooms"),
    *("MiniGrid-MultiRoom-N6-v0", "KeyCorridorS3R1", "MiniGrid-KeyCorridorS3R3-v0", "MiniGrid-LockedRoom-v0"),
    *("MiniGrid-BlockedUnlockPickup-v0", "RedBlueDoors-6x6", "MiniGrid-PutNear-8x8-N3-v0", "BabyAI-GoToLocal-v0"),
    *("BabyAI-PutNextLocal-v0", "BabyAI-GoTo-v0"),
)


def per_cpu_second(call: Callable[[], int], seconds: float) -> float:
    """What a call returns, the number of things that it has done, per CPU-second."""
    done, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < seconds:
        done += call()
    return done / spent


def in_turn(calls: dict[str, Callable[[], int]], seconds: float, repeats: int) -> dict[str, float]:
    """The median rate of each call over rounds."""
    for call in calls.values():
        call()
    rounds = [{name: per_cpu_second(call, seconds) for name, call in calls.items()} for _ in range(repeats)]
    return {name: float(np.median([each[name] for each in rounds])) for name in calls}


@contextlib.contextmanager
def farama() -> Iterator[None]:
    """Environments that are made meanwhile have no compiled maker."""
    with patch("envs.engine.makers.families.FAMILIES", {}):
        yield


# --- making -----------------------------------------------------------------------------------------------------------


def making(options: argparse.Namespace) -> dict[str, Any]:
    """Levels per CPU-second of every id -> {family: {id: {"farama", "compiled", "ratio"}}}."""
    results: dict[str, Any] = {}
    print(f"\n{'levels per CPU-second':>40}{'Farama':>12}{'compiled':>14}{'ratio':>8}")
    for family, names in ids_of_families([resolve_id(name) for name in options.ids]).items():
        results[family] = {}
        for name in names:
            env: Any = gymnasium.make(name).unwrapped
            maker, seeds = maker_of(env), cycle(range(1000))
            if maker.compiled is None:
                raise SystemExit(f"the compiled maker of {name} does not make the levels of this MiniGrid")
            many = maker.made(range(1024))

            def reset(env: Any = env, seeds: Any = seeds) -> int:
                for _ in range(16):
                    env.reset(seed=next(seeds))
                return 16

            def make(maker: Any = maker, many: Any = many, seeds: Any = seeds) -> int:
                first = next(seeds)
                maker.make(many.levels, np.arange(1024), np.arange(first, first + 1024))
                return 1024

            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                rates = in_turn({"farama": reset, "compiled": make}, options.seconds, options.repeats)
            rates["ratio"] = rates["compiled"] / rates["farama"]
            results[family][name] = rates
            print(f"{name:>40}{rates['farama']:>12,.0f}{rates['compiled']:>14,.0f}{rates['ratio']:>8.0f}", flush=True)
    for title, prefix in (("MiniGrid", "MiniGrid-"), ("BabyAI", "BabyAI-")):
        ratios = [
            min(rates["ratio"] for rates in each.values())
            for each in results.values()
            if next(iter(each)).startswith(prefix)
        ]
        if ratios:
            print(f"\n{title}: {len(ratios)} families, median ratio {np.median(ratios):.0f}, least {min(ratios):.0f}")
    return results


# --- stream -----------------------------------------------------------------------------------------------------------


def stepping(env: Any) -> Callable[[], int]:
    actions = np.random.default_rng(0).integers(0, 7, (64, N_ENVS))
    env.reset()
    calls = iter(range(2**30))

    def step() -> int:
        for _ in range(4):
            env.step(actions[next(calls) % 64])
        return 4 * N_ENVS

    for _ in range(EPISODE + 1):  # until episodes end
        step()
    return step


def stream(options: argparse.Namespace) -> dict[str, float]:
    """Steps per CPU-second where an episode has 20 steps and a level of its own."""

    def batched(bank: int) -> Callable[[], int]:
        playing: dict[str, Any] = {"engine": "batched", "bank": bank, "levels": "all", "kwargs": {"max_steps": EPISODE}}
        env: Any = make_vec_env("DoorKey-8x8", n_envs=N_ENVS, seed=0, **playing)
        if bank:
            env.batch.bank.rows(env.batch.bank.seeds)
        step = stepping(env)
        # otherwise all episodes would end in the same step
        env.batch.state.agent["steps"] = np.random.default_rng(1).integers(0, EPISODE, N_ENVS)
        return step

    calls = {"new levels": batched(0), f"bank of {BANK:,}": batched(BANK)}
    with farama():
        calls["new levels, Farama's Python"] = batched(0)
    if envpool is not None:
        pool = envpool.make(
            "MiniGrid-DoorKey-8x8-v0",
            env_type="gymnasium",
            num_envs=N_ENVS,
            num_threads=1,
            seed=0,
            max_episode_steps=EPISODE,
        )
        calls["EnvPool"] = stepping(pool)
    rates = in_turn(calls, 2 * options.seconds, options.repeats)
    print(f"\nDoorKey-8x8, {N_ENVS} environments, episodes of {EPISODE} steps: environment steps per CPU-second\n")
    for name, rate in rates.items():
        print(f"{name:>30}{rate:>14,.0f}{rates['new levels'] / rate:>8.1f}")
    if envpool is None:
        print("EnvPool is not installed (pip install envpool, where it has a wheel for this Python)")
    return rates


# --- training ---------------------------------------------------------------------------------------------------------


class Learner:
    """A run on a bank of levels, or without one on new levels; `spent` is its CPU-seconds so far."""

    def __init__(self, name: str, bank: int):
        config = compose("train", [f"env={name}", "agent=ppo_fast", "encoder=mlp"])
        agent = {key: value for key, value in config["agent"].items() if key != "name"} | {"seed": 0, "device": "cpu"}
        algorithm, encoder = agent.pop("algorithm", config["agent"]["name"]), config["encoder"]["class"]
        playing: dict[str, Any] = {"engine": "batched", "bank": bank, "levels": "all"}
        env: Any = make_vec_env(**env_options(config), **playing, n_envs=config["n_envs"], seed=config["seed"])
        if bank:
            env.batch.bank.rows(env.batch.bank.seeds)
        self.model: Any = make_agent(env, encoder, algorithm, encoder_options=encoder_options(config), **agent)
        self.rollout, self.spent = agent["n_steps"] * config["n_envs"], 0.0

    def learn(self) -> None:
        begin = time.process_time()
        self.model.learn(self.rollout, reset_num_timesteps=False)
        self.spent += time.process_time() - begin


def training(options: argparse.Namespace) -> dict[str, Any]:
    """Steps per CPU-second of runs of --steps."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    print(f"\nppo_fast with mlp, {options.steps:,} steps\n{'':>40}{'steps/CPU-s':>14}{'cost':>8}")
    for name in TRAINED:
        learners = {f"bank of {BANK:,}": Learner(name, BANK), "new levels": Learner(name, 0)}
        with farama():
            learners["new levels, Farama's Python"] = Learner(name, 0)
        while min(learner.model.num_timesteps for learner in learners.values()) < options.steps:
            for learner in learners.values():
                learner.learn()
        rates = {kind: learner.model.num_timesteps / learner.spent for kind, learner in learners.items()}
        results[name] = rates
        print(name)
        for kind, rate in rates.items():
            print(f"{kind:>40}{rate:>14,.0f}{next(iter(rates.values())) / rate:>8.2f}", flush=True)
    return results


# --- oracle -----------------------------------------------------------------------------------------------------------


def oracle(options: argparse.Namespace) -> dict[str, Any]:
    """CPU-milliseconds a level of evaluations."""
    results: dict[str, Any] = {}
    print(f"\n{'CPU-ms a level':>40}{'median':>10}{'mean':>10}{'most':>10}{'steps':>8}{'left out':>10}")
    for name in options.ids or SOLVED:
        find, spent, steps = Oracle(name), [], []
        with contextlib.suppress(NoOptimum):
            find(0)  # the first one compiles
        for seed in range(EVALUATION, EVALUATION + 100):
            begin = time.process_time()
            with contextlib.suppress(NoOptimum):
                steps.append(find(seed).steps)
            spent.append(1e3 * (time.process_time() - begin))
        times = np.array(spent)
        found = {"median": np.median(times), "mean": times.mean(), "most": times.max(), "steps": np.mean(steps)}
        results[name] = {**{key: float(value) for key, value in found.items()}, "left out": 100 - len(steps)}
        row = "".join(f"{results[name][key]:>10.2f}" for key in ("median", "mean", "most"))
        print(f"{name:>40}{row}{results[name]['steps']:>8.1f}{results[name]['left out']:>10}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--ids", nargs="+", default=[], help="of making (default: all) and oracle")
    parser.add_argument("--seconds", type=float, default=0.5, help="that a round of a contestant takes")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--steps", type=int, default=300_000, help="of each run of training")
    parser.add_argument("--json", type=output, help="write the figures to this file")
    options = parser.parse_args()
    unknown = [section for section in options.sections if section not in SECTIONS]
    if unknown:
        parser.error(f"sections are {', '.join(SECTIONS)}; got {', '.join(unknown)}")
    about = machine("numba", "numpy", "gymnasium", "minigrid", *(["envpool"] if envpool else []))
    chosen = options.sections or SECTIONS
    results = {section: globals()[section](options) for section in chosen}
    if options.json:
        options.json.write_text(json.dumps({"machine": about, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
