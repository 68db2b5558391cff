"""One trial: its runs, what is reported after each evaluation, its score."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState

from envs.errors import EnvironmentFailed
from evaluation.runs import Run, read_run
from sweeps.attempt import SIGNALS, Outcome, printing_to
from train import train
from tuning.journal import Journal
from tuning.outcome import line_of
from tuning.search import Search


class Pruned(Exception):
    """The trial is not worth its further training."""


def one_trial(search: Search) -> Outcome:
    """Train the next trial of a search, in a process of its own, if there is one.

    Raises:
        OSError: a run folder cannot be written; the trial waits for another process.
    """
    journal = Journal(search)
    with journal.next_trial() as trial:
        if trial is None:
            return Outcome(0, trained=False)
        with printing_to(search.trial_folder(trial.user_attrs["index"]) / "log.txt"):
            signal = attempt(journal, trial)
        if signal:
            return Outcome(SIGNALS + signal)
        told = next(each for each in journal.finished() if each.number == trial.number)
        return Outcome(0, line_of(told, search))


def attempt(journal: Journal, trial: optuna.Trial) -> int:
    """Train the runs of a trial and tell its score -> the number of the signal that interrupted it, or 0.

    What the trial's settings lead to is its failure: what is not finite, too little memory, an environment that breaks.
    """
    search, about = journal.search, trial.user_attrs
    folder = search.trial_folder(about["index"])
    runs: list[Run] = []

    def report(place: Path) -> None:
        """Tell the mean of the trial's runs so far, for each evaluation of this run that is not told."""
        current = values(read_run(place))[: search.evaluations]
        before = [score_of(run, search) for run in runs]
        reported = journal.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for i in range(len(current)):
            step = len(runs) * search.evaluations + i
            latest = mean(current[: i + 1]) if search.score == "area" else current[i]
            if step not in reported:
                trial.report(mean([*before, latest]), step)

    def evaluated(place: Path) -> None:
        report(place)
        if trial.should_prune():
            raise Pruned

    try:
        for seed in search.run_seeds:
            result = train(search.overrides(about["options"], folder, seed), evaluated=evaluated)
            if result.scores is None:
                return result.signal
            report(result.folder)  # a run that another process had finished
            runs.append(read_run(result.folder))
    except Pruned:
        journal.study.tell(trial, state=TrialState.PRUNED)
        return 0
    except (ValueError, FloatingPointError, EnvironmentFailed, RuntimeError, MemoryError) as error:
        journal.fail(trial, str(error) or type(error).__name__)
        return 0
    scores = [score_of(run, search) for run in runs]
    trial.set_user_attr("measure", measure_of(runs[0]))
    trial.set_user_attr("scores", scores)
    trial.set_user_attr("area", mean([mean(values(run)) for run in runs]))
    journal.study.tell(trial, mean(scores))
    return 0


def measure_of(run: Run) -> str:
    """success, or return where the environment defines no success."""
    return "return" if any(row["success"] is None for row in run.evaluations) else "success"


def values(run: Run) -> list[float]:
    """What a run's evaluations during training measured."""
    return [float(row[measure_of(run)] or 0.0) for row in run.evaluations]


def score_of(run: Run, search: Search) -> float:
    """The score of a finished run."""
    assert run.result is not None
    return mean(values(run)) if search.score == "area" else float(run.result[measure_of(run)]["mean"])


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)
