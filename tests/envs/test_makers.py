"""Compiled makers: level s is, in every field, what Farama's `reset(seed=s)` makes."""

from __future__ import annotations

from functools import cache

import gymnasium
import minigrid
import numba
import numpy as np
import pytest
from minigrid.core.world_object import Ball
from minigrid.envs import CrossingEnv, DoorKeyEnv

from envs.engine.compiled import njit
from envs.engine.farama import read_levels
from envs.engine.levels import maker_of
from envs.engine.makers import draws, families, one_room
from envs.engine.makers.families import FAMILIES, ids_of_families
from envs.engine.makers.world import WORLD
from envs.levels import EVALUATION

registered = cache(ids_of_families)

LAYS = sorted({family.name for family in FAMILIES.values()})
# Compiling takes a second each, so the quick tests leave out functions that do nothing else than these ones.
LEFT_OUT = {lay for lay in LAYS if lay.startswith("babyai")} - {
    "babyai_any.lay_any",
    "babyai_go_to.lay_go_to",
    "babyai_open.lay_unlock",
    "babyai_pick_up.lay_pick_up_described",
    "babyai_put_next.lay_put_next",
}


def assert_equal_levels(name, seeds, **kwargs):
    env = gymnasium.make(name, **kwargs)
    maker = maker_of(env)
    assert maker.compiled is not None, f"{name} has lost its compiled maker"
    theirs, ours = read_levels(env, seeds), maker.made(seeds)
    for field, their, our in zip(theirs.levels._fields, theirs.levels, ours.levels, strict=True):
        differ = [seed for seed, a, b in zip(seeds, their, our, strict=True) if not np.array_equal(a, b)]
        assert not differ, f"{name}: {field} differs in the levels {differ[:5]}"
    assert (theirs.width, theirs.height, theirs.sees_through) == (ours.width, ours.height, ours.sees_through)


@pytest.mark.parametrize("lay", [lay for lay in LAYS if lay not in LEFT_OUT])
def test_a_compiled_maker_makes_the_levels_that_farama_makes(lay):
    for name in registered()[lay]:
        assert_equal_levels(name, [*range(20, 26), EVALUATION, 2**32 - 1])


@pytest.mark.slow
@pytest.mark.parametrize("lay", LAYS)
def test_a_compiled_maker_makes_thousands_of_levels_that_farama_makes(lay):
    names, count = registered()[lay], 1_000 if lay.startswith("babyai") else 6_000
    for number, name in enumerate(names):
        assert_equal_levels(name, range(100 + number, 100 + number + count // len(names)))


def test_after_a_rejected_attempt_the_next_one_draws_on_from_where_it_was_rejected(capsys):
    env, rejected = gymnasium.make("BabyAI-GoToRedBlueBall-v0"), []
    for seed in range(20):
        env.reset(seed=seed)
        if "Sampling rejected" in capsys.readouterr().out:
            rejected.append(seed)
    assert len(rejected) > 3
    assert_equal_levels("BabyAI-GoToRedBlueBall-v0", rejected)


def test_a_grey_object_may_be_any_of_the_walls():
    level = maker_of(gymnasium.make("BabyAI-PickupDist-v0")).made([7]).levels
    assert level.marks[0].astype(bool).sum() > 4 * 6
    assert_equal_levels("BabyAI-PickupDist-v0", [7])


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("MiniGrid-FourRooms-v0", {"agent_pos": (3, 4), "goal_pos": (15, 15)}),
        ("MiniGrid-DistShift1-v0", {"agent_start_pos": None, "width": 11}),
        ("MiniGrid-DoorKey-5x5-v0", {"size": 17, "max_steps": 33}),
        ("MiniGrid-LavaCrossingS9N1-v0", {"size": 13, "num_crossings": 9}),
        ("MiniGrid-KeyCorridorS3R2-v0", {"num_rows": 5, "obj_type": "box"}),
        ("MiniGrid-MultiRoom-N2-S4-v0", {"minNumRooms": 1, "maxNumRooms": 7, "maxRoomSize": 8}),
        ("BabyAI-GoTo-v0", {"room_size": 5, "num_rows": 1, "num_dists": 5, "max_steps": 77}),
        (
            "BabyAI-BossLevel-v0",
            {"room_size": 5, "locked_room_prob": 0.9, "action_kinds": ["putnext", "open"], "instr_kinds": ["and"]},
        ),
    ],
)
def test_a_compiled_maker_follows_the_options_of_its_environment(name, kwargs):
    assert_equal_levels(name, range(30), **kwargs)


def use(lay, monkeypatch):
    """Let this function lay out the levels of DoorKey."""
    monkeypatch.setattr("envs.engine.makers.make.callback", lambda signature, lay: numba.cfunc(signature)(lay))
    monkeypatch.setitem(FAMILIES, DoorKeyEnv, families.Family(lay))


def test_a_maker_that_draws_once_too_often_is_noticed_and_not_used(monkeypatch, caplog):
    right = njit(one_room.lay_door_key)

    def wasteful(w, cells, marks):
        draws.integer(w, 0, 2)
        right(w, cells, marks)

    use(wasteful, monkeypatch)
    maker = maker_of(gymnasium.make("MiniGrid-DoorKey-6x6-v0"))
    assert maker.compiled is None
    assert "makes other levels of DoorKeyEnv than the compiled maker" in caplog.text
    seen, real = maker.made([5]).levels.grid, read_levels(gymnasium.make("MiniGrid-DoorKey-6x6-v0"), [5]).levels.grid
    assert np.array_equal(seen, real)


def test_a_later_minigrid_that_makes_one_level_of_a_hundred_in_another_way_is_noticed(monkeypatch, caplog):
    right, hundredth = njit(one_room.lay_door_key), np.uint64(2**64 // 100)

    def rarely_wrong(w, cells, marks):
        right(w, cells, marks)
        if w.state[0] < hundredth:
            w.direction = 3 - w.direction

    use(rarely_wrong, monkeypatch)
    monkeypatch.setattr(minigrid, "__version__", "3.9.0")
    assert maker_of(gymnasium.make("MiniGrid-DoorKey-6x6-v0")).compiled is None
    assert "MiniGrid 3.9.0 makes other levels of DoorKeyEnv" in caplog.text


def test_an_environment_that_draws_its_own_way_keeps_its_own_levels():
    class Another(DoorKeyEnv):
        def _gen_grid(self, width, height):
            super()._gen_grid(width, height)
            self.agent_dir = 0

    class Smaller(DoorKeyEnv):
        def __init__(self, **kwargs):
            super().__init__(size=6, **kwargs)

    assert maker_of(Another()).compiled is None
    assert not maker_of(Another()).made(range(8)).levels.agent["direction"].any()
    assert maker_of(Smaller()).compiled is not None
    assert maker_of(CrossingEnv(obstacle_type=Ball)).compiled is None


def test_a_level_that_cannot_be_made_says_why_whoever_makes_it():
    full = gymnasium.make("MiniGrid-Dynamic-Obstacles-5x5-v0", size=4, n_obstacles=3)
    with pytest.raises(ValueError, match="DynamicObstaclesEnv cannot make level 5: rejection sampling failed"):
        maker_of(full).made([5])


@pytest.mark.parametrize("seed", [0, 1, 77, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**45 + 3])
def test_the_compiled_draws_are_those_of_numpy(seed):
    world, numpy = np.zeros(1, WORLD)[0], np.random.default_rng(seed)
    draws.seeded(world, seed)
    for high in (1, 2, 3, 5, 6, 7, 100, 2**16 + 1, 2**31 - 1, 3 * 2**30) * 5:
        assert draws.integer(world, -3, high) == numpy.integers(-3, high)
        assert draws.fraction(world) == numpy.uniform(0, 1)
        mine, theirs = np.arange(9), list(range(9))
        draws.shuffle(world, mine, 9)
        numpy.shuffle(theirs)
        assert mine.tolist() == theirs
