"""Runs as `evaluation.runs.read_run` returns them, which nobody trained: what they score is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluation.runs import Run


def score(mean: float, low: float = 0.0, high: float = 1.0) -> dict[str, float]:
    return {"mean": mean, "low": max(low, mean - 0.05), "high": min(high, mean + 0.05)}


def fabricated(
    env: str,
    encoder: str,
    seed: int,
    curve: Any,
    agent: str = "ppo",
    every: int = 1000,
    levels: int | str | None = None,
) -> Run:
    """A finished run of a MiniGrid environment, with the successes of its evaluations; the last is its final score.

    With `levels`, it trains on so many ("all": 40), and its generalization gap is 1 / levels.
    """
    steps = every * np.arange(1, len(curve) + 1)
    rows = [
        {"steps": float(at), "length": 20.0}
        | {f"{name}{end}": float(value) for name in ("return", "success") for end in ("", "_low", "_high")}
        for at, value in zip(steps, curve, strict=True)
    ]
    config = {
        "env": {"name": env, "id": f"MiniGrid-{env}-v0", "levels": levels or "all"},
        "agent": {"name": agent, "learning_rate": 7e-4},
        "encoder": {"name": encoder},
        "symmetry": {"name": "auto"},
        "seed": seed,
        "total_timesteps": int(steps[-1]),
    }
    final = score(float(curve[-1]))
    result = {
        **{"env": env, "agent": agent, "encoder": encoder, "seed": seed, "steps": int(steps[-1]), "episodes": 100},
        **{"return": final, "success": final, "parameters": {"encoder": 1000 * len(encoder), "head": 10}},
        **{"simulator": "minigrid", "versions": {"minigrid": "3.1.0"}},
    }
    if levels:
        parts = {part: {"return": final, "success": final} for part in ("training", "test")}
        distinct = 40 if levels == "all" else int(levels)
        result["levels"] = {"gap": score(1 / distinct, -1), "distinct": distinct, "measure": "success", **parts}
    name = f"env.levels={levels}" if levels not in (None, "all") else "default"
    folder = Path("runs", env, f"{agent}-{encoder}", name, f"seed={seed}")
    return Run(folder, config, result, {"wall_seconds": 10.0 + seed, "steps_per_second": 100.0 + seed}, rows)


def grid(environments: str = "DoorKey-5x5 LavaGapS7", encoders: str = "gnn mlp cnn", seeds: int = 4) -> list[Run]:
    """Every encoder in every environment with every seed: curves that rise to a height of their own."""
    chance = np.random.default_rng(0)
    rise = np.linspace(0.1, 1, 12)
    return [
        fabricated(env, encoder, seed, np.clip(rise * height + chance.normal(0, 0.03, 12), 0, 1))
        for env in environments.split()
        for encoder, height in zip(encoders.split(), np.linspace(1, 0.4, len(encoders.split())), strict=True)
        for seed in range(seeds)
    ]
