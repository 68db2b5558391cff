"""How much a symmetry speeds up learning: environment steps until CartPole is solved, for each way of using it.

    python benchmarks/cartpole_symmetry.py [--setting published] [--methods ...] [--seeds 25] [--json PATH]

    homomorphic   equivariant layers and heads (symmetry=hard)
    average       mlp, averaged over the group, equivariant heads
    augment       mlp, every minibatch together with its mirror image
    loss          mlp, a penalty of weight 1 on breaking the symmetry
    none          mlp

CartPole is solved at the first evaluation (20 fresh episodes, sampled actions, every 400 steps) whose mean return is
475 or more. All methods have two layers of 128 units (ReLU; --activation tanh) and share all hyperparameters but the
learning rate: each method uses the one of `RATES` with the smallest median over seeds 100, 101, ..., which are not
reported. The reported medians are over seeds 0 to 24, with the exact 95 % interval of a median (order statistics). A
run that does not solve CartPole within 20,000 steps counts as longer than all that do.

    published     van der Pol et al. 2020, figure 4: 16 environments x 5 steps, minibatches of 20, 4 epochs, clip 0.1
    own           8 epochs, clip 0.2 and no entropy bonus, for all of them
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, output

from agents import Policy, make_agent
from envs import make_vec_env
from evaluation.rollout import rollout

METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {  # name -> encoder, method, options of the encoder
    "homomorphic": ("homomorphic", "hard", {"channels": 64}),
    "average": ("mlp", "average", {}),
    "augment": ("mlp", "augment", {}),
    "loss": ("mlp", "loss", {}),
    "none": ("mlp", "none", {}),
}
RATES = (2.5e-3, 5e-3, 1e-2)
PUBLISHED = {
    "n_steps": 5,
    "batch_size": 20,
    "n_epochs": 4,
    "gae_lambda": 1.0,
    "clip_range": 0.1,
    "ent_coef": 0.01,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "published": PUBLISHED,
    "own": {**PUBLISHED, "n_epochs": 8, "clip_range": 0.2, "ent_coef": 0.0},
}
EVERY, EPISODES, ENOUGH, LONGEST = 400, 20, 475.0, 20_000
NOT_REPORTED = 100  # the first seed for choosing learning rates
NEVER = math.inf


class Solved(BaseCallback):
    """Ends learning at the first evaluation that solves CartPole; `.at` is the number of steps until then."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed, self.at, self.evaluations = 1_000_000 + 10_000 * seed, NEVER, 0
        self.env = make_vec_env("CartPole", n_envs=EPISODES, seed=0)

    def _on_step(self) -> bool:
        if self.num_timesteps < (self.evaluations + 1) * EVERY:
            return True
        episodes = rollout(Policy.of(self.model), self.env, EPISODES, seed=self.seed + EPISODES * self.evaluations)
        self.evaluations += 1
        if episodes.returns.mean() >= ENOUGH:
            self.at = self.num_timesteps
        return self.at is NEVER


def steps_to_solve(job: tuple[str, float, int], setting: dict[str, Any], activation: str = "relu") -> float:
    """Environment steps until one (method, learning rate, seed) solves CartPole."""
    torch.set_num_threads(1)
    name, rate, seed = job
    encoder, method, options = METHODS[name]
    env = make_vec_env("CartPole", n_envs=16, seed=seed)
    model = make_agent(
        env,
        encoder,
        "ppo",
        method=method,
        encoder_options={**options, "activation": activation},
        seed=seed,
        device="cpu",
        learning_rate=rate,
        **setting,
    )
    solved = Solved(seed)
    model.learn(LONGEST, callback=solved)
    return solved.at


def interval(steps: Sequence[float]) -> tuple[float, float]:
    """Of the median: order statistics k and n+1-k, with the largest k such that P(Binomial(n, ½) < k) ≤ 2.5 %."""
    ordered, n = sorted(steps), len(steps)
    below, k = 0.0, 0
    while k < n // 2 and below + math.comb(n, k) / 2**n <= 0.025:
        below += math.comb(n, k) / 2**n
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else (ordered[0], ordered[-1])


def measure(
    setting: str, methods: Sequence[str], activation: str, seeds: int, choosing: int, pool: ProcessPoolExecutor
) -> dict[str, Any]:
    """Each method's learning rate, and its steps with that on the reported seeds."""
    run = partial(steps_to_solve, setting=SETTINGS[setting], activation=activation)
    tried = [
        (name, rate, seed)
        for name in methods
        for rate in RATES
        for seed in range(NOT_REPORTED, NOT_REPORTED + choosing)
    ]
    found = dict(zip(tried, pool.map(run, tried), strict=True))
    medians = {
        (name, rate): float(np.median([found[job] for job in tried if job[:2] == (name, rate)]))
        for name in methods
        for rate in RATES
    }
    best = {name: min(RATES, key=lambda rate: medians[name, rate]) for name in methods}
    jobs = [(name, best[name], seed) for name in methods for seed in range(seeds)]
    steps = dict(zip(jobs, pool.map(run, jobs), strict=True))
    about = ", ".join(f"{key} {value}" for key, value in SETTINGS[setting].items())
    print(
        f"\nCartPole, {activation}, {setting} setting ({about}): steps to an evaluation of {ENOUGH:g}, {seeds} seeds\n"
    )
    print(f"{'':<14}{'learning rate':>14}{'median':>10}{'95% interval':>20}{'never':>8}")
    rows: dict[str, Any] = {}
    for name in methods:
        values = [steps[job] for job in jobs if job[0] == name]
        low, high = interval(values)
        never = sum(value is NEVER or math.isinf(value) for value in values)
        rows[name] = {
            "learning_rate": best[name],
            "chosen_from": {str(rate): shown(medians[name, rate]) for rate in RATES},
            "steps": [shown(value) for value in values],
            "median": shown(float(np.median(values))),
            "interval": [shown(low), shown(high)],
        }
        between = f"[{low:,.0f}, {high:,.0f}]"
        print(f"{name:<14}{best[name]:>14g}{np.median(values):>10,.0f}{between:>20}{never:>8}", flush=True)
    return rows


def shown(steps: float) -> float | None:
    """Steps as JSON; null for never."""
    return None if math.isinf(steps) else steps


def draw(results: dict[str, Any], file: Path, methods: Iterable[str], longest: int, what: str) -> None:
    """For each setting or environment, the share of seeds that succeeded, against environment steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(methods, plt.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    figure, axes = plt.subplots(1, len(results), figsize=(5.5 * len(results), 3.8), squeeze=False, sharey=True)
    for axis, (setting, rows) in zip(axes[0], results.items(), strict=True):
        for name, row in rows.items():
            steps = sorted(step for step in row["steps"] if step is not None)
            share = np.arange(1, len(steps) + 1) / len(row["steps"])
            axis.step(
                [0, *steps, longest],
                [0, *share, share[-1] if len(share) else 0],
                where="post",
                label=name,
                color=colours[name],
            )
        axis.set(title=setting, xlabel="environment steps", xlim=(0, longest))
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    axes[0][0].set_ylabel(f"share of {len(row['steps'])} seeds at {what}")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--setting", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    add("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    add("--activation", default="relu", choices=("relu", "tanh"))
    add("--seeds", type=int, default=25)
    add("--choosing", type=int, default=6, help="seeds on which each learning rate is tried")
    add("--jobs", type=int, default=2, help="processes, one thread each")
    add("--json", type=output, help="write the numbers there")
    add("--picture", type=output, help="draw there which share of the seeds solved it when")
    options = parser.parse_args()
    about = machine("torch", "stable-baselines3", "gymnasium")
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        chosen = (options.methods, options.activation, options.seeds, options.choosing, pool)
        results = {setting: measure(setting, *chosen) for setting in options.setting}
    if options.picture:
        named = {f"CartPole, {setting} setting": rows for setting, rows in results.items()}
        draw(named, options.picture, METHODS, LONGEST, f"return {ENOUGH:g}")
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "cartpole": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
