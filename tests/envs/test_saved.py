"""Environments put into a saved state play on as those that were saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs.make import make_vec_env
from envs.saved import restore, saved

CASES: dict[str, dict[str, Any]] = {
    "CartPole": {},
    "Acrobot": {},
    "Pendulum": {},
    "MountainCar": {},
    "DoorKey-5x5": {"bank": 20},
    "Empty-8x8": {"bank": 0, "view": "full", "shuffle": 3},
    "GoToDoor-5x5": {"bank": 20, "history": 3},
    "DoorKey-6x6": {"levels": 20, "part": "test"},
    "FourRooms": {"levels": "all", "bank": 0},
    "DynamicObstacles-5x5": {"bank": 20, "view": "rgb"},
}


SLOW = {("DynamicObstacles-5x5", "gymnasium"), ("GoToDoor-5x5", "gymnasium")}


@pytest.mark.parametrize(
    ("id", "engine"),
    [
        pytest.param(id, engine, marks=pytest.mark.slow if (id, engine) in SLOW else ())
        for id in CASES
        for engine in ("batched", "gymnasium")
    ],
)
def test_an_environment_in_a_saved_state_plays_on_like_the_one_that_was_saved(id, engine):
    def made(seed: int) -> Any:
        env = make_vec_env(id, n_envs=3, seed=seed, engine=engine, **CASES[id])
        env.reset()
        return env

    env, again = made(5), made(6)
    chance = np.random.default_rng(0)

    def actions() -> np.ndarray:
        if hasattr(env.action_space, "n"):
            return chance.integers(env.action_space.n, size=3)
        return chance.uniform(-2, 2, (3, 1)).astype(np.float32)

    for _ in range(310):  # past the ends of some episodes
        env.step(actions())
    state = saved(env)
    now, other = (str(each.reset_infos) for each in (env, again))
    restore(again, state)
    assert str(again.reset_infos) == now or now == other
    for _ in range(310):
        taken = actions()
        mine, theirs = env.step(taken.copy()), again.step(taken.copy())
        np.testing.assert_equal(without_clocks(theirs), without_clocks(mine))


def without_clocks(stepped: Any) -> Any:
    observation, rewards, dones, infos = stepped
    for info in infos:
        info.get("episode", {}).pop("t", None)
    return observation, rewards, dones, infos


def test_a_state_of_other_environments_is_refused():
    state = saved(reset("CartPole", 3))
    with pytest.raises(ValueError, match=r"view is float64 \(4, 3\), needed here is float64 \(4, 2\)"):
        restore(reset("CartPole", 2), state)


def reset(id: str, n: int) -> Any:
    env = make_vec_env(id, n_envs=n, seed=0, engine="batched")
    env.reset()
    return env
