"""Laws of the atlas's own environments: what decides in a level, and that the engine plays them as MiniGrid does."""

from __future__ import annotations

import itertools

import gymnasium
import pytest
from minigrid.core.constants import OBJECT_TO_IDX
from paired_play import play

from envs import make_env
from envs.names import resolve_id


def levels(name, count=200):
    env = gymnasium.make(resolve_id(name)).unwrapped
    for seed in range(count):
        env.reset(seed=seed)
        yield env


def things(env, kind):
    cells = ((x, y, env.grid.get(x, y)) for x in range(env.width) for y in range(env.height))
    return [(x, y, cell.color) for x, y, cell in cells if cell is not None and cell.type == kind]


@pytest.mark.parametrize("name", ["Goal-8x8", "AlignedNear", "Majority", "Recall"])
def test_the_engine_plays_them_as_minigrid_does(name):
    seen = play(resolve_id(name), 1_000)
    assert seen["success"] + seen["failure"]


@pytest.mark.parametrize(("name", "distance"), [("AlignedFar", 6), ("AlignedNear", 1)])
def test_the_tile_lies_in_the_row_of_the_right_opening_at_the_distance_that_the_name_says(name, distance):
    for env in levels(name):
        [(x, y, _)] = things(env, "floor")
        assert (x + distance, y) == env.success_pos
        assert env.failure_pos[1] != y
        assert env.grid.get(*env.failure_pos) is env.grid.get(*env.success_pos) is None


def test_west_is_right_if_and_only_if_most_balls_are_red():
    sides = set()
    for env in levels("Majority"):
        reds = [colour for *_, colour in things(env, "ball")].count("red")
        middle = env.width // 2
        assert (env.success_pos[0] < middle) == (reds > 2)
        assert len(things(env, "ball")) == 5
        sides.add(env.success_pos[0])
    assert len(sides) == 2


def test_what_is_to_be_recalled_is_in_the_first_view_and_in_no_view_of_the_end_of_the_corridor():
    answers = set()
    for env in levels("Recall"):
        middle, end = env.height // 2, env.success_pos[0]
        cue = env.grid.get(1, middle - 1)
        assert OBJECT_TO_IDX[cue.type] in env.gen_obs()["image"][..., 0]
        answers.add((cue.type, env.success_pos[1] < middle))
        for env.agent_pos, env.agent_dir in itertools.product([(end - 1, middle), (end, middle)], range(4)):
            assert not env.in_view(1, middle - 1)
    assert len(answers) == 4


def test_the_goal_is_anywhere_and_all_of_it_is_seen():
    places = {things(env, "goal")[0][:2] for env in levels("Goal-8x8", 400)}
    assert len(places) == 36
    env = make_env("Goal-8x8", view="full")
    assert (env.reset(seed=0)[0]["image"][..., 0] == 8).sum() == 1  # 8: goal
