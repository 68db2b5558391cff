"""What is not finite ends a run, or takes it back to its last snapshot; what is on the disk is finite."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import Killed
from safetensors.numpy import load_file

from agents.make import AGENTS
from agents.ppo.flat_adam import FlatAdam
from benchmarks.kills import differences
from learning.snapshot import Snapshots, read_snapshot
from learning.watch import Memory, NotFinite, Watch
from train import train

SHORT = {"progress": False, "total_timesteps": 320, "snapshot": {"every": 64}, "run_dir": "run"}
SHORT |= {"evaluation": {"every": 1000, "episodes": 2, "final_episodes": 2}, "n_envs": 4}
SHORT |= {"encoder.width": 8, "agent.learning_rate": 1e-3}
OFF_POLICY = {"agent.learning_starts": 20, "agent.train_freq": 4, "agent.gradient_steps": 1}


def of(agent: str, **more: Any) -> dict[str, Any]:
    options = {
        "a2c": {},
        **{agent: OFF_POLICY for agent in ("dqn", "qrdqn", "sac", "td3")},
    }.get(agent, {"agent.n_steps": 16, "agent.batch_size": 64, "agent.n_epochs": 2})
    env = "Pendulum" if agent in ("sac", "td3") else "CartPole"
    named = {key.replace("__", "."): value for key, value in more.items()}
    return {**SHORT, "env": env, "agent": agent, **options, **named}


CASES: dict[str, Any] = {agent: of(agent) for agent in AGENTS}
CASES |= {f"SB3's {agent}": of(agent, agent__implementation="sb3") for agent in ("ppo", "a2c", "dqn", "sac")}
CASES |= {"distinct DQN": of("dqn", env="DoorKey-5x5"), "ppo_fast": of("ppo_fast", env="DoorKey-5x5")}


def poison(monkeypatch: Any, at: int, times: int = 1, value: float = np.inf) -> list[int]:
    """Let the next `times` updates from `at` steps on end with a parameter that is not finite -> their steps."""
    met: list[int] = []
    own = Watch._on_rollout_start

    def poisoned(self: Watch) -> None:
        if self.model.num_timesteps >= at and len(met) < times:
            met.append(self.model.num_timesteps)
            with torch.no_grad():
                self.trained.tensors[0].view(-1)[-1] = value
        own(self)

    monkeypatch.setattr(Watch, "_on_rollout_start", poisoned)
    return met


def finite(folder: Path) -> bool:
    return all(np.isfinite(part).all() for part in load_file(folder / "policy.safetensors").values())


QUICK = ("ppo", "sac", "SB3's dqn")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CASES])
def test_a_parameter_that_is_not_finite_ends_every_agent_s_run_with_its_name_and_a_finite_policy(name, monkeypatch):
    met = poison(monkeypatch, at=150)
    message = (
        r"diverged: (\w+\.)+(weight|bias|table) is not finite after [\d,]+ steps; .*\. What was learned in .* steps"
    )
    with pytest.raises(NotFinite, match=message + " is in run/policy; the same command goes on from the snapshot"):
        train(CASES[name])
    assert len(met) == 1 and finite(Path("run/policy")) and not Path("run/result.json").exists()
    parameters = read_snapshot(Path("run"))["model"]["parameters"]
    assert all(np.isfinite(part).all() for part in parameters.values())
    saved = load_file("run/policy/policy.safetensors")
    assert all(np.array_equal(part, parameters[key]) for key, part in saved.items())


@pytest.mark.parametrize("agent", ["dqn", "ppo"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_an_infinite_reward_is_told_with_its_environment(agent):
    with pytest.raises(
        NotFinite, match=r"environment number 0 of 0 to 3 returned inf as .* \(seed 7\)\. What .* in My/policy;"
    ):
        train(of(agent, run_dir="My"), seed=7, **{"env.reward_scale": 1e300})
    assert not Path("My/result.json").exists()


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_a_gradient_that_is_not_finite_is_told_with_its_parameter(agent, monkeypatch):
    """The losses are finite when it comes; clipping makes every other gradient NaN too."""
    count, own = [], FlatAdam.step

    def step(self: Any, gradients: Any, max_norm: Any = None) -> Any:
        count.append(1)
        if len(count) == 4:  # of PPO, the last minibatch of an update
            gradients = [*gradients[:-1], gradients[-1] * np.nan]
        return own(self, gradients, max_norm)

    monkeypatch.setattr(FlatAdam, "step", step)
    with pytest.raises(NotFinite, match=r"diverged: gradient of (\w+\.)+\w+ is not finite after \d+ steps"):
        train(of(agent))


def test_an_infinite_loss_is_told_by_its_name(monkeypatch):
    rewards = []

    def large(self: Any) -> bool:
        rewards.append(self.locals["rewards"])
        self.locals["rewards"][:] = 1e25  # finite, and its square is not in single precision
        return True

    monkeypatch.setattr(Snapshots, "_on_step", large)
    with pytest.raises(NotFinite, match=r"diverged: value_loss is not finite after 64 steps"):
        train(of("ppo"))


def progress(run: str) -> tuple[list[int], list[float]]:
    """The steps of a run's log, and its learning rates."""
    rows = [*csv.DictReader(Path(run, "progress.csv").read_text().splitlines())]
    rates = [float(row["train/learning_rate"]) for row in rows if row["train/learning_rate"]]
    return [int(row["time/total_timesteps"]) for row in rows if row["time/total_timesteps"]], rates


def rolled_back(**more: Any) -> Any:
    return train(of("ppo", on_nonfinite="rollback", **more))


def test_a_rollback_goes_on_from_the_last_snapshot_with_half_the_learning_rate_and_other_random_numbers(
    monkeypatch, capsys
):
    train(of("ppo"), run_dir="whole")
    poison(monkeypatch, at=200)
    result = rolled_back()
    one = {"after": 256, "to": 192, "learned": True, "reason": result.scores["rollbacks"][0]["reason"]}
    assert result.scores["rollbacks"] == [one] and "is not finite after 256 steps" in one["reason"]
    assert "goes back to 192 steps with other random numbers and half the learning rate" in capsys.readouterr().out
    (steps, rates), (of_whole, rates_of_whole) = progress("run"), progress("whole")
    assert steps == of_whole and {*rates_of_whole} == {1e-3} and rates == [1e-3] * 3 + [5e-4] * 2
    assert json.loads(Path("run/result.json").read_text())["steps"] == 320
    assert "rollbacks" not in json.loads(Path("whole/result.json").read_text())
    assert differences("whole", "run")


def test_a_run_goes_back_three_times_at_most(monkeypatch, capsys):
    met = poison(monkeypatch, at=200, times=10)
    with pytest.raises(NotFinite, match="on_nonfinite=rollback ends here: it went back 3 times already"):
        rolled_back()
    assert len(met) == 4 and capsys.readouterr().out.count("rollback ") == 3


def test_a_run_that_is_killed_after_its_rollback_ends_like_one_that_was_not(monkeypatch):
    own = Watch._on_rollout_start

    def poisoned(self: Watch) -> None:  # a function of the steps and the rollbacks alone, as a real cause is
        if self.model.num_timesteps == 256 and self.model.lr_schedule(1.0) == self.model.learning_rate:
            with torch.no_grad():
                self.trained.tensors[0].view(-1)[-1] = np.nan
        own(self)

    monkeypatch.setattr(Watch, "_on_rollout_start", poisoned)
    config = of("ppo", on_nonfinite="rollback", total_timesteps=448)
    train(config, run_dir="whole")
    for at in (260, 380):  # before and after the snapshot that knows of the rollback

        def die(self: Any, at: int = at) -> bool:
            if self.model.num_timesteps >= at and self.rollbacks:
                raise Killed
            return True

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Snapshots, "_on_step", die)
            train(config, run_dir="killed")
    assert train(config, run_dir="killed").scores["rollbacks"]
    assert differences("whole", "killed") == []


def test_without_a_snapshot_there_is_nothing_to_go_back_to(monkeypatch):
    poison(monkeypatch, at=64)
    with pytest.raises(NotFinite, match=r"There is no policy and no snapshot yet; .*: there is nothing to go back to"):
        rolled_back(snapshot__every=200)


def test_a_sum_over_parameters_is_finite_exactly_if_they_are():
    flat = torch.zeros(8)
    parts = [flat[:3], flat[4:].view(2, 2), torch.ones(2)]
    memory = Memory(parts)
    assert memory.total() == 2
    for part in parts:
        for value in (np.nan, np.inf, -np.inf):
            part.view(-1)[-1] = value
            assert not np.isfinite(memory.total())
            part.view(-1)[-1] = 0
    parts[2].data = torch.full((3,), 5.0)  # as `load` and `to` move parameters
    assert memory.total() == 15
