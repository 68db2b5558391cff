"""Search hyperparameters: one environment, encoder and agent, a fixed budget -> a file of tuned settings.

    python tune.py env=DoorKey-6x6 encoder=gnn agent=ppo_fast trials=30 total_timesteps=200000

From then on `python train.py` with the same choices uses what was found. The same command again goes on with a search;
several may work on one. From Python: `tune({"env": "CartPole", "encoder": "mlp", "trials": 30})`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.command_line import command_line
from configs.compose import UsageError, overrides_of
from sweeps.attempt import FAILED, SIGNALS
from tuning.search import Search, search_of


@dataclass(frozen=True)
class Result:
    """The outcome of a search.

    Attributes:
        folder: of the search.
        file: the settings that were written; None if the search was interrupted, or no trial has succeeded.
        options: the best values, by full name.
        score: of the best trial.
        signal: the number of the signal that interrupted the search; 0 if none did.
    """

    folder: Path
    file: Path | None
    options: dict[str, Any]
    score: float | None
    signal: int = 0


def tune(config: Mapping[str, Any] | Sequence[str] = (), **options: Any) -> Result:
    """Search the hyperparameters of one environment, encoder and agent, and write the best ones.

    Args:
        config: a partial mapping or a list of overrides of configs/tune.yaml, and of configs/train.yaml for the runs.
        options: more entries of the mapping.

    Raises:
        ValueError: an option or a range that cannot be, another search in the folder, or a file that is not to be
            replaced; nothing has been trained.
        OSError: a file cannot be written.
    """
    given = overrides_of({**config, **options}) if isinstance(config, Mapping) else [*config, *overrides_of(options)]

    search, settings = search_of(given)
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError('tune.py needs the package optuna: pip install -e ".[tune]"') from error

    from tuning.journal import NAME, Journal
    from tuning.outcome import best_of, check_free, ending, file_of, summary, write
    from tuning.processes import check, run_all

    file = file_of(search, settings["output"])
    if not (search.folder / NAME).exists():
        check(search)
    journal = Journal(search)
    check_free(journal, file, settings["overwrite"])
    done = len(journal.finished())
    print(opening(search, done), flush=True)
    signal = run_all(search, settings["jobs"], lambda line: print(line, flush=True))
    if signal:
        left = search.trials - len(journal.finished())
        print(f"interrupted; {left} of {search.trials} trials are left, and the same command goes on")
        return Result(search.folder, None, {}, None, signal)
    best = best_of(journal)
    if best is None:
        print(f"error: no trial succeeded; the last one: {ending(journal.finished()[-1], search)}", file=sys.stderr)
        return Result(search.folder, None, {}, None)
    print(summary(journal))
    write(journal, file)
    print(f"written: {file}")
    return Result(search.folder, file, best.user_attrs["options"], best.value)


def opening(search: Search, done: int) -> str:
    """What is printed before the first trial."""
    seeds, steps = ", ".join(f"{seed:,}" for seed in search.run_seeds), search.config["total_timesteps"]
    there = f"; {done} are there" * (done > 0)
    rows = [f"  {key}: {searched}" for key, searched in search.space.items()]
    return "\n".join(
        [f"{search.folder}: {search.trials} trials of {steps:,} steps with the seeds {seeds}{there}", *rows]
    )


def main(overrides: list[str]) -> int:
    """One search from the command line; 1 if no trial succeeded, after a signal 128 and its number."""
    result = tune(overrides)
    return SIGNALS + result.signal if result.signal else FAILED if result.file is None else 0


if __name__ == "__main__":
    command_line("tune", main)
