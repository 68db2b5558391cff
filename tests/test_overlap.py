"""Halves of the environments stepped in the background, and PPO acting on one while the other steps."""

from __future__ import annotations

import time

import numpy as np
import pytest

from envs import make_vec_env


def engine(name="DoorKey-5x5", n_envs=6, seed=3, **options):
    return make_vec_env(name, n_envs=n_envs, seed=seed, engine="batched", **options)


def parts(value, half):
    """A half of observations, or of a list or an array with a row for each environment."""
    if isinstance(value, dict):
        return {key: parts(part, half) for key, part in value.items()}
    middle = len(value) // 2
    return value[middle:] if half else value[:middle]


def without_clock(infos):
    """Infos but for when an episode ended."""
    return [{**info, "episode": {**info["episode"], "t": 0}} if "episode" in info else info for info in infos]


def equal(mine, theirs):
    """Whether nested dicts, lists and arrays are the same in content and type."""
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(equal(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, (list, tuple)):
        return len(mine) == len(theirs) and all(map(equal, mine, theirs))
    return np.array_equal(mine, theirs) and np.asarray(mine).dtype == np.asarray(theirs).dtype


# --- the engine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DoorKey-5x5", {"bank": 5, "kwargs": {"max_steps": 9}}),
        ("GoToDoor-5x5", {"bank": 0, "history": 3}),
        ("DynamicObstacles-5x5", {"bank": 7, "reward_scale": 0.5, "view": "full"}),
        ("Empty-8x8", {"bank": 3, "history": 2, "engine_threads": 2, "kwargs": {"max_steps": 5}}),
    ],
)
def test_two_halves_in_any_order_are_one_step(name, options):
    whole, halved = engine(name, **options), engine(name, **options)
    assert equal(whole.reset(), halved.reset())
    random, ended = np.random.default_rng(0), 0
    for _ in range(120):
        actions = random.integers(0, halved.action_space.n, 6)
        observation, rewards, dones, infos = whole.step(actions)
        order = random.permutation(2).tolist()
        for half in order:
            halved.step_half_async(half, parts(actions, half))
        for half in reversed(order):
            seen, gained, done, said = halved.step_half_wait(half)
            assert equal(seen, parts(observation, half))
            assert equal([gained, done], [parts(rewards, half), parts(dones, half)])
            assert equal(without_clock(said), without_clock(parts(infos, half)))
        ended += dones.sum()
        assert equal(whole.reset_infos, halved.reset_infos)
    assert ended > 6
    assert equal(whole.step(actions)[0], halved.step(actions)[0])  # and all together again


def test_a_half_alone_leaves_the_other_where_it_is():
    env = engine()
    first = env.reset()
    before = {key: array.copy() for key, array in env.batch.seen.items()}
    for _ in range(21):
        env.step_half_async(0, np.array([0, 1, 2]))
        env.step_half_wait(0)
    assert equal(parts(before, 1), parts(env.batch.seen, 1)) and not equal(parts(first, 0), parts(env.batch.seen, 0))


def test_python_goes_on_while_a_half_steps():
    """The compiled loop gives the interpreter's lock away: else no other line would run before it is done."""
    env = engine("Empty-8x8", n_envs=60_000, bank=2)
    env.reset()
    actions, rounds = np.zeros(30_000, np.int64), []
    loop = env.batch.step_all

    def between(*arguments):
        began = len(rounds)
        result = loop(*arguments)
        ran.append(len(rounds) - began)
        return result

    ran: list[int] = []
    env.batch.step_all = between
    for half in (0, 1, 0, 1):
        env.step_half_async(half, actions)
        while not env.under_way[half].done():
            rounds.append(half)
            time.sleep(0)
        env.step_half_wait(half)
    assert max(ran) > 2


def test_a_mistake_in_the_background_is_told_where_it_is_waited_for():
    env = engine()
    env.reset()
    env.step_half_async(1, np.array([0, 1, 9]))
    with pytest.raises(ValueError, match="3 integers from 0 to 6"):
        env.step_half_wait(1)
    env.step_half_async(1, np.array([0, 1, 2]))
    with pytest.raises(RuntimeError, match="half 1 is being stepped"):
        env.step_half_async(1, np.array([0, 1, 2]))
    with pytest.raises(RuntimeError, match="step_half_wait"):
        env.step(np.zeros(6, np.int64))
    assert equal(env.reset(), env.episodes._seen()) and not env.under_way
    env.step(np.zeros(6, np.int64))
    env.step_half_async(0, np.zeros(3, np.int64))
    env.close()
    assert not env.under_way and env.worker._shutdown


def test_what_has_no_halves_says_why():
    assert engine().no_halves() is None
    assert engine(n_envs=5).no_halves() == "n_envs=5 has no halves"
    assert engine("CartPole").no_halves() == "CartPole steps all of its environments in one go"
