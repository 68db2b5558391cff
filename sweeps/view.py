"""What the user sees of a sweep: a line for each event, and the state; on a terminal the state is drawn anew."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO


class View:
    """Lines on a stream. The state is the last line of a terminal; elsewhere it is written after each event."""

    def __init__(self, stream: TextIO):
        self.stream, self.terminal, self.state, self.news = stream, stream.isatty(), "", False

    def event(self, what: str, run: str, more: str) -> None:
        """Write a line that stays."""
        self._draw(f"{what:<9} {run}: {more}\n{self.state}")
        self.news = True

    def show(self, state: str) -> None:
        """Show the state; on a terminal it is cut to its width."""
        if self.terminal:
            self.state = state[: shutil.get_terminal_size().columns - 1]
            self._draw(self.state)
        elif self.news:
            self._draw(f"{state}\n")
        self.news = False

    def close(self) -> None:
        """Remove the last line of a terminal."""
        self.state = ""
        self._draw("")

    def _draw(self, text: str) -> None:
        self.stream.write(f"\r\x1b[K{text}" if self.terminal else text)
        self.stream.flush()


def short_names(jobs: Sequence[Sequence[str]]) -> list[str]:
    """What distinguishes each job: its overrides without those that all share."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    return [" ".join(override for override in job if override not in shared) or " ".join(job) for job in jobs]


def duration(seconds: float) -> str:
    """3.2 -> 3 s, 130 -> 2 min 10 s, 7500 -> 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
