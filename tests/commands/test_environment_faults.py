"""Faults of an environment, met in training or evaluation, are neither the user's nor the learner's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import strange_spaces
from conftest import PROJECT, command

from agents import load_policy
from envs.engine.makers.families import FAMILIES
from envs.errors import EnvironmentFailed
from envs.make import make_nth_env
from evaluate import evaluate
from learning.crash import write_crash
from train import train

RAISED = r"environment Broken-v0 raised ValueError in step 3 .*the door is gone"
QUICK = {"encoder": "mlp", "agent": "a2c", "n_envs": 2, "total_timesteps": 64, "evaluation.every": 64}
QUICK |= {"evaluation.episodes": 2, "evaluation.final_episodes": 2}


def test_an_environment_that_raises_a_value_error_is_no_usage_error_in_training(tmp_path):
    with pytest.raises(Exception, match=RAISED) as raised:
        train({"env": "Broken-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    assert not isinstance(raised.value, ValueError) and isinstance(raised.value.__cause__, ValueError)


def test_an_environment_that_raises_a_value_error_is_no_usage_error_in_evaluation(tmp_path):
    result = train({"env": "Strange-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    with pytest.raises(Exception, match=RAISED) as raised:
        evaluate({"policy": str(result.folder), "env": "Broken-v0", "episodes": 2})
    assert not isinstance(raised.value, ValueError) and isinstance(raised.value.__cause__, ValueError)


def test_nan_from_the_environment_is_not_blamed_on_learning(tmp_path):
    with pytest.raises(FloatingPointError, match=r"Poisoned-v0, .* returned nan as observation 'b'") as raised:
        train({"env": "Poisoned-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    assert "learning" not in str(raised.value)


FAULTY = """
import os, sys, time
import gymnasium, numpy as np
from gymnasium import spaces


class Faulty(gymnasium.Env):
    \"\"\"Its number is a random walk; it fails in the step that takes it too far.\"\"\"

    observation_space, action_space = spaces.Box(-9, 9, (1,), np.float64), spaces.{actions}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = np.zeros(1)
        return self.at.copy(), {{}}

    def step(self, action):
        self.at = self.at + self.np_random.normal() + np.sum(action)
        if abs(self.at[0]) > 4:
            {fault}
        return self.at.copy(), 1.0, False, self.np_random.random() < 0.1, {{}}


gymnasium.register("Faulty-v0", Faulty)
"""
TRAINED = ["train.py", "env=gym", "env.id=faulty_pkg:Faulty-v0", "encoder=mlp", "agent=a2c", "run_dir=run"]
TRAINED += ["total_timesteps=4000", "progress=false"]


def package(fault: str, actions: str = "Discrete(2)") -> dict[str, str]:
    """Write a package with an environment that fails -> what a command that may import it needs."""
    Path("faulty_pkg.py").write_text(FAULTY.format(fault=fault, actions=actions))
    return {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize(("name", "raised"), [("Broken", "ValueError"), ("Leaving", "SystemExit")])
def test_the_episode_that_ended_in_an_exception_is_played_again(name, raised, capsys, monkeypatch):
    where = rf"raised {raised} in step 3 .*played again by .*replay=run/crash.json\. What was learned is in run/policy;"
    with pytest.raises(EnvironmentFailed, match=where + " there is no snapshot yet"):
        train({"env": "gym", "env.id": f"strange_spaces:{name}-v0", "run_dir": "run", **QUICK}, seed=7)
    assert load_policy("run")
    with pytest.raises(ValueError, match=r"would import strange_spaces; if you trust it, add trust=\[strange_spaces\]"):
        evaluate(replay="run/crash.json")
    again = evaluate(replay="run/crash.json", trust=["strange_spaces"])
    assert again == {"replay": "run/crash.json", "raised": raised, "step": 3, "same": True}
    said = capsys.readouterr().out
    assert f"the same exception came in the same place: {raised} in step 3" in said and "in _fail" in said

    crash = json.loads(Path("run/crash.json").read_text())
    assert crash["episode"]["seed"] == 7 and crash["environment"]["index"] == 0
    crash["episode"]["actions"]["values"].pop()
    Path("shorter.json").write_text(json.dumps(crash))
    shorter = evaluate(replay="shorter.json", trust=["strange_spaces"])
    assert (shorter["raised"], shorter["step"], shorter["same"]) == (None, 2, False)
    assert f"no exception came in 2 steps; the crash file tells of {raised} in step 3" in capsys.readouterr().out
    monkeypatch.setattr(strange_spaces.Broken, "_fail", lambda self: self.door)
    other = evaluate(replay="run/crash.json", trust=["strange_spaces"])
    assert (other["raised"], other["step"], other["same"]) == ("AttributeError", 0, False)


@pytest.mark.parametrize("engine", ["batched", "gymnasium"])
def test_a_level_that_cannot_be_made_is_in_the_crash_file(engine, monkeypatch, capsys):
    from minigrid.envs import EmptyEnv

    own, made = EmptyEnv._gen_grid, []

    def generate(self, width, height):
        made.append(1)
        return own(self, width, height) if len(made) < 60 else {}["door"]

    options = {"env.engine": engine, "env.kwargs": {"size": 6}, "env.bank": 5000, "total_timesteps": 4000, "n_envs": 8}
    with monkeypatch.context() as patch:
        patch.delitem(FAMILIES, EmptyEnv)  # Farama's Python makes the levels
        patch.setattr(EmptyEnv, "_gen_grid", generate)
        with pytest.raises(EnvironmentFailed, match=r"KeyError in (the )?reset.*\d+.*replay=run/crash\.json"):
            train({**QUICK, **options, "env": "Empty-8x8", "run_dir": "run", "env.kwargs.max_steps": 9})
        assert json.loads(Path("run/crash.json").read_text())["level"] is not None
        assert evaluate(replay="run/crash.json")["same"]
    assert " of level " in capsys.readouterr().out
    assert evaluate(replay="run/crash.json")["raised"] is None


def altered(crash, path, value):
    *way, last = path.split(".")
    place = crash
    for key in way:
        place = place[key]
    place[last] = value
    return json.dumps(crash)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 2, "format is a whole number from 1 to 1; got 2"),
        ("format", True, "format is"),
        ("environment", [], "environment is a mapping"),
        ("environment.id", "os:system", r"would import os; if you trust it, add trust=\[os\]"),
        ("environment.id", 3, "environment.id is a text"),
        ("environment.id", "Nowhere-v0", "no environment is called 'Nowhere-v0'"),
        ("environment.index", -1, "environment.index is a whole number"),
        ("environment.entry_point", "os:system", "environment has no entry 'entry_point'"),
        ("environment.kwargs", {"size": 10**9}, "environment.kwargs.size is at most 1,000"),
        ("episode.random", {"bit_generator": "PCG64"}, "cannot begin"),
        ("episode.counters", [[0, 0]] * 9, "cannot begin"),
        ("episode.seed", "seven", "episode.seed is a whole number"),
        ("episode.actions", {"dtype": "object", "values": []}, "episode.actions.dtype is one of"),
        ("episode.actions.values", [[1], 2], "no crash file that can be played"),
        ("episode.actions.values", ["os"], "no crash file that can be played"),
        ("episode.actions.values", [1.5], "episode.actions are not all int64"),
        ("error", {}, "error lacks type, step"),
    ],
)
def test_a_crash_file_from_outside_is_data(path, value, message):
    played = make_nth_env("Empty-8x8", 0)
    played.reset(seed=3)
    played.step(np.int64(2))
    error = EnvironmentFailed("it failed")
    error.__cause__, error.played = KeyError("door"), played.played()
    write_crash(Path("crash.json"), error, {})
    crash = json.loads(Path("crash.json").read_text())
    assert evaluate(replay="crash.json") == {"replay": "crash.json", "raised": None, "step": 1, "same": False}
    Path("crash.json").write_text(altered(crash, path, value))
    with pytest.raises(ValueError, match=message):
        evaluate(replay="crash.json")


@pytest.mark.slow
def test_as_commands_it_ends_with_1_and_when_mended_with_0():
    env = package("raise KeyError('door')")
    failed = command(*TRAINED, **env)
    assert failed.returncode == 1 and "environment Faulty-v0 raised KeyError in step " in failed.stderr, failed.stderr
    again = command("evaluate.py", "replay=run/crash.json", "trust=[faulty_pkg]", **env)
    assert again.returncode == 1 and "the same exception came in the same place" in again.stdout, again.stderr
    package("pass")
    mended = command("evaluate.py", "replay=run/crash.json", "trust=[faulty_pkg]", **env)
    assert mended.returncode == 0 and "no exception came in" in mended.stdout, mended.stderr


@pytest.mark.slow
def test_an_environment_that_leaves_the_program_does_not_end_it_in_silence():
    done = command(*TRAINED, **package("sys.exit(0)"))
    assert done.returncode == 1 and "environment Faulty-v0 raised SystemExit in step " in done.stderr


@pytest.mark.slow
def test_an_environment_that_hangs_loses_nothing_and_two_signals_end_it():
    env = {**os.environ, **package("print('it hangs', flush=True), time.sleep(1000)", "Box(-1, 1, (2,))")}
    program = [sys.executable, str(PROJECT / TRAINED[0]), *TRAINED[1:]]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert any("it hangs" in line for line in process.stdout)
            process.send_signal(signal.SIGTERM)
            assert any("SIGTERM: stopping after this rollout; a second" in line for line in process.stderr)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in err
    assert "what was learned is in run/policy" in out and load_policy("run")
