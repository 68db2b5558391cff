"""Agents with and without regularization, trained on few levels and tested on others: what two claims are measured on.

The task is `Majority`: an agent that sees balls goes left if most of them are red and right if most are blue. An `mlp`
learns it by heart from few levels. Its runs are made once, in `runs/lab/agents/`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.lock import locked, unlock
from storage.plain import from_json
from train import train

TASK = ("env=Majority", "encoder=mlp", "encoder.parameters=32000", "agent=ppo_fast", "agent.batch_size=128")
METHODS: dict[str, Sequence[str]] = {
    "none": (),
    "dropout": ("encoder.dropout=0.5",),
    "weight decay": ("agent.weight_decay=3.0",),
}
STEPS, QUICK_STEPS = 100_000, 25_000
EPISODES = 500  # of the final evaluation, on training levels and on test levels


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        folder: of the run, which has its policy.
        training, test: success on levels of training and on others; the same number if it was trained on all.
        seconds: that training took.
    """

    folder: Path
    training: float
    test: float
    seconds: float

    @property
    def gap(self) -> float:
        return self.training - self.test


def trained(method: str, levels: int | str, seed: int, quick: bool) -> Trained:
    """An agent that was trained with a method of METHODS on so many levels, or "all".

    Raises:
        ValueError: another run is in its folder.
        OSError: the folder cannot be written.
    """
    steps = QUICK_STEPS if quick else STEPS
    folder = Path(f"runs/lab/agents/{method.replace(' ', '-')}-{levels}-levels-{steps}-steps/seed={seed}")
    about = (f"run_dir={folder}", f"env.levels={levels}", f"seed={seed}", f"total_timesteps={steps}")
    how = (f"evaluation.every={steps}", f"evaluation.final_episodes={EPISODES}", "progress=false", "device=cpu")
    file = folder.with_suffix(".lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    lock = locked(file, wait=True)  # two claims may want the same agent at the same time
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            result = train([*TASK, *METHODS[method], *about, *how])
    finally:
        unlock(lock)
    if result.scores is None:
        raise KeyboardInterrupt  # a signal came while it trained
    parts = result.scores.get("levels") or {}
    test = result.scores["success"]["mean"]
    known = parts["training"]["success"]["mean"] if "training" in parts else test
    seconds = from_json((result.folder / "timing.json").read_bytes())["wall_seconds"]
    return Trained(result.folder, known, test, seconds)


def training_time(groups: Iterable[Sequence[Trained]]) -> str:
    """How many agents there are and how long they took, in a sentence: they are trained once, for two claims."""
    seconds = [run.seconds for runs in groups for run in runs]
    return f"Its {len(seconds)} agents were trained once, in {sum(seconds):,.0f} s together."
