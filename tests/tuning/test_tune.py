"""tune.py as a user runs it, and as it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, command

from evaluation.runs import find_runs, read_run
from tuning.journal import Journal
from tuning.search import search_of

pytestmark = pytest.mark.slow
SMALL = [
    *("env=CartPole", "encoder=mlp", "encoder.width=8", "agent.n_epochs=1", "space.agent.n_steps=[16,32]"),
    *("total_timesteps=512", "evaluation.every=256", "evaluation.episodes=2", "evaluation.final_episodes=3"),
    *("snapshot.every=128", "trials=3", "seeds=2", "prune=false", "output=best.yaml"),
]


def outcomes(*more: str) -> list[tuple]:
    """What was tried and how it ended, of the search in the current folder."""
    journal = Journal(search_of([*SMALL, *more])[0])
    return [(trial.user_attrs["options"], trial.value, trial.user_attrs["scores"]) for trial in journal.finished()]


def start(*more: str) -> subprocess.Popen:
    arguments = [sys.executable, str(PROJECT / "tune.py"), *SMALL, *more]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(pattern: str) -> Path:
    """The first file of this name that appears."""
    for _ in range(1200):
        if found := sorted(Path("runs").rglob(pattern)):
            return found[0]
        time.sleep(0.1)
    raise TimeoutError(pattern)


def workers_of(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_search_whose_processes_are_killed_ends_like_an_undisturbed_one(tmp_path, monkeypatch):
    for name in ("undisturbed", "disturbed"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "undisturbed")
    first = command("tune.py", *SMALL, "jobs=1")
    assert first.returncode == 0, first.stderr
    expected, written = outcomes(), Path("best.yaml").read_text()
    assert len(expected) == 3 and all(len(scores) == 2 for _, _, scores in expected)

    monkeypatch.chdir(tmp_path / "disturbed")
    search = start("jobs=1")
    wait_for("trial=0/seed=10000000/snapshot")
    for worker in workers_of(search.pid):  # the process that trains
        os.kill(worker, signal.SIGKILL)
    wait_for("trial=1/seed=10000000/snapshot")
    search.send_signal(signal.SIGINT)
    said, _ = search.communicate(timeout=200)
    assert search.returncode == 130 and "2 of 3 trials are left, and the same command goes on" in said, said
    assert "ended by SIGKILL" in said
    search = start("jobs=1")
    wait_for("trial=1/seed=10000001/snapshot")
    os.kill(search.pid, signal.SIGKILL)  # the process that trains ends with it
    search.communicate(timeout=200)
    again = command("tune.py", *SMALL, "jobs=1")
    assert again.returncode == 0 and "1 are there" in again.stdout, again.stdout
    assert outcomes() == expected and Path("best.yaml").read_text() == written
    logs = "".join(log.read_text() for log in Path("runs").rglob("trial=*/log.txt"))
    assert logs.count("goes on after") >= 2  # the runs went on from their snapshots
    assert find_runs(Path("runs")) == []  # reports do not count them
    run = read_run(wait_for("trial=0/seed=10000000"))
    assert run.result is not None and run.config["evaluation"]["purpose"] == "tuning"


def test_two_commands_work_on_one_search_and_both_say_how_it_ended():
    searches = [start("trials=5", "seeds=1", "jobs=1") for _ in range(2)]
    said = [search.communicate(timeout=400)[0] for search in searches]
    assert [search.returncode for search in searches] == [0, 0], said
    trials = [re.findall(r"^trial +(\d) of 5", text, flags=re.MULTILINE) for text in said]
    assert sorted(trials[0] + trials[1]) == ["1", "2", "3", "4", "5"] and all(trials)
    ends = {text[text.index("best: ") :] for text in said}
    assert len(ends) == 1 and len(outcomes("trials=5", "seeds=1")) == 5
    assert yaml.safe_load(Path("best.yaml").read_text())["encoder"] == {"width": 8}


def test_what_cannot_be_trained_is_said_before_anything_is():
    for wrong, reason in (
        ("space.agent.gamma=[0.9,1.5,uniform]", "agent.gamma is a number from 0 to 1; got 1.5"),
        ("encoder.width=0", "width is a whole number"),
    ):
        refused = command("tune.py", *SMALL, wrong)
        assert refused.returncode == 2 and reason in refused.stderr, refused.stderr
        assert refused.stderr.count("\n") == 1
    assert not Path("runs").exists()


def test_a_search_whose_trials_all_fail_ends():
    failed = command("tune.py", *SMALL, "space.agent.learning_rate=[1e30,1e35,log]", "trials=20", "jobs=1")
    assert failed.returncode == 1 and "error: no trial succeeded; the last one: failed: " in failed.stderr, (
        failed.stderr
    )
    assert failed.stdout.count("failed: ") == 5 and not Path("best.yaml").exists()


def test_without_optuna_one_line_says_what_to_install(tmp_path):
    (tmp_path / "optuna.py").write_text("raise ImportError('no module')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    refused = command("tune.py", *SMALL, PYTHONPATH=path)
    message = 'error: tune.py needs the package optuna: pip install -e ".[tune]"\n'
    assert (refused.returncode, refused.stderr) == (2, message)
    assert not refused.stdout
