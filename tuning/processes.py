"""The processes of a search: one for each trial, as many at a time as were asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

from configs.compose import UsageError
from configs.jobs import found_in_a_process, outcome_of, problem_of
from sweeps.attempt import SIGNALS, Outcome
from sweeps.processes import METHOD, Child, Processes
from sweeps.sweep import TICK, noting
from train import can_be_trained, warm
from tuning.journal import Journal
from tuning.search import Search
from tuning.space import corners


def run_all(search: Search, jobs: int | str, say: Callable[[str], object]) -> int:
    """Train trials until there are enough, here or in other processes on the same folder.

    A trial whose process dies is taken up by another one.

    Args:
        jobs: how many at a time, or auto.
        say: takes a line for each trial that has ended.

    Returns:
        The number of the signal that ended the search; 0 if none did.
    """
    _import_once()
    journal, hands = Journal(search), Processes(partial(_in_a_process, search), jobs)
    working: list[Child] = []
    signals: list[int] = []
    with noting(signals) as pass_on:
        while working or not (signals or journal.is_complete() or journal.is_hopeless()):
            if not signals and not journal.is_hopeless():
                working += hands.start([[]] * min(hands.room() - len(working), journal.startable()))
            hands.wait(working, TICK)
            pass_on(working)
            for child in [each for each in working if each.ended()]:
                working.remove(child)
                outcome = child.outcome()
                if outcome.said and not (signals and outcome.code > SIGNALS):
                    say(outcome.said)
    return signals[0] if signals else 0


def check(search: Search) -> None:
    """Build what runs at the ends of all ranges, and with each value of the lists, would train; in a process.

    Raises:
        UsageError: it cannot be trained; the message says why, each reason once.
    """
    _import_once()
    if problems := found_in_a_process("what is to be searched", _problems, search):
        raise UsageError(f"some of what is to be searched cannot be trained: {'; '.join(problems)}")


def _problems(search: Search) -> list[str]:
    found: dict[str, None] = {}
    for options in corners(search.space):
        try:
            can_be_trained(search.overrides(options, search.folder / "checked", search.run_seeds[0]))
        except Exception as error:  # an environment may raise any exception when it is made
            found[problem_of(error)] = None
    return [*found]


def _import_once() -> None:
    """Import what every trial imports, where processes are forks of this one."""
    if METHOD == "fork":
        warm()
        importlib.import_module("tuning.work")


def _in_a_process(search: Search, _: list[str]) -> Outcome:
    """The next trial of a search; what it raises is printed."""
    from tuning.work import one_trial  # imports what trains, which the parent does only where it forks

    return outcome_of(one_trial, search)
