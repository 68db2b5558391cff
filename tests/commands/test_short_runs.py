"""A run takes as many steps as it was asked for, and says how much memory it needs."""

from __future__ import annotations

import re

import pytest

from configs.compose import compose, overrides_of
from train import train

TINY = {"evaluation": {"episodes": 2, "final_episodes": 2}, "encoder": {"width": 16}}


@pytest.mark.parametrize(
    ("env", "agent", "total"),
    [
        pytest.param({"name": "gym", "id": "Acrobot-v1"}, "ppo", 512, marks=pytest.mark.slow),
        # without settings of its own: 8 x 2,048 steps
        pytest.param({"name": "gym", "id": "FrozenLake-v1"}, "ppo", 512, marks=pytest.mark.slow),
        ({"name": "CartPole"}, "ppo", 520),  # one step more than two rollouts
        ({"name": "CartPole"}, "a2c", 100),
        pytest.param({"name": "CartPole"}, "recurrent_ppo", 200, marks=pytest.mark.slow),
    ],
)
def test_a_short_run_is_short_and_progress_ends_at_the_total(env, agent, total, capsys):
    result = train(TINY, env=env, agent=agent, total_timesteps=total)
    said = capsys.readouterr().out
    assert total <= result.scores["steps"] < total + 8 * 3  # whole steps of 8 environments, in each of 3 rollouts
    shown = [int(steps.replace(",", "")) for steps in re.findall(r"^ *([\d,]+)/[\d,]+ steps", said, re.M)]
    assert shown and max(shown) <= total
    usual = compose("train", overrides_of({"env": env, "agent": agent}))["agent"]["n_steps"]
    changed = result.config["agent"]["n_steps"] != usual
    assert changed == ("agent.n_steps=" in said) and (changed or agent == "a2c")  # whose 5 steps fit as they are


def test_an_off_policy_run_is_short_however_rarely_it_learns(capsys):
    """SB3 collects all `train_freq` steps before it looks at the total."""
    result = train(TINY, env="CartPole", agent="dqn", total_timesteps=200, **{"agent.train_freq": 5000})
    assert result.scores["steps"] == 200
    assert "agent.train_freq=200 instead of 5000" in capsys.readouterr().out


def test_rollouts_that_fit_stay_as_they_are(capsys):
    config = train(TINY, env="CartPole", total_timesteps=512).config
    assert (config["agent"]["n_steps"], config["agent"]["batch_size"]) == (32, 256)
    assert "agent.n_steps=" not in capsys.readouterr().out


def test_minibatches_larger_than_a_rollout_are_said_with_both_numbers(capsys):
    try:
        train(TINY, env="CartPole", total_timesteps=512, **{"agent.batch_size": 1000})
    except ValueError as refusal:
        said = str(refusal)
    else:
        said = capsys.readouterr().out
    assert "1000" in said.replace(",", "") and "256" in said


def test_the_memory_of_a_replay_buffer_is_said_and_held_against_what_is_free(capsys):
    train(TINY, env="CartPole", agent={"name": "dqn", "buffer_size": 10_000}, total_timesteps=100)
    said = capsys.readouterr().out
    assert "replay buffer" in said and "rollout" not in said and "0 kB" not in said
    with pytest.raises(
        ValueError, match=r"buffer of 1[0,]* steps asks for .* free; this run fills .*: agent.buffer_size="
    ):
        train(TINY, env="CartPole", agent={"name": "dqn", "buffer_size": 10**14}, total_timesteps=200)
    with pytest.raises(ValueError, match=r"replay buffer of 1,0[0,]* steps.* are free; take fewer"):
        train(TINY, env="CartPole", agent={"name": "dqn", "buffer_size": 10**12}, total_timesteps=10**12)


def test_no_memory_is_told_before_an_error(capsys):
    with pytest.raises(ValueError, match=r"agent\.distinct=true is not possible"):
        train(TINY, env="CartPole", total_timesteps=512, **{"agent.distinct": True})
    assert capsys.readouterr().out == ""
