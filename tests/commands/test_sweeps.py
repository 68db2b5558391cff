"""A sweep is checked before its first run, and no run ends the others."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from conftest import command
from sweeping import RUNS, SWEEP, alive, ends, has_begun, started

from benchmarks.kills import differences
from configs import compose, grid
from sweeps import processes
from sweeps.attempt import Outcome, printing_to
from sweeps.processes import Processes
from sweeps.sweep import Sweep
from sweeps.view import View
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
                (["env=CartPole,MountainCar", "symmetry=augment"], {"MountainCar": "declares no symmetry"}, "CartPole"),
                (["env=CartPole", "agent.gamma=0.9,7"], {"7": "agent.gamma is a number from 0 to 1"}, "0.9"),
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
    assert done.returncode == 1 and "once more at the end" in done.stdout, done.stderr
    assert sorted(log.read_text().count("Traceback") for log in Path("runs").rglob("seed=0.log")) == [0, 4]
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


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_sweep_that_is_interrupted_or_killed_goes_on_and_ends_like_one_that_was_not(tmp_path, monkeypatch):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir("whole")
    for seed in range(3):
        train([*SWEEP, f"seed={seed}"])
    monkeypatch.chdir("../killed")

    process = started("launcher.jobs=2")
    children = [has_begun(process, seed) for seed in (0, 1)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "2 of 3 runs interrupted, 1 of 3 runs not started; the same command goes on"
    assert not any((run / "result.json").exists() for run in RUNS) and not any(map(alive, children))

    process = started("launcher.jobs=2")
    children = [has_begun(process, seed) for seed in (0, 1)]
    process.kill()
    process.communicate(timeout=120)
    assert all(map(ends, children))
    assert not any((run / "result.json").exists() for run in RUNS), "they went on without the parent"

    process = started("launcher.jobs=2")
    os.kill(has_begun(process, 2), signal.SIGKILL)
    out, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "seed=2: its process was ended by SIGKILL" in out and out.count("done      seed=") == 3
    assert all("goes on after" in run.with_name(f"{run.name}.log").read_text() for run in RUNS)
    assert [differences(tmp_path / "whole" / run, run) for run in RUNS] == [[], [], []]

    written = {file: file.stat().st_mtime_ns for run in RUNS for file in run.rglob("*")}
    done = command("train.py", "-m", *SWEEP, "seed=0,1,2")
    assert done.returncode == 0 and done.stdout.count("was finished") == 3
    assert written == {file: file.stat().st_mtime_ns for run in RUNS for file in run.rglob("*")}


def work(overrides: list[str]) -> Outcome:
    """A run that does what its one override says."""
    log = Path(f"{overrides[0]}.log")
    with printing_to(log):
        print("here")
    tries = log.read_text().count("here")
    if (overrides[0] == "dies once" and tries == 1) or overrides[0] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome({"mistaken": 2}.get(overrides[0], 0), "as asked")


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_process_that_dies_costs_its_run_only_which_is_tried_twice_and_a_mistake_once(method, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    monkeypatch.setattr(processes, "METHOD", method)
    names, shown = ["dies", "dies once", "mistaken", "ends"], io.StringIO()
    sweep = Sweep(Processes(work, 2), [[name] for name in names], View(shown))
    sweep.run()
    assert {run.name: run.tries for run in sweep.done} == {"dies once": 2, "ends": 1}
    assert {run.name: run.tries for run in sweep.failed} == {"dies": 2, "mistaken": 1}
    assert next("SIGKILL" in run.outcome.said for run in sweep.failed if run.name == "dies")
    assert {name: Path(f"{name}.log").read_text().count("here") for name in names} == dict(
        zip(names, (2, 2, 1, 1), strict=True)
    )
    lines = shown.getvalue().splitlines()
    assert sum("once more at the end" in line for line in lines) == 2 and "\r" not in shown.getvalue()
    assert lines[-1] == "2 of 4 done, 0 running, 2 failed"


class Slots:
    """A launcher with a clock of its own: each run takes 10 s, and the second one waits 5 s in a queue."""

    def __init__(self):
        self.time, self.begun = 0.0, {}

    def room(self):
        return 2

    def start(self, jobs):
        return [SlotRun(self, self.time + 5 * (job == ["seed=1"])) for job in jobs]

    def wait(self, attempts, seconds):
        self.time += 1


class SlotRun:
    def __init__(self, slots, begins):
        self.slots, self.begins = slots, begins

    def running(self):
        return self.slots.time >= self.begins

    def ended(self):
        return self.slots.time >= self.begins + 10

    def outcome(self):
        return Outcome(0, "return 1")


def test_the_time_left_is_that_of_the_runs_so_far(monkeypatch):
    slots, shown = Slots(), io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: slots.time)
    Sweep(slots, [[f"seed={seed}"] for seed in range(4)], View(shown)).run()
    states = [line for line in shown.getvalue().splitlines() if " of 4 done" in line]
    assert states == [
        "1 of 4 done, 2 running, 0 failed, about 12 s left",
        "2 of 4 done, 2 running, 0 failed, about 8 s left",
        "3 of 4 done, 1 running, 0 failed, about 5 s left",
        "4 of 4 done, 0 running, 0 failed",
    ]


def test_on_a_terminal_the_last_line_is_drawn_anew_and_events_stay_above_it():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    view = View(screen := Terminal())
    view.show("0 of 2 done")
    view.event("done", "seed=0", "return 1.0")
    view.show("1 of 2 done")
    view.close()
    lines = [line.rpartition("\r\x1b[K")[2] for line in screen.getvalue().split("\n")]
    assert lines == ["done      seed=0: return 1.0", ""]
    assert screen.getvalue().count("0 of 2 done") == 2, "the event has removed the state"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("launcher.jobs=0", "auto, or 1 or more; got 0"),
        ("launcher.jobs=many", "auto, or 1 or more; got many"),
        ("launcher=rai", "no launcher is called 'rai'"),
        ("launcher.job=2", "launcher.job"),
    ],
)
def test_a_launcher_that_cannot_be_is_refused(typed, said):
    with pytest.raises(compose.UsageError, match=said) as refused:
        grid.parted("train", ["seed=0,1", typed])
    assert "\n" not in str(refused.value)


@pytest.fixture
def own_grid(tmp_path, monkeypatch):
    """An experiment with a grid, in a copy of the configuration."""
    shutil.copytree(compose.FOLDER, folder := tmp_path / "configs")
    for module in (compose, grid):
        monkeypatch.setattr(module, "FOLDER", folder)
    file = folder / "experiment" / "own.yaml"
    file.write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      env: DoorKey-5x5,MiniGrid-Unlock-v0\n"
        "      encoder: cnn,gnn\nenv:\n  levels: 10\n"
    )
    return folder


def test_an_experiment_may_hold_a_grid_and_what_is_typed_wins(own_grid):
    def combinations(*typed):
        settled = compose.settle("train", typed)
        return grid.jobs(compose.settle("train", grid.grid_of(settled)) + settled)

    whole = combinations("experiment=own", "seed=0,1")
    assert len(whole) == 8 and {job[0] for job in whole} == {"env=DoorKey-5x5", "env=Unlock"}
    assert compose.compose("train", whole[-1])["env"]["levels"] == 10
    assert combinations("experiment=own", "env=LavaGapS7", "seed=2") == [
        [f"encoder={encoder}", "experiment=own", "env=LavaGapS7", "seed=2"] for encoder in ("cnn", "gnn")
    ]
    with pytest.raises(compose.UsageError, match="swept alone"):
        combinations("experiment=own,null")
