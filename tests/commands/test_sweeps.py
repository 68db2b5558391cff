"""A sweep is checked before its first run, and no run ends the others."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PROJECT, command

from benchmarks.kills import differences
from train import train

FAST = ["total_timesteps=256", "evaluation.every=128", "evaluation.episodes=2", "evaluation.final_episodes=4"]
FAST += ["progress=false"]


@pytest.mark.parametrize(
    ("choices", "impossible", "possible"),
    [
        (["env=CartPole", "encoder=mlp,gnn,cnn"], {"gnn": "reads grids", "cnn": "reads grids"}, "mlp"),
        *[
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (["env=CartPole,Pendulum", "agent=ppo,dqn"], {"Pendulum": "cannot act in Box"}, "CartPole"),
                (["env=CartPole,MountainCar", "symmetry=augment"], {"MountainCar": "declares no symmetry"}, "CartPole"),
                (["env=CartPole", "agent.gamma=0.9,7"], {"7": "agent.gamma is a number from 0 to 1"}, "0.9"),
                (["env=CartPole", "encoder.width=16,0"], {"0": "encoder.width is a whole number"}, "16"),
            )
        ],
    ],
)
def test_a_sweep_with_an_impossible_combination_trains_nothing_and_lists_them_all(choices, impossible, possible):
    done = command("train.py", "-m", *choices, "seed=0,1", *FAST)
    assert done.returncode == 2 and not Path("runs").exists() and "Traceback" not in done.stderr, done.stderr
    lines = done.stderr.splitlines()
    for choice, reason in impossible.items():
        assert any(choice in line and reason in line for line in lines), lines
    assert "steps of" not in done.stdout


FRAGILE = """
import gymnasium, numpy as np
from gymnasium import spaces

class Fragile(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    def __init__(self, fails=None):
        self.fails, self.steps = fails, 0
        if fails == "when made":
            raise KeyError("no motor")
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(2, np.float32), {}
    def step(self, action):
        self.time, self.steps = self.time + 1, self.steps + 1
        if self.fails is not None and self.steps == 20:
            raise {"value": ValueError, "key": KeyError}[self.fails]("the motor is too hot")
        return np.zeros(2, np.float32), 1.0, False, self.time == 10, {}

gymnasium.register("Fragile-v0", Fragile)
"""


@pytest.mark.slow
def test_an_environment_that_cannot_be_made_is_found_before_the_first_run(tmp_path):
    (tmp_path / "fragile.py").write_text(FRAGILE)
    own = ["env=gym", "env.id=fragile:Fragile-v0", "env.kwargs.fails=null,when made"]
    done = command("train.py", "-m", *own, *FAST, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2 and "Traceback" not in done.stderr and not Path("runs").exists(), done.stderr
    assert "no motor" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["value", "key"])
def test_an_exception_of_one_run_ends_no_other_and_is_listed_at_the_end(kind, tmp_path):
    (tmp_path / "fragile.py").write_text(FRAGILE)
    own = ["env=gym", "env.id=fragile:Fragile-v0", f"env.kwargs.fails={kind},null"]
    done = command("train.py", "-m", *own, *FAST, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "Traceback" in done.stderr and "the motor is too hot" in done.stderr
    assert len([*Path("runs").rglob("result.json")]) == 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"fails={kind}" in last and "the motor is too hot" in last


@pytest.mark.slow
def test_a_value_error_of_the_environment_is_not_taken_for_a_mistake_of_the_user(tmp_path):
    (tmp_path / "fragile.py").write_text(FRAGILE)
    own = ["env=gym", "env.id=fragile:Fragile-v0", "env.kwargs.fails=value", "seed=5"]
    done = command("train.py", *own, *FAST, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "Traceback" in done.stderr, done.stderr
    assert 'raise {"value": ValueError' in done.stderr
    assert re.search(
        r"Fragile-v0 raised ValueError in step 10 of episode 2 since reset\(seed=\d+\): the motor", done.stderr
    )


SWEEP = ["env=CartPole", "encoder.width=8", "total_timesteps=3000", "snapshot.every=256"]
SWEEP += ["evaluation.every=1000", "evaluation.episodes=2", "evaluation.final_episodes=4", "progress=false"]


def ended(number: int, seed: int) -> tuple[int, str]:
    """Send a signal to a sweep once its run with this seed has a snapshot -> exit code and standard error."""
    program = [sys.executable, str(PROJECT / "train.py"), "-m", *SWEEP, "seed=0,1,2"]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not Path(f"runs/CartPole/ppo-mlp/encoder.width=8/seed={seed}/snapshot").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_or_killed_goes_on_and_ends_like_one_that_was_not(tmp_path, monkeypatch):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir("whole")
    for seed in range(3):
        train([*SWEEP, f"seed={seed}"])
    monkeypatch.chdir("../killed")
    runs = [Path(f"runs/CartPole/ppo-mlp/encoder.width=8/seed={seed}") for seed in range(3)]
    code, said = ended(signal.SIGTERM, seed=0)
    assert code == 143 and said.splitlines()[-1] == "2 of 3 runs not started; the same command goes on"
    assert ended(signal.SIGKILL, seed=1)[0] == -signal.SIGKILL
    assert [(run / "result.json").exists() for run in runs] == [True, False, False]
    written = {file: file.stat().st_mtime_ns for file in runs[0].rglob("*")}
    done = command("train.py", "-m", *SWEEP, "seed=0,1,2")
    assert done.returncode == 0 and f"{runs[0]} is finished: nothing to train" in done.stdout
    assert "goes on after" in done.stdout and written == {file: file.stat().st_mtime_ns for file in runs[0].rglob("*")}
    assert [differences(tmp_path / "whole" / run, run) for run in runs] == [[], [], []]
