"""Snapshots: what a run needs to go on, after whatever ended it, as if nothing had.

A snapshot is taken between two rollouts (or two steps of an off-policy agent and their updates). It is a folder,
`snapshot/`, of plain data: `state.safetensors` holds arrays, `state.json` everything else, `manifest.json` checksums. It
replaces the one before only when it is complete and on the disk. Files that grow while a run lasts are not copied: the
snapshot records how long they were, and a run that goes on cuts them to that length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

import envs.saved
from agents.saved import training
from agents.saved.specification import versions
from evaluation.callbacks import Evaluate, GradientNorm, StopOnSignal
from learning import randomness
from storage.durable import newest, replacing
from storage.reading import ReadError
from storage.trees import read_tree, write_tree

FORMAT = 1
FOLDER, CHECKPOINTS = "snapshot", "checkpoints"


def read_snapshot(run: Path) -> dict[str, Any] | None:
    """The snapshot in a run folder; None if there is none.

    Raises:
        ValueError: it is damaged, or of a newer format.
    """
    folder = newest(run / FOLDER)
    try:
        state = read_tree(folder, "state")
        if type(state["format"]) is not int or not 1 <= state["format"] <= FORMAT:
            raise ReadError(f"{folder} has format {state['format']}, this version reads up to {FORMAT}")
    except FileNotFoundError:
        return None
    except (KeyError, TypeError) as error:
        raise ReadError(f"{folder} is damaged: it states no format") from error
    return state


def not_resumable(model: Any) -> str | None:
    """Why a run with this model cannot be interrupted and go on; None if it can."""
    return training.not_saved(model) or envs.saved.not_saved(model.env)


class Snapshots(BaseCallback):
    """Takes a snapshot every `every` steps, and after a signal; a run that goes on begins with the last one.

    Args:
        run: the run folder.
        every: steps.
        keep: how many of the latest policies stay in `checkpoints/`.
        stop: learning ends once a snapshot was taken after its signal.
        evaluate, norm: callbacks whose state is part of the run's.
        save: writes the present policy into a folder.
        state: the snapshot that the run goes on from.
    """

    def __init__(
        self,
        run: Path,
        *,
        every: int,
        keep: int,
        stop: StopOnSignal,
        evaluate: Evaluate,
        norm: GradientNorm,
        save: Callable[[Path], object],
        state: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.run, self.every, self.keep, self.stop = run, every, keep, stop
        self.evaluate, self.norm, self.save, self.state = evaluate, norm, save, state
        self.next = every

    def _on_training_start(self) -> None:
        self.possible = not_resumable(self.model) is None
        self.stop.waits = self.possible
        if self.state is None:
            return
        try:
            self._restore(self.state)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ReadError(f"{self.run / FOLDER} is damaged: {type(error).__name__}: {error}") from error
        self.next = self._following()

    def _on_rollout_start(self) -> None:
        if not self.possible or not (self.stop.requested or self.model.num_timesteps >= self.next):
            return
        self.take()
        self.next = self._following()
        self.stop.waits = not self.stop.requested

    def _on_step(self) -> bool:
        return True

    def take(self) -> None:
        """Take a snapshot now."""
        steps = self.model.num_timesteps
        with replacing(self.run / FOLDER) as folder:
            write_tree(folder, "state", self._saved())
        if self.keep:
            self.save(self.run / CHECKPOINTS / f"steps={steps}")
            kept = sorted((self.run / CHECKPOINTS).glob("steps=*"), key=lambda path: int(path.name[6:]))
            for old in kept[: -self.keep]:
                rmtree(old)

    def _following(self) -> int:
        return (self.model.num_timesteps // self.every + 1) * self.every

    def _saved(self) -> dict[str, Any]:
        logger: Any = self.logger
        return {
            "format": FORMAT,
            "steps": self.model.num_timesteps,
            "versions": versions(),
            "logs": logger.saved(),
            "model": training.saved(self.model),
            "environments": envs.saved.saved(self.training_env),
            "evaluations": self.evaluate.saved(),
            "gradient_norm": self.norm.saved(),
            "random": randomness.saved(self.model),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        training.restore(self.model, state["model"])
        envs.saved.restore(self.training_env, state["environments"])
        self.evaluate.restore(state["evaluations"])
        self.norm.restore(state["gradient_norm"])
        randomness.restore(self.model, state["random"])  # last: what came before may have drawn some
