"""Snapshots: what a run needs to go on, after whatever ended it, as if nothing had.

A snapshot is taken between two rollouts (or two steps of an off-policy agent and their updates). It is the folder
`snapshot/` of plain data: `state.safetensors` holds arrays, `state.json` everything else, `manifest.json` checksums. It
replaces the one before only when it is complete and on the disk. Files that grow while a run lasts are not copied: the
snapshot records how long they were, and a run that goes on cuts them to that length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

import envs.saved
from agents.saved import training
from agents.saved.specification import versions
from evaluation.callbacks import Evaluate, GradientNorm, StopOnSignal
from evaluation.runs import read_run
from learning import randomness
from storage.durable import newest, replacing
from storage.reading import ReadError
from storage.schema import mapping, number, record, several, text, truth, whole
from storage.trees import read_tree, write_tree

FORMAT = 1
MOST = 2**63
LOGS = {
    "iterations": whole(0, MOST),
    "pending": mapping(lambda value, name: None, 1000),
    "lengths": mapping(whole(0, MOST), 1000),
    "columns": several(text(1000), 1000),
    "rows": whole(0, MOST),
}
ROLLBACK = record({"after": whole(1, MOST), "to": whole(1, MOST), "learned": truth, "reason": text(1000)})
SCHEMA = record(
    {
        "format": whole(1, FORMAT),
        "steps": whole(1, MOST),
        "versions": mapping(text(1000), 100),
        "logs": record(LOGS),
        "seconds": record({"learning": number(0), "evaluation": number(0)}),
        **{part: record({}, more=True) for part in ("model", "environments", "evaluations", "gradient_norm", "random")},
    },
    {"rollbacks": several(ROLLBACK, 100)},
)
FOLDER, CHECKPOINTS = "snapshot", "checkpoints"


class NotResumed(ValueError):
    """A run cannot go on from its snapshot."""


def read_snapshot(run: Path) -> dict[str, Any] | None:
    """The snapshot in a run folder; None if there is none.

    Raises:
        ValueError: it is damaged, or of a newer format.
    """
    folder = newest(run / FOLDER)
    try:
        state: dict[str, Any] = read_tree(folder, "state")
    except FileNotFoundError:
        return None
    try:
        SCHEMA(state, "")
    except ValueError as error:
        raise ReadError(f"{folder} is damaged, or of a newer version: {error}") from error
    return state


def has_snapshot(run: Path, config: Mapping[str, Any]) -> bool:
    """Whether a run folder holds a snapshot that a run with this configuration would go on from."""
    return not config["overwrite"] and newest(run / FOLDER).is_dir()


def interrupted(run: Path, model: BaseAlgorithm, config: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The snapshot that a run goes on from, None if it begins anew; and what is to be said about that.

    Raises:
        ValueError: the snapshot is damaged, or of a newer version; or the encoder's file has changed since.
    """
    if config["overwrite"] or not (run / "config.yaml").exists():
        return None, ""
    reason = not_resumable(model)
    if reason:
        return None, f"agent={config['agent']['name']} cannot be resumed yet ({reason}): the run begins anew"
    snapshot = read_snapshot(run)
    if snapshot is None:
        return None, "the interrupted run had not come to its first snapshot: it begins anew"
    if read_run(run).config.get("encoder_source") != config.get("encoder_source"):
        raise ValueError(f"{run} cannot go on: the file of its encoder has changed since; overwrite=true trains anew")
    present, before = versions(), snapshot["versions"]
    changed = [
        f"{name} {before.get(name)}, now {version}" for name, version in present.items() if before.get(name) != version
    ]
    said = f"; it was made with {'; '.join(changed)}, so results may differ from those of an uninterrupted run"
    return snapshot, f"goes on after {snapshot['steps']:,} steps{said if changed else ''}"


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
        check: raises an error if the present state must not be saved.
        seconds: returns those spent so far on learning and on evaluations, before interruptions too.
        state: the snapshot that the run goes on from.
        rollbacks: those of the run; more than `state` has if the run goes back to it now, which then draws other
            random numbers. Each one that learning caused halves the learning rate.

    Attributes:
        taken: the steps after which the last snapshot was taken; 0 if there is none.
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
        check: Callable[[], object],
        seconds: Callable[[], Mapping[str, float]],
        state: Mapping[str, Any] | None = None,
        rollbacks: Sequence[Mapping[str, Any]] = (),
    ):
        super().__init__()
        self.run, self.every, self.keep, self.stop = run, every, keep, stop
        self.evaluate, self.norm, self.save, self.seconds, self.state = evaluate, norm, save, seconds, state
        self.check, self.rollbacks = check, rollbacks
        self.next, self.taken, self.rollouts = every, 0, 0

    def _on_training_start(self) -> None:
        self.possible = not_resumable(self.model) is None
        self.stop.waits = self.possible
        if self.state is None:
            return
        try:
            self._restore(self.state)
        except ValueError as error:
            raise NotResumed(str(error)) from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise NotResumed(f"{self.run / FOLDER} is damaged: {type(error).__name__}: {error}") from error
        self.next, self.taken = self._following(), self.model.num_timesteps
        if len(self.rollbacks) > len(self.state.get("rollbacks", ())):
            randomness.renew(self.model, self.model.seed or 0, len(self.rollbacks))
        halved = sum(each["learned"] for each in self.rollbacks)
        if halved:
            schedule = self.model.lr_schedule
            self.model.lr_schedule = lambda progress: schedule(progress) / 2**halved

    def _on_rollout_start(self) -> None:
        between_logs = isinstance(self.model, OnPolicyAlgorithm) and self.rollouts % self.locals["log_interval"]
        self.rollouts += 1
        due = self.stop.requested or self.model.num_timesteps >= self.next
        # SB3 logs every 100 rollouts of A2C, and counts them anew when a run goes on
        if not self.possible or not due or between_logs:
            return
        self.take()
        self.next = self._following()
        self.stop.waits = not self.stop.requested

    def _on_step(self) -> bool:
        return True

    def take(self) -> None:
        """Take a snapshot now."""
        self.check()
        steps = self.model.num_timesteps
        with replacing(self.run / FOLDER) as folder:
            write_tree(folder, "state", self._saved())
        self.taken = steps
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
            "seconds": dict(self.seconds()),
            "model": training.saved(self.model),
            "environments": envs.saved.saved(self.training_env),
            "evaluations": self.evaluate.saved(),
            "gradient_norm": self.norm.saved(),
            "random": randomness.saved(self.model),
            **({"rollbacks": [*self.rollbacks]} if self.rollbacks else {}),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        training.restore(self.model, state["model"])
        envs.saved.restore(self.training_env, state["environments"])
        self.evaluate.restore(state["evaluations"])
        self.norm.restore(state["gradient_norm"])
        randomness.restore(self.model, state["random"])  # last: what came before may have drawn some
