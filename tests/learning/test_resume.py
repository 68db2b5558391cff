"""An interrupted run that is started again ends like one that was never interrupted: the same bytes."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import command
from gymnasium import spaces
from interrupted import DEATHS, SHORT, interrupt, of, train_killed

from agents import load_policy
from agents.ppo.compiled import compiler
from benchmarks.kills import differences
from envs.recorded import Recorded
from learning.snapshot import Snapshots, read_snapshot
from train import train

QUICK = {
    "CartPole": of("CartPole", encoder="homomorphic"),
    "DQN": of("DoorKey-5x5", "dqn", agent__buffer_size=200, agent__target_update_interval=60, n_envs=2),
}
EVERY = {
    "Gymnasium's CartPole": of("CartPole", env__engine="gymnasium"),
    "DoorKey": of("DoorKey-5x5", encoder="cnn", encoder__dropout=0.2, encoder__normalization="batch"),
    "SAC": of("Pendulum", "sac", env__normalize=True),
    "Acrobot": of("Acrobot"),
    "Pendulum": of("Pendulum", encoder="homomorphic", env__normalize=True, env__engine="gymnasium"),
    "MountainCar": of("MountainCar"),
    "new levels": of("DoorKey-6x6", env__bank=0),
    "chosen levels": of("DoorKey-5x5", env__levels=20),
    "Gymnasium's DoorKey": of("DoorKey-5x5", encoder="gnn", env__engine="gymnasium"),
    "pixels": of("DoorKey-5x5", encoder="cnn", env__view="rgb"),
    "windows": of("DoorKey-5x5", encoder="lstm"),
    "windows of Gymnasium's": of("DoorKey-5x5", encoder="lstm", env__engine="gymnasium"),
    "shuffled": of("DoorKey-5x5", env__shuffle=1),
    "missions": of("GoToDoor-5x5", encoder="transformer"),
    "chance": of("DynamicObstacles-5x5", encoder="cnn"),
    "Gymnasium's chance": of("DynamicObstacles-5x5", encoder="cnn", env__engine="gymnasium"),
    "hypernetwork": of("DoorKey-5x5", encoder="hypernetwork"),
    "overlap": of("DoorKey-5x5", agent__overlap=True),
    "not distinct": of("DoorKey-5x5", agent__distinct=False),
    "ppo_fast": of("DoorKey-5x5", "ppo_fast"),
    "SB3's PPO": of("CartPole", agent__implementation="sb3"),
    "augment": of("CartPole", symmetry="augment"),
    "average": of("CartPole", symmetry="average"),
    "loss": of("CartPole", symmetry="loss", agent__implementation="sb3"),
    "schedules": of("CartPole", agent__weight_decay=0.01, agent__learning_rate="lin_1e-3", agent__clip_range="lin_0.2"),
    "A2C": of("CartPole", "a2c", total_timesteps=1152, n_envs=1),
    "A2C on grids": of("DoorKey-5x5", "a2c", "cnn", total_timesteps=1152, n_envs=1),
    "SB3's A2C": of("CartPole", "a2c", agent__implementation="sb3", total_timesteps=1152, n_envs=1),
    "recurrent PPO": of("DoorKey-5x5", "recurrent_ppo"),
    "SB3's recurrent PPO": of("CartPole", "recurrent_ppo", agent__implementation="sb3"),
    "FrozenLake": of("FrozenLake-v1"),
    "Blackjack": of("Blackjack-v1"),
    "DQN, vectors": of("CartPole", "dqn", agent__train_freq=4, agent__n_steps=3),
    "SB3's DQN": of("CartPole", "dqn", agent__train_freq=4, agent__implementation="sb3", agent__buffer_size=200),
    "DQN, normalized": of("CartPole", "dqn", agent__train_freq=4, env__normalize=True),
    "DQN, augment": of("CartPole", "dqn", agent__train_freq=4, symmetry="augment"),
    "QR-DQN": of("CartPole", "qrdqn", agent__train_freq=4),
    "SB3's QR-DQN": of("DoorKey-5x5", "qrdqn", agent__implementation="sb3"),
    "SAC, fixed temperature": of("Pendulum", "sac", agent__ent_coef=0.1, env__engine="gymnasium"),
    "SB3's SAC": of("Pendulum", "sac", agent__implementation="sb3"),
    "TD3": of("Pendulum", "td3"),
    "SB3's TD3": of("Pendulum", "td3", agent__implementation="sb3", n_envs=2),
}
COMPILED = {
    "compiled PPO": of("CartPole", agent__implementation="compiled"),
    "compiled DQN": of("DoorKey-5x5", "dqn", agent__implementation="compiled"),
    "compiled SAC": of("Pendulum", "sac", agent__implementation="compiled"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of QUICK["CartPole"] that was never interrupted."""
    return train(QUICK["CartPole"], run_dir=str(tmp_path_factory.mktemp("whole") / "run")).folder


def check_that_it_ends_alike(config: dict[str, Any], monkeypatch: Any, capsys: Any, deaths: list[int]) -> None:
    longer = config["total_timesteps"] // SHORT["total_timesteps"]
    train(config, run_dir="whole")
    train_killed(monkeypatch, [at * longer for at in deaths], config, "killed")
    assert differences("whole", "killed") == []
    assert capsys.readouterr().out.count("goes on after") == len(deaths)


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_run_ends_like_one_that_was_never_interrupted(name, monkeypatch, capsys):
    check_that_it_ends_alike(QUICK[name], monkeypatch, capsys, DEATHS)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_so_does_every_agent_in_every_kind_of_environment(name, monkeypatch, capsys):
    check_that_it_ends_alike(EVERY[name], monkeypatch, capsys, DEATHS[:1])


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("name", COMPILED)
def test_so_do_compiled_ones(name, monkeypatch, capsys):
    check_that_it_ends_alike(COMPILED[name], monkeypatch, capsys, DEATHS[:1])


def test_what_a_run_goes_on_from_decides_its_end(whole, monkeypatch):
    """The comparison finds a run that forgets one thing of its snapshot."""
    monkeypatch.setattr("learning.randomness.restore", lambda model, state: None)
    train_killed(monkeypatch, DEATHS[:1], QUICK["CartPole"], "killed")
    assert {"policy/policy.safetensors", "progress.csv", "train/loss"} <= {*differences(whole, "killed")}


def test_a_resumed_run_counts_the_time_before_its_interruption(monkeypatch):
    config = QUICK["CartPole"]
    take = Snapshots.take

    def long_ago(self):
        spent = self.seconds
        self.seconds = lambda: {key: value + 1000 for key, value in spent().items()}
        take(self)

    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "take", long_ago)
        patch.setattr(Snapshots, "_on_step", lambda self: self.model.num_timesteps < 150)
        with contextlib.suppress(BaseException):
            patch.setattr("learning.learn.rollout", lambda *_, **__: 1 / 0)  # it dies after learning
            train(config, run_dir="run")
    train(config, run_dir="run")
    timing = json.loads(Path("run/timing.json").read_text())
    assert timing["learning_seconds"] >= 1000 and timing["evaluation_seconds"] >= 1000
    assert timing["wall_seconds"] >= timing["learning_seconds"] + timing["evaluation_seconds"]
    assert timing["steps_per_second"] <= 384 / 1000 + 1


@pytest.mark.slow
def test_processes_killed_at_any_moment_lose_no_snapshot_and_end_alike():
    done = command("benchmarks/kills.py", "--agents", "ppo", "--kills", "8", "--signals", "KILL", "KILL", "TERM", "INT")
    assert done.returncode == 0 and "0 snapshots lost, all ends alike" in done.stdout, done.stdout + done.stderr
    assert int(re.search(r"8 kills, (\d+) of them within a save", done.stdout)[1])


def test_when_snapshots_are_taken_changes_no_byte_of_a_result(whole, monkeypatch):
    config = QUICK["CartPole"]
    train(config, run_dir="few", **{"snapshot.every": 10**12})
    train_killed(monkeypatch, DEATHS, {**config, "snapshot": {"every": "0.00001min", "keep": 1}}, "many")
    assert differences(whole, "few") == differences(whole, "many") == []
    taken = [folder.name for folder in Path("many/checkpoints").iterdir()]
    assert taken == ["steps=384"] and read_snapshot(Path("few"))["steps"] == 384


def test_changed_options_are_named_and_refused(monkeypatch):
    config = QUICK["CartPole"]
    interrupt(monkeypatch, config)
    before = read_snapshot(Path("killed"))
    with pytest.raises(ValueError, match=r"another configuration \(agent\.gamma was 0\.99, now 0\.9\); overwrite=true"):
        train(config, run_dir="killed", **{"agent.gamma": 0.9})
    assert read_snapshot(Path("killed"))["steps"] == before["steps"]
    changed = {"device": "cpu", "snapshot": {"every": 100}, "evaluation.patience": 40_000}
    assert train({**config, **changed}, run_dir="killed").scores is not None


def test_the_snapshot_before_is_read_if_the_last_one_is_damaged(whole, monkeypatch, caplog):
    config = QUICK["CartPole"]
    interrupt(monkeypatch, config)
    folder = Path("killed/snapshot")
    Path("killed/.snapshot.old").mkdir()
    for file in folder.iterdir():
        (Path("killed/.snapshot.old") / file.name).write_bytes(file.read_bytes())
    content = bytearray((folder / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "state.safetensors").write_bytes(content)
    train(config, run_dir="killed")
    assert "the version before it is read instead" in caplog.text
    assert differences(whole, "killed") == []


def test_a_damaged_snapshot_is_an_error_that_names_it_and_leaves_the_run_as_it_is(monkeypatch):
    config = QUICK["CartPole"]
    interrupt(monkeypatch, config)
    file = Path("killed/snapshot/state.json")
    file.write_text(file.read_text().replace("num_timesteps", "num_timestepz"))
    with pytest.raises(ValueError, match=r"killed/snapshot/state.json is damaged"):
        train(config, run_dir="killed")
    Path("killed/snapshot/manifest.json").unlink()  # nobody compares checksums now
    with pytest.raises(ValueError, match=r"killed/snapshot is damaged"):
        train(config, run_dir="killed")
    Path("killed/log.txt").write_text("")
    with pytest.raises(ValueError, match=r"killed/log.txt is shorter than it was"):
        train(config, run_dir="killed")
    assert not [*Path().glob("killed.old-*")]


def test_a_run_without_a_snapshot_begins_anew_and_says_so(monkeypatch, capsys):
    interrupt(monkeypatch, QUICK["CartPole"], at=40)
    assert train(QUICK["CartPole"], run_dir="killed").scores is not None
    out = capsys.readouterr().out
    assert "the interrupted run had not come to its first snapshot: it begins anew" in out
    assert Path("killed.old-1/config.yaml").exists()


def test_what_cannot_be_resumed_is_said_by_name(monkeypatch, capsys):
    config = {**EVERY["SAC"], "agent.use_sde": True, "total_timesteps": 128}
    interrupt(monkeypatch, config, at=100)
    assert not Path("killed/snapshot").exists()
    assert train(config, run_dir="killed").scores is not None
    assert "agent=sac cannot be resumed yet (agent.use_sde=true keeps a noise matrix" in capsys.readouterr().out


class Drifting(gymnasium.Env):
    """Its observations depend on all episodes since it was made."""

    observation_space, action_space = spaces.Box(-1e6, 1e6, (1,), np.float32), spaces.Discrete(2)

    def __init__(self) -> None:
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.array([self.steps], np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.array([self.steps], np.float32), 0.0, self.steps % 7 == 0, False, {}


def test_an_environment_whose_state_crosses_resets_is_refused_by_name(monkeypatch):
    gymnasium.register("Drifting-v0", Drifting)
    try:
        config = of("Drifting-v0")
        interrupt(monkeypatch, config)
        with pytest.raises(
            ValueError, match=r"environment Drifting-v0 cannot be resumed: .*overwrite=true trains anew"
        ):
            train(config, run_dir="killed")
    finally:
        gymnasium.registry.pop("Drifting-v0")


def test_an_episode_played_again_comes_to_the_same_state():
    env, again = (Recorded(gymnasium.make("FrozenLake-v1")) for _ in range(2))
    env.reset(seed=5)
    for _ in range(3):
        env.reset()
    seen = [env.step(action)[0] for action in (1, 2, 1)]
    assert again.replay(env.saved())[0] == seen[-1]
    assert [env.step(0)[:3] for _ in range(3)] == [again.step(0)[:3] for _ in range(3)]


def test_the_last_policies_are_kept_as_checkpoints(monkeypatch):
    config = {**QUICK["CartPole"], "snapshot": {"every": 64, "keep": 2}}
    train_killed(monkeypatch, DEATHS, config, "killed")
    kept = sorted(path.name for path in Path("killed/checkpoints").iterdir())
    assert kept == ["steps=320", "steps=384"]
    assert load_policy(f"killed/checkpoints/{kept[0]}").predict(np.zeros(4, np.float32))
