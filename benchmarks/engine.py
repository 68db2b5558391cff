"""Steps per CPU-second of MiniGrid and classic control: the batched engine against Gymnasium, one core, in one run.

    python benchmarks/engine.py [--json PATH] [--seconds 0.6] [--repeats 3] [id ...]

Random actions, same-step autoreset, one thread. "engine" is `envs.make_vec_env(id, engine="batched")`, with everything
SB3 gets: copies of the observations, infos, episode statistics. "gymnasium" is the same call with engine="gymnasium",
on 16 environments (its cost per step hardly depends on how many there are; 8 engines of classic control are compared
with 8); "bare" is `gymnasium.make(id).step` alone, which makes no vector, no statistics and none of our observation
keys. Medians; expect 25 % between runs, and compare within one.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from envs import make_vec_env
from envs.names import is_minigrid, resolve_id

IDS = ("DoorKey-8x8", "FourRooms", "CartPole", "Acrobot", "Pendulum", "MountainCar")
SIZES = (1, 16, 256, 1024, 8192)
CLASSIC_SIZES = (8, 16, 256, 1024, 8192)
LEVELS = 1024


def per_cpu_second(step: Callable[[int], None], steps: int, seconds: float) -> float:
    """How many environment steps a CPU-second has, when one call makes `steps`."""
    calls = 0
    begin = time.process_time()
    while (spent := time.process_time() - begin) < seconds:
        for _ in range(4):
            step(calls)
            calls += 1
    return calls * steps / spent


def random_actions(space: gymnasium.Space, *shape: int) -> np.ndarray:
    random = np.random.default_rng(0)
    if isinstance(space, gymnasium.spaces.Discrete):
        return random.integers(0, space.n, shape)
    return random.uniform(space.low, space.high, (*shape, *space.shape)).astype(space.dtype)  # type: ignore


def vectorised(env: VecEnv) -> Callable[[int], None]:
    actions = random_actions(env.action_space, 64, env.num_envs)
    env.reset()
    return lambda call: env.step(actions[call % 64]) and None


def bare(name: str) -> Callable[[int], None]:
    env = gymnasium.make(resolve_id(name))
    actions = list(random_actions(env.action_space, 1024))
    env.reset(seed=0)

    def step(call: int) -> None:
        _, _, terminated, truncated, _ = env.step(actions[call % 1024])
        if terminated or truncated:
            env.reset()

    return step


def batched(name: str, n: int) -> Callable[[int], None]:
    levels = LEVELS if is_minigrid(resolve_id(name)) else 0
    env: Any = make_vec_env(name, n_envs=n, seed=0, engine="batched", bank=levels)
    step = vectorised(env)
    # Otherwise random episodes would all end in the same step.
    running = env.batch.state.agent if levels else env.batch.episodes
    running["steps"] = np.random.default_rng(1).integers(0, running["max_steps"] if levels else env.batch.limit, n)
    return step


def measure(name: str, seconds: float, repeats: int) -> dict[str, float]:
    """Medians over rounds, each of which times every contestant, so that a busy moment hits all of them."""
    contestants = {"bare": (bare(name), 1), "gymnasium": (vectorised(make_vec_env(name, n_envs=16, seed=0)), 16)}
    sizes = SIZES if is_minigrid(resolve_id(name)) else CLASSIC_SIZES
    if 8 in sizes:
        contestants["gymnasium 8"] = vectorised(make_vec_env(name, n_envs=8, seed=0)), 8
    contestants |= {str(n): (batched(name, n), n) for n in sizes}
    for step, _ in contestants.values():
        for call in range(3):
            step(call)
    rounds = [{key: per_cpu_second(*c, seconds) for key, c in contestants.items()} for _ in range(repeats)]
    return {key: float(np.median([each[key] for each in rounds])) for key in contestants}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ids", nargs="*", default=IDS)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--seconds", type=float, default=0.6, help="CPU-seconds of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    machine = {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("numba", "numpy", "gymnasium", "minigrid")},
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    results = {}
    for name in options.ids:
        rates = results[name] = measure(name, options.seconds, options.repeats)
        print(f"\n{name}: environment steps per CPU-second\n")
        print(f"{'':>16}{'environments':>14}{'steps/s':>14}{'x gymnasium':>14}{'x bare':>10}")
        for key, rate in rates.items():
            label, _, count = f"engine {int(key):,}".partition(" ") if key.isdigit() else key.partition(" ")
            count = count or ("1" if key == "bare" else "16")
            reference = rates.get(f"gymnasium {count}", rates["gymnasium"])
            ratios = f"{rate / reference:>14.1f}{rate / rates['bare']:>10.1f}"
            print(f"{label:>16}{count:>14}{rate:>14,.0f}{ratios}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "steps_per_cpu_second": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
