"""Laws of exported policies: a file of TorchScript acts as its policy does, whatever the batch and the missions."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import PROJECT
from encoder_cases import reading

from agents import Policy, make_agent
from agents.export import other_batches, save_plain
from encoders.base import Encoder
from envs import make_vec_env


@pytest.mark.parametrize(
    ("env_id", "kind"),
    [
        ("BabyAI-GoToLocal-v0", "grid"),
        pytest.param("DoorKey-5x5", "grid", marks=pytest.mark.slow),
        pytest.param("GoToDoor-5x5", "grid", marks=pytest.mark.slow),
        pytest.param("CartPole", "vector", marks=pytest.mark.slow),
    ],
)
def test_every_encoder_acts_from_its_file_as_in_its_policy(env_id, kind):
    """Traced on three observations; compared on 16 met later, on one, and with other missions and directions."""
    program = [sys.executable, str(PROJECT / "tests/agents/exported.py"), env_id]
    path = os.pathsep.join(map(str, (PROJECT, PROJECT / "tests")))
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {f"{env_id} {encoder}": 0 for encoder in reading(kind)}


class Freezing(Encoder):
    """Multiplies by a number that a trace takes for a constant."""

    reads = ("vector",)

    def __init__(self, observation_space):
        super().__init__(observation_space, 4)

    def forward(self, obs):
        return obs * float(obs[0, 0])


def test_a_policy_that_its_trace_does_not_equal_is_not_written(tmp_path):
    model = make_agent(make_vec_env("CartPole", n_envs=2, seed=0), Freezing, "ppo", seed=0, device="cpu")
    example = np.eye(4, dtype=np.float32)
    example[:, 0] = [1, -1, 2, -3]
    with pytest.raises(
        ValueError, match=r"cannot be exported: traced, its encoder .*Freezing acts otherwise in \d of 9"
    ):
        save_plain(Policy.of(model), tmp_path / "policy.pt", example)
    assert not list(tmp_path.iterdir())


def test_the_batches_compared_have_other_sizes_and_the_longest_mission():
    env = make_vec_env("BabyAI-GoToLocal-v0", n_envs=3, seed=0)
    one, more = other_batches(env.observation_space, env.reset())
    lengths = (more["mission"] > 0).sum(1)
    assert len(one["mission"]) == 1 and len(more["mission"]) == 7
    assert lengths.min() == 1 and lengths.max() == env.observation_space["mission"].shape[0]
    assert all(env.observation_space[key].high.max() >= part.max() for key, part in more.items())
    assert len({*more["direction"].ravel().tolist()}) > 1


def test_a_policy_with_memory_is_not_exported(tmp_path):
    env = make_vec_env("CartPole", n_envs=2, seed=0)
    policy = Policy.of(make_agent(env, "mlp", "recurrent_ppo", seed=0, device="cpu"))
    with torch.no_grad(), pytest.raises(ValueError, match="with memory cannot be saved as a function"):
        save_plain(policy, tmp_path / "policy.pt", env.reset())
