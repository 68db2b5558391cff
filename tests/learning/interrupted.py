"""Runs that die, and what an interrupted run and one that was never interrupted must have in common."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from learning.snapshot import Snapshots
from train import train

FILES = ("policy/policy.safetensors", "best/policy.safetensors", "progress.csv", "evaluations.csv", "result.json")


class Killed(BaseException):
    """Ends a run at once, without a chance to save anything."""


def train_killed(monkeypatch: Any, deaths: list[int], config: Any, folder: str) -> list[int]:
    """Train a run that dies after these steps, and then to its end -> the steps that were lost each time."""
    lost = []
    for at in deaths:

        def die(self: Any, at: int = at) -> bool:
            if self.model.num_timesteps >= at:
                lost.append(self.model.num_timesteps - self.taken)
                raise Killed
            return True

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(Snapshots, "_on_step", die)
            train(config, run_dir=folder)
    assert train(config, run_dir=folder).scores is not None
    return lost


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run, but for the clocks.

    Files that one process made within one second are read in the order of their names, which need not be that of time.
    """
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in tags}


def differences(folder: str | Path, other: str | Path) -> list[str]:
    """The files that differ, and the curves."""
    folder, other = Path(folder), Path(other)
    files = [name for name in FILES if (folder / name).read_bytes() != (other / name).read_bytes()]
    mine, theirs = scalars(folder), scalars(other)
    return files + sorted(tag for tag in mine.keys() | theirs.keys() if mine.get(tag) != theirs.get(tag))
