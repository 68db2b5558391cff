"""Sweeps on clusters: a real Ray cluster of two nodes, and submitit's local executor, with workers that are killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from sweeping import RUNS, SWEEP, has_begun, parent, started

from benchmarks.kills import differences
from configs.compose import UsageError
from configs.grid import check_installed, parted
from train import train

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def needs(package: str, extra: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f'needs {package}: pip install -e ".[{extra}]"')


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Where the three runs of `sweeping` were trained by themselves."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for seed in range(3):
            train([*SWEEP, f"seed={seed}"])
    return folder


@pytest.fixture
def two_nodes(monkeypatch):
    """The address of a Ray cluster of two nodes with a CPU each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # tokens would be kept in the home folder
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray") as folder, contextlib.ExitStack() as nodes:
        head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
        for options in (head, [f"--address=127.0.0.1:{port}"]):
            words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--block", *options]
            node = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            nodes.callback(node.communicate)
            nodes.callback(node.terminate)  # which ends all processes of the node
            said = iter(node.stdout.readline, "")
            assert any("runtime started" in line for line in said), "it ended"
        yield f"127.0.0.1:{port}"


@linux
@needs("ray", "ray")
@pytest.mark.slow
def test_runs_on_two_nodes_of_ray_survive_ctrl_c_and_a_killed_worker(whole, two_nodes):
    ray = ["launcher=ray", f"launcher.address={two_nodes}"]
    process = started(*ray)
    workers = [has_begun(process, seed) for seed in (0, 1)]
    assert parent(workers[0]) != parent(workers[1]), "one node has both"
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "2 of 3 runs interrupted, 1 of 3 runs not started; the same command goes on"
    assert all("stopping after this rollout" in run.with_name(f"{run.name}.log").read_text() for run in RUNS[:2])

    process = started(*ray)
    os.kill(has_begun(process, 2), signal.SIGKILL)
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, out + said
    assert re.search("failed    seed=2: .*; once more at the end", out) and out.count("done      seed=") == 3
    assert all("goes on after" in run.with_name(f"{run.name}.log").read_text() for run in RUNS)
    assert [differences(whole / run, run) for run in RUNS] == [[], [], []]


@linux
@needs("submitit", "slurm")
@pytest.mark.slow
def test_jobs_of_submitit_survive_a_killed_worker_and_are_queued_again_when_their_time_is_over(whole):
    options = ["launcher=slurm", "launcher.cluster=local", "launcher.jobs=2", "launcher.parameters.timeout_min=10"]
    process = started(*options)
    os.kill(has_begun(process, 0), signal.SIGKILL)
    os.kill(has_begun(process, 1), signal.SIGUSR2)  # as Slurm does in the last ten minutes of the time limit
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, out + said
    assert re.search("failed    seed=0: .*; once more at the end", out) and out.count("done      seed=") == 3
    assert out.count("failed  ") == 1
    assert all("goes on after" in run.with_name(f"{run.name}.log").read_text() for run in RUNS[:2])
    assert [differences(whole / run, run) for run in RUNS] == [[], [], []]


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_launcher_whose_extra_is_missing_says_which(launcher, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as refused:
        check_installed(parted("train", [f"launcher={launcher}"])[0])
    assert str(refused.value) == f'launcher={launcher} needs the package {package}: pip install -e ".[{launcher}]"'
