"""The batched classic control against Gymnasium's own environments: equal in every bit."""

from __future__ import annotations

import logging
from collections import Counter

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv
from gymnasium.envs.registration import register
from gymnasium.error import ResetNeeded
from gymnasium.wrappers import ClipReward
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO

from envs import make_vec_env, make_vector_env
from envs.engine.classic import AHEAD

CARTPOLE, CONTINUOUS = "CartPole", "MountainCarContinuous-v0"
# what a few thousand steps must have met
OUTCOMES = {
    CARTPOLE: {"terminated", "truncated"},
    "CartPole-v0": {"terminated", "truncated"},
    "Acrobot": {"terminated", "truncated"},
    "Pendulum": {"truncated"},
    "MountainCar": {"terminated", "truncated"},
    CONTINUOUS: {"terminated", "truncated"},
}


def skilled(seen):
    """Actions that balance the pole, or swing the rest up."""
    if seen.shape[1] == 4:  # CartPole
        return seen[:, 2] + seen[:, 3] / 2 + seen[:, 0] / 10 + seen[:, 1] / 5 > 0
    return np.sign(seen[:, -1])  # along a velocity


class Actions:
    """Skilled in the even environments, one in three at random, and random in the odd ones."""

    def __init__(self, space, n, seed=0, dtype=np.float32):
        self.space, self.n, self.dtype = space, n, dtype
        self.random = np.random.default_rng(seed)

    def __call__(self, seen):
        latest = seen["observation"][:, -1] if isinstance(seen, dict) else seen
        at_random = (np.arange(self.n) % 2 == 1) | (self.random.random(self.n) < 1 / 3)
        if isinstance(self.space, gymnasium.spaces.Discrete):
            chance = self.random.integers(0, self.space.n, self.n)
            return np.where(at_random, chance, (skilled(latest) + (self.space.n == 3)).astype(np.int64))
        # a little beyond the bounds, where it is clipped
        chance = self.random.uniform(1.2 * self.space.low, 1.2 * self.space.high, (self.n, 1))
        return np.where(at_random[:, None], chance, self.space.high * skilled(latest)[:, None]).astype(self.dtype)


def same(what, mine, theirs):
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), f"{what} has {list(mine)}, Gymnasium's {list(theirs)}"
        for key in theirs:
            if key != "t":  # the time
                same(f"{what}, {key}", mine[key], theirs[key])
        return
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    equal = mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    assert equal, f"{what} is {mine} ({mine.dtype}), Gymnasium's {theirs} ({theirs.dtype})"


def play(name, steps, seed=0, n=4, alter=None, dtype=np.float32, resets=(), **options):
    """Counts of what happened in `steps` steps; `alter` damages the engine; resets: before which steps.

    Raises:
        AssertionError: the engine and Gymnasium differ; the message says where.
    """
    mine, theirs = (make_vec_env(name, n_envs=n, seed=seed, engine=e, **options) for e in ("batched", "gymnasium"))
    same("the space", mine.observation_space == theirs.observation_space, True)
    same("the actions", mine.action_space == theirs.action_space, True)
    if alter:
        alter(mine.batch)
    choose = Actions(mine.action_space, n, seed, dtype)
    met = Counter()

    def seen_by_both():
        seen = mine.reset()
        same("the first observation", seen, theirs.reset())
        same("what a reset says", mine.reset_infos, theirs.reset_infos)
        return seen

    seen = seen_by_both()
    for step in range(steps):
        if step in resets:
            seen = seen_by_both()
        actions = choose(seen)
        seen, reward, done, infos = mine.step(actions)
        seen_there, reward_there, done_there, infos_there = theirs.step(actions)
        same("the observation", seen, seen_there)
        same("the reward", reward, reward_there)
        same("done", done, done_there)
        state = [np.array(env.unwrapped.state, np.float64) for env in theirs.envs]
        same("the state", mine.batch.state.T, np.array(state))
        for info, info_there in zip(infos, infos_there, strict=True):
            same("the info", info, info_there)
        for i in np.flatnonzero(done):
            met["truncated" if infos[i]["TimeLimit.truncated"] else "terminated"] += 1
        same("what a reset says", mine.reset_infos, theirs.reset_infos)
    return met


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_step_equals_gymnasium_s(name):
    assert set(play(name, 1_100)) >= OUTCOMES[name]


@pytest.mark.parametrize("name", ["Pendulum", CONTINUOUS])
def test_actions_of_double_precision_are_computed_in_it(name):
    play(name, 500, n=3, dtype=np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTCOMES)
def test_a_hundred_thousand_steps_equal_gymnasium_s(name):
    assert set(play(name, 12_500, seed=1, n=8)) >= OUTCOMES[name]


KWARGS = {
    CARTPOLE: st.fixed_dictionaries({}, optional={"sutton_barto_reward": st.booleans()}),
    "Pendulum": st.fixed_dictionaries({}, optional={"g": st.floats(0, 20) | st.integers(0, 20)}),
    "MountainCar": st.fixed_dictionaries({}, optional={"goal_velocity": st.floats(-0.01, 0.06)}),
    CONTINUOUS: st.fixed_dictionaries({}, optional={"goal_velocity": st.floats(-0.01, 0.06)}),
}


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(data=st.data())
def test_any_options_equal_gymnasium_s(data):
    name = data.draw(st.sampled_from(list(OUTCOMES)), "name")
    kwargs = data.draw(KWARGS.get(name, st.just({})), "kwargs")
    limit = data.draw(st.none() | st.integers(1, 20), "limit")
    play(
        name,
        30,
        seed=data.draw(st.integers(0, 2**32 - 2), "seed"),
        n=data.draw(st.integers(1, 9), "n"),
        resets=data.draw(st.sets(st.integers(1, 29), max_size=2), "resets"),
        history=data.draw(st.integers(0, 3), "history"),
        reward_scale=data.draw(st.sampled_from([1.0, 0.1, -3.0]), "reward_scale"),
        kwargs=kwargs if limit is None else {**kwargs, "max_episode_steps": limit},
    )


def law(field, change):
    def alter(batch):
        batch.law[field] = change(batch.law[field])

    return alter


def attribute(name, change):
    def alter(batch):
        setattr(batch, name, change(getattr(batch, name)))

    return alter


def starts_of_double_precision(batch):
    batch.starts = batch.starts.astype(np.float64)
    batch.play = (*batch.play[:3], batch.starts, batch.play[4])


def the_next_number(value):
    return np.nextafter(value, np.inf)


MUTATIONS = {
    "the pole may lean further": (CARTPOLE, law("theta_threshold_radians", lambda v: v * 1.02)),
    "gravity differs in its last bit": (CARTPOLE, law("gravity", the_next_number)),
    "only falling is rewarded": (CARTPOLE, law("_sutton_barto_reward", lambda v: 1 - v)),
    "episodes begin elsewhere": (CARTPOLE, attribute("low", lambda v: v * 1.01)),
    "episodes last a step longer": ("Pendulum", attribute("limit", lambda v: v + 1)),
    "the pendulum's torque is less bounded": ("Pendulum", law("max_torque", lambda v: v * 1.01)),
    "squares are not the C library's": ("Pendulum", law("two", the_next_number)),
    "the first state has double precision": ("Acrobot", starts_of_double_precision),
    "Runge and Kutta take a longer step": ("Acrobot", law("dt", the_next_number)),
    "the goal is lower": ("MountainCar", law("goal_position", lambda v: v - 0.01)),
    "the goal is to be passed faster": ("MountainCar", law("goal_velocity", lambda v: 0.03)),
    "the engine's power differs in its last bit": (CONTINUOUS, law("power", lambda v: np.nextafter(np.float32(v), 1))),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_comparison_notices_when(mutation):
    name, alter = MUTATIONS[mutation]
    with pytest.raises(AssertionError, match="Gymnasium's"):
        play(name, 600, alter=alter)


@pytest.mark.parametrize("name", [CARTPOLE, "Acrobot", "Pendulum", "MountainCar", CONTINUOUS])
def test_gymnasium_s_vector_environments_are_the_same_too(name):
    mine, theirs = (
        make_vector_env(name, n_envs=3, engine=engine, reward_scale=0.5, kwargs={"max_episode_steps": 15})
        for engine in ("auto", "gymnasium")
    )
    assert type(mine).__name__ == "BatchedVectorEnv"
    assert mine.observation_space == theirs.observation_space and mine.action_space == theirs.action_space
    (seen, infos), (seen_there, infos_there) = mine.reset(seed=4), theirs.reset(seed=4)
    choose = Actions(mine.single_action_space, 3)
    ends = 0
    for step in range(80):
        if step == 40:
            (seen, infos), (seen_there, infos_there) = mine.reset(), theirs.reset()
        same("the observation", seen, seen_there)
        assert infos.keys() == infos_there.keys()
        for i in np.flatnonzero(infos.get("_final_obs", [])):
            ends += 1
            same("the last observation", infos["final_obs"][i], infos_there["final_obs"][i])
            same("the last info", infos["final_info"], infos_there["final_info"])
        actions = choose(seen)
        (seen, *results, infos), (seen_there, *results_there, infos_there) = mine.step(actions), theirs.step(actions)
        for what, a, b in zip(("reward", "terminated", "truncated"), results, results_there, strict=True):
            same(what, a, b)
    assert ends >= 12


@pytest.mark.parametrize("name", [CARTPOLE, "Pendulum"])
def test_sb3_learns_the_same_policy_on_either_engine(name):
    def learned(engine):
        env = make_vec_env(name, n_envs=4, seed=0, engine=engine, reward_scale=0.1, kwargs={"max_episode_steps": 25})
        model = PPO("MlpPolicy", env, n_steps=32, batch_size=64, n_epochs=2, seed=3, device="cpu").learn(256)
        return model.policy.state_dict(), [episode["r"] for episode in model.ep_info_buffer]

    (mine, returns), (theirs, returns_there) = learned("batched"), learned("gymnasium")
    assert returns and returns == returns_there
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_seeding_anew_begins_anew_and_a_reset_without_a_seed_goes_on():
    mine, theirs = (make_vec_env(CARTPOLE, n_envs=3, seed=5, engine=e) for e in ("batched", "gymnasium"))
    first = mine.reset()
    same("the first observation", first, theirs.reset())
    for _ in range(2 * AHEAD + 3):  # until starts were drawn anew, twice
        same("the next first observation", mine.reset(), theirs.reset())
    for env in (mine, theirs):
        env.step(np.array([0, 1, 0]))
        env.seed(5)
    again = mine.reset()
    same("the first observation", again, first)
    same("the first observation", again, theirs.reset())
    same("the next first observation", mine.reset(), theirs.reset())


def test_nothing_that_was_returned_changes_when_the_environments_go_on():
    env = make_vec_env(CARTPOLE, n_envs=3, seed=0, engine="batched")
    kept = [env.reset()]
    seen, reward, done, infos = env.step(np.array([1, 1, 1]))
    kept += [seen, reward, done]
    copies = [array.copy() for array in kept]
    infos[0]["mine"] = 1
    for _ in range(30):
        *_, infos = env.step(np.array([1, 1, 1]))
        assert not any("mine" in info for info in infos)
        ends = [info for info in infos if "terminal_observation" in info]
        kept += [info["terminal_observation"] for info in ends]
        copies += [info["terminal_observation"].copy() for info in ends]
    assert len(kept) > 4 and all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))


def test_the_symmetry_is_declared_as_ever():
    assert make_vec_env(CARTPOLE, seed=0, engine="batched").symmetry is not None
    assert make_vec_env(CARTPOLE, seed=0, engine="batched", history=2).symmetry is None


class Heavier(CartPoleEnv):
    """A user's environment, which may differ."""


@pytest.fixture
def ids_of_a_user():
    register("Test-Heavier-v0", Heavier)
    register("Test-Short-v0", CartPoleEnv, max_episode_steps=7)
    register("Test-Clipped-v0", CartPoleEnv, additional_wrappers=(ClipReward.wrapper_spec(max_reward=0.5),))
    yield
    for name in ("Heavier", "Short", "Clipped"):
        del gymnasium.registry[f"Test-{name}-v0"]


def test_an_id_of_one_s_own_for_gymnasium_s_environment_is_stepped_too(ids_of_a_user):
    assert play("Test-Short-v0", 30) == {"truncated": 16}


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("Test-Heavier-v0", {}, "Heavier is not a MiniGrid environment"),
        ("Test-Clipped-v0", {}, "wrapped in ClipReward"),
        ("FrozenLake-v1", {}, "not a MiniGrid environment"),
        (CARTPOLE, {"render_mode": "rgb_array"}, "draws no pictures"),
        (CARTPOLE, {"bank": 5}, "not from a bank of levels"),
        ("Pendulum", {"kwargs": {"g": np.float32(9.81)}}, "its g is a float32"),
    ],
)
def test_what_the_engine_cannot_step_is_refused_or_left_to_gymnasium(name, options, reason, caplog, ids_of_a_user):
    with pytest.raises(ValueError, match=reason) as refused:
        make_vec_env(name, engine="batched", **options)
    for known in ("RoomGridLevel", "CartPoleEnv", "AcrobotEnv", "engine=gymnasium"):
        assert known in str(refused.value)
    with caplog.at_level(logging.INFO):
        env = make_vec_env(name, n_envs=2, engine="auto", **options)
    assert env.engine == "gymnasium" and "runs in Gymnasium" in caplog.text and reason in caplog.text


def test_noise_and_other_equations_are_left_to_gymnasium(monkeypatch):
    for field, value in (("torque_noise_max", 0.1), ("book_or_nips", "nips")):
        with monkeypatch.context() as patch:
            patch.setattr(AcrobotEnv, field, value)
            with pytest.raises(ValueError, match="not the book's, or its torques have noise"):
                make_vec_env("Acrobot", engine="batched")


def test_auto_says_that_it_uses_the_engine(caplog):
    with caplog.at_level(logging.INFO):
        env = make_vec_env(CARTPOLE, engine="auto")
    assert type(env).__name__ == "BatchedVecEnv" and "runs in the batched engine\n" in caplog.text


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        (CARTPOLE, [0, 2]),
        (CARTPOLE, [-1, 0]),
        (CARTPOLE, [0.0, 1.0]),
        (CARTPOLE, [0]),
        ("Acrobot", [0, 3]),
        ("MountainCar", [[0], [1]]),
        ("Pendulum", [0.0, 1.0]),
        ("Pendulum", np.zeros((2, 1), np.float16)),
        (CONTINUOUS, [["left"], ["right"]]),
    ],
)
def test_an_action_that_is_none_is_a_value_error(name, actions):
    env = make_vec_env(name, n_envs=2, seed=0, engine="batched")
    env.reset()
    before = env.batch.state.copy()
    with pytest.raises(ValueError, match="actions are 2 of"):
        env.step(np.array(actions))
    assert np.array_equal(before, env.batch.state)


@pytest.mark.parametrize(("name", "dtype"), [("MountainCar", np.int32), (CARTPOLE, np.uint8), ("Pendulum", np.int64)])
def test_integers_of_any_size_are_actions(name, dtype):
    mine, theirs = (make_vec_env(name, n_envs=2, seed=0, engine=e) for e in ("batched", "gymnasium"))
    actions = np.array([0, 1], dtype).reshape(2, *mine.action_space.shape)
    mine.reset(), theirs.reset()
    same("the observation", mine.step(actions)[0], theirs.step(actions)[0])


def test_options_of_a_reset_and_steps_before_it_are_errors():
    env = make_vector_env(CARTPOLE, n_envs=2)
    with pytest.raises(ResetNeeded):
        env.step(np.array([0, 0]))
    with pytest.raises(ValueError, match="takes no reset options"):
        env.reset(seed=0, options={"low": -0.1, "high": 0.1})
    vectorised = make_vec_env(CARTPOLE, n_envs=2, seed=0, engine="batched")
    vectorised.set_options({"low": -0.1})
    with pytest.raises(ValueError, match="engine=gymnasium"):
        vectorised.reset()
