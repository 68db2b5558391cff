"""The command lines of train.py, evaluate.py and compare.py: one job or a sweep, exit codes, errors in one line."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig

from configs.compose import FOLDER, GROUPS_OF, UsageError, check_options, compose, jobs, option_named, settle
from configs.hydra_internals import flags, read_flags
from envs.errors import EnvironmentFailed

SIGNALS = 128  # the exit code after a signal is this and the signal's number
INTERRUPTED = 130  # after Ctrl-C


def command_line(
    name: str, run: Callable[[list[str]], int], possible: Callable[[list[str]], Any] | None = None
) -> None:
    """The main function of an entry point: one job, or all of a sweep (-m); exits with 0, 1 (failed) or 2 (usage).

    All jobs of a sweep are composed and checked before the first one runs, so an impossible combination is found at
    once. A job that fails does not end the sweep; the failed jobs are listed at the end. A signal ends the sweep, and
    says how many jobs were not started.

    Args:
        name: the name of the configuration: train, evaluate or compare.
        run: takes the overrides of one job and returns its exit code.
        possible: raises ValueError or OSError if a job cannot be run.
    """
    if hasattr(signal, "SIGPIPE"):  # end without a word when whoever read the output has gone, as `head` does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _refuse_flags(name)
    arguments = read_flags()
    failures: list[tuple[str, str]] = []
    codes: list[int] = []
    sweep: list[list[str]] = []
    started: list[list[str]] = []

    @hydra.main(config_path=str(FOLDER), config_name=name, version_base="1.3")
    def job(_: Any) -> None:
        overrides = list(HydraConfig.get().overrides.task)
        started.append(overrides)
        code, failure = _outcome(run, overrides)
        codes.append(code)
        if failure:
            failures.append((" ".join(overrides), failure))
        if code > SIGNALS:  # a signal ends the whole sweep, not only the present job
            _report(failures, len(started), len(sweep))
            sys.exit(code)

    only_shown = arguments.help or arguments.hydra_help or arguments.cfg or arguments.info
    try:
        settled = settle(name, arguments.overrides)
        if arguments.multirun and any(override.startswith("run_dir=") for override in settled):
            raise UsageError("run_dir is the folder of one run; a sweep (-m) names its folders itself")
        if arguments.multirun:
            sweep = jobs(settled)
            _check_sweep(name, sweep, possible)
        elif not only_shown:
            check_options(name, settled)
    except UsageError as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument not in arguments.overrides] + settled
    try:
        job()
    except KeyboardInterrupt:  # before learning began, or a second time
        print("interrupted", file=sys.stderr)
        _report(failures, len(started), len(sweep))
        sys.exit(INTERRUPTED)
    finally:  # Hydra exits when it has shown its own help
        if arguments.help:
            print(_described(name, settled))
    _report(failures, len(started), len(sweep))
    sys.exit(max(codes, default=0))


def _report(failures: Sequence[tuple[str, str]], started: int, planned: int) -> None:
    """Say which jobs of a sweep failed, and how many were not started; `planned` is 0 without a sweep."""
    if failures and planned:
        lines = "".join(f"\n  {overrides}: {failure}" for overrides, failure in failures)
        print(f"{len(failures)} of {started} runs failed:{lines}", file=sys.stderr)
    if started < planned:
        print(f"{planned - started} of {planned} runs not started; the same command goes on", file=sys.stderr)


def _outcome(run: Callable[[list[str]], int], overrides: list[str]) -> tuple[int, str]:
    """The exit code of a job, and why it failed, if it did; errors are printed."""
    try:
        return run(overrides), ""
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        failed = isinstance(error, FloatingPointError) or (isinstance(error, OSError) and error.errno is not None)
        print(f"error: {error}", file=sys.stderr)
        return 1 if failed else 2, str(error)
    except EnvironmentFailed as error:
        if error.__cause__ is None:  # the message is all there is to say
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        return 1, str(error)
    except Exception as error:  # not a mistake of the user, so the traceback is needed
        traceback.print_exc()
        return 1, f"{type(error).__name__}: {error}"


def _check_sweep(name: str, sweep: Sequence[list[str]], possible: Callable[[list[str]], Any] | None) -> None:
    """Raise UsageError that lists every impossible job and the reason; jobs that differ only in seed count once."""
    problems: dict[str, str] = {}
    seen: set[tuple[str, ...]] = set()
    for overrides in sweep:
        choices = tuple(override for override in overrides if not override.startswith("seed="))
        if choices in seen:
            continue
        seen.add(choices)
        try:
            check_options(name, overrides)
            if possible is not None:
                possible(overrides)
        except Exception as error:  # an environment may raise any exception when it is made
            known = isinstance(error, (ValueError, OSError))
            problems[" ".join(choices)] = str(error) if known else f"{type(error).__name__}: {error}"
    if len(problems) == 1 and len(seen) == 1:
        raise UsageError(*problems.values())
    if problems:
        lines = "".join(f"\n  {choices}: {problem}" for choices, problem in problems.items())
        raise UsageError(f"{len(problems)} of {len(seen)} combinations are impossible, so nothing was run:{lines}")


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
        sys.exit(2)


def _described(name: str, overrides: Sequence[str]) -> str:
    """The text of the chosen configuration files, which list every option and its possible values."""
    chosen = [o.partition("=") for o in overrides if o.partition("=")[0] in GROUPS_OF[name]]
    files = [FOLDER / group / f"{choice}.yaml" for group, _, choice in chosen]
    texts = [f"== configs/{file.relative_to(FOLDER)} ==\n{file.read_text()}" for file in files if file.exists()]
    return "\n".join([*texts, *(_own_options(overrides) if "encoder=custom" in overrides else [])])


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
