"""Agents learn: the promises of the README, trained in full. Slow."""

from __future__ import annotations

import pytest

from evaluation.runs import read_run
from train import train


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_homomorphic_cartpole_is_solved_and_stays_solved(seed):
    result = train(env="CartPole", encoder="homomorphic", seed=seed, progress=False)
    assert result.scores["return"]["mean"] >= 475
    evaluations = read_run(result.folder).evaluations
    assert all(row["return"] >= 475 for row in evaluations[len(evaluations) // 2 :])


@pytest.mark.slow
def test_an_encoder_learns_doorkey():
    assert train(env="DoorKey-5x5", encoder="mlp", progress=False).scores["success"]["mean"] >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["sac", "td3"])
def test_a_symmetric_actor_critic_learns_pendulum(agent):
    """A random policy scores about -1,200; a good one about -150."""
    options = {"total_timesteps": 4000, "evaluation.every": 4000, "progress": False}
    if agent == "td3":
        options |= {"agent.learning_starts": 1000, "total_timesteps": 6000, "evaluation.every": 6000}
    scores = train(env="Pendulum", encoder="homomorphic", agent={"name": agent}, **options).scores
    assert scores["return"]["mean"] > -400
