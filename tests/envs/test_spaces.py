"""Laws of spaces: agents see numbers counted from 0 under one level of keys, and environments get their own actions."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from strange_spaces import CHOICES, NUMBERS, OBSERVATIONS, UNREADABLE, Strange

from envs import make_env, make_vec_env, make_vector_env, readable


def strange(observation=None, action=None):
    kwargs = {"observation": observation, "action": action, "length": 1000}
    return {key: space for key, space in kwargs.items() if space is not None}


def flat(observation):
    """All numbers of an observation, in the order of its keys."""
    if isinstance(observation, dict):
        return np.concatenate([flat(observation[key]) for key in sorted(observation)])
    if isinstance(observation, tuple):
        return np.concatenate([flat(part) for part in observation])
    return np.ravel(observation)


def starts(space):
    if isinstance(space, spaces.Dict):
        return np.concatenate([starts(space[key]) for key in sorted(space)])
    if isinstance(space, spaces.Tuple):
        return np.concatenate([starts(part) for part in space])
    return np.broadcast_to(getattr(space, "start", 0), space.shape or (1,)).ravel()


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_agents_see_what_the_environment_shows_counted_from_0(name):
    space = OBSERVATIONS[name]
    env = make_env("Strange-v0", kwargs=strange(space))
    seen, _ = env.reset(seed=0)
    for _ in range(20):
        assert env.observation_space.contains(seen)
        assert np.array_equal(flat(seen), flat(env.unwrapped.shown) - starts(space))
        seen, *_ = env.step(0)
    parts = env.observation_space.spaces.values() if name in ("tuple", "nested") else [env.observation_space]
    assert not any(isinstance(part, (spaces.Dict, spaces.Tuple)) for part in parts if len(parts) > 1)


def test_nested_keys_are_paths():
    env = make_env("Strange-v0", kwargs=strange(OBSERVATIONS["nested"]))
    assert list(env.observation_space) == ["body/arms/0", "body/arms/1", "body/mass", "foot"]
    assert env.observation_space["body/mass"].shape == (1,)


@pytest.mark.parametrize("name", [*CHOICES, *NUMBERS])
def test_every_action_of_an_agent_is_an_action_of_the_environment(name):
    action = {**CHOICES, **NUMBERS}[name]
    env = make_env("Strange-v0", kwargs=strange(action=action))
    env.action_space.seed(0)
    Strange.taken.clear()
    env.reset(seed=0)
    sent = [env.action_space.sample() for _ in range(200)]
    for choice in sent:
        env.step(choice)  # which refuses actions outside its space
    for own, choice in zip(Strange.taken, sent, strict=True):
        assert np.array_equal(flat(own), np.ravel(choice) + starts(action))
    if name == "discrete":
        assert {int(own) for own in Strange.taken} == {-1, 0, 1}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_space_that_no_agent_can_read_is_named_with_its_key(name):
    path = {"Text": "said", "Graph": "0", "Sequence": "body/path"}[name]
    with pytest.raises(ValueError, match=rf"Strange-v0: the observation '{path}' is {name}\("):
        make_vec_env("Strange-v0", n_envs=2, kwargs=strange(UNREADABLE[name]))
    with pytest.raises(ValueError, match=rf"the action '{path}' is {name}\("):
        make_env("Strange-v0", kwargs=strange(action=UNREADABLE[name]))


def test_actions_of_numbers_and_choices_together_are_refused():
    both = spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (2,))))
    with pytest.raises(ValueError, match="agents choose either numbers or choices"):
        make_env("Strange-v0", kwargs=strange(action=both))


def test_keys_that_become_one_path_are_refused():
    part = spaces.Box(-1, 1, (1,))
    with pytest.raises(ValueError, match="two parts of the observation have one name: a/b, a/b"):
        make_env("Strange-v0", kwargs=strange(spaces.Dict({"a": spaces.Dict(b=part), "a/b": part})))


def test_readable_spaces_stay_as_they_are():
    for observation, action in (
        (spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(0, 1, (2, 2))), spaces.Discrete(3)),
        (spaces.MultiBinary(3), spaces.MultiDiscrete([2, 3])),
        (spaces.Box(-1, 1, (2,), np.float64), spaces.Box(-1, 1, (2,), np.float64)),
    ):
        env = Strange(observation, action)
        assert readable(env) is env


def test_gymnasium_s_vector_environment_counts_from_0_too():
    env = make_vector_env("Strange-v0", n_envs=2, engine="gymnasium", kwargs=strange(action=CHOICES["discrete"]))
    env.reset(seed=0)
    Strange.taken.clear()
    env.step(np.array([0, 2]))
    assert Strange.taken == [-1, 1] and env.single_action_space == spaces.Discrete(3)


def test_windows_hold_nested_observations():
    env = make_env("Strange-v0", history=2, kwargs=strange(OBSERVATIONS["nested"]))
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen) and seen["body/mass"].shape == (2, 1)
