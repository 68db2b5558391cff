"""What agents see, against what the real environments give."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from minigrid.core.world_object import Key
from minigrid.wrappers import FlatObsWrapper, FullyObsWrapper, RGBImgPartialObsWrapper

from envs import make_env, make_vec_env
from envs.missions import MISSION_LENGTH, WORDS, letters, word_ids
from envs.names import resolve_id, short_names


def walk(env: gymnasium.Env, steps: int, seed: int = 0):
    """(action, observation, reward, terminated, truncated, info) of random steps, resetting where episodes end."""
    generator = np.random.default_rng(seed)
    env.reset(seed=seed)
    for _ in range(steps):
        action = int(generator.integers(env.action_space.n))
        step = env.step(action)
        yield action, *step
        if step[2] or step[3]:
            env.reset()


@pytest.mark.parametrize(
    ("view", "wrapper"), [("partial", None), ("full", FullyObsWrapper), ("rgb", RGBImgPartialObsWrapper)]
)
def test_the_image_is_farama_s_own(view, wrapper):
    ours = make_env("DoorKey-5x5", view=view)
    real = gymnasium.make("MiniGrid-DoorKey-5x5-v0")
    real = wrapper(real) if wrapper else real
    for (_, mine, *_), (_, theirs, *_) in zip(walk(ours, 300), walk(real, 300), strict=True):
        assert np.array_equal(mine["image"], theirs["image"]) and mine["direction"] == [theirs["direction"]]
        assert ours.observation_space.contains(mine)


@pytest.mark.parametrize("name", ["DoorKey-5x5", "GoToDoor-5x5", "BabyAI-PutNextLocal-v0"])
def test_the_flat_view_is_that_of_farama_s_wrapper(name):
    ours, real = make_env(name, view="flat"), gymnasium.make(resolve_id(name))
    theirs = FlatObsWrapper(real)
    for (_, mine, *_), (_, flat, *_) in zip(walk(ours, 100), walk(theirs, 100), strict=True):
        assert np.array_equal(mine, flat) and mine.dtype == np.uint8
        assert ours.observation_space.contains(mine)
    assert ours.symmetry is None and make_vec_env(name, n_envs=1, engine="auto", view="flat").engine == "gymnasium"


def test_the_flat_view_says_what_it_cannot_show():
    with pytest.raises(ValueError, match=r"cannot step DoorKey-5x5: it does not show env\.view=flat"):
        make_vec_env("DoorKey-5x5", engine="batched", view="flat")
    with pytest.raises(ValueError, match=r"at most 96 letters, spaces and commas, got 'reach 2 doors'"):
        letters("reach 2 doors")
    with pytest.raises(ValueError, match=r"at most 96 letters"):
        letters("a" * 97)


def test_cell_codes_have_their_true_bounds_so_that_sb3_does_not_take_them_for_pixels():
    assert make_env("DoorKey-5x5").observation_space["image"].high.max() == 10
    assert make_env("DoorKey-5x5", view="rgb").observation_space["image"].high.max() == 255


def test_the_full_view_tells_what_is_carried():
    env = make_env("DoorKey-5x5", view="full")
    env.reset(seed=0)
    assert env.step(0)[0]["carrying"].tolist() == [1, 0]
    env.unwrapped.carrying = Key("blue")
    assert env.step(0)[0]["carrying"].tolist() == [5, 2]
    assert "carrying" not in make_env("DoorKey-5x5").observation_space.spaces


def test_missions_are_words_where_they_vary():
    env = make_env("BabyAI-GoToRedBall-v0")
    observation, _ = env.reset(seed=0)
    words = [WORDS[i] for i in observation["mission"] if i]
    assert " ".join(words) == env.unwrapped.mission and len(observation["mission"]) == MISSION_LENGTH
    assert "mission" not in make_env("DoorKey-5x5").observation_space.spaces
    assert "mission" in make_env("GoToDoor-5x5").observation_space.spaces


@pytest.mark.slow
def test_every_mission_word_is_known():
    for env_id in [i for i in gymnasium.registry if i.startswith(("MiniGrid-", "BabyAI-")) and "WFC" not in i]:
        env = make_env(env_id)
        for seed in range(5):
            env.reset(seed=seed)
            assert 1 not in word_ids(env.unwrapped.mission), env.unwrapped.mission


def test_unknown_words_and_long_missions():
    assert word_ids("go to the zebra").tolist()[:5] == [*word_ids("go to the").tolist()[:3], 1, 0]
    with pytest.raises(ValueError, match="72 words"):
        word_ids("go " * 73)


def test_success_is_termination_with_a_reward():
    env = make_env("DynamicObstacles-5x5")
    ends = [(r, t, i["is_success"]) for _, _, r, t, u, i in walk(env, 2000) if t or u]
    assert {success for *_, success in ends} == {True, False}
    assert all(success == (terminated and reward > 0) for reward, terminated, success in ends)


def test_history_is_the_last_observations_and_a_mask():
    single, window = make_env("DoorKey-5x5"), make_env("DoorKey-5x5", history=3)
    past = [single.reset(seed=4)[0]]
    seen, _ = window.reset(seed=4)
    for action in [None, 2, 1, 2, 0]:
        if action is not None:
            past.append(single.step(action)[0])
            seen = window.step(action)[0]
        real = min(len(past), 3)
        assert seen["valid"].tolist() == [0] * (3 - real) + [1] * real
        assert np.array_equal(seen["image"][3 - real :], [o["image"] for o in past[-real:]])
        assert not seen["image"][: 3 - real].any() and window.observation_space.contains(seen)
    cartpole = make_env("CartPole", history=2)
    assert cartpole.reset(seed=0)[0]["observation"].shape == (2, 4)


def test_reward_scale_reaches_the_learner_but_not_the_statistics():
    env = make_env("CartPole", reward_scale=0.1)
    env.reset(seed=0)
    rewards, info = [], {}
    while "episode" not in info:
        _, reward, _, _, info = env.step(0)
        rewards.append(reward)
    assert set(rewards) == {0.1} and info["episode"]["r"] == len(rewards)


def test_the_same_seed_gives_the_same_levels():
    def images(seed):
        return make_vec_env("DoorKey-6x6", n_envs=3, seed=seed).reset()["image"]

    assert np.array_equal(images(1), images(1)) and not np.array_equal(images(1), images(2))


@pytest.mark.parametrize("name", sorted(short_names()))
def test_every_short_name_makes_its_environment(name):
    if name == "LunarLander":
        pytest.importorskip("Box2D")
    env = make_env(name)
    observation, _ = env.reset(seed=0)
    assert env.spec.id == resolve_id(name) and env.observation_space.contains(observation)


def test_what_cannot_be_made_says_why():
    for name, options, message in [
        ("DoorKey-5x55", {}, "did you mean DoorKey-5x5"),
        ("DoorKey-5x5", {"view": "egocentric"}, "partial, full, rgb"),
        ("CartPole", {"view": "full"}, "option of MiniGrid"),
        ("CartPole", {"history": -1}, "at least 1"),
        ("CartPole", {"kwargs": {"gravity": 1}}, "cannot be made"),
        ("no_such_package:Env-v0", {}, "cannot be made"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_env(name, **options)
