"""Levels are told apart by their content; those of training and those of tests have none in common."""

from __future__ import annotations

import re
from functools import cache

import gymnasium
import numpy as np
import pytest
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.minigrid_env import MiniGridEnv

from envs import make_env, make_vec_env
from envs.engine.hashes import hashes
from envs.engine.kernel import AGENT, EMPTY, MARGIN
from envs.engine.levels import generate
from envs.levels import EVALUATION, Part
from envs.names import resolve_id
from envs.split import split_of

# ids with obstacles, missions, contents of boxes, instructions, few levels
IDS = ["DoorKey-5x5", "DynamicObstacles-5x5", "MiniGrid-Fetch-5x5-N2-v0", "BabyAI-KeyInBox-v0", "BabyAI-PutNextS4N1-v0"]


def content(env: MiniGridEnv) -> tuple:
    """What Farama's environment says about the level it has just made, hashed by nothing of this project."""
    things = [*env.grid.grid, env.carrying]
    seen = [thing and (thing.encode(), thing.contains and thing.contains.encode()) for thing in things]
    return str(seen), tuple(map(int, env.agent_pos)), int(env.agent_dir), env.mission


def contents(id: str, seeds) -> list[tuple]:
    env = make_env(id)
    found = []
    for seed in seeds:
        env.reset(seed=int(seed))
        found.append(content(env.unwrapped))
    return found


@cache
def made(id: str, count: int = 150):
    return generate(gymnasium.make(resolve_id(id)), range(count)).levels


@pytest.mark.parametrize("id", IDS)
def test_two_levels_have_one_hash_if_and_only_if_farama_s_are_equal(id):
    found, expected = hashes(made(id)).tolist(), contents(id, range(150))
    assert len({*zip(found, expected, strict=True)}) == len({*found}) == len({*expected}) > 1


def test_the_hash_is_that_of_its_law():
    """Written again with Python's whole numbers, for a level with an instruction."""
    levels = made("BabyAI-PutNextS4N1-v0")
    agent, grid, marks = levels.agent[3], levels.grid[3], levels.marks[3]
    stride = int(agent["stride"])
    values = [*(agent[name] for name in ("position", "direction", "carrying", "max_steps", "stride"))]
    values += [*agent["parameters"], *agent["program"]]
    for row in range(MARGIN, len(grid) // stride - MARGIN):
        places = MARGIN + row * stride + np.arange(stride - MARGIN)
        values += [int(grid[place]) + int(marks[place]) * 2**16 for place in places]
    for number, (mask, inside) in enumerate(zip(levels.masks[3], levels.contents[3], strict=True)):
        if mask or inside != EMPTY:
            values.append(number + int(mask) * 2**8 + int(inside) * 2**16)
    h = 0
    for value in [*values, *levels.mission[3]]:
        h = ((h ^ int(value)) * 0x9E3779B97F4A7C15) % 2**64
        h ^= h >> 32
    assert hashes(levels, np.array([3]))[0] == h


def altered(levels, part: str, name: str):
    """Level 0 with one number changed."""
    one = type(levels)(*(array[:1].copy() for array in levels))
    one = one._replace(agent=one.agent.astype(AGENT))
    array = one.agent[name] if part == "agent" else getattr(one, part)
    within = one.agent["position"][0] if part in ("grid", "marks") else 2
    place = (0, within) if array.ndim > 1 else 0
    array[place] += 1
    return one


@pytest.mark.parametrize(
    ("part", "name"),
    [("agent", name) for name in ("position", "direction", "carrying", "max_steps", "parameters", "program")]
    + [(part, "") for part in ("grid", "marks", "masks", "contents", "mission")],
)
def test_a_level_that_differs_in_one_number_has_another_hash(part, name):
    levels = made("BabyAI-PutNextS4N1-v0")
    assert hashes(altered(levels, part, name))[0] != hashes(levels)[0]


def test_the_number_of_a_row_and_its_random_numbers_are_not_of_the_level():
    levels = made("BabyAI-PutNextS4N1-v0")
    for name in ("level", "next_level", "chance"):
        assert hashes(altered(levels, "agent", name))[0] == hashes(levels)[0]


def test_n_levels_are_the_first_n_distinct_ones_of_farama_s():
    first: dict[tuple, int] = {}
    for seed, level in enumerate(contents("DoorKey-5x5", range(100))):
        first.setdefault(level, seed)
    split = split_of("DoorKey-5x5", 20)
    assert split.training.seeds is not None
    assert split.training.seeds.tolist() == [*first.values()][:20] != [*range(20)]


@pytest.mark.parametrize(
    ("id", "levels", "bank", "said"),
    [
        ("DoorKey-5x5", 40, 0, r"distinct levels: 40 of at most 48 \(in [\d,]+ seeds\)"),
        ("DoorKey-8x8", 50, 0, r"distinct levels: 50 of at least [\d,]{5,} \(in [\d,]+ seeds\)"),
        ("DoorKey-5x5", "all", 10_000, r"distinct levels: 48 of at most 48 \(in 10,000 seeds\); none are left for .*"),
        ("DoorKey-5x5", 48, 0, r"distinct .*; none are left for tests: training has 1,000 of 1,000 levels that .*"),
        ("DoorKey-8x8", "all", 300, r"distinct levels: 294 \(in 300 seeds\)"),
        ("DoorKey-8x8", "all", 0, r"distinct levels: at least 254 \(in 256 seeds\), a tenth of all is held out"),
    ],
)
def test_how_many_levels_there_are_is_said(id, levels, bank, said):
    assert re.fullmatch(said, str(split_of(id, levels, bank)))


@pytest.mark.parametrize(
    ("id", "levels", "bank", "reason"),
    [
        ("DoorKey-5x5", 48, 0, "training has 1,000 of 1,000 levels that evaluations draw"),
        ("DoorKey-5x5", "all", 10_000, "training has 1,000 of 1,000 levels that evaluations draw"),
        ("DoorKey-5x5", "all", 0, "48 distinct levels are too few to hold some out"),
        ("DoorKey-8x8", "all", 2**31, "comparing 2,147,483,648 levels takes too long"),
    ],
)
def test_why_there_are_no_levels_to_test_on_is_said(id, levels, bank, reason):
    split = split_of(id, levels, bank)
    assert (split.test, split.reason) == (None, reason)
    with pytest.raises(ValueError, match=f"no levels to test on: {reason}"):
        make_vec_env(id, levels=levels, bank=bank, part="test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0}, "levels is all, or a whole number, at least 1; got 0"),
        ({"levels": "many"}, "levels is all, or a whole number, at least 1; got 'many'"),
        ({"levels": 20, "part": "validation"}, "part is one of training, test, tuning, got 'validation'"),
        ({"part": "test"}, "part='test' needs levels="),
        ({"id": "CartPole", "levels": 20}, "CartPole has no levels"),
        ({"id": "Pendulum", "levels": "all", "part": "test"}, "Pendulum has no levels"),
    ],
)
@pytest.mark.parametrize("engine", ["batched", "gymnasium"])
def test_levels_that_cannot_be_played_are_refused(options, message, engine):
    with pytest.raises(ValueError, match=message):
        make_vec_env(**{"id": "DoorKey-5x5", "engine": engine, **options})


KINDS = [(20, 0), ("all", 30), ("all", 0)]


@cache
def played(engine: str, levels: int | str, bank: int, part: str) -> list[int]:
    """The levels of 3 environments' episodes, which take 5 steps."""
    options = {"levels": levels, "bank": bank, "part": part, "kwargs": {"max_steps": 5}}
    env = make_vec_env("DoorKey-6x6", n_envs=3, seed=5, engine=engine, **options)
    env.reset()
    seeds = [info["level_seed"] for info in env.reset_infos]
    for _ in range(100):
        _, _, done, infos = env.step(np.zeros(3, int))
        if done.any():
            seeds += [info["level_seed"] for info in infos]
    return seeds


@pytest.mark.parametrize("part", ["training", "test"])
@pytest.mark.parametrize(("levels", "bank"), KINDS)
def test_both_engines_play_the_same_levels(levels, bank, part):
    found = played("batched", levels, bank, part)
    assert found == played("gymnasium", levels, bank, part)
    assert len(found) == 63 and len({*found}) > 15


@pytest.mark.parametrize(("levels", "bank"), KINDS)
def test_no_level_of_tests_is_one_of_training(levels, bank):
    training, test = (played("batched", levels, bank, part) for part in ("training", "test"))
    assert max(training) < EVALUATION <= min(test)
    assert {*contents("DoorKey-6x6", training)}.isdisjoint(contents("DoorKey-6x6", test))


PROPERTIES = {  # what Farama's environment says about the target of the level it has just made: for training, for tests
    "right": lambda env: (env.target_pos[0] < env.width // 2, env.target_pos[0] >= env.width // 2),
    "pairs": lambda env: (
        not any(is_left_out(thing.type, thing.color) for thing in env.grid.grid if thing and thing.type in OBJECTS),
        is_left_out(env.targetType, env.target_color),
    ),
}
OBJECTS = ("key", "ball", "box")


def is_left_out(kind, colour) -> bool:
    return (OBJECT_TO_IDX[kind] + COLOR_TO_IDX[colour]) % 3 == 0


@pytest.mark.parametrize("levels", ["all", 40])
@pytest.mark.parametrize("name", PROPERTIES)
def test_levels_of_tests_have_a_property_that_no_level_of_training_has(name, levels):
    id = "MiniGrid-GoToObject-6x6-N2-v0"
    split, env = split_of(id, levels, 100, name), gymnasium.make(id).unwrapped
    assert split.training.seeds is not None and split.test is not None and split.apart
    found: dict[str, list[tuple]] = {"training": [], "test": []}
    for part, seeds in (("training", split.training.listed), ("test", split.test.listed[:200])):
        for seed in seeds:
            env.reset(seed=int(seed))
            assert PROPERTIES[name](env) == (part == "training", part == "test")
            found[part].append(content(env))
    assert {*found["training"]}.isdisjoint(found["test"])
    assert split.distinct == len({*found["training"]}) and (levels == "all" or split.distinct == levels)
    others = [seed for seed in range(100) if seed not in split.training.listed]
    for seed in others if levels == "all" else []:
        env.reset(seed=seed)
        assert not PROPERTIES[name](env)[0]


def test_a_target_in_the_middle_column_is_of_neither_half():
    split, env = split_of("FourRooms", "all", 300, "right"), gymnasium.make("MiniGrid-FourRooms-v0").unwrapped
    columns: dict[int, int] = {}
    for seed in range(300):
        env.reset(seed=seed)
        column = next(i for i, thing in enumerate(env.grid.grid) if thing and thing.type == "goal") % env.width
        columns[seed] = column - env.width // 2
    assert split.training.listed.tolist() == [seed for seed, column in columns.items() if column < 0]
    assert 0 in columns.values() and env.width % 2 == 1


def test_things_are_left_in_training_and_right_in_tests():
    split, env = split_of("OneBall", "all", 300, "things"), gymnasium.make("Inductive-OneBall-v0").unwrapped
    assert split.test is not None
    for part, side in ((split.training, {1, 2}), (split.test, {4, 5})):
        columns = set()
        for seed in part.listed[:100]:
            env.reset(seed=int(seed))
            columns.add(next(i for i, thing in enumerate(env.grid.grid) if thing and thing.type == "ball") % env.width)
        assert columns == side


@pytest.mark.parametrize(
    ("id", "name", "options", "message"),
    [
        ("Goal-8x8", "things", {}, "not every level has a key, a ball or a box"),
        ("DoorKey-6x6", "left", {}, "no property of levels is called 'left'.* There are: pairs, right, things"),
        ("DoorKey-6x6", "right", {}, "does not suit .*: 0 of 4,096 levels are left for training"),
        ("DoorKey-6x6", "pairs", {}, "does not suit .*: its targets are not doors, keys, balls or boxes"),
        ("GoToDoor-5x5", "pairs", {}, "training would never ask for some colour, since each has one pair only"),
        ("RedBlueDoors-6x6", "right", {}, "its levels have no single target"),
        ("MiniGrid-Playground-v0", "right", {}, "not every level has a target"),
        ("GoToDoor-5x5", "right", {"bank": 0}, "it needs a number of levels, .* and env.bank is 0"),
        ("CartPole", "right", {}, "CartPole has no levels, of which env.held_out=right"),
    ],
)
def test_a_property_that_levels_do_not_have_is_refused(id, name, options, message):
    with pytest.raises(ValueError, match=message):
        make_vec_env(id, held_out=name, **options)


def test_both_engines_play_the_same_levels_with_a_property():
    found = []
    for engine in ("batched", "gymnasium"):
        for part in ("training", "test"):
            options = {"bank": 100, "held_out": "right", "part": part, "kwargs": {"max_steps": 1}}
            env = make_vec_env("GoToDoor-5x5", n_envs=3, seed=5, engine=engine, **options)
            env.reset()
            found.append([[info["level_seed"] for info in env.step(np.zeros(3, int))[3]] for _ in range(20)])
    assert found[0] == found[2] and found[1] == found[3] and np.max(found[0]) < 100 <= np.min(found[1])


def test_levels_of_n_are_drawn_equally_often():
    part = split_of("DoorKey-6x6", 20).training
    drawn = part.draw(0, np.arange(100)[:, None], np.arange(100))
    _, counts = np.unique(drawn, return_counts=True)
    assert len(counts) == 20 and abs(counts - 500).max() < 5 * np.sqrt(500)


def test_the_next_level_that_is_accepted_is_played_and_after_the_last_comes_the_first():
    """With hashes that are the seeds themselves."""
    last = 2 * EVALUATION - 1
    part = Part(first=EVALUATION, refused=np.array([EVALUATION, EVALUATION + 1, last], np.uint64))
    seeds = np.array([last, EVALUATION, EVALUATION + 7])
    part.settle(seeds, lambda seeds: seeds.astype(np.uint64))
    assert seeds.tolist() == [EVALUATION + 2, EVALUATION + 2, EVALUATION + 7]
    part = Part(held_out=True)
    seeds = np.arange(1, 25)
    part.settle(seeds, lambda seeds: seeds.astype(np.uint64))
    assert seeds.tolist() == [10] * 10 + [20] * 10 + [30] * 4
    with pytest.raises(ValueError, match="none of 10,000 levels"):
        part.settle(np.array([0]), lambda seeds: np.ones(1, np.uint64))
