"""The launchers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweeps.attempt import Launcher, Outcome
from sweeps.processes import Processes


def launcher(name: str, work: Callable[[list[str]], Outcome], options: Mapping[str, Any]) -> Launcher:
    """A launcher, which calls `work` with the overrides of each run.

    Raises:
        ValueError: the extra that it needs is not installed, or an option cannot be.
    """
    return {"processes": Processes}[name](work, **options)
