"""How long a user waits until it is learned: stock Stable-Baselines3 and ours, on the wall clock.

    python benchmarks/training.py --wall [--cases ENV ...] [--seeds 5] [--cap-seconds 600] [--cap-ratio 20]
                                  [--overrides OVERRIDE ...] [--ours OVERRIDE ...]

Seconds from the start of `learn`, compiling and making levels included and nothing kept from earlier, until 90 % of the
last 100 training episodes succeed, or CartPole's return 475 on average; but not before every environment has finished
an episode, since those that finish first are the successful ones. A run of ours ends without it after --cap-seconds, a
stock one after --cap-ratio times the median of ours; once more than half of the runs did, the median is known, and the
others are left out. Stock is `train.py agent.implementation=sb3 env.engine=gymnasium`, ours `train.py agent=ppo_fast`;
--overrides are for both, --ours for ours.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from torch._inductor.utils import fresh_cache

from agents.make import encoder_named
from configs.compose import compose
from encoders.homomorphic import Homomorphic
from train import build, decide

Rows = dict[str, dict[str, Any]]  # of each form

TASKS: dict[str, tuple[list[str], str, float]] = {  # environment -> overrides, what is to be reached
    "DoorKey-5x5": (["encoder=cnn", "total_timesteps=1000000"], "success", 0.9),
    "DoorKey-8x8": (["encoder=cnn", "total_timesteps=3000000"], "success", 0.9),
    # in the 30,000 steps of tuned/ the last policy is there, but the last 100 episodes are those of worse ones
    "CartPole": (["encoder=homomorphic", "total_timesteps=60000"], "return", 475.0),
}


def wall(
    name: str, agent: str, overrides: Sequence[str], ours: Sequence[str], seeds: int, cap: float, cap_ratio: float
) -> Rows:
    """Of ours and of stock SB3: every seed's wall seconds, environment steps, and whether it got there."""
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
    """One run, from nothing kept of earlier ones."""
    choices, key, enough = TASKS[name]
    config = compose("train", [f"env={name}", *choices, *overrides])
    encoder = encoder_named(config["encoder"]["class"])
    with tempfile.TemporaryDirectory() as empty, patch.dict(os.environ, INDUCTIVE_CACHE=empty), fresh_cache():
        with contextlib.redirect_stdout(io.StringIO()):
            model: Any = build(decide(config, issubclass(encoder, Homomorphic)), encoder)[0]
        reached = Reached(key, enough, cap)
        model.learn(config["total_timesteps"], callback=reached)
    return {"seconds": reached.seconds, "steps": model.num_timesteps, "reached": reached.reached}


class Reached(BaseCallback):
    """Ends learning when the mean over the last 100 episodes is enough, or after `cap` seconds."""

    def __init__(self, key: str, enough: float, cap: float):
        super().__init__()
        self.key, self.enough, self.cap = key, enough, cap
        self.last: deque[float] = deque(maxlen=100)
        self.reached, self.begin = False, time.perf_counter()

    def _on_training_start(self) -> None:
        self.unfinished = set(range(self.training_env.num_envs))  # environments that have not finished an episode

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
    """The run in the middle, those that did not get there after all others."""
    runs = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return sorted(runs, key=lambda run: (not run["reached"], run["seconds"]))[len(runs) // 2]


def shown(run: dict[str, Any]) -> str:
    return f"{'' if run['reached'] else '> '}{run['seconds']:.1f} s"
