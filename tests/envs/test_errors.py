"""Laws of faults inside environments: they are the environment's, and the message says which one, when and where."""

from __future__ import annotations

import numpy as np
import pytest
import strange_spaces  # noqa: F401 # registers the environments
from gymnasium.wrappers import TransformObservation

from envs import make_vec_env, make_vector_env
from envs.errors import EnvironmentFailed


@pytest.mark.parametrize(
    ("step", "episode", "where"),
    [
        (3, 1, r"in step 3 of episode 1 since reset\(seed=7\)"),
        (2, 4, r"in step 2 of episode 4 since reset\(seed=7\)"),
        (0, 2, r"in the reset of episode 2 since reset\(seed=7\)"),
    ],
)
@pytest.mark.parametrize(
    "error", [ValueError("the door is gone"), KeyError("door"), ZeroDivisionError(), SystemExit(0)]
)
def test_an_exception_of_an_environment_says_its_id_seed_and_step(step, episode, where, error):
    env = make_vec_env("Broken-v0", n_envs=1, seed=7, kwargs={"step": step, "episode": episode, "error": error})
    with pytest.raises(
        EnvironmentFailed, match=f"environment Broken-v0 raised {type(error).__name__} {where}"
    ) as raised:
        env.reset()
        for _ in range(20):
            env.step(np.zeros(1, int))
    assert raised.value.__cause__ is error and not isinstance(raised.value, ValueError)


def test_the_seed_told_is_that_of_the_environment_that_failed():
    env = make_vec_env("Broken-v0", n_envs=3, seed=7)
    env.envs[2].unwrapped.step_of_error = 2
    env.reset()
    env.step(np.zeros(3, int))
    with pytest.raises(EnvironmentFailed, match=r"in step 2 of episode 1 since reset\(seed=9\)"):
        env.step(np.zeros(3, int))


def test_gymnasium_s_vector_environments_tell_it_too():
    env = make_vector_env("Broken-v0", n_envs=2, engine="gymnasium")
    env.reset(seed=5)
    with pytest.raises(EnvironmentFailed, match=r"in step 3 .*seed=5"):
        for _ in range(5):
            env.step(np.zeros(2, int))


@pytest.mark.parametrize("engine", ["gymnasium", "batched"])
def test_a_level_that_raises_is_the_environment_s_in_both_engines(engine, monkeypatch):
    from minigrid.envs import EmptyEnv

    monkeypatch.setattr(EmptyEnv, "_gen_grid", lambda *_: {}["door"])
    with pytest.raises(EnvironmentFailed, match=r"raised KeyError .*: 'door'"):
        make_vec_env("Empty-8x8", n_envs=1, seed=0, engine=engine, kwargs={"size": 7}).reset()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("key", "step", "place"),
    [
        ("b", 3, r"observation 'b' in step 3 of episode 2 since reset\(seed=8\)"),
        ("b", 0, r"observation 'b' in the reset of episode 2 since reset\(seed=8\)"),
        ("a", 5, r"observation 'a' in step 5 of episode 2 since reset\(seed=8\)"),  # the last of its episode
        ("reward", 2, r"reward in step 2 of episode 2 since reset\(seed=8\)"),
        ("reward", 5, r"reward in step 5 of episode 2 since reset\(seed=8\)"),
    ],
)
def test_nan_and_infinity_are_told_with_environment_step_and_key(key, step, place, value):
    env = make_vec_env("Poisoned-v0", n_envs=3, seed=7, kwargs={"key": key, "step": step, "value": value})
    for i in (0, 2):
        env.envs[i].unwrapped.poisoned = False
    env.reset()
    with pytest.raises(FloatingPointError, match=f"Poisoned-v0, number 1 of 0 to 2, returned {value} as {place}"):
        for _ in range(12):
            env.step(np.zeros(3, int))


def test_a_plain_observation_that_is_not_finite_is_told():
    env = make_vec_env("Strange-v0", n_envs=2, seed=0)
    env.envs[1] = TransformObservation(env.envs[1], lambda seen: seen / np.float32(0), env.observation_space)
    with (
        np.errstate(divide="ignore"),
        pytest.raises(FloatingPointError, match=r"number 1 .* as observation in the reset"),
    ):
        env.reset()


@pytest.mark.parametrize(("size", "step"), [(2, 0), (1, 0), (4, 2)])  # NumPy would repeat the one number of (1,)
def test_an_observation_of_another_shape_than_declared_is_told_with_both_shapes(size, step):
    env = make_vec_env("Strange-v0", n_envs=2, seed=7)
    (declared,) = env.observation_space.shape
    core = env.envs[1].unwrapped

    def resized(seen):
        return np.resize(seen, size) if core.steps == step else seen

    env.envs[1] = TransformObservation(env.envs[1], resized, env.observation_space)
    shapes = rf"of shape \({size},\), and its observation_space declares \({declared},\), in .* reset\(seed=8\)"
    with pytest.raises(EnvironmentFailed, match=f"environment Strange-v0 returned an observation {shapes}"):
        env.reset()
        for _ in range(3):
            env.step(np.zeros(2, int))


def test_large_finite_numbers_are_no_fault():
    env = make_vec_env("Poisoned-v0", n_envs=2, seed=7, kwargs={"value": 1e30})  # its square is no float32
    env.reset()
    for _ in range(12):
        env.step(np.zeros(2, int))


@pytest.mark.filterwarnings("ignore:.*(observation space|NaN)")
def test_a_learner_whose_own_actions_are_not_finite_is_not_excused():
    env = make_vec_env("Pendulum", n_envs=2, seed=0)
    env.reset()
    observation, *_ = env.step(np.full((2, 1), np.nan, np.float32))
    assert np.isnan(observation).any()
