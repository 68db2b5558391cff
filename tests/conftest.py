"""What all tests share: one thread (so that runs repeat bit for bit), and running the commands as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROJECT = Path(__file__).resolve().parent.parent
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Every test runs in an empty folder, where `runs/` goes."""
    monkeypatch.chdir(tmp_path)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python <arguments>` in the current folder, as a user would; the first argument is a file of the project."""
    return subprocess.run(
        [sys.executable, str(PROJECT / arguments[0]), *arguments[1:]],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=240,
    )
