"""How long a user waits until a task is learned, in wall time: stock Stable-Baselines3 and ours.

    python benchmarks/training.py --wall [--cases ENV ...] [--seeds 5] [--cap-seconds 600] [--cap-ratio 20]
                                  [--overrides OVERRIDE ...] [--ours OVERRIDE ...]

Time runs from the start of `learn`, including compiling and making levels, without any cache, until 90 % of the last
100 training episodes succeed, or CartPole's mean return over them is 475. It does not end before every environment has
finished an episode, because successful episodes finish first. Our runs are stopped after --cap-seconds, stock runs
after --cap-ratio times our median. Once more than half of the runs were stopped, the median is known and the remaining
runs are left out. Stock is `train.py agent.implementation=sb3 env.engine=gymnasium`, ours is `train.py agent=ppo_fast`;
--overrides are for both, --ours for ours.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from configs.compose import compose
from encoders.torch_internals import empty_compiler_cache
from learning.build import build
from learning.decide import decide

Rows = dict[str, dict[str, Any]]  # by form

TASKS: dict[
    str, tuple[list[str], str, float]
] = {  # environment -> overrides, and the measure and value that count as learned
    "DoorKey-5x5": (["encoder=cnn", "total_timesteps=1000000"], "success", 0.9),
    "DoorKey-8x8": (["encoder=cnn", "total_timesteps=3000000"], "success", 0.9),
    # after the 30,000 steps of tuned/ the policy has learned, but its last 100 episodes include earlier, worse ones
    "CartPole": (["encoder=homomorphic", "total_timesteps=60000"], "return", 475.0),
}


def wall(
    name: str, agent: str, overrides: Sequence[str], ours: Sequence[str], seeds: int, cap: float, cap_ratio: float
) -> Rows:
    """For ours and for stock SB3: the wall seconds and steps of every seed, and whether it learned the task."""
    forms = {"ours": [f"agent={agent}", *ours], "stock": ["agent.implementation=sb3", "env.engine=gymnasium"]}
    found: Rows = {}
    for form, chosen in forms.items():
        runs: list[dict[str, Any]] = []
        for seed in range(seeds):
            if sum(not run["reached"] for run in runs) > seeds // 2:
                break
            runs.append(one(name, [*chosen, f"seed={seed}", *overrides], cap))
            print(f"{name} seed {seed} {form:<6}{runs[-1]['steps']:>10,} steps{shown(runs[-1]):>12}", flush=True)
        found[form] = {column: [run[column] for run in runs] for column in runs[0]}
        cap = cap_ratio * median(found[form])["seconds"]
    medians = ", ".join(f"{form} {shown(median(columns))}" for form, columns in found.items())
    print(f"{name}: median time to {TASKS[name][1]} {TASKS[name][2]:g}: {medians}")
    return found


def one(name: str, overrides: Sequence[str], cap: float) -> dict[str, Any]:
    """One run, without any cache."""
    choices, key, enough = TASKS[name]
    config = compose("train", [f"env={name}", *choices, *overrides])
    with empty_compiler_cache():
        model = build(decide(config)[0]).model
        reached = Reached(key, enough, cap)
        model.learn(config["total_timesteps"], callback=reached)
    return {"seconds": reached.seconds, "steps": model.num_timesteps, "reached": reached.reached}


class Reached(BaseCallback):
    """Ends learning when the mean over the last 100 episodes is high enough, or after `cap` seconds."""

    def __init__(self, key: str, enough: float, cap: float):
        super().__init__()
        self.key, self.enough, self.cap = key, enough, cap
        self.last: deque[float] = deque(maxlen=100)
        self.reached, self.begin = False, time.perf_counter()

    def _on_training_start(self) -> None:
        self.unfinished = set(range(self.training_env.num_envs))  # environments that have not yet finished an episode

    def _on_step(self) -> bool:
        ended = np.flatnonzero(self.locals["dones"]).tolist()
        self.unfinished -= {*ended}
        infos = [self.locals["infos"][i] for i in ended]
        self.last.extend(info["is_success"] if self.key == "success" else info["episode"]["r"] for info in infos)
        if ended and len(self.last) == 100 and not self.unfinished:
            self.reached = bool(np.mean(self.last) >= self.enough)
        self.seconds = time.perf_counter() - self.begin
        return not self.reached and self.seconds < self.cap


def median(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """The median run; runs that did not learn the task count as slower than all others."""
    runs = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return sorted(runs, key=lambda run: (not run["reached"], run["seconds"]))[len(runs) // 2]


def shown(run: dict[str, Any]) -> str:
    return f"{'' if run['reached'] else '> '}{run['seconds']:.1f} s"
