"""The launcher of one machine: each run is a process of its own, which ends with its parent.

On Linux a process is a fork, so what the parent has imported need not be imported again; elsewhere it is a new
interpreter. A parent that forks must have started no threads of PyTorch's and no CUDA: only children build anything.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.connection import Connection, wait
from typing import Any

from sweeps.attempt import INTERRUPTED, SIGNALS, Outcome

METHOD = "fork" if sys.platform.startswith("linux") else "spawn"
FORWARDED = (signal.SIGINT, signal.SIGTERM)


class Processes:
    """Runs in processes of this machine.

    Args:
        work: takes the overrides of a run.
        jobs: how many at a time; auto: as many as there are CPUs for this process.
    """

    def __init__(self, work: Callable[[list[str]], Outcome], jobs: int | str = "auto"):
        self.work, self.jobs = work, jobs

    def room(self) -> int:
        return usable_cpus() if self.jobs == "auto" else int(self.jobs)

    def start(self, jobs: Sequence[list[str]]) -> list[Child]:
        return [Child(self.work, job) for job in jobs]

    def wait(self, attempts: Sequence[Child], seconds: float) -> None:
        wait([child.process.sentinel for child in attempts], seconds)


class Child:
    """A started process.

    Args:
        work: is called there with the arguments.

    Attributes:
        returned: what it returned; None until it has ended, and where it died.
    """

    def __init__(self, work: Callable[..., Any], *arguments: Any):
        context: Any = multiprocessing.get_context(METHOD)
        self.returned: Any = None
        self.answer, sending = context.Pipe(duplex=False)
        with _signals_held():  # until the child has handlers of its own
            self.process = context.Process(target=_live, args=(work, arguments, sending, *_lifeline()))
            self.process.start()
        sending.close()

    def running(self) -> bool:
        return True

    def ended(self) -> bool:
        with suppress(EOFError, OSError):  # it died, or its answer has been read
            if self.answer.poll():
                self.returned = self.answer.recv()
        return not self.process.is_alive()

    def join(self) -> None:
        """Return when it has ended."""
        while not self.ended():
            wait([self.process.sentinel, self.answer], 1)

    def outcome(self) -> Outcome:
        return self.returned or Outcome(self._code(), self.how_it_ended())

    def stop(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def how_it_ended(self) -> str:
        """The exit code, or the signal, in words."""
        if self._code() < SIGNALS:
            return f"its process ended with exit code {self._code()}"
        name = signal.Signals(self._code() - SIGNALS).name
        memory = ": by hand, or by the system when memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{memory}"

    def _code(self) -> int:
        """The exit code as a shell has it."""
        code = self.process.exitcode
        return SIGNALS - code if code < 0 else code or 1  # 0 without an answer is no success


def usable_cpus() -> int:
    """The number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _lifeline() -> tuple[Connection, Connection]:
    """A pipe that nothing is sent through: only this process holds the writing end, so the other one sees it end."""
    return multiprocessing.Pipe(duplex=False)


def _live(
    work: Callable[..., Any], arguments: tuple[Any, ...], answer: Connection, watched: Connection, held: Connection
) -> None:
    held.close()
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a terminal sends Ctrl-C to the parent's group; the parent passes it on, once
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        answer.send(work(*arguments))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end_with(watched: Connection) -> None:
    """End this process when the parent has ended, however it did."""
    wait([watched])
    os._exit(1)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals that come meanwhile are answered afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
