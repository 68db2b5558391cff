"""The optimum of a level: Farama's environment is solved in as many steps, and no shorter way exists."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings

import gymnasium
import minigrid  # noqa: F401  registers the ids
import numpy as np
import pytest
from minigrid.core.world_object import WorldObj

from envs import oracle
from envs.engine.search import slot_of, table
from envs.names import resolve_id
from envs.optimum import NoOptimum, Oracle, best_returns

# every rule that the engine has, but for moving obstacles
SOLVED = (
    *("DoorKey-8x8", "FourRooms", "LavaCrossingS9N1", "LavaGapS7", "MiniGrid-MultiRoom-N6-v0", "KeyCorridorS3R1"),
    *("MiniGrid-ObstructedMaze-1Dlhb-v0", "MiniGrid-BlockedUnlockPickup-v0", "MiniGrid-Fetch-6x6-N2-v0"),
    *("GoToDoor-5x5", "MiniGrid-GoToObject-6x6-N2-v0", "MemoryS7", "MiniGrid-PutNear-6x6-N2-v0", "RedBlueDoors-6x6"),
    *("Unlock", "BabyAI-GoToLocal-v0", "BabyAI-PutNextS5N2Carrying-v0", "BabyAI-KeyInBox-v0", "BabyAI-OpenDoor-v0"),
    *("BabyAI-PickupLoc-v0", "BabyAI-OpenDoorsOrderN4-v0", "BabyAI-MoveTwoAcrossS5N2-v0"),
)
SMALL = (
    *("MiniGrid-Empty-5x5-v0", "DoorKey-5x5", "MiniGrid-LavaGapS5-v0", "MiniGrid-Fetch-5x5-N2-v0", "GoToDoor-5x5"),
    *("MiniGrid-PutNear-6x6-N2-v0", "BabyAI-PutNextS4N1-v0", "KeyCorridorS3R1"),
)


def reset(id, seed):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gymnasium.make(resolve_id(id)).unwrapped
        env.reset(seed=seed)
    return env


def solves(find, id, seed):
    """Farama's environment ends with a success after the oracle's actions, not before, and with the best return."""
    found, env = find(seed), reset(id, seed)
    ends = []
    for action in found.actions:
        _, reward, terminated, _, _ = env.step(int(action))
        ends.append((terminated, float(reward)))
    assert ends == [(False, 0.0)] * (found.steps - 1) + [(True, found.best_return)]


@pytest.mark.parametrize("id", SOLVED[::3])
def test_the_actions_of_the_oracle_succeed_in_farama_s_environment(id):
    find = Oracle(id)
    for seed in range(2):
        solves(find, id, seed)


@pytest.mark.slow
@pytest.mark.parametrize("id", SOLVED)
def test_the_actions_of_the_oracle_succeed_on_many_levels(id):
    find = Oracle(id)
    for seed in range(100, 130):
        solves(find, id, seed)


def all_of(thing):
    """All that may change of an object, or of BabyAI's instruction, as something hashable."""
    if isinstance(thing, WorldObj):
        return thing.number, thing.encode(), all_of(thing.contains)
    if hasattr(thing, "verify"):
        named = {"obj_poss", "preCarrying", "a_done", "b_done", "instr_a", "instr_b", "desc", "desc_move", "desc_fixed"}
        return tuple(all_of(value) for name, value in sorted(vars(thing).items()) if name in named)
    if hasattr(thing, "obj_poss"):
        return tuple(map(tuple, thing.obj_poss))
    return thing


def key(env):
    cells = tuple(all_of(cell) for cell in env.grid.grid)
    return (tuple(env.agent_pos), env.agent_dir, all_of(env.carrying), cells, all_of(getattr(env, "instrs", None)))


def fewest(env):
    """The fewest steps to a success, None if there is none: breadth first, a copy of Farama's environment a step."""
    for number, cell in enumerate([*env.grid.grid, env.carrying]):
        if cell is not None:
            cell.number = number
            if cell.contains is not None:
                cell.contains.number = -number
    env.gen_obs = lambda: {}  # takes most of the time
    shared = [part for part in vars(env).values() if type(part).__module__.startswith(("gymnasium", "numpy", "enum"))]
    met, present, steps = {key(env)}, [env], 0
    while present:
        steps, following = steps + 1, []
        for state in present:
            for action in range(7):
                after = copy.deepcopy(state, {id(part): part for part in shared})
                _, reward, terminated, truncated, _ = after.step(action)
                if terminated and reward > 0:
                    return steps
                if not terminated and not truncated and key(after) not in met:
                    met.add(key(after))
                    following.append(after)
        present = following
    return None


@pytest.mark.parametrize("id", SMALL)
def test_no_shorter_way_exists(id):
    env = reset(id, 0)
    assert fewest(env) == oracle(id, 0).steps


def test_a_level_that_cannot_be_solved_cannot_be_solved_in_farama_s_environment():
    # the step that opens the first of two doors is judged by the second half too, where it is the wrong door
    id = "BabyAI-OpenDoorsOrderN4Debug-v0"
    with pytest.raises(NoOptimum, match="level 0 cannot be solved within its 720 steps"):
        oracle(id, 0)
    assert fewest(reset(id, 0)) is None


def test_a_level_takes_exactly_as_many_steps_as_its_optimum():
    steps = oracle("DoorKey-5x5", 3).steps
    assert oracle("DoorKey-5x5", 3, kwargs={"max_steps": steps}).best_return == pytest.approx(0.1)
    with pytest.raises(NoOptimum, match=f"level 3 cannot be solved within its {steps - 1} steps"):
        oracle("DoorKey-5x5", 3, kwargs={"max_steps": steps - 1})


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("CartPole", "CartPole has no levels"),
        ("DynamicObstacles-5x5", "its obstacles move at random"),
        ("BabyAI-GoTo-v0", "level 0 has more than 500 states"),
    ],
)
def test_where_there_is_no_optimum_the_reason_is_told(id, reason):
    with pytest.raises(NoOptimum, match=reason):
        oracle(id, 0, most=500)


def test_worlds_with_one_digest_are_told_apart():
    worlds, words = np.array([[1, 2], [3, 4]], np.int16), np.full(2, 7, np.uint64)
    slots = table(words, 1, 8)  # of the first
    assert slots[slot_of(worlds[0], words[0], worlds, words, slots)] == 1
    assert slots[slot_of(worlds[1], words[1], worlds, words, slots)] == 0


def test_the_best_returns_of_levels_are_those_of_each():
    seeds = np.array([5, 3, 5, 2**31])
    best = best_returns("DoorKey-5x5", seeds)
    assert best.tolist() == [oracle("DoorKey-5x5", int(seed)).best_return for seed in seeds]
    with pytest.raises(NoOptimum, match="its 3 levels have more than 10 states together"):
        best_returns("DoorKey-5x5", seeds, most=10)


@pytest.mark.parametrize("seed", [-1, "a", 0.5])
def test_a_seed_that_no_level_has_is_one_line(seed):
    with pytest.raises(ValueError, match="a level's seed is a whole number from 0 on; got"):
        oracle("DoorKey-5x5", seed)
