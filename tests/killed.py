"""Writers that are killed: before each write, sync, rename and removal that they do, and halfway through a write."""

from __future__ import annotations

import functools
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is a fork of this process")


def killed(act: Callable[[], Any], at: int) -> bool:
    """Do `act` in a process that kills itself at its `at`-th step; whether it got that far."""
    child = os.fork()
    if not child:
        try:
            die_at(at)
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def die_at(at: int) -> None:
    """Let this process kill itself at the `at`-th step from now."""
    passed = 0

    def step() -> None:
        nonlocal passed
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def after_a_step(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            step()
            return function(*arguments, **keywords)

        return call

    for place, name in ((os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir"), (shutil, "rmtree")):
        setattr(place, name, after_a_step(getattr(place, name)))

    def write_in_halves(file: Path, content: bytes) -> None:
        step()
        with file.open("wb") as stream:
            stream.write(content[: len(content) // 2])
            stream.flush()
            step()
            stream.write(content[len(content) // 2 :])

    Path.write_bytes = write_in_halves  # type: ignore[assignment,method-assign]
    Path.write_text = lambda file, text: write_in_halves(file, text.encode())  # type: ignore[assignment,method-assign]
