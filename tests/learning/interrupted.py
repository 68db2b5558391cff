"""Short runs, and runs that die."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from learning.snapshot import Snapshots
from train import train

SHORT = {
    "progress": False,
    "total_timesteps": 384,
    "snapshot": {"every": 64},
    "evaluation": {"every": 128, "episodes": 2, "final_episodes": 3},
}
ROLLOUTS = {"agent.n_steps": 16, "agent.batch_size": 32, "agent.n_epochs": 2, "n_envs": 4}
REPLAY = {"agent.learning_starts": 100, "agent.gradient_steps": 1, "agent.batch_size": 32}
DEATHS = [150, 340]  # between two snapshots, the first of them between an evaluation and the snapshot before it


def of(env: str, agent: str = "ppo", encoder: str = "mlp", **more: Any) -> dict[str, Any]:
    """A short run with small networks, and short episodes where untrained agents end none."""
    rollouts = ROLLOUTS if "ppo" in agent else {} if agent == "a2c" else REPLAY
    small: dict[str, Any] = {"encoder.width": 16}
    if "5x5" in env:
        small["env.kwargs.max_steps"] = 40
    if env in ("Acrobot", "MountainCar", "Pendulum"):
        small["env.kwargs.max_episode_steps"] = 40
    if agent == "recurrent_ppo":
        small["agent.policy_kwargs.lstm_hidden_size"] = 16
    if agent == "qrdqn":
        small["agent.policy_kwargs.n_quantiles"] = 20
    options = {key.replace("__", "."): value for key, value in more.items()}
    return {**SHORT, "env": env, "agent": agent, "encoder": encoder, **rollouts, **small, **options}


class Killed(BaseException):
    """Ends a run at once, without a chance to save anything."""


def train_killed(monkeypatch: Any, deaths: list[int], config: Any, folder: str) -> list[int]:
    """Train a run that dies after these steps, and then to its end -> the steps that were lost each time."""
    lost = []
    for at in deaths:

        def die(self: Any, at: int = at) -> bool:
            if self.model.num_timesteps >= at:
                lost.append(self.model.num_timesteps - self.taken)
                raise Killed
            return True

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(Snapshots, "_on_step", die)
            train(config, run_dir=folder)
    assert train(config, run_dir=folder).scores is not None
    return lost


def interrupt(monkeypatch: Any, config: dict[str, Any], at: int = 150, folder: str = "killed") -> None:
    """Leave an unfinished run in a folder."""

    def die(self: Any) -> bool:
        if self.model.num_timesteps >= at:
            raise Killed
        return True

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Snapshots, "_on_step", die)
        train(config, run_dir=folder)
