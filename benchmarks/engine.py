"""Steps per CPU-second of MiniGrid and classic control on one core: the batched engine, Gymnasium, EnvPool.

    python benchmarks/engine.py [--json PATH] [--picture PATH] [--seconds 0.6] [--repeats 3] [--sizes ...] [id ...]

Random actions, one thread, 1 to 8,192 environments:

    batched      `envs.make_vec_env(id, engine="batched")` with everything SB3 gets: copies of the observations, infos,
                 episode statistics; the next episode begins in the same step
    gymnasium    the same call with engine="gymnasium", up to 256 environments; more hardly change its cost per step
    bare         `gymnasium.make(id).step` alone: one environment, no statistics and none of our observation keys
    envpool      EnvPool (Weng et al. 2022), where it is installed: what its `step` returns, without statistics. It
                 makes a new level for each episode, where the batched engine draws from a bank of 1,024. All its
                 episodes begin at step 0, so with many environments none ends while it is measured. With up to 16
                 environments its figures vary by a factor of 2 between runs, because its worker's waiting is counted.

Two tables follow: how the cost of a step in the batched engine grows with the number of environments, and with the size
of the grid. Figures are medians over rounds that time everything in turn. They vary by 25 % between runs, so compare
figures of the same run only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import output

from envs import make_vec_env
from envs.names import is_minigrid, resolve_id

try:
    import envpool
except ImportError:
    envpool = None

IDS = ("DoorKey-8x8", "FourRooms", "CartPole", "Acrobot", "Pendulum", "MountainCar")
GRIDS = ("MiniGrid-Empty-5x5-v0", "MiniGrid-Empty-8x8-v0", "MiniGrid-Empty-16x16-v0")
SIZES = (1, 8, 16, 256, 1024, 8192)
MOST_REAL = 256  # environments made in Gymnasium
GROWS_FROM, GROWS_BY = 256, 1.6  # from this many environments on, a step costs at most this many times as much
LEVELS = 1024

Contestants = dict[str, Callable[[int], Any]]  # "engine n" -> a step of n environments, given the number of the call
Rates = dict[str, float]


def per_cpu_second(step: Callable[[int], Any], steps: int, seconds: float) -> float:
    """Environment steps per CPU-second of a call that makes `steps` of them."""
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


def vectorised(env: VecEnv) -> Callable[[int], Any]:
    actions = random_actions(env.action_space, 64, env.num_envs)
    env.reset()
    return lambda call: env.step(actions[call % 64])


def bare(name: str) -> Callable[[int], None]:
    env = gymnasium.make(resolve_id(name))
    actions = list(random_actions(env.action_space, 1024))
    env.reset(seed=0)

    def step(call: int) -> None:
        _, _, terminated, truncated, _ = env.step(actions[call % 1024])
        if terminated or truncated:
            env.reset()

    return step


def batched(name: str, n: int) -> Callable[[int], Any]:
    levels = LEVELS if is_minigrid(resolve_id(name)) else 0
    env: Any = make_vec_env(name, n_envs=n, seed=0, engine="batched", bank=levels)
    step = vectorised(env)
    # otherwise random episodes would all end in the same step
    running = env.batch.state.agent if levels else env.batch.episodes
    running["steps"] = np.random.default_rng(1).integers(0, running["max_steps"] if levels else env.batch.limit, n)
    return step


def pooled(name: str, n: int) -> Callable[[int], Any]:
    env = envpool.make(resolve_id(name), env_type="gymnasium", num_envs=n, num_threads=1, seed=0)
    actions = random_actions(env.action_space, 64, n)
    env.reset()
    return lambda call: env.step(actions[call % 64])


def contestants(name: str, sizes: Sequence[int]) -> Contestants:
    known = envpool is not None and resolve_id(name) in envpool.list_all_envs()
    return {
        "bare 1": bare(name),
        **{f"gymnasium {n}": vectorised(make_vec_env(name, n_envs=n, seed=0)) for n in sizes if n <= MOST_REAL},
        **({f"envpool {n}": pooled(name, n) for n in sizes} if known else {}),
        **{f"batched {n}": batched(name, n) for n in sizes},
    }


def number(key: str) -> int:
    return int(key.split()[-1])


def measure(steps: Contestants, seconds: float, repeats: int) -> Rates:
    """Medians over rounds; each times every engine, so that a busy moment affects all of them."""
    for step in steps.values():
        for call in range(3):
            step(call)
    rounds = [{key: per_cpu_second(step, number(key), seconds) for key, step in steps.items()} for _ in range(repeats)]
    return {key: float(np.median([each[key] for each in rounds])) for key in steps}


def show(name: str, rates: Rates) -> None:
    """A row for each engine and number of environments, with its ratios to the other engines."""
    others = [other for other in ("gymnasium", "bare", "envpool") if any(key.startswith(other) for key in rates)]
    print(f"\n{name}: environment steps per CPU-second\n")
    print(f"{'':>12}{'environments':>14}{'steps/s':>14}" + "".join(f"{'x ' + other:>14}" for other in others))
    for key, rate in rates.items():
        ratios = ""
        for other in others:
            sizes = [number(each) for each in rates if each.startswith(other)]
            reference = rates[f"{other} {max((n for n in sizes if n <= number(key)), default=min(sizes))}"]
            ratios += f"{rate / reference:>14.1f}"
        print(f"{key.split()[0]:>12}{number(key):>14,}{rate:>14,.0f}{ratios}")


def growth(rates: Rates) -> dict[str, float]:
    """The cost of a step with n environments, relative to its cost with `GROWS_FROM`."""
    reference = rates.get(f"batched {GROWS_FROM}")
    counts = [number(key) for key in rates if key.startswith("batched") and number(key) >= GROWS_FROM]
    return {str(n): reference / rates[f"batched {n}"] for n in counts} if reference else {}


def show_growth(grows: dict[str, dict[str, float]], grids: Rates) -> None:
    columns = max(grows.values(), key=len)
    print(f"\nThe cost of a step with n environments, relative to its cost with {GROWS_FROM}\n")
    print(f"{'':>24}" + "".join(f"{int(n):>10,}" for n in columns))
    for name, costs in grows.items():
        print(f"{name:>24}" + "".join(f"{costs[n]:>10.2f}" for n in columns))
    worst = max(cost for costs in grows.values() for cost in costs.values())
    print(f"\nat most {worst:.2f}: {'within' if worst <= GROWS_BY else 'MORE THAN'} the {GROWS_BY} that is promised")
    print(f"\nBy the size of the grid, {GROWS_FROM} environments: steps per CPU-second, relative cost\n")
    for name, rate in grids.items():
        print(f"{name:>24}{rate:>14,.0f}{grids[GRIDS[0]] / rate:>10.2f}")


def draw(results: dict[str, Rates], file: Path) -> None:
    """Steps per CPU-second against the number of environments, a panel for each environment."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3.4 * rows), squeeze=False, sharex=True, sharey=True
    )
    for axis in axes.flat[len(results) :]:
        axis.set_visible(False)
    for axis, (name, rates) in zip(axes.flat, results.items(), strict=False):
        for engine, colour in (("batched", "#08519c"), ("envpool", "#e6862e"), ("gymnasium", "#8a8a8a")):
            points = sorted((number(key), rate) for key, rate in rates.items() if key.startswith(engine))
            if points:
                axis.loglog(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=engine)
        axis.set_title(name)
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("steps per CPU-second")
    for axis in axes[-1]:
        axis.set_xlabel("environments")
    axes[0, 0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ids", nargs="*", default=IDS)
    parser.add_argument("--json", type=output, help="write the numbers there")
    parser.add_argument("--picture", type=output, help="draw them there")
    parser.add_argument("--seconds", type=float, default=0.6, help="CPU-seconds of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of environments")
    options = parser.parse_args()
    packages = ("numba", "numpy", "gymnasium", "minigrid", *(["envpool"] if envpool else []))
    machine = {
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    if envpool is None:
        print("EnvPool is not installed (pip install envpool, where it has a wheel for this Python)")
    results: dict[str, Rates] = {}
    for name in options.ids:
        results[name] = measure(contestants(name, options.sizes), options.seconds, options.repeats)
        show(name, results[name])
    grows = {name: costs for name, rates in results.items() if (costs := growth(rates))}
    grids: Rates = {}
    if grows:
        steps = {f"{name} {GROWS_FROM}": batched(name, GROWS_FROM) for name in GRIDS}
        rates = measure(steps, options.seconds, options.repeats)
        grids = {key.split()[0]: rate for key, rate in rates.items()}
        show_growth(grows, grids)
    if options.json:
        written = {"machine": machine, "steps_per_cpu_second": results, "cost_by_environments": grows, "grids": grids}
        options.json.write_text(json.dumps(written, indent=2) + "\n")
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    main()
