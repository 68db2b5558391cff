"""Evaluations: which episodes are counted, and what ends an evaluation that would never end by itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from conftest import command
from gymnasium.wrappers import TimeLimit, TransformReward
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents import load_policy
from envs import make_vec_env
from envs.levels import level_seeds
from evaluate import evaluate
from evaluation.callbacks import StopOnSignal
from evaluation.rollout import EndlessEpisode, Interrupted, rollout
from train import train


class Idle:
    """Pushes nothing."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.zeros((len(observation), 1), np.float32), None


def pendulums(*limits: int | None) -> DummyVecEnv:
    """Pendulums, whose episodes end after these numbers of steps, None: never."""

    def made(limit):
        env = gymnasium.make("Pendulum-v1").unwrapped
        return Monitor(env if limit is None else TimeLimit(env, limit))

    return DummyVecEnv([lambda limit=limit: made(limit) for limit in limits])


def test_each_environment_plays_a_fixed_share_of_the_episodes_however_short_they_are():
    assert rollout(Idle(), pendulums(2, 9), 6, seed=0).lengths.tolist() == [2, 9, 2, 9, 2, 9]
    assert rollout(Idle(), pendulums(9, 2, 3), 5, seed=0).lengths.tolist() == [9, 2, 3, 2, 3]
    assert rollout(Idle(), pendulums(2, 9, 3), 2, seed=0).lengths.tolist() == [9, 3]


def test_an_episode_is_the_same_whatever_the_others_lengths_are():
    long, short = (rollout(Idle(), pendulums(3, limit), 4, seed=5).returns for limit in (50, 2))
    assert np.array_equal(long[::2], short[::2]) and not np.array_equal(long[1::2], short[1::2])


class Turning:
    """Turns left, in MiniGrid."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.zeros(len(observation["image"]), np.int64), None


@pytest.mark.parametrize("engine", ["batched", "gymnasium"])
def test_every_episode_says_which_level_it_played(engine):
    env = make_vec_env("Empty-8x8", n_envs=3, engine=engine, bank=0, first_level=7, kwargs={"max_steps": 4})
    played = rollout(Turning(), env, 9, seed=5).levels
    expected = [level_seeds(5, np.arange(3), np.full(3, episode), bank=0, first=7) for episode in range(3)]
    assert played.tolist() == np.concatenate(expected).tolist()
    assert rollout(Idle(), pendulums(2), 1, seed=0).levels is None


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -float("inf")])
def test_a_return_that_is_not_finite_is_no_score(reward):
    env = pendulums(3)
    env.envs[0] = TransformReward(env.envs[0], lambda _: reward)
    with pytest.raises(FloatingPointError, match=r"add up to -?(nan|inf)"):
        rollout(Idle(), env, 1, seed=0)


def test_a_rollout_that_waits_too_long_for_an_episode_to_end_is_an_error():
    with pytest.raises(EndlessEpisode, match=r"waited 20 steps .*env\.kwargs\.max_episode_steps=<steps>"):
        rollout(Idle(), pendulums(None), 1, seed=0, patience=20)
    # episodes beyond an environment's share end nothing that is waited for
    with pytest.raises(EndlessEpisode):
        rollout(Idle(), pendulums(2, None), 2, seed=0, patience=20)
    # patience is for the next episode, not for all
    assert len(rollout(Idle(), pendulums(20), 5, seed=0, patience=20).lengths) == 5


def test_a_rollout_stops_when_it_is_asked_to():
    asked = iter([False, False, True])
    with pytest.raises(Interrupted):
        rollout(Idle(), pendulums(5), 1, seed=0, stop=lambda: next(asked))
    assert not list(asked)


class Endless(gymnasium.Env):
    """Sends a signal to the process at its `at`-th step."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    steps = 0

    def __init__(self, at: int = 0, number: int = 0, length: int = 0):
        self.at, self.number, self.length, self.played = at, number, length, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.played = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        Endless.steps += 1
        self.played += 1
        if Endless.steps == self.at:
            os.kill(os.getpid(), self.number)
        return np.zeros(1, np.float32), 0.0, self.played == self.length, False, {}


@pytest.fixture(autouse=True)
def endless():
    """Is registered for a test."""
    Endless.steps = 0
    gymnasium.register("Endless-v0", Endless)
    yield
    gymnasium.registry.pop("Endless-v0")


ENDLESS = {"env": "Endless-v0", "encoder": "mlp", "agent": {"name": "ppo", "n_steps": 16, "batch_size": 16}}
ENDLESS |= {"n_envs": 2, "total_timesteps": 64, "progress": False, "run_dir": "run"}


def evaluations(every: int) -> dict[str, int]:
    return {"every": every, "episodes": 2, "final_episodes": 4}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("every", "length", "at", "evaluated"), [(32, 0, 300, 0), (64, 10, 92, 1)])
def test_a_signal_within_an_evaluation_saves_what_was_learned(number, every, length, at, evaluated, capsys):
    """Within the first one, whose episodes never end, and within the final one."""
    env = {"name": "Endless-v0", "kwargs": {"at": at, "number": int(number), "length": length}}
    result = train({**ENDLESS, "env": env, "evaluation": evaluations(every)})
    assert result.scores is None and not Path("run/result.json").exists()
    assert load_policy("run").predict(np.zeros(1, np.float32))
    goes_on = "the same command goes on from there; " if every > 32 else ""
    said = f"interrupted after {every} steps; {goes_on}what was learned is in {Path('run/policy')}"
    assert capsys.readouterr().out.splitlines()[-1] == said
    assert len(Path("run/evaluations.csv").read_text().splitlines()) == 1 + evaluated


def test_a_second_signal_interrupts_at_once():
    with StopOnSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("every", [32, 1000])
def test_endless_episodes_end_a_run_with_one_line_and_save_what_was_learned(every):
    settings = {**ENDLESS, "evaluation": {**evaluations(every), "patience": 50}}
    with pytest.raises(EndlessEpisode, match=r"env\.kwargs\.max_episode_steps=<steps>.*learned is in run.policy"):
        train(settings)
    assert load_policy("run").predict(np.zeros(1, np.float32)) and not Path("run/result.json").exists()
    with pytest.raises(EndlessEpisode, match=r"waited 40 steps"):
        evaluate(policy="run", env="Endless-v0", patience=40)
    scores = evaluate(policy="run", patience=40, episodes=3, **{"env.kwargs.max_episode_steps": 30})
    assert scores["greedy"]["length"]["mean"] == 30 and scores["kwargs"] == {"max_episode_steps": 30}


def test_a_time_limit_of_the_users_holds_in_training_and_in_evaluation():
    train({**ENDLESS, "evaluation": evaluations(32)}, **{"env.kwargs.max_episode_steps": 7})
    lines = Path("run/evaluations.csv").read_text().splitlines()
    assert [line.split(",")[-1] for line in lines] == ["length", "7.0", "7.0"]
    assert evaluate(policy="run", episodes=2)["greedy"]["length"]["mean"] == 7


@pytest.mark.slow
def test_the_command_says_what_cliff_walking_lacks():
    few = ["evaluation.patience=100", "evaluation.episodes=2", "total_timesteps=64", "n_envs=2", "progress=false"]
    shown = command("train.py", "env=CliffWalking-v1", "agent.n_steps=16", "agent.batch_size=16", *few)
    assert shown.returncode == 2 and "Traceback" not in shown.stderr
    assert "env.kwargs.max_episode_steps=<steps>" in shown.stderr.splitlines()[-1]
