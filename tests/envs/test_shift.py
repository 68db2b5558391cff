"""Shifted levels: matching actions meet matching observations and rewards."""

from __future__ import annotations

from functools import partial

import gymnasium
import minigrid  # noqa: F401  registers the ids
import numpy as np
import pytest
import torch
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc

from envs import make_env
from envs.engine import Batch
from envs.engine.hashes import hashes
from envs.engine.kernel import BALL, MARGIN
from envs.engine.levels import maker_of
from envs.engine.shift import ShiftedMaker
from envs.levels import EVALUATION, Part
from envs.missions import WORDS
from envs.names import resolve_id
from envs.optimum import Oracle

# a rule, an instruction or a kind of object each
PLAYED = (
    *("DoorKey-6x6", "GoToDoor-5x5", "MiniGrid-Fetch-6x6-N2-v0", "MemoryS7", "MiniGrid-PutNear-6x6-N2-v0"),
    *("MiniGrid-GoToObject-6x6-N2-v0", "MiniGrid-ObstructedMaze-1Dlhb-v0", "MiniGrid-UnlockPickup-v0", "Unlock"),
    *("BabyAI-GoToLocal-v0", "BabyAI-PickupLoc-v0", "BabyAI-PutNextS5N2Carrying-v0", "BabyAI-KeyInBox-v0"),
)
OFTEN = {"mirror": 2, "rotate": 4, "colours": 6}  # until a level is itself again
COLOURS = ["red", "green", "blue", "purple", "yellow", "grey"]


def made(id):
    return gymnasium.make(resolve_id(id))


def renamed(missions, names):
    """Missions with words exchanged, letter by letter."""
    said = [[names.get(WORDS[word], WORDS[word]) for word in mission] for mission in missions]
    return np.array([[WORDS.index(word) for word in mission] for mission in said], np.uint8)


def recoloured(codes):
    """Codes (..., type, colour, ...) with the next colour of doors, keys, balls and boxes."""
    new = codes.copy()
    for kind in (4, 5, 6, 7):
        here = codes[..., 0] == kind
        new[..., 1][here] = (codes[..., 1][here] + 1) % 6
    return new


def matching(id, view, shift):
    """What shifted levels show for an observation, and which actions match."""
    symmetry = make_env(id, view=view).symmetry
    elements = {"mirror": (2, 1, 0, 3), "rotate": (1, 2, 3, 0)}

    def moved(seen):
        if shift == "colours":
            codes = {key: recoloured(part) for key, part in seen.items() if key in ("image", "carrying")}
            names = dict(zip(COLOURS, COLOURS[1:] + COLOURS[:1], strict=True))
            said = {"mission": renamed(seen["mission"], names)} if "mission" in seen else {}
            return {**seen, **codes, **said}
        if elements[shift] not in symmetry.group.elements:  # the agent's own view does not turn with the world
            return {**seen, "direction": (seen["direction"] + 1) % 4}
        g = symmetry.group.elements.index(elements[shift])
        tensors = {key: torch.from_numpy(part.copy()) for key, part in seen.items()}
        return {key: part.numpy() for key, part in symmetry.observe(g, tensors).items()}

    turned = np.array([1, 0, 2, 3, 4, 5, 6]) if shift == "mirror" else np.arange(7)
    return moved, lambda actions: turned[actions]


def matches(id, view, shift, steps, n=6):
    """Play the same levels as they are and shifted -> how many successes there were."""
    batches = [Batch(made(id), n, view, part=Part(), shift=name) for name in (None, shift)]
    moved, act = matching(id, view, shift)
    find, random, successes = Oracle(id), np.random.default_rng(0), 0
    plans = [[] for _ in range(n)]
    for batch in batches:
        batch.reset(3)
    plain, other = batches
    started = np.arange(n)
    for _ in range(steps):
        assert np.array_equal(plain.level_seed, other.level_seed)
        expected = moved(plain.seen)
        assert expected.keys() == other.seen.keys()
        for key, part in other.seen.items():
            assert np.array_equal(expected[key], part), key
        for i in started[started % 3 > 0]:  # goes the shortest way, or turns right where that turns left
            way = find(int(plain.level_seed[i])).actions
            plans[i] = (way if i % 3 == 1 else np.array([1, 0, 2, 3, 4, 5, 6])[way]).tolist()
        actions = np.array([plan.pop(0) if plan else random.integers(7) for plan in plans])
        started = plain.step(actions)
        assert np.array_equal(other.step(act(actions)), started)
        for name in ("reward", "terminated", "truncated"):
            assert np.array_equal(plain.result[name], other.result[name])
        successes += int((plain.result["terminated"] & (plain.result["reward"] > 0)).sum())
    return successes


@pytest.mark.parametrize("shift", OFTEN)
@pytest.mark.parametrize("id", PLAYED)
def test_matching_actions_meet_matching_observations_and_rewards(id, shift):
    assert matches(id, "partial", shift, 60)


@pytest.mark.parametrize(
    ("id", "shift"),
    [
        *(("DoorKey-6x6", shift) for shift in OFTEN),
        *(("LavaGapS7", shift) for shift in ("mirror", "rotate")),
        *(("RedBlueDoors-6x6", "mirror"), ("BabyAI-GoToLocal-v0", "colours")),
    ],
)
def test_they_do_in_the_full_view_too(id, shift):
    assert matches(id, "full", shift, 60)


@pytest.mark.parametrize(("shift", "often"), OFTEN.items())
@pytest.mark.parametrize("id", ["BabyAI-MiniBossLevel-v0", "KeyCorridorS3R1", "MiniGrid-ObstructedMaze-1Dlhb-v0"])
def test_a_level_shifted_often_enough_is_itself(id, shift, often):
    env = made(id)
    makers = [maker_of(env)]
    for _ in range(often):
        makers.append(ShiftedMaker(makers[-1], env, shift))
    levels = [maker.made(range(4)) for maker in makers]
    for name, array in levels[0].levels._asdict().items():
        assert np.array_equal(array, getattr(levels[-1].levels, name)), name
    for other in levels[1:-1]:
        assert not np.array_equal(hashes(other.levels), hashes(levels[0].levels))


def test_a_grid_that_is_not_square_is_turned_by_a_quarter():
    env = made("KeyCorridorS3R1")
    level, turned = maker_of(env).made([5]), ShiftedMaker(maker_of(env), env, "rotate").made([5])
    cells = []
    for each in (level, turned):
        around = each.levels.grid[0, MARGIN:].reshape(-1, each.width + MARGIN)
        cells.append(around[MARGIN:-MARGIN, : each.width])
    assert cells[0].shape == (3, 7) and np.array_equal(np.rot90(cells[0], -1), cells[1])


@pytest.mark.parametrize("shift", OFTEN)
def test_moving_obstacles_are_where_the_grid_has_them(shift):
    env = made("DynamicObstacles-5x5")
    levels = ShiftedMaker(maker_of(env), env, shift).made(range(20)).levels
    for grid, obstacles in zip(levels.grid, levels.obstacles, strict=True):
        assert sorted(obstacles) == np.flatnonzero(grid & 15 == BALL).tolist()


def test_a_shifted_level_is_chosen_as_the_level_that_it_was():
    env, part = made("DoorKey-6x6"), Part(0, EVALUATION, held_out=True)
    chosen = []
    for shift in (None, "rotate"):
        batch = Batch(env, 5, part=part, shift=shift)
        batch.reset(0)
        chosen.append([*batch.level_seed, *batch.next_seed])
    assert chosen[0] == chosen[1]
    assert (hashes(maker_of(env).made(chosen[0]).levels) % np.uint64(10) == 0).all()


class GreyObject(RoomGridLevel):
    """Asks to go to "a grey object", and walls are grey."""

    def __init__(self, **kwargs):
        super().__init__(room_size=6, num_rows=1, num_cols=1, **kwargs)

    def gen_mission(self):
        self.place_agent(0, 0)
        self.add_object(0, 0, "ball", "grey")
        self.instrs = GoToInstr(ObjDesc(None, "grey"))


@pytest.mark.parametrize(
    ("env", "shift", "message"),
    [
        (partial(made, "DoorKey-5x5"), "turn", "no shift is called 'turn'. There are: colours, mirror, rotate"),
        (partial(made, "LavaGapS7"), "colours", "it has no doors, keys, balls or boxes"),
        (partial(made, "RedBlueDoors-6x6"), "colours", "its mission is always 'open the red door then the blue door'"),
        (GreyObject, "colours", "shift=colours would change the task of level 0 of GreyObject: it speaks of walls"),
    ],
)
def test_what_cannot_be_shifted_is_one_line(env, shift, message):
    with pytest.raises(ValueError, match=message):
        Batch(env(), 2, part=Part(), shift=shift)
