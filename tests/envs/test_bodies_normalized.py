"""Laws of rewards that are normalized for each body."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from envs import make_vec_env, saved
from train import train

pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

from envs.bodies.normalized import NormalizedPerBody

TWO = {"kwargs": {"train": ["Centipede-4", "Hopper-3"]}, "engine": "batched"}


def played(env, steps=60, seed=0):
    """The rewards of random play, (steps, environments)."""
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, env.num_envs, *env.action_space.shape))
    return np.stack([env.step(action.astype(np.float32))[1] for action in actions])


def test_for_one_body_it_is_what_vecnormalize_does():
    ours, theirs = (make_vec_env("Centipede-4", n_envs=3, seed=0) for _ in range(2))
    ours, theirs = NormalizedPerBody(ours, 1, 0.97), VecNormalize(theirs, norm_obs=False, gamma=0.97)
    ours.reset(), theirs.reset()
    assert np.array_equal(played(ours), played(theirs))


def test_the_rewards_of_a_body_do_not_depend_on_what_the_others_earn():
    mixed = NormalizedPerBody(make_vec_env("bodies", n_envs=4, seed=0, **TWO), 2, 0.99)
    mixed.reset()
    first = played(mixed)[:, ::2]
    mixed = NormalizedPerBody(make_vec_env("bodies", n_envs=4, seed=0, **TWO), 2, 0.99)
    mixed.reset()
    step = mixed.venv.step_wait

    def richer():
        seen, reward, done, infos = step()
        return seen, np.where(mixed.body == 1, 1000 * reward, reward), done, infos

    mixed.venv.step_wait = richer
    second = played(mixed)
    assert np.array_equal(first, second[:, ::2]) and np.abs(second).max() <= 10


def test_a_saved_state_goes_on_bit_for_bit():
    env, again = (NormalizedPerBody(make_vec_env("bodies", n_envs=3, seed=seed, **TWO), 2, 0.99) for seed in (0, 1))
    env.reset(), again.reset()
    played(env)
    state = saved.saved(env)
    saved.restore(again, state)
    assert np.array_equal(played(env, seed=1), played(again, seed=1))


def test_a_run_with_normalized_bodies_goes_on_as_if_it_had_never_stopped(tmp_path):
    config = {
        "env": {"name": "bodies", "train": ["Centipede-4", "Centipede-6"], "normalize": True},
        "encoder": {"name": "gnn", "channels": 8},
        "n_envs": 4,
        "agent": {"n_steps": 32, "batch_size": 64, "n_epochs": 1},
        "evaluation": {"every": 256, "episodes": 2, "final_episodes": 2},
        "progress": False,
    }
    once = train({**config, "total_timesteps": 512, "run_dir": str(tmp_path / "once")})
    train({**config, "total_timesteps": 256, "run_dir": str(tmp_path / "twice")})
    twice = train({**config, "total_timesteps": 512, "run_dir": str(tmp_path / "twice")})
    weights = [(run.folder / "policy" / "policy.safetensors").read_bytes() for run in (once, twice)]
    assert weights[0] == weights[1]
