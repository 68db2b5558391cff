"""One try of a run, and what a launcher does with it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

FAILED = 1  # exit codes
USAGE = 2  # a mistake, which another try would not mend
SIGNALS = 128  # after a signal it is this and the signal's number
INTERRUPTED = SIGNALS + signal.SIGINT


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: the exit code.
        said: why it failed, or its score, in one line.
        trained: False if there was nothing to do.
    """

    code: int
    said: str = ""
    trained: bool = True


class Attempt(Protocol):
    """A run that was handed over."""

    def running(self) -> bool:
        """Whether it has begun, and does not wait in a queue of the cluster."""

    def ended(self) -> bool: ...

    def outcome(self) -> Outcome:
        """How it ended, once it has; a process that died has failed."""

    def stop(self, number: int) -> None:
        """Make it take a snapshot and end; a second time: end at once."""


class Launcher(Protocol):
    """Where runs are made: sweeps.processes, sweeps.ray_tasks, sweeps.slurm_jobs."""

    def room(self) -> int:
        """How many runs may be handed over at a time, at least 1."""

    def start(self, jobs: Sequence[list[str]]) -> Sequence[Attempt]: ...

    def wait(self, attempts: Sequence[Any], seconds: float) -> None:
        """Return when one of the attempts has ended, or after these seconds."""


@contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Append what this process prints to a file, line by line."""
    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    streams = {number: os.dup(number) for number in {1, 2, sys.stdout.fileno(), sys.stderr.fileno()}}
    _point_to(dict.fromkeys(streams, file))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        yield
    finally:
        _point_to(streams)
        for kept in (file, *streams.values()):
            os.close(kept)


def _point_to(files: dict[int, int]) -> None:
    """Let each descriptor write where another one does."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number, file in files.items():
        os.dup2(file, number)
