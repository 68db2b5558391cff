"""The queue of a sweep: as many runs at a time as there is room for, and a second try for a run that failed."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sweeps.attempt import SIGNALS, USAGE, Attempt, Launcher, Outcome
from sweeps.view import View, duration, short_names

TRIES = 2
TICK = 0.5  # seconds between two looks at the runs


@dataclass
class Run:
    """One job of a sweep; `began` is None while it waits, here or in a cluster's queue."""

    overrides: list[str]
    name: str
    tries: int = 0
    attempt: Attempt = field(init=False)  # the latest
    began: float | None = None
    outcome: Outcome | None = None


@dataclass
class Sweep:
    """Hands jobs to a launcher.

    Args:
        launcher: makes the runs.
        jobs: the overrides of each.
        view: shows it.

    Attributes:
        failed: runs that failed for good.
        signals: the numbers of the signals that came; the first one ended the sweep.
    """

    launcher: Launcher
    jobs: Sequence[list[str]]
    view: View
    done: list[Run] = field(default_factory=list)
    failed: list[Run] = field(default_factory=list)
    interrupted: list[Run] = field(default_factory=list)
    handed: list[Run] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = deque(map(Run, self.jobs, short_names(self.jobs)))
        self.seconds: list[float] = []  # that runs took which had something to do

    def run(self) -> None:
        """Start every job, until a signal comes; return when none runs."""
        with noting(self.signals) as pass_on:
            while self.handed or (self.waiting and not self.signals):
                if not self.signals:
                    self._start()
                self.view.show(self._state())
                self.launcher.wait([run.attempt for run in self.handed], TICK)
                pass_on([run.attempt for run in self.handed])
                for run in [*self.handed]:
                    self._look(run)
        self.view.show(self._state())
        self.view.close()

    def _start(self) -> None:
        runs = [self.waiting.popleft() for _ in range(min(len(self.waiting), self.launcher.room() - len(self.handed)))]
        for run, attempt in zip(
            runs, self.launcher.start([run.overrides for run in runs]) if runs else (), strict=True
        ):
            run.tries, run.attempt, run.began = run.tries + 1, attempt, None
            self.handed.append(run)
            self._look(run)

    def _look(self, run: Run) -> None:
        ended = run.attempt.ended()
        if run.began is None and (ended or run.attempt.running()):
            run.began = time.monotonic()
        if ended:
            self.handed.remove(run)
            run.outcome = run.attempt.outcome()
            self._sort(run, run.outcome, time.monotonic() - (run.began or 0))

    def _sort(self, run: Run, outcome: Outcome, took: float) -> None:
        """Put a run that has ended where it belongs."""
        if outcome.code == 0:
            self.done.append(run)
            self.seconds += [took] * outcome.trained
            more = f"{outcome.said}, {duration(took)}" if outcome.trained else outcome.said
            self.view.event("done" if outcome.trained else "kept", run.name, more)
        elif self.signals and outcome.code > SIGNALS:
            self.interrupted.append(run)
            self.view.event("stopped", run.name, "the same command goes on with it")
        elif run.tries < TRIES and outcome.code != USAGE and not self.signals:
            self.waiting.append(run)
            self.view.event("failed", run.name, f"{outcome.said}; once more at the end")
        else:
            self.failed.append(run)
            self.view.event("failed", run.name, outcome.said)

    def _state(self) -> str:
        """The last line of the view."""
        running = sum(run.began is not None for run in self.handed)
        parts = [f"{len(self.done)} of {len(self.jobs)} done", f"{running} running", f"{len(self.failed)} failed"]
        if queued := len(self.handed) - running:
            parts.append(f"{queued} queued")
        if self.signals and self.handed:
            parts.append(f"{signal.Signals(self.signals[0]).name}: waiting for snapshots; a second one stops at once")
        elif self.seconds and running:
            parts.append(f"about {duration(self._left())} left")
        return ", ".join(parts)

    def _left(self) -> float:
        """Seconds until the end, if the other runs take as long as the past ones did on average."""
        each, now = sum(self.seconds) / len(self.seconds), time.monotonic()
        running = [max(each - (now - run.began), 0) for run in self.handed if run.began is not None]
        others = len(self.waiting) + len(self.handed) - len(running)
        return (sum(running) + each * others) / len(running)


@contextmanager
def noting(signals: list[int]) -> Iterator[Callable[[Sequence[Attempt]], None]]:
    """Append the number of every Ctrl-C and SIGTERM to a list, instead of ending.

    Yields what passes those on to attempts that it has not yet passed on.
    """
    passed_on = 0

    def note(number: int, frame: Any) -> None:
        signals.append(number)

    def pass_on(attempts: Sequence[Attempt]) -> None:
        nonlocal passed_on
        for number in signals[passed_on:]:
            passed_on += 1
            for attempt in attempts:
                attempt.stop(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pass_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
