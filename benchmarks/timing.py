"""Shared by the benchmarks: the calls that are timed, CPU seconds, peak memory, and taking turns."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import stable_baselines3
import torch
from torch import nn
from torch.profiler import ProfilerActivity

STOCK: dict[str, Any] = {"sac": stable_baselines3.SAC, "td3": stable_baselines3.TD3}


def stock(name: str, env: Any, agent: Mapping[str, Any], encoder: Mapping[str, Any]) -> Any:
    """SB3's agent of that name with its own MlpPolicy, whose layers have the widths of an mlp encoder's."""
    taken = {key: agent[key] for key in ("seed", "device", "batch_size", "learning_starts", "buffer_size")}
    widths = {"net_arch": [encoder["width"]] * encoder["layers"]}
    return STOCK[name]("MlpPolicy", env, policy_kwargs=widths, **taken)


def output(name: str) -> Path:
    """The type of an output file's argument: a missing folder is an error before anything is measured."""
    if not Path(name).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {Path(name).parent}")
    return Path(name)


def machine(*packages: str) -> dict[str, str]:
    """Prints and returns what a measurement ran on."""
    about = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    about |= {package: version(package) for package in packages}
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    return about


def forward(network: nn.Module, x: Any) -> Callable[[], Any]:
    def call() -> None:
        with torch.no_grad():
            network(x)

    return call


def learning(network: nn.Module, x: Any, steps: bool = False) -> Callable[[], Any]:
    """Forward and backward; with `steps`, clipping by norm and Adam too."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-5)

    def call() -> None:
        optimizer.zero_grad()
        network(x).square().mean().backward()
        if steps:
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimizer.step()

    return call


def seconds(call: Callable[[], Any], calls: int) -> float:
    """Mean CPU seconds of a call."""
    begin = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - begin) / calls


def taking_turns(
    calls: Mapping[str, Callable[[], Any]], rounds: int, each: float, enough: float = 20
) -> dict[str, list[float]]:
    """CPU seconds of every call in every round; in a round each call runs for about `each` seconds, at least once.

    Rounds beyond the third are left out once `enough` seconds have passed.
    """
    numbers = {}
    for name, call in calls.items():
        first = seconds(call, 1)
        numbers[name] = 1 if first > 10 * each else max(1, int(each / max(seconds(call, 1), 1e-6)))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.process_time()
    for played in range(rounds):
        if played >= 3 and time.process_time() - begin > enough:
            break
        for name, call in calls.items():
            taken[name].append(seconds(call, numbers[name]))
    return taken


def peak_bytes(network: nn.Module, x: Any) -> int:
    """PyTorch's peak memory during forward and backward, beyond parameters and x: activations and gradients."""
    call = learning(network, x)
    call()
    network.zero_grad()
    with torch.profiler.profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    network.zero_grad()
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    held = most = 0
    for event in sorted((event for event in events if event.name() == "[memory]"), key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def step_by_step() -> Any:
    """Within this context, recurrent PPO reads sequences with sb3-contrib's own loop over time steps."""
    from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

    from agents import AGENTS  # the project is not on the path of every benchmark when this file is imported
    from agents.recurrent_policy import HeadedRecurrentPolicy

    class StepByStep(HeadedRecurrentPolicy):
        extract_features = RecurrentActorCriticPolicy.extract_features
        _process_sequence = staticmethod(RecurrentActorCriticPolicy._process_sequence)  # type: ignore[assignment]

    return patch.dict(AGENTS, {"recurrent_ppo": replace(AGENTS["recurrent_ppo"], policy=StepByStep)})
