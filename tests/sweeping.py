"""A sweep over three seeds as a process, which can be looked into and killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import PROJECT

SWEEP = ["env=CartPole", "encoder.width=8", "total_timesteps=8000", "snapshot.every=256"]
SWEEP += ["evaluation.every=1000", "evaluation.episodes=2", "evaluation.final_episodes=4", "progress=false"]
RUNS = [Path(f"runs/CartPole/ppo-mlp/encoder.width=8/seed={seed}") for seed in range(3)]


def started(*options: str, **environment: str) -> subprocess.Popen[str]:
    """The sweep, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "train.py"), "-m", *SWEEP, "seed=0,1,2", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def has_begun(process: subprocess.Popen[str], seed: int) -> int:
    """Wait until the run with this seed trains and has a snapshot -> the id of its process."""
    folder = RUNS[seed]
    lock = folder.with_name(f".{folder.name}.lock")
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if (folder / "snapshot").exists() and (number := lock.read_text()):
                return int(number)
        time.sleep(0.005)
    raise AssertionError(process.communicate())


def alive(number: int) -> bool:
    """Whether a process trains still; one that has ended but was not waited for has no memory."""
    try:
        return bool(Path(f"/proc/{number}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


def ends(number: int, seconds: float = 60) -> bool:
    """Whether a process ends within these seconds."""
    deadline = time.monotonic() + seconds
    while alive(number) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(number)


def parent(number: int) -> int:
    """The process that started another one."""
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
