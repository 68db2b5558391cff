"""Snapshots: what a run needs to go on, after whatever ended it, as if nothing had.

A snapshot is taken between two rollouts (or two steps of an off-policy agent and their updates). It is the folder
`snapshot/` of plain data: `state.safetensors` holds arrays, `state.json` everything else, `manifest.json` checksums. It
replaces the one before only when it is complete and on the disk. Files that grow while a run lasts are not copied: the
snapshot records how long they were, and a run that goes on cuts them to that length.
"""

from __future__ import annotations

import time
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
from configs.check import minutes
from evaluation.callbacks import Evaluate, StopOnSignal
from evaluation.gradients import GradientNorm
from evaluation.runs import read_run
from learning import randomness
from learning.decide import scheduled
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


def began_with(run: Path, config: Mapping[str, Any]) -> dict[str, int]:
    """{"decided_for": the total_timesteps that a run began with}, if it is to go on to another; else {}.

    Raises:
        ValueError: a file of the run is damaged.
    """
    if not has_snapshot(run, config) or not (run / "config.yaml").exists():
        return {}
    before, total = read_run(run).config, config["total_timesteps"]
    first = before.get("decided_for", before.get("total_timesteps", total))
    return {} if first == total else {"decided_for": first}


def interrupted(run: Path, model: BaseAlgorithm, config: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The snapshot that a run goes on from, None if it begins anew; and what is to be said about that.

    Raises:
        ValueError: the snapshot is damaged, or of a newer version; the encoder's file has changed since; or a finished
            run cannot be made longer.
    """
    if config["overwrite"] or not (run / "config.yaml").exists():
        return None, ""
    reason = not_resumable(model)
    snapshot = None if reason else read_snapshot(run)
    before = read_run(run)
    if snapshot is None and before.result is not None:
        raise ValueError(
            f"{run} is finished and cannot be made longer: {reason or 'it has no snapshot'}; overwrite=true trains anew"
        )
    if reason:
        return None, f"agent={config['agent']['name']} cannot be resumed yet ({reason}): the run begins anew"
    if snapshot is None:
        return None, "the interrupted run had not come to its first snapshot: it begins anew"
    if before.config.get("encoder_source") != config.get("encoder_source"):
        raise ValueError(f"{run} cannot go on: the file of its encoder has changed since; overwrite=true trains anew")
    made = snapshot["versions"]
    changed = [f"{name} {made.get(name)}, now {now}" for name, now in versions().items() if made.get(name) != now]
    said = f"goes on after {snapshot['steps']:,} steps"
    if changed:
        said += f"; it was made with {'; '.join(changed)}, so results may differ from those of an uninterrupted run"
    total, falling = config["total_timesteps"], scheduled(config["agent"])
    if total > before.config.get("total_timesteps", total) and falling:
        said += (
            f"\n  {', '.join(falling)} now depend{'s' * (len(falling) == 1)} on {total:,} steps, so the run will not "
            "end like one that was as long from its start"
        )
    return snapshot, said


def not_resumable(model: Any) -> str | None:
    """Why a run with this model cannot be interrupted and go on; None if it can."""
    return training.not_saved(model) or envs.saved.not_saved(model.env)


class Snapshots(BaseCallback):
    """Takes a snapshot regularly, after a signal, and at the end; a run that goes on begins with the last one.

    Args:
        run: the run folder.
        every: steps, or minutes ("10min").
        keep: how many of the latest policies stay in `checkpoints/`.
        stop: learning ends once a snapshot was taken after its signal.
        evaluate, norm: callbacks whose state is part of the run's.
        save: writes the present policy into a folder.
        check: raises an error if the present state must not be saved.
        seconds: returns those spent so far on learning and on evaluations, before interruptions too.
        state: the snapshot that the run goes on from.
        rollbacks: those of the run; more than `state` has if the run goes back to it now, which then draws other
            random numbers. Each one that learning caused halves the learning rate.
        resumed: called once the run is in that state.

    Attributes:
        taken: the steps after which the last snapshot was taken; 0 if there is none.
    """

    def __init__(
        self,
        run: Path,
        *,
        every: int | str,
        keep: int,
        stop: StopOnSignal,
        evaluate: Evaluate,
        norm: GradientNorm,
        save: Callable[[Path], object],
        check: Callable[[], object],
        seconds: Callable[[], Mapping[str, float]],
        state: Mapping[str, Any] | None = None,
        rollbacks: Sequence[Mapping[str, Any]] = (),
        resumed: Callable[[], object] = lambda: None,
    ):
        super().__init__()
        self.run, self.keep, self.stop = run, keep, stop
        self.minutes, self.every = minutes(every), every
        self.evaluate, self.norm, self.save, self.seconds = evaluate, norm, save, seconds
        self.check, self.state, self.rollbacks, self.resumed = check, state, rollbacks, resumed
        self.taken, self.between_rollouts = 0 if state is None else state["steps"], False

    def _on_training_start(self) -> None:
        self.possible = not_resumable(self.model) is None
        self.stop.waits = self.possible
        self.passed = time.monotonic()
        if self.state is None:
            return
        try:
            self._restore(self.state)
        except ValueError as error:
            raise NotResumed(str(error)) from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise NotResumed(f"{self.run / FOLDER} is damaged: {type(error).__name__}: {error}") from error
        self.taken = self.model.num_timesteps
        if len(self.rollbacks) > len(self.state.get("rollbacks", ())):
            randomness.renew(self.model, self.model.seed or 0, len(self.rollbacks))
        halved = sum(each["learned"] for each in self.rollbacks)
        if halved:
            schedule = self.model.lr_schedule
            self.model.lr_schedule = lambda progress: schedule(progress) / 2**halved
        self.resumed()

    def _on_rollout_start(self) -> None:
        self.between_rollouts = False
        if self.possible and (self.stop.requested or self._due()):
            self.take()
            self.stop.waits = not self.stop.requested

    def _on_rollout_end(self) -> None:
        self.between_rollouts = True

    def _on_training_end(self) -> None:
        """Take the last snapshot, from which a longer run goes on: as the next rollout would find the model."""
        if self.possible and self.between_rollouts:
            self.model.policy.set_training_mode(False)
            if isinstance(self.model, OnPolicyAlgorithm):
                self.model.rollout_buffer.reset()
            self.take()

    def _on_step(self) -> bool:
        return True

    def take(self) -> None:
        """Take a snapshot now."""
        self.check()
        steps = self.model.num_timesteps
        with replacing(self.run / FOLDER) as folder:
            write_tree(folder, "state", self._saved())
        self.taken, self.passed = steps, time.monotonic()
        if self.keep:
            self.save(self.run / CHECKPOINTS / f"steps={steps}")
            kept = sorted((self.run / CHECKPOINTS).glob("steps=*"), key=lambda path: int(path.name[6:]))
            for old in kept[: -self.keep]:
                rmtree(old)

    def _due(self) -> bool:
        if self.minutes is not None:
            return time.monotonic() - self.passed >= 60 * self.minutes
        steps = int(self.every)
        return self.model.num_timesteps // steps > self.taken // steps

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
