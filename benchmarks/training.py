"""How much faster our agents are than Stable-Baselines3's: environment steps per CPU-second of training, on one core.

    python benchmarks/training.py [--cases SUBSTRING ...] [--grid ENV] [--json PATH] [--picture PATH]
    python benchmarks/training.py --profile --cases "DoorKey-5x5 cnn, tuned"
    python benchmarks/training.py --wall [--seeds 5] [--cap-seconds 600] [--cap-ratio 20]

One part after another is switched on:

    stock       SB3's class and MlpPolicy with layers of the same widths, in Gymnasium (mlp of sac and td3 only)
    sb3         SB3's class with our networks, environments stepped one by one in Gymnasium
    + engine    the same class on the batched engine
    + eager     the agent's fast form (agents.ppo, ...), operation by operation: the same parameters, bit for bit
    + distinct  each distinct observation encoded once (grids only)
    + compiled  a minibatch step as one graph; two more columns have the wall time of compiling it, without any cache,
                and the number of environment steps that repays it

Each form has a policy and environments of its own, with the same seeds. It learns from one rollout to warm up and is
then timed in rounds that interleave the forms. How many observations are distinct depends on the environment (fewer
repeat in a larger --grid) and on the policy. It is measured early in training, on a bank of 1,000 levels, when the
policy wanders; one that goes straight to the goal repeats itself more. Rollouts longer than 2,048 steps (or --steps)
are cut to that, with as many minibatches for each step.

`--wall` measures how long a user waits instead: benchmarks/wall.py.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from stable_baselines3.common.utils import set_random_seed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from profiling import profile
from timing import STOCK, machine, output, step_by_step, stock
from wall import TASKS, wall

from agents import make_agent
from agents.make import on_policy
from configs.compose import FOLDER, compose, overrides_of
from encoders.torch_internals import empty_compiler_cache
from envs import make_vec_env
from learning.build import encoder_options, env_options

Rows = dict[str, dict[str, Any]]  # by form

FORMS: dict[str, tuple[str, dict[str, Any]]] = {  # form -> engine, options of the agent
    "stock": ("gymnasium", {"implementation": "sb3"}),
    "sb3": ("gymnasium", {"implementation": "sb3", "distinct": "auto"}),
    "engine": ("auto", {"implementation": "sb3", "distinct": "auto"}),
    "eager": ("auto", {"implementation": "eager", "distinct": False}),
    "distinct": ("auto", {"implementation": "eager", "distinct": True}),
    "compiled": ("auto", {"implementation": "compiled", "distinct": "auto"}),
}
DEFAULTS: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / "agent/ppo.yaml"))
STARTER = {"learning_rate": 1e-3, "n_steps": 128, "batch_size": 256, "n_epochs": 4, "ent_coef": 0.01}
SETTINGS: dict[str, dict[str, Any]] = {  # changes to what `train.py` would do
    "tuned": {},
    "SB3's defaults": {**DEFAULTS, "env": {"reward_scale": 1}},
    "rl-starter-files": {"n_envs": 16, "agent": STARTER},  # from MiniGrid's authors' own training scripts
    "large batches": {"n_envs": 16, "agent": {**STARTER, "batch_size": 1024}},
    # the channels of the first layer of MiniGrid's authors; our default is 32 in each layer
    "rl-starter-files, 16 channels": {"n_envs": 16, "agent": STARTER, "encoder": {"channels": 16, "embedding": 16}},
}
LEVELS, LONGEST_ROLLOUT, TURN = 1000, 2048, 200  # in steps; TURN: of an agent that has no rollouts
SECONDS, ENOUGH = 0.7, 2.0  # CPU-seconds after which measuring a round, or a form as a whole, ends


def cases_of(grid: str) -> dict[str, list[str]]:
    """The cases by name, as overrides of `train.py`."""
    measured = [("CartPole", encoder, "SB3's defaults") for encoder in ("mlp", "homomorphic")]
    measured.append(("CartPole", "homomorphic", "tuned"))
    for setting in ("tuned", "rl-starter-files", "large batches"):
        measured += [(grid, encoder, setting) for encoder in ("mlp", "cnn", "gnn", "transformer")]
    measured += [(grid, "cnn", "rl-starter-files, 16 channels")]
    cases = {
        f"{env} {encoder}, {setting}": [f"env={env}", f"encoder={encoder}", *overrides_of(SETTINGS[setting])]
        for env, encoder, setting in measured
    }
    for agent, env, width in product(STOCK, ("Pendulum", "Ant-v5"), (128, 256)):
        cases[f"{env} {agent} mlp, width {width}"] = [f"env={env}", f"agent={agent}", f"encoder.width={width}"]
    for env, encoder, agent in (("CartPole", "mlp", "a2c"), ("MemoryS7", "cnn", "recurrent_ppo")):
        cases[f"{env} {agent} {encoder}"] = [f"env={env}", f"agent={agent}", f"encoder={encoder}"]
    for agent, n_envs in product(("dqn", "qrdqn"), (1, 8)):
        cases[f"{grid} {agent} cnn, n_envs {n_envs}"] = [
            f"env={grid}",
            f"agent={agent}",
            "encoder=cnn",
            f"n_envs={n_envs}",
        ]
    return cases


class Contestant:
    """A model in one of the forms, which learns whenever it is timed; `compiling` is the wall seconds that took."""

    def __init__(self, config: dict[str, Any], form: str, steps: int):
        engine, options = FORMS[form]
        n_envs, bank = config["n_envs"], LEVELS if "bank" in config["env"] else None
        env = make_vec_env(**env_options(config), engine=engine, bank=bank, n_envs=n_envs, seed=0)
        agent = {key: value for key, value in config["agent"].items() if key != "name"} | {"seed": 0, "device": "cpu"}
        agent |= {key: value for key, value in options.items() if key in agent}
        if on_policy(agent):
            longest = max(min(steps, LONGEST_ROLLOUT), agent.get("batch_size", 0))
            agent["n_steps"] = min(agent["n_steps"], longest // n_envs)
        else:
            agent |= {"buffer_size": min(agent["buffer_size"], 100_000), "learning_starts": TURN // 2}
        name, encoder, about = config["agent"]["name"], config["encoder"]["class"], encoder_options(config)
        if form == "stock":
            self.model: Any = stock(name, env, agent, about)
        else:
            with step_by_step() if form in ("sb3", "engine") else contextlib.nullcontext():
                self.model = make_agent(env, encoder, agent.pop("algorithm", name), encoder_options=about, **agent)
        self.compiling = starting() + seconds_of(self.model.ready) if form == "compiled" else 0.0
        self.rollout, self.rollouts, self.spent = agent["n_steps"] * n_envs if on_policy(agent) else TURN, 1, 0.0
        warm = self.per_cpu_second(0)
        self.rollouts = max(1, min(-(-steps // self.rollout), int(SECONDS * warm / self.rollout)))
        self.rates: list[float] = []

    def replay_bytes(self) -> int:
        """The bytes of the replay buffer, of which most are not written to before it is full; 0 if there is none."""
        buffer = getattr(self.model, "replay_buffer", None)
        if buffer is None or hasattr(buffer, "nbytes"):
            return getattr(buffer, "nbytes", 0)
        parts = [
            part for each in vars(buffer).values() for part in (each.values() if isinstance(each, dict) else [each])
        ]
        return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))

    def per_cpu_second(self, seed: int) -> float:
        set_random_seed(seed)
        begin, before = time.process_time(), self.model.num_timesteps
        self.model.learn(self.rollouts * self.rollout, reset_num_timesteps=False)
        spent = time.process_time() - begin
        self.spent += spent
        return (self.model.num_timesteps - before) / spent


def seconds_of(compiling: Callable[[], Any]) -> float:
    """Wall seconds of compiling, without any cache."""
    with empty_compiler_cache():
        begin = time.perf_counter()
        compiling()
        return time.perf_counter() - begin


@functools.cache
def starting() -> float:
    """Wall seconds that every process spends once, before its first graph."""
    from agents.ppo.compiled import compiled

    first, second = (seconds_of(functools.partial(compiled, each, [torch.ones(8)])) for each in (torch.sin, torch.cos))
    return first - second


def measure(case: str, overrides: list[str], chosen: Sequence[str], steps: int, repeats: int) -> Rows:
    """The medians of the rounds, their ratios to the first form's, and the time of compiling."""
    config = compose("train", overrides)
    levels = "bank" in config["env"]
    if levels:  # made before anything is measured
        make_vec_env(**env_options(config), engine="batched", bank=LEVELS, n_envs=4 * LEVELS, seed=0).reset()
    name = config["agent"]["name"]
    possible = {"distinct": levels, "stock": name in STOCK, "compiled": name != "recurrent_ppo"}
    forms = [form for form in chosen if possible.get(form, True)]
    contestants = {form: Contestant(config, form, steps) for form in forms}
    for seed in range(1, repeats + 1):
        for contestant in contestants.values():
            if not contestant.rates or contestant.spent < ENOUGH:
                contestant.rates.append(contestant.per_cpu_second(seed))
    rates = {form: float(np.median(contestant.rates)) for form, contestant in contestants.items()}
    rows: Rows = {form: {"steps_per_cpu_second": rate, "ratio": rate / rates[forms[0]]} for form, rate in rates.items()}
    for before, form in zip(forms, forms[1:], strict=False):
        if compiling := contestants[form].compiling:
            saved = 1 / rates[before] - 1 / rates[form]  # seconds per step
            rows[form] |= {"compile_seconds": compiling, "repaid_after_steps": compiling / saved if saved > 0 else None}
    agent = config["agent"]
    shape = f"{config['n_envs']} environments x {agent['n_steps']:,} steps"
    shape += f", batch {agent['batch_size']:,}" if "batch_size" in agent else ""
    print(f"\n{case}: {shape}" + (f", {agent['n_epochs']} epochs\n" if "n_epochs" in agent else "\n"))
    print(f"{'':>12}{'steps/CPU-s':>14}{'x ' + forms[0]:>10}{'x previous':>12}{'compiling':>12}{'repaid after':>18}")
    for before, form in zip([forms[0], *forms], forms, strict=False):
        line = f"{'' if form in ('stock', 'sb3') else '+ '}{form}".ljust(12)
        if memory := contestants[form].replay_bytes():
            rows[form]["replay_bytes"] = memory
        line += f"{rates[form]:>14,.0f}{rows[form]['ratio']:>10.2f}{rates[form] / rates[before]:>12.2f}"
        if "compile_seconds" in rows[form]:
            after = rows[form]["repaid_after_steps"]
            line += f"{rows[form]['compile_seconds']:>10.1f} s{f'{after:,.0f} steps' if after else 'never':>18}"
        print(line, flush=True)
    if len(memory := {form: row["replay_bytes"] for form, row in rows.items() if "replay_bytes" in row}) > 1:
        print("replay buffer, MB: " + ", ".join(f"{form} {size / 1e6:.1f}" for form, size in memory.items()))
    return rows


def draw(results: dict[str, Rows], file: Path) -> None:
    """A group of horizontal bars for each case, a bar for each form: its speed relative to the first form's."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(FORMS, ("#707070", "#b0b0b0", "#c6dbef", "#6baed6", "#2171b5", "#e6862e"), strict=True))
    figure, axis = plt.subplots(figsize=(9, 1.2 + 0.24 * sum(len(rows) + 1 for rows in results.values())))
    ticks, bars, position = [], {}, 0
    for rows in results.values():
        ticks.append(position + (len(rows) - 1) / 2)
        for form, row in rows.items():
            bars[form] = axis.barh(position, row["ratio"], height=0.92, color=colours[form])
            axis.bar_label(bars[form], [f"{row['ratio']:.1f}"], padding=3)
            position += 1
        position += 1
    axis.set_yticks(ticks, [case.replace(", ", "\n") for case in results])
    axis.set_ylim(position - 0.5, -1)
    axis.set_xlabel("environment steps per CPU-second of training, relative to Stable-Baselines3 (sb3)")
    axis.margins(x=0.1)
    shown = {form: bars[form] for form in FORMS if form in bars}
    axis.legend(shown.values(), shown.keys(), loc="lower center", bbox_to_anchor=(0.4, 1), ncols=5, frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--cases", nargs="+", default=[""], help="only the cases whose names contain one of these")
    add("--grid", default="DoorKey-5x5", help="the MiniGrid environment of the cases")
    add("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    add("--steps", type=int, default=4096, help="environment steps of a measurement; slow forms run fewer")
    add("--repeats", type=int, default=3, help="rounds; slow forms take part in fewer")
    add("--json", type=output, help="write the numbers there")
    add("--picture", type=output, help="draw the ratios there")
    add("--profile", action="store_true", help="show where the time of the last of the forms goes")
    add("--wall", action="store_true", help="measure the time until the task is learned")
    add("--seeds", type=int, default=5)
    add("--cap-seconds", type=float, default=600, help="of --wall: the limit of each of our runs")
    add("--cap-ratio", type=float, default=20, help="of --wall: the limit of each stock run, relative to our median")
    add("--agent", default="ppo_fast", help="of --wall: our agent")
    add("--overrides", nargs="+", default=[], help="of --wall: overrides of train.py for both sides")
    add("--ours", nargs="+", default=[], help="of --wall: overrides of train.py for our side, its hyperparameters")
    options = parser.parse_args()
    torch.set_num_threads(1)
    about = machine("torch", "stable-baselines3", "numba", "numpy", "gymnasium", "minigrid")
    forms = [form for form in FORMS if form in options.forms]
    chosen = TASKS if options.wall else cases_of(options.grid)
    cases: dict[str, Any] = {name: chosen[name] for name in chosen if any(part in name for part in options.cases)}
    if options.wall:
        caps = {"cap": options.cap_seconds, "cap_ratio": options.cap_ratio}
        play = functools.partial(wall, agent=options.agent, seeds=options.seeds, **caps)
        kind = "time_to_learn"
        results = {name: play(name, overrides=options.overrides, ours=options.ours) for name in cases}
    elif options.profile:
        kind = "microseconds_per_step"
        contestants = (
            (name, Contestant(compose("train", case), forms[-1], options.steps)) for name, case in cases.items()
        )
        results = {name: profile(f"{name}, {forms[-1]}", contestant) for name, contestant in contestants}
    else:
        kind = "training"
        results = {name: measure(name, case, forms, options.steps, options.repeats) for name, case in cases.items()}
        if options.picture:
            draw(results, options.picture)
    if options.json:
        options.json.write_text(json.dumps({"machine": about, kind: results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
