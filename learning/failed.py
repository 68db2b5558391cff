"""What a run leaves behind when it fails: the last finite policy, a crash file, and a word on how it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.saved import training
from agents.saved.specification import versions
from envs.errors import EnvironmentFailed
from evaluation.runs import read_run
from learning.crash import write_crash
from learning.snapshot import Snapshots, read_snapshot
from learning.watch import bad_tensor


def kept(model: BaseAlgorithm, snapshots: Snapshots, run: Path) -> str:
    """Save the last finite policy of a run that failed -> where it is and what the run goes on from, in words."""
    taken, learned = snapshots.taken, "What was learned"
    goes_on = f"the same command goes on from the snapshot after {taken:,} steps"
    if older := of_an_older_result(run):
        return f"{older}; {goes_on}"
    if not model.num_timesteps or bad_tensor(model):  # it failed before it went on, or while it learned
        state = read_snapshot(run) if taken else None
        if state is None:
            return "There is no policy and no snapshot yet"
        training.restore(model, state["model"])
        learned = f"What was learned in {taken:,} steps"
    snapshots.save(run / "policy")
    return f"{learned} is in {run / 'policy'}; {goes_on if taken else 'there is no snapshot yet'}"


def of_an_older_result(run: Path) -> str:
    """What a run that is being made longer keeps until it is complete, in words; "" without an older result."""
    older = read_run(run).result
    return "" if older is None else f"result.json and policy/ are still those of {older['steps']:,} steps"


def crash_file(error: EnvironmentFailed, run: Path, options: Mapping[str, Any]) -> str:
    """Write the crash file of an environment that raised an exception -> where it is, in words; "" if there is none.

    Args:
        run: the run folder.
        options: of `envs.make_env`.
    """
    if error.played is None and error.level is not None:
        error.played = of_level(error.level, options)
    try:
        file = write_crash(run / "crash.json", error, versions())
    except (ValueError, OSError) as problem:
        return f"No crash file was written: {problem}. "
    return f"Its episode is played again by python evaluate.py replay={file}. " if file else ""


def of_level(level: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `Recorded.played` would give for a level that could not be made: the only one of its bank."""
    made = {**options, "index": 0, "bank": 1, "first_level": level, "levels": None}
    made.pop("held_out", None)
    random = np.random.default_rng(0).bit_generator.state
    begin = {"seed": 0, "random": random, "counters": [[None, 0], [None, 0]]}
    return {"environment": made, "level": level, **begin, "actions": np.zeros(0, np.int64)}
