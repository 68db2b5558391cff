"""Training steps per second on one GPU, beside the same machine's CPU and Stable-Baselines3 on its GPU.

    python benchmarks/gpu.py --json gpu.json              # takes at most --minutes, by default 8
    python benchmarks/gpu.py --device cpu --minutes 1     # a dry run at small sizes, for machines without a GPU

First come the tests of what differs on a GPU (tests/agents/test_cuda.py), for --tests of the time at most; then every
encoder learns DoorKey-8x8 with `agent=ppo_fast` in every form:

    eager     4,096 environments on the batched engine, PPO operation by operation; the engine steps one half of the
              environments while the policy acts on the other
    cpu       `agent=ppo_fast` as it is (16 environments), on one core
    sb3       `agent=ppo_fast` with SB3's class on the GPU and Gymnasium's environments (16)
    compiled  as eager, with a minibatch step, and acting, as one CUDA graph each
    bf16      compiled, and the encoder computes in bfloat16

Each form learns from one rollout to warm up, which includes compiling, and is then measured for --seconds, or less
where time is short. One more rollout, in which the CPU waits for the GPU after each part, tells where the time goes:
`environment`: the policy waits for its environments; `transfer`: observations to the GPU, actions back; `acting`: the
network while a rollout is collected; `learning`: all of `train`; `rest`: callbacks, statistics of episodes, storage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, output

from agents import make_agent
from agents.ppo.collect import Pinned
from configs.compose import compose
from envs import make_vec_env
from learning.build import encoder_options, env_options

PROJECT = Path(__file__).resolve().parent.parent
ENCODERS = ("mlp", "cnn", "gnn", "transformer")
FORMS = ("eager", "cpu", "sb3", "compiled", "bf16")  # those that compile come last, since they may run out of time
DRY = ("eager", "cpu", "sb3")  # those of a dry run
PARTS = ("environment", "transfer", "acting", "learning", "rest")
MINIBATCHES = 8  # of a rollout on the GPU
LEVELS = {"cuda": 1000, "cpu": 50}


def made(encoder: str, form: str, options: argparse.Namespace) -> Any:
    """The untrained model of a form."""
    overrides = [f"env={options.env}", "agent=ppo_fast", f"encoder={encoder}"]
    large = form not in ("cpu", "sb3")
    if large or options.device == "cpu":
        batch = options.environments * options.steps // MINIBATCHES
        overrides += [f"n_envs={options.environments}", f"agent.n_steps={options.steps}", f"agent.batch_size={batch}"]
    config = compose("train", overrides)
    engine = {"engine": "gymnasium"} if form == "sb3" else {"engine": "batched"}
    if large:
        engine["engine_threads"] = options.engine_threads
    env = make_vec_env(**env_options(config), **engine, bank=LEVELS[options.device], n_envs=config["n_envs"], seed=0)
    agent = {key: value for key, value in config["agent"].items() if key not in ("name", "algorithm")}
    agent["implementation"] = {"compiled": "compiled", "bf16": "compiled", "sb3": "sb3"}.get(form, "eager")
    if form == "sb3":
        agent["normalize_advantage"] = True  # it has no other
    elif form == "bf16":
        agent["precision"] = "bf16"
    about = encoder_options(config)
    device = "cpu" if form == "cpu" else options.device
    return make_agent(env, config["encoder"]["class"], "ppo", encoder_options=about, seed=0, device=device, **agent)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(model: Any, seconds: float) -> dict[str, Any]:
    """Steps per second of learning, for about so many seconds, and the share of each part."""
    rollout = model.n_steps * model.n_envs
    begin = time.perf_counter()
    model.learn(rollout)
    synchronize(model.device)
    warm = time.perf_counter() - begin
    begin, rollouts = time.perf_counter(), 0
    while rollouts == 0 or time.perf_counter() - begin < seconds:
        model.learn(rollout, reset_num_timesteps=False)
        rollouts += 1
    synchronize(model.device)
    rate = rollouts * rollout / (time.perf_counter() - begin)
    size = {"environments": model.n_envs, "steps": model.n_steps, "batch": model.batch_size}
    return {**size, "warm_up_seconds": warm, "steps_per_second": rate, "shares": shares(model, rollout)}


def shares(model: Any, rollout: int) -> dict[str, float]:
    """The share of a rollout's time, and of learning from it, that each part takes."""
    clock = Clock(model.device)
    methods: list[tuple[Any, str, str]] = [(model, "train", "learning")]
    methods += [(model.env, name, "environment") for name in ("step", "step_half_async", "step_half_wait")]
    methods += [(model, "act", "acting"), (model, "values_of", "acting"), (model, "_taken", "transfer")]
    methods += [(Pinned, "__call__", "transfer"), (model.policy, "forward", "acting")]
    with contextlib.ExitStack() as patches:
        for owner, name, part in methods:
            if hasattr(owner, name):
                patches.enter_context(patch.object(owner, name, clock.timed(getattr(owner, name), part)))
        begin = time.perf_counter()
        model.learn(rollout, reset_num_timesteps=False)
        synchronize(model.device)
        whole = time.perf_counter() - begin
    spent = {part: clock.spent.get(part, 0.0) / whole for part in PARTS}
    return {**spent, "rest": 1 - sum(spent.values())}


class Clock:
    """Seconds spent in each part; a part within another counts for the inner one."""

    def __init__(self, device: torch.device):
        self.device = device
        self.spent: dict[str, float] = {}
        self.within: list[str] = []
        self.since = 0.0

    def _turn(self) -> None:
        """Book the time up to now."""
        synchronize(self.device)
        now = time.perf_counter()
        if self.within:
            self.spent[self.within[-1]] = self.spent.get(self.within[-1], 0.0) + now - self.since
        self.since = now

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self.within.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self.within.pop()

        return call


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises TimeoutError after so many seconds."""

    def end(*_: object) -> None:
        raise TimeoutError(f"not done in the {max(seconds, 0):.0f} s that were left for it")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def tested(seconds: float, chosen: str) -> dict[str, Any]:
    """How the tests went: pytest's exit status (None: out of time) and its last lines."""
    file = ["tests/agents/test_cuda.py", *(["-k", chosen] if chosen else [])]
    pytest = [sys.executable, "-m", "pytest", "-n0", "-v", "-rfE", *file]
    begin = time.perf_counter()
    # in a session of its own, which ends with all the compilers that it started
    process = subprocess.Popen(
        pytest, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=seconds)
        status: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        status = None
    lines = [line for line in said.splitlines() if line.strip()]
    return {"status": status, "seconds": time.perf_counter() - begin, "said": lines[-20:]}


def table(rows: dict[str, dict[str, dict[str, Any]]]) -> str:
    """All measurements in Markdown."""
    header = ["encoder", "form", "environments", "batch", "steps/s", "warm-up", *PARTS]
    lines = [header, ["---", "---", *["---:"] * (len(header) - 2)]]
    for encoder, forms in rows.items():
        for form, row in forms.items():
            if "failed" in row:
                lines.append([encoder, form, row["failed"], *[""] * (len(header) - 3)])
                continue
            sizes = [f"{row['environments']:,}", f"{row['batch']:,}", f"{row['steps_per_second']:,.0f}"]
            spent = [f"{100 * row['shares'][part]:.0f} %" for part in PARTS]
            lines.append([encoder, form, *sizes, f"{row['warm_up_seconds']:.1f} s", *spent])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def limits(rows: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """What limits the fastest form of each encoder."""
    said = []
    for encoder, forms in rows.items():
        measured = {form: row for form, row in forms.items() if "shares" in row}
        if measured:
            form, row = max(measured.items(), key=lambda item: item[1]["steps_per_second"])
            part, share = max(row["shares"].items(), key=lambda item: item[1])
            said.append(f"{encoder}: fastest {form}, {row['steps_per_second']:,.0f} steps/s; {share:.0%} is {part}")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run at small sizes")
    add("--minutes", type=float, default=8, help="for all of it")
    add("--seconds", type=float, default=3, help="for measuring a form, at most")
    add("--tests", type=float, default=0.4, help="share of the time that the tests may take; 0 leaves them out")
    add("--select", default="", help="only the tests that this expression selects (pytest -k)")
    add("--env", default="DoorKey-8x8")
    add("--encoders", nargs="+", default=list(ENCODERS))
    add("--forms", nargs="+", choices=FORMS, help="default: all; on a CPU eager, cpu and sb3")
    add("--environments", type=int, help="default: 4,096; on a CPU 32")
    add("--steps", type=int, help="of each environment in a rollout; default: 32; on a CPU 8")
    add("--engine-threads", type=int, default=min(8, os.cpu_count() or 1), help="threads that step the environments")
    add("--json", type=output, help="write the numbers there")
    options = parser.parse_args()
    dry = options.device == "cpu"
    if not dry and not torch.cuda.is_available():
        print("error: PyTorch sees no CUDA device here; --device cpu makes a dry run at small sizes", file=sys.stderr)
        return 2
    options.environments = options.environments or (32 if dry else 4096)
    options.steps = options.steps or (8 if dry else 32)
    forms = options.forms or (DRY if dry else FORMS)
    end = time.perf_counter() + 60 * options.minutes
    torch.set_num_threads(1)
    about: dict[str, Any] = machine("torch", "stable-baselines3", "numba", "numpy", "gymnasium", "minigrid")
    about |= {"device": "the CPU" if dry else torch.cuda.get_device_name(), "cores": os.cpu_count()}
    print(f"{about['device']}, {about['cores']} cores", flush=True)
    results: dict[str, Any] = {"machine": about, "tests": None, "training": {name: {} for name in options.encoders}}
    if options.tests:
        results["tests"] = tests = tested(60 * options.minutes * options.tests, options.select)
        outcome = "out of time" if tests["status"] is None else tests["said"][-1].strip("= ")
        print(f"tests/agents/test_cuda.py: {outcome} ({tests['seconds']:.0f} s)", flush=True)
    # levels are made before anything is measured
    bank = LEVELS[options.device]
    make_vec_env(options.env, engine="batched", bank=bank, n_envs=4 * bank, seed=0).reset()
    todo = [(form, encoder) for form in forms for encoder in options.encoders]
    for number, (form, encoder) in enumerate(todo):
        left = end - time.perf_counter()
        part = left / (len(todo) - number)
        try:
            with limited(min(left, 3 * part)):  # compiling may take what others leave
                row = measure(made(encoder, form, options), min(options.seconds, part / 3))
        except Exception as error:  # the others are still measured
            row = {"failed": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        results["training"][encoder][form] = row
        print(
            f"{encoder} {form}: {row.get('failed') or format(row['steps_per_second'], ',.0f') + ' steps/s'}", flush=True
        )
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n")
    print("\n".join(["", table(results["training"]), "", *limits(results["training"])]))
    return 1 if results["tests"] and results["tests"]["status"] else 0


if __name__ == "__main__":
    sys.exit(main())
