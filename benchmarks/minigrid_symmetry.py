"""How much a symmetry speeds up learning on MiniGrid: environment steps until 0.9 of the last 100 episodes succeed.

    python benchmarks/minigrid_symmetry.py [--environments DoorKey-6x6 LavaCrossingS9N1] [--seeds 5] [--json PATH]

    hard       homomorphic: group convolutions and equivariant heads
    average    cnn, averaged over the group, equivariant heads
    augment    cnn, every minibatch together with its mirror image
    none       cnn

The group is the reflection of the agent's own view. All methods train as `train.py env=... agent=ppo_fast` does, with
the same hyperparameters, which were chosen for `none` on seeds that are not reported (100 and up). The reported medians
are over seeds 0, 1, ..., with the exact interval of a median (order statistics; for five seeds it is their range,
94 %). A run that does not succeed within `--steps` counts as longer than all that do.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cartpole_symmetry import NEVER, draw, interval, shown
from timing import machine, output
from wall import Reached

from configs.compose import compose
from learning.build import build
from learning.decide import decide

METHODS = {
    "hard": ["encoder=homomorphic"],
    "average": ["encoder=cnn", "symmetry=average"],
    "augment": ["encoder=cnn", "symmetry=augment"],
    "none": ["encoder=cnn"],
}
ENVIRONMENTS = ("DoorKey-6x6", "LavaCrossingS9N1")
ENOUGH = 0.9


def steps_to_learn(job: tuple[str, str, int], longest: int) -> float:
    """Environment steps until one (environment, method, seed) succeeds."""
    torch.set_num_threads(1)
    env, method, seed = job
    config = compose("train", [f"env={env}", "agent=ppo_fast", *METHODS[method], f"seed={seed}"])
    model = build(decide(config)[0]).model
    reached = Reached("success", ENOUGH, cap=float("inf"))
    model.learn(longest, callback=reached)
    return model.num_timesteps if reached.reached else NEVER


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--environments", nargs="+", default=list(ENVIRONMENTS), metavar="ENV")
    add("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    add("--seeds", type=int, default=5)
    add("--first-seed", type=int, default=0, help="100 and up are for choosing hyperparameters")
    add("--steps", type=int, default=1_000_000, help="after which a run counts as not having learned")
    add("--jobs", type=int, default=2, help="processes, one thread each")
    add("--json", type=output, help="write the numbers there")
    add("--picture", type=output, help="draw there which share of the seeds had learned when")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [(env, method, seed) for env in options.environments for method in options.methods for seed in seeds]
    results: dict[str, dict[str, dict[str, object]]] = {}
    about = machine("torch", "stable-baselines3", "minigrid")
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        found = iter(pool.map(partial(steps_to_learn, longest=options.steps), jobs))
        for env in options.environments:
            print(f"\n{env}: steps until {ENOUGH} of the last 100 episodes succeed, {options.seeds} seeds\n")
            print(f"{'':<12}{'median':>10}{'interval':>24}{'never':>8}   each seed")
            results[env] = {}
            for method in options.methods:
                steps = [next(found) for _ in seeds]
                low, high = interval(steps)
                middle = float(np.median(steps))
                row = {"steps": [*map(shown, steps)], "median": shown(middle), "interval": [shown(low), shown(high)]}
                results[env][method] = row
                each = ", ".join(f"{step:,.0f}" for step in steps)
                between, never = f"[{low:,.0f}, {high:,.0f}]", sum(map(math.isinf, steps))
                print(f"{method:<12}{middle:>10,.0f}{between:>24}{never:>8}   {each}", flush=True)
    if options.picture:
        draw(results, options.picture, METHODS, longest=options.steps, what=f"success {ENOUGH}")
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "minigrid": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
