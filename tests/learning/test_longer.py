"""A larger total_timesteps goes on with a run, as if it had been as long from its start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from interrupted import interrupt, of

from benchmarks.kills import differences
from compare import compare_runs
from evaluation.runs import read_run
from learning.snapshot import read_snapshot
from train import train

CONSTANT = {"agent.learning_rate": 1e-3, "agent.clip_range": 0.2}
EXPLORING = {"agent__exploration_initial_eps": 0.1, "agent__exploration_final_eps": 0.1}
OFTEN = {"evaluation": {"every": 64, "episodes": 2, "final_episodes": 3}}
VECTORS = of("CartPole", encoder__width=8) | CONSTANT | OFTEN
CASES = {
    "DoorKey": of("DoorKey-5x5", encoder="cnn", encoder__dropout=0.2, encoder__normalization="batch") | CONSTANT,
    "A2C": of("CartPole", "a2c", n_envs=1, total_timesteps=600),  # after 80 of the 100 rollouts between two logs
    "DQN": of("DoorKey-5x5", "dqn", agent__buffer_size=200, **EXPLORING),
    "QR-DQN": of("CartPole", "qrdqn", **EXPLORING),
    "SAC": of("Pendulum", "sac", env__normalize=True),
    "recurrent PPO": of("DoorKey-5x5", "recurrent_ppo", encoder__width=8) | CONSTANT,
    "distinct": of("DoorKey-5x5", encoder="cnn") | CONSTANT,
}
FILES = ("result.json", "policy/policy.safetensors", "policy/policy.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 256 steps."""
    return train(VECTORS, total_timesteps=256, run_dir=str(tmp_path_factory.mktemp("finished") / "run")).folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that took all of its 384 steps at once."""
    return train(VECTORS, run_dir=str(tmp_path_factory.mktemp("whole") / "run"))


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "runs" / "run")


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def test_a_run_made_longer_equals_one_that_was_as_long_from_its_start(run, whole, capsys):
    longer = train(VECTORS, run_dir=str(run))
    assert "goes on after 256 steps\n" in capsys.readouterr().out
    assert differences(whole.folder, run) == [] and longer.scores == whole.scores
    config = read_run(run).config
    own = {"run_dir": config["run_dir"], "command": config["command"], "decided_for": 256}
    assert config == {**whole.config, **own}
    assert compare_runs(runs=str(run.parent), figures=False).environments[0].contenders[0].budget == 384
    stamps = [(run / name).stat().st_mtime_ns for name in FILES]
    train(VECTORS, run_dir=str(run))
    assert "is finished: nothing to train" in capsys.readouterr().out
    assert stamps == [(run / name).stat().st_mtime_ns for name in FILES]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_so_does_that_of_every_agent(name):
    config = CASES[name]
    train(config, run_dir="whole")
    for total in (config["total_timesteps"] * 2 // 3, config["total_timesteps"]):
        train(config, run_dir="longer", total_timesteps=total)
    assert differences("whole", "longer") == []


def test_an_interrupted_run_can_be_made_longer(whole, monkeypatch):
    interrupt(monkeypatch, {**VECTORS, "total_timesteps": 256})
    train(VECTORS, run_dir="killed")
    assert differences(whole.folder, "killed") == []


def test_the_old_result_is_kept_until_the_longer_run_is_complete(run, whole, monkeypatch, capsys):
    before, old = contents(run), read_run(run)
    interrupt(monkeypatch, VECTORS, at=350, folder=str(run))
    assert contents(run) == before and read_snapshot(run)["steps"] > 256
    with (run / "evaluations.csv").open("a") as file:
        file.write("384,10.0,9")  # what a writer that was killed leaves
    assert read_run(run).evaluations == old.evaluations  # those of the longer run are not of the result
    assert compare_runs(runs=str(run.parent), figures=False).environments[0].contenders[0].budget == 256
    with monkeypatch.context() as patch:
        patch.setattr("learning.learn.StopOnSignal.requested", True)
        assert train(VECTORS, run_dir=str(run)).scores is None
    assert "result.json and policy/ are still those of 256 steps" in capsys.readouterr().out
    assert contents(run) == before
    train(VECTORS, run_dir=str(run))
    assert differences(whole.folder, run) == []


def test_a_run_is_not_made_shorter(run, monkeypatch):
    message = r"a run of total_timesteps=256, which can be made longer but not shorter; got total_timesteps=128; overw"
    with pytest.raises(ValueError, match=message) as error:
        train(VECTORS, run_dir=str(run), total_timesteps=128)
    assert "\n" not in str(error.value)
    interrupt(monkeypatch, VECTORS, at=350, folder=str(run))
    with pytest.raises(ValueError, match="a run of total_timesteps=384, which can be made longer"):
        train(VECTORS, run_dir=str(run), total_timesteps=256)


def test_what_was_decided_for_the_first_length_stays_and_schedules_say_what_they_do(capsys):
    falling = {"agent.learning_rate": "lin_1e-3", "agent.n_steps": 100, "evaluation.every": "auto"}
    config = VECTORS | falling | {"evaluation": {"episodes": 2, "final_episodes": 3}}
    first = train(config, total_timesteps=300, run_dir="run").config
    for total in (500, 700):
        longer = train(config, total_timesteps=total, run_dir="run")
        said = f"agent.learning_rate now depends on {total} steps, so the run will not end like one that was as long"
        assert said in capsys.readouterr().out
        assert longer.config["agent"] == first["agent"] and longer.config["evaluation"] == first["evaluation"]
    assert first["agent"]["n_steps"] == 75 and first["evaluation"]["every"] == 15
    assert longer.scores["steps"] == 900 and longer.config["decided_for"] == 300  # three rollouts of 4 x 75 steps
    with pytest.raises(ValueError, match=r"another configuration \(agent\.gamma was .*, now 0\.9"):
        train(config, total_timesteps=1000, run_dir="run", **{"agent.gamma": 0.9})


def test_a_finished_run_that_cannot_be_made_longer_is_left_as_it_is(run, capsys):
    shutil.rmtree(run / "snapshot")
    before = contents(run)
    with pytest.raises(ValueError, match="is finished and cannot be made longer: it has no snapshot; overwrite=true"):
        train(VECTORS, run_dir=str(run))
    assert contents(run) == before and [*run.parent.iterdir()] == [run]
    train(VECTORS, run_dir=str(run), total_timesteps=256)
    assert "is finished: nothing to train" in capsys.readouterr().out
