"""What is gained by acting on one half of the environments while the other steps: environment steps per wall second.

    python benchmarks/overlap.py [--device cuda] [--env DoorKey-8x8] [--encoder cnn] [--n-envs 1024] [--json PATH]

The two ways of collecting take turns in one process, one rollout a round; the figures are medians. "playing" is the
rollout alone, "training" includes the update after it. Time is wall time: what runs in the background needs a core of
its own, and with one core there is nothing to gain.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import output

from agents import make_agent
from envs import make_vec_env


class Clock(BaseCallback):
    """The times at which a rollout began and ended."""

    def _on_rollout_start(self) -> None:
        self.began = time.perf_counter()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.played = time.perf_counter() - self.began


def measure(options: argparse.Namespace, distinct: bool) -> dict[str, dict[str, float]]:
    """Median steps per second of each way."""
    models: dict[bool, Any] = {}
    for overlap in (False, True):
        env = make_vec_env(options.env, n_envs=options.n_envs, seed=0, engine="batched", bank=1000)
        agent = {"n_steps": options.n_steps, "batch_size": options.batch_size, "n_epochs": 1}
        agent |= {"implementation": "eager", "distinct": distinct, "overlap": overlap, "device": options.device}
        models[overlap] = make_agent(env, options.encoder, "ppo", seed=0, **agent)
    steps = options.n_envs * options.n_steps
    seconds: dict[str, list[list[float]]] = {"playing": [[], []], "training": [[], []]}
    for number in range(options.rounds + 1):
        for overlap, model in models.items():
            clock, begin = Clock(), time.perf_counter()
            model.learn(steps, callback=clock, reset_num_timesteps=False)
            spent = {"playing": clock.played, "training": time.perf_counter() - begin}
            for what, each in seconds.items() if number else ():  # the first is for warming up
                each[overlap].append(spent[what])
    results = {}
    for what, (in_turn, overlapped) in seconds.items():
        one, other = (steps / float(np.median(each)) for each in (in_turn, overlapped))
        results[what] = {"in turn": one, "overlapped": other, "ratio": other / one}
        print(f"{what:>10}{one:>14,.0f}{other:>14,.0f}{other / one:>10.2f}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--env", default="DoorKey-8x8")
    add("--encoder", default="cnn")
    add("--n-envs", type=int, default=1024)
    add("--n-steps", type=int, default=16)
    add("--batch-size", type=int, default=1024)
    add("--rounds", type=int, default=5)
    add("--device", default="cpu")
    add("--json", type=output, help="write the numbers there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, distinct in (("each observation encoded", False), ("each distinct one encoded", True)):
        print(f"\n{options.env} {options.encoder}, {options.n_envs:,} environments, {options.device}, {name}\n")
        print(f"{'steps/s':>10}{'in turn':>14}{'overlapped':>14}{'ratio':>10}")
        results[name] = measure(options, distinct)
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "overlap": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
