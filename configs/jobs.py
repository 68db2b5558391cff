"""The jobs of a command line: how one ends, and whether all of a sweep can be run."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from configs.compose import UsageError, check_options
from envs.errors import EnvironmentFailed
from storage.lock import locked, unlock
from sweeps.attempt import FAILED, INTERRUPTED, USAGE, Outcome, printing_to
from sweeps.processes import METHOD, Child


@dataclass(frozen=True)
class Sweepable:
    """How the jobs of an entry point are run in processes of their own.

    Attributes:
        run: takes the overrides of a job and returns how it ended.
        possible: raises ValueError or OSError if a job cannot be run.
        log: the file for what a job prints.
        warm: does once, where processes are forked, what every job would begin with.
    """

    run: Callable[[list[str]], Outcome]
    possible: Callable[[list[str]], Any]
    log: Callable[[list[str]], Path]
    warm: Callable[[], None]


def attempt(sweepable: Sweepable, overrides: list[str]) -> Outcome:
    """One run of a sweep, in a process that a launcher made for it; waits for another one with the same log."""
    log = sweepable.log(overrides)
    with printing_to(log):
        lock = locked(log, wait=True)
        try:
            return outcome_of(sweepable.run, overrides)
        except KeyboardInterrupt:
            return Outcome(INTERRUPTED, "interrupted")
        finally:
            unlock(lock)


def outcome_of(run: Callable[..., int | Outcome], *arguments: Any) -> Outcome:
    """How a job ended; errors are printed."""
    try:
        ended = run(*arguments)
        return ended if isinstance(ended, Outcome) else Outcome(ended)
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        failed = isinstance(error, FloatingPointError) or (isinstance(error, OSError) and error.errno is not None)
        print(f"error: {error}", file=sys.stderr)
        return Outcome(FAILED if failed else USAGE, str(error))
    except EnvironmentFailed as error:
        if error.__cause__ is None:  # the message is all there is to say
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        return Outcome(FAILED, str(error))
    except Exception as error:  # not a mistake of the user, so the traceback is needed
        traceback.print_exc()
        return Outcome(FAILED, problem_of(error))


def problem_of(error: Exception) -> str:
    """What an exception says, after its name where it is not a mistake of the user."""
    known = isinstance(error, (ValueError, OSError))
    return str(error) if known else f"{type(error).__name__}: {error}"


def check_sweep(name: str, sweep: Sequence[list[str]], sweepable: Sweepable | None) -> None:
    """Raise UsageError that lists every impossible job and the reason; jobs that differ only in seed count once."""
    each = {tuple(override for override in job if not override.startswith("seed=")): job for job in reversed(sweep)}
    combinations = dict(reversed(each.items()))
    if sweepable is None:
        problems = _problems(partial(check_options, name), combinations)
    else:
        print(f"checking {len(combinations)} combination{'s' * (len(combinations) > 1)}", flush=True)
        if METHOD == "fork":
            sweepable.warm()
        problems = found_in_a_process("the combinations", _problems, sweepable.possible, combinations)
    if len(problems) == 1 and len(combinations) == 1:
        raise UsageError(*problems.values())
    if problems:
        lines = "".join(f"\n  {choices}: {problem}" for choices, problem in problems.items())
        raise UsageError(
            f"{len(problems)} of {len(combinations)} combinations are impossible, so nothing was run:{lines}"
        )


def _problems(
    possible: Callable[[list[str]], Any], combinations: Mapping[tuple[str, ...], list[str]]
) -> dict[str, str]:
    """What is wrong with each combination that cannot be run."""
    problems: dict[str, str] = {}
    for choices, overrides in combinations.items():
        try:
            possible(overrides)
        except Exception as error:  # an environment may raise any exception when it is made
            problems[" ".join(choices)] = problem_of(error)
    return problems


def found_in_a_process(what: str, problems: Callable[..., Any], *arguments: Any) -> Any:
    """The problems that a child finds: building may start threads and CUDA, and no process may be forked after that.

    Args:
        what: is checked, in words.
        problems: is called there with the arguments.

    Raises:
        UsageError: the child died.
    """
    child = Child(problems, *arguments)
    try:
        child.join()
    except KeyboardInterrupt:
        child.process.kill()
        raise
    if child.returned is None:
        raise UsageError(f"{what} could not be checked: {child.how_it_ended()}")
    return child.returned
