"""The command lines of the entry points: one job or a sweep, exit codes, errors in one line."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig

from configs.compose import FOLDER, UsageError, check_options, compose, option_named, settle
from configs.explained import explained
from configs.grid import check_installed, grid_of, jobs, parted
from configs.hydra_internals import flags, read_flags
from configs.jobs import Sweepable, attempt, check_sweep, outcome_of
from sweeps.attempt import FAILED, INTERRUPTED, SIGNALS, USAGE
from sweeps.launchers import launcher
from sweeps.sweep import Sweep
from sweeps.view import View


class Job:
    """What Hydra calls: for each job itself, or through the launcher for all of a sweep.

    Args:
        run: takes the overrides of one job and returns its exit code.
        sweepable: None: a sweep runs its jobs one after another.
    """

    def __init__(self, run: Callable[[list[str]], int], sweepable: Sweepable | None):
        self.run, self.sweepable = run, sweepable
        self.failures: list[tuple[str, str]] = []
        self.codes: list[int] = []
        self.sweep: list[list[str]] = []  # the overrides of each job of a sweep
        self.started = 0

    def __call__(self, _: Any) -> None:
        overrides = list(HydraConfig.get().overrides.task)
        self.started += 1
        outcome = outcome_of(self.run, overrides)
        self.codes.append(outcome.code)
        if outcome.said:
            self.failures.append((" ".join(overrides), outcome.said))
        if outcome.code > SIGNALS:  # a signal ends the whole sweep, not only the present job
            self.report()
            sys.exit(outcome.code)

    def run_sweep(self, runs_in: str, options: Mapping[str, Any]) -> None:
        """Hand each job to a launcher; exits if the launcher cannot be had, or if a signal ends the sweep."""
        assert self.sweepable is not None
        try:
            hands = launcher(runs_in, partial(attempt, self.sweepable), options)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(USAGE)
        count = len(self.sweep)
        print(f"{count} runs, {min(hands.room(), count)} at a time; each prints into a .log beside what it writes")
        sweep = Sweep(hands, self.sweep, View(sys.stdout))
        sweep.run()
        self.started = count - len(sweep.waiting)
        for run in sweep.failed:
            assert run.outcome is not None
            self.failures.append((" ".join(run.overrides), f"{run.outcome.said} ({self.sweepable.log(run.overrides)})"))
            self.codes.append(USAGE if run.outcome.code == USAGE else FAILED)
        if sweep.signals:
            self.report(len(sweep.interrupted))
            sys.exit(SIGNALS + sweep.signals[0])

    def report(self, interrupted: int = 0) -> None:
        """Say which jobs of a sweep failed, and how many were interrupted or not started."""
        planned = len(self.sweep)
        if self.failures and planned:
            lines = "".join(f"\n  {overrides}: {failure}" for overrides, failure in self.failures)
            print(f"{len(self.failures)} of {self.started} runs failed:{lines}", file=sys.stderr)
        rest = [f"{interrupted} of {planned} runs interrupted"] * (interrupted > 0)
        if self.started < planned:
            rest.append(f"{planned - self.started} of {planned} runs not started")
        if rest:
            print(f"{', '.join(rest)}; the same command goes on", file=sys.stderr)


def sweep(name: str, run: Callable[[list[str]], int], sweepable: Sweepable, jobs: list[list[str]], at_once: Any) -> int:
    """Run jobs that no command line lists, in processes of their own; returns the exit code.

    Args:
        name, run, sweepable: as of `command_line`.
        jobs: the overrides of each.
        at_once: how many at a time; auto: one for each CPU.

    Raises:
        UsageError: some of them are impossible; nothing was run.
    """
    job = Job(run, sweepable)
    job.sweep = jobs
    check_sweep(name, job.sweep, sweepable)
    job.run_sweep("processes", {"jobs": at_once})
    job.report()
    return max(job.codes, default=0)


def command_line(name: str, run: Callable[[list[str]], int], sweepable: Sweepable | None = None) -> None:
    """The main function of an entry point: one job, or all of a sweep (-m); exits with 0, 1 (failed) or 2 (usage).

    All jobs of a sweep are composed and checked before the first one runs, so an impossible combination is found at
    once. A job that fails does not end the sweep; the failed jobs are listed at the end. A signal ends the sweep, and
    says how many jobs were not started.

    Args:
        name: the name of the configuration: train, tune, evaluate, compare or lab.
        run: takes the overrides of one job and returns its exit code.
        sweepable: how its jobs run in processes of their own.
    """
    if hasattr(signal, "SIGPIPE"):  # end without a word when whoever read the output has gone, as `head` does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _refuse_flags(name)
    arguments = read_flags()
    job = Job(run, sweepable)
    only_shown = arguments.help or arguments.hydra_help or arguments.cfg or arguments.info
    try:
        of_hydra, given = parted(name, arguments.overrides)
        settled = settle(name, given)
        grid = settle(name, grid_of(settled))
        if arguments.multirun:
            if any(override.startswith("run_dir=") for override in settled):
                raise UsageError("run_dir is the folder of one run; a sweep (-m) names its folders itself")
            check_installed(of_hydra)
            settled = grid + settled
            job.sweep = jobs(settled)
            check_sweep(name, job.sweep, sweepable)
        elif grid and not only_shown:
            raise UsageError(f"the experiment is a grid ({' '.join(grid)}), which needs -m (train.py -m ...)")
        elif not only_shown:
            check_options(name, settled)
    except UsageError as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    told = of_hydra if job.sweep and sweepable else of_hydra + settled  # hydra_plugins/inductive.py says why
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument not in arguments.overrides] + told
    try:
        hydra.main(config_path=str(FOLDER), config_name=name, version_base="1.3")(job)()
    except KeyboardInterrupt:  # before learning began, or a second time
        print("interrupted", file=sys.stderr)
        job.report()
        sys.exit(INTERRUPTED)
    finally:  # Hydra exits when it has shown its own help
        if arguments.help:
            print(_described(name, settled))
    job.report()
    sys.exit(max(job.codes, default=0))


def _refuse_flags(name: str) -> None:
    """Exit if an option is written as a flag (--env CartPole, --seed=1); the message gives the right form."""
    words = sys.argv[1:]
    for word, following in zip(words, [*words, ""][1:], strict=True):
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") or any(known.startswith(flag) for known in flags()):
            continue
        option = option_named(name, flag.lstrip("-").replace("-", "_"))
        shown = value if equals else following
        hint = f"{option}={shown or '<value>'}" if option else "option=value, like seed=1"
        print(f"error: there is no flag {flag}; write {hint}", file=sys.stderr)
        sys.exit(USAGE)


def _described(name: str, overrides: Sequence[str]) -> str:
    """Every option with its value and explanation; of a class of the user's own, those of its constructor."""
    try:
        options = explained(name, overrides)
    except UsageError as error:
        return f"error: {error}"
    return "\n".join([options, *(_own_options(overrides) if "encoder=custom" in overrides else [])])


def _own_options(overrides: Sequence[str]) -> list[str]:
    """The options, with their defaults, of a class that is named by encoder.class; why not, where it cannot be had."""
    if not any(override.lstrip("+").startswith("encoder.class=") for override in overrides):
        return []

    from encoders.resolve import resolve

    try:
        config = compose("train", [override.lstrip("+") for override in overrides])
        encoder = resolve(config["encoder"]["class"], config["trust"])
    except ValueError as error:
        return [f"error: {error}"]
    taken = [*inspect.signature(encoder).parameters.values()][1:]  # after the observation space
    lines = [f"encoder.{option.name}" + f"={option.default}" * (option.default is not option.empty) for option in taken]
    return [f"== {config['encoder']['class']} ==", *lines]
