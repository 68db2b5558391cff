"""The trials of a search on disk, shared by the processes that work on it: Optuna's journal, a line for each event.

A trial belongs to the process that holds the lock on its folder; the lock ends with the process, however it ends. So
whoever looks next knows which trials nobody works on: they are told as failed, and their values wait to be taken up
again under the same index, in the same folder, where the runs go on from their snapshots.

A process that is killed while it writes leaves half a line at the end of the journal. The next one to write removes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from configs.compose import UsageError
from evaluation.runs import differences, few
from storage.lock import Held, holding, locked, unlock
from tuning.search import Search

NAME = "search.journal"
STUDY = "search"  # the only one in a journal
STARTS = 10  # trials at random before the sampler learns from the others
HOPELESS = 5  # trials that may fail before any succeeds
TRIES = 3  # processes that may die with a trial before it is given up
PIECE = 1 << 16  # bytes


class WholeLines:
    """The lock of writers, which ends with its process, and under which the journal ends with a whole line."""

    def __init__(self, file: Path):
        self.file = file
        self.held: int | None = None

    def acquire(self) -> bool:
        self.held = locked(self.file, wait=True)
        size = self.file.stat().st_size
        if (whole := end_of_last_line(self.file, size)) < size:
            os.truncate(self.file, whole)
        return True

    def release(self) -> None:
        unlock(self.held)


def end_of_last_line(file: Path, size: int) -> int:
    """The position after the last line feed in the first `size` bytes; 0 without any."""
    with file.open("rb") as stream:
        while size:
            begin = max(size - PIECE, 0)
            stream.seek(begin)
            found = stream.read(size - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            size = begin
    return 0


class Journal:
    """The trials of a search.

    A trial has user attributes: `index`, its number among those that count, and `options`, the values that were tried;
    `scores` and `area` once it is complete, and `error` if it failed for another reason than the end of its process.
    """

    def __init__(self, search: Search):
        """Open the journal of a search, or begin it.

        Raises:
            UsageError: the folder holds another search, or a damaged one; or its file system has no locks.
            OSError: it cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.search, self.file = search, search.folder / NAME
        search.folder.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        with self.alone():
            lock: Any = WholeLines(self.file)
            try:
                storage = JournalStorage(JournalFileBackend(str(self.file), lock_obj=lock))
                self.study = optuna.create_study(
                    storage=storage,
                    study_name=STUDY,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=self._pruner(),
                )
                self._begin()
            except UsageError:
                raise
            except (ValueError, KeyError, AssertionError, TypeError) as error:
                raise UsageError(
                    f"{self.file} is damaged ({error}); run_dir=<folder> begins a search elsewhere"
                ) from error

    def _begin(self) -> None:
        """Record the settings of a new search, and its first trial; compare those of an old one."""
        mine, theirs = self.search.settings(), self.study.user_attrs.get("settings")
        if theirs is not None:
            if changed := differences(mine, theirs):
                raise UsageError(
                    f"{self.search.folder} holds another search ({few(changed)}); run_dir=<folder> puts this one "
                    "elsewhere"
                )
            return
        present = {key: searched.nearest(self.search.present.get(key)) for key, searched in self.search.space.items()}
        self.study.enqueue_trial(present, user_attrs={"index": 0}, skip_if_exists=True)
        self.study.set_user_attr("settings", mine)

    def _pruner(self) -> optuna.pruners.BasePruner:
        """Ends a trial whose best evaluation so far is below the median of the others' at the same step.

        Successive halving would end three of four trials after a few evaluations, which in RL favours what learns
        fast over what learns well; the best of several noisy evaluations is compared here, after a quarter of a run.
        """
        if not self.search.prune:
            return optuna.pruners.NopPruner()
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=self.search.evaluations // 4)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process chooses a trial meanwhile."""
        place = self.search.folder
        lock = locked(place, wait=True)
        if lock is None:
            raise UsageError(f"the file system of {place} has no locks, which a search needs; give another run_dir")
        try:
            yield
        finally:
            unlock(lock)

    @contextmanager
    def next_trial(self) -> Iterator[optuna.Trial | None]:
        """A trial for this process, held until the block ends; None if there is none to begin."""
        with ExitStack() as held:
            with self.alone():
                trial = self._chosen()
                if trial is not None:
                    held.enter_context(holding(self.search.trial_folder(trial.user_attrs["index"])))
            yield trial

    def _chosen(self) -> optuna.Trial | None:
        """The next trial: one that waits, or a new one whose values are a function of the seed and of those before."""
        for left in self._with(TrialState.RUNNING):
            # whoever held it may have told its end since it was listed
            if not self._is_held(left) and left.number in {trial.number for trial in self._with(TrialState.RUNNING)}:
                self._release(left)
        count, waiting = len(self.counted()), self._with(TrialState.WAITING)
        if not waiting and count >= self.search.trials:
            return None
        index = waiting[0].user_attrs["index"] if waiting else count
        seed = self.search.seed * 1_000_003 + index
        starts = min(STARTS, max(self.search.trials // 3, 1))
        self.study.sampler = optuna.samplers.TPESampler(seed=seed % 2**32, multivariate=True, n_startup_trials=starts)
        trial = self.study.ask({key: searched.distribution() for key, searched in self.search.space.items()})
        options = {key: searched.option(trial.params[key]) for key, searched in self.search.space.items()}
        trial.set_user_attr("options", options)
        trial.set_user_attr("index", index)
        return trial

    def _is_held(self, trial: FrozenTrial) -> bool:
        if "index" not in trial.user_attrs:  # its process died as soon as it had begun it
            return False
        try:
            with holding(self.search.trial_folder(trial.user_attrs["index"])):
                return False
        except Held:
            return True

    def _release(self, trial: FrozenTrial) -> None:
        """Let the values of a trial wait again whose process has ended; done twice, it is done once."""
        about, tried = trial.user_attrs, trial.user_attrs.get("tried", 0) + 1
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        others = self.study.get_trials(deepcopy=False)[trial.number + 1 :]
        taken_up = any(other.user_attrs.get("index") == about.get("index") for other in others)
        if "index" in about and not taken_up and tried < TRIES:
            self.study.enqueue_trial(params, user_attrs={"index": about["index"], "tried": tried})
        elif "index" in about and not taken_up:
            error = f"{TRIES} processes ended while they worked on it"
            distributions = {key: searched.distribution() for key, searched in self.search.space.items()}
            given_up = create_trial(
                state=TrialState.FAIL, params=params, distributions=distributions, user_attrs={**about, "error": error}
            )
            self.study.add_trial(given_up)
        self.study.tell(trial.number, state=TrialState.FAIL)

    def fail(self, trial: optuna.Trial, reason: str) -> None:
        """Tell that a trial failed."""
        trial.set_user_attr("error", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def counted(self) -> list[FrozenTrial]:
        """The trials that count, in the order of their indices: all but those whose process ended before they did."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if "index" in trial.user_attrs]
        there = [trial for trial in trials if trial.state != TrialState.FAIL or "error" in trial.user_attrs]
        return sorted(there, key=lambda trial: trial.user_attrs["index"])

    def finished(self) -> list[FrozenTrial]:
        return [trial for trial in self.counted() if trial.state.is_finished()]

    def is_complete(self) -> bool:
        """Whether there are as many trials as asked for, and none that lasts."""
        lasting = self._with(TrialState.RUNNING) + self._with(TrialState.WAITING)
        return len(self.finished()) >= self.search.trials and not lasting

    def is_hopeless(self) -> bool:
        """Whether the first trials failed, all of them."""
        finished = self.finished()
        return len(finished) >= HOPELESS and all("error" in trial.user_attrs for trial in finished)

    def startable(self) -> int:
        """How many trials a process might begin now."""
        with self.alone():  # otherwise a process might find a folder held that is only looked at
            left = sum(not self._is_held(trial) for trial in self._with(TrialState.RUNNING))
        return left + len(self._with(TrialState.WAITING)) + max(self.search.trials - len(self.counted()), 0)

    def _with(self, state: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(state,))
