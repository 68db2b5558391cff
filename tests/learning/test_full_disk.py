"""A disk that fills up while a run trains: what was saved stays, the message says what to do, the run goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupted import interrupt, of

from benchmarks.kills import differences
from learning.snapshot import read_snapshot
from storage.durable import DiskFull
from train import train

RUN = of("CartPole", encoder__width=8)
STEP = 16_384  # bytes that are freed each time


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "none", place], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk needs Linux and its administrator's rights")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
def test_a_run_on_a_disk_that_is_full_again_and_again_loses_nothing_and_ends_alike(disk, monkeypatch):
    train(RUN, run_dir="whole")
    run, filling = disk / "run", disk / "filling"
    interrupt(monkeypatch, RUN, folder=str(run))
    refused, taken = [], read_snapshot(run)["steps"]
    filling.write_bytes(b"0" * shutil.disk_usage(disk).free)
    while not (run / "result.json").exists():
        try:
            train(RUN, run_dir=str(run))
        except DiskFull as error:
            refused.append(error.strerror)
        steps = read_snapshot(run)["steps"]
        assert steps >= taken
        taken = steps
        with filling.open("r+b") as file:  # free a little more
            file.truncate(max(filling.stat().st_size - STEP, 0))
    written = [message.split(" cannot be written")[0].rpartition("/")[2] for message in refused]
    assert {"run", "snapshot"} <= {*written} and all("bytes are free" in message for message in refused)
    assert differences("whole", run) == []
