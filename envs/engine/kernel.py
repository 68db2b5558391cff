"""Farama's `reset`, `step` and `gen_obs` for many environments at once, compiled by numba.

All compiled code is in this file: numba's cache on disk does not notice changes in functions imported from others.

A cell is an int16: type (4 bits) | colour << 4 (3) | state << 7 (2) | object number << 9 (6). The number stands for the
object's identity, which the rules ask for ("is it *this* ball?"); 0 is an object nobody asks about. An empty cell is 1.

A grid of width W and height H lies row by row in one vector of cells, with walls around it as far as the agent sees: 6
rows above and below, and 6 columns on one side only, since the next row's serve the other side. So a position is one
index, and neighbours and views are fixed offsets from it:

    stride = W + 6,   index(x, y) = 6 + (y + 6) stride + x
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

VIEW = 7  # cells along each side of the partial view
MARGIN = VIEW - 1

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT = range(11)
OPEN, CLOSED, LOCKED = range(3)

# Whose `step` it is (see envs/engine/rules.py).
BASE, PICK_TARGET, FETCH, GO_TO, MEMORY, PUT_NEAR, RED_BLUE, UNLOCK, OBSTACLES, BABYAI, CUSTOM = range(11)

# A BabyAI program: SINGLE | BEFORE | AFTER, strict, then for each of four atoms its kind and strictness. Atoms 0 and 1
# are the first half (both: "and"), 2 and 3 the second.
SINGLE, BEFORE, AFTER = range(3)
ABSENT, OPEN_DOOR, REACH, PICK_UP, PUT_NEXT = range(5)
ATOMS = 4
CONTINUE, SUCCESS, FAILURE = range(3)

PARTIAL, FULL, RGB = range(3)
TILE = 8  # pixels of a cell in the rgb view
DARK, LIT, WITH_AGENT = range(3)  # kinds of tile


class State(NamedTuple):
    """Where every environment is: leading axis the environment."""

    grid: np.ndarray  # int16 (n, cells)
    position: np.ndarray  # int32 (n,)
    direction: np.ndarray  # int32 (n,)
    carrying: np.ndarray  # int16 (n,): the carried cell, EMPTY for none
    steps: np.ndarray  # int32 (n,)
    returns: np.ndarray  # float64 (n,): of the episode so far
    level: np.ndarray  # int32 (n,): row of the bank
    next_level: np.ndarray  # int32 (n,): row of the bank for the episode after this one
    obstacles: np.ndarray  # int32 (n, k): positions, in Farama's order
    obstacle_moves: np.ndarray  # int32 (n, k): where the obstacles go next; -1 leaves it to chance
    chance: np.ndarray  # uint64 (n,): state of the random numbers
    marks: np.ndarray  # uint8 (n, cells): bit d: description d holds for the object here (BabyAI's `obj_poss`)
    satisfied: np.ndarray  # bool (n, ATOMS + 1): the atoms, and the half that must come first
    carried_before: np.ndarray  # int16 (n, ATOMS): BabyAI's `preCarrying`


class Levels(NamedTuple):
    """The bank: leading axis the level."""

    cells: np.ndarray  # int16 (levels, cells)
    position: np.ndarray  # int32
    direction: np.ndarray  # int32
    carrying: np.ndarray  # int16
    max_steps: np.ndarray  # int32
    image: np.ndarray  # uint8 (levels, 7, 7, 3): the first partial view, verbatim
    mission: np.ndarray  # uint8 (levels, words)
    contents: np.ndarray  # int16 (levels, 64): what is in the box with this number
    parameters: np.ndarray  # int32 (levels, p): of the rule
    obstacles: np.ndarray  # int32 (levels, k)
    program: np.ndarray  # int8 (levels, 2 + 2 ATOMS)
    masks: np.ndarray  # uint8 (levels, 64): bit d: description d holds for the object with this number
    marks: np.ndarray  # uint8 (levels, cells)


class Geometry(NamedTuple):
    """What all levels of an environment have in common."""

    width: int
    height: int
    sees_through: bool
    rule: int
    shows: int  # PARTIAL | FULL | RGB
    ahead: np.ndarray  # int32 (4,): offset of the cell in front, by direction
    offsets: np.ndarray  # int32 (4, 49): offsets of the view's cells, by direction
    sight: np.ndarray  # int32 (2^14,): what a row of the view lets through (see envs.engine.tables)
    tiles: np.ndarray  # uint8 (3, 512, 8, 8, 3): pictures of the cells; rgb view only


class Output(NamedTuple):
    """What the caller gets; `final_*` holds the last observation of the episodes that ended in this step."""

    image: np.ndarray
    direction: np.ndarray
    carrying: np.ndarray
    mission: np.ndarray
    final_image: np.ndarray
    final_direction: np.ndarray
    final_carrying: np.ndarray
    final_mission: np.ndarray
    reward: np.ndarray  # float64 (n,)
    terminated: np.ndarray  # bool (n,)
    truncated: np.ndarray  # bool (n,)
    episode_return: np.ndarray  # float64 (n,): of the episodes that ended
    episode_length: np.ndarray  # int32 (n,)


# --- the observation ---------------------------------------------------------------------------------------------------


@njit(cache=True)
def is_opaque(cell):
    kind = cell & 15
    return kind == WALL or (kind == DOOR and (cell >> 7) & 3 != OPEN)


@njit(cache=True)
def write_cell(pixel, cell):
    pixel[0] = cell & 15
    pixel[1] = (cell >> 4) & 7
    pixel[2] = (cell >> 7) & 3


@njit(cache=True)
def observe_partial(e, state, geometry, image):
    """`gen_obs`: the 7x7 cells ahead; light spreads from the agent's row away, each row from what the one before let through."""
    grid = state.grid[e]
    position = state.position[e]
    offsets = geometry.offsets[state.direction[e]]
    reached = 1 << (VIEW // 2)
    for row in range(VIEW - 1, -1, -1):
        visible = (1 << VIEW) - 1
        if not geometry.sees_through:
            opaque = 0
            for column in range(VIEW):
                if is_opaque(grid[position + offsets[column * VIEW + row]]):
                    opaque |= 1 << column
            seen = geometry.sight[opaque << VIEW | reached]
            visible, reached = seen & 127, seen >> VIEW
        for column in range(VIEW):
            if (visible >> column) & 1:
                write_cell(image[column, row], grid[position + offsets[column * VIEW + row]])
            else:
                write_cell(image[column, row], 0)
    write_cell(image[VIEW // 2, VIEW - 1], state.carrying[e])


@njit(cache=True)
def observe_full(e, state, geometry, image):
    """`FullyObsWrapper`: every cell, and the agent over its own."""
    grid = state.grid[e]
    stride = geometry.width + MARGIN
    for x in range(geometry.width):
        for y in range(geometry.height):
            write_cell(image[x, y], grid[MARGIN + (y + MARGIN) * stride + x])
    place = state.position[e] - MARGIN
    agent = image[place % stride, place // stride - MARGIN]
    agent[0], agent[1], agent[2] = AGENT, 0, state.direction[e]


@njit(cache=True)
def observe_rgb(e, state, geometry, image):
    """`RGBImgPartialObsWrapper`: the partial view as pictures of its cells, axes (y, x)."""
    codes = np.empty((VIEW, VIEW, 3), np.int16)  # signed: numba makes floats of mixed signs
    observe_partial(e, state, geometry, codes)
    for row in range(VIEW):
        for column in range(VIEW):
            code = codes[column, row]
            cell = code[0] | code[1] << 4 | code[2] << 7
            light = LIT
            if code[0] == UNSEEN:
                cell, light = EMPTY, DARK
            if row == VIEW - 1 and column == VIEW // 2:
                light = WITH_AGENT
            tile = geometry.tiles[light, cell]
            for i in range(TILE):
                for j in range(TILE):
                    for channel in range(3):
                        image[row * TILE + i, column * TILE + j, channel] = tile[i, j, channel]


@njit(cache=True)
def observe(e, state, geometry, image, direction, carrying):
    if geometry.shows == PARTIAL:
        observe_partial(e, state, geometry, image[e])
    elif geometry.shows == FULL:
        observe_full(e, state, geometry, image[e])
        carrying[e, 0] = state.carrying[e] & 15
        carrying[e, 1] = (state.carrying[e] >> 4) & 7
    else:
        observe_rgb(e, state, geometry, image[e])
    direction[e, 0] = state.direction[e]


# --- reset -------------------------------------------------------------------------------------------------------------


@njit(cache=True)
def begin(e, state, levels, geometry, out):
    """The next episode: the level's arrays become the environment's, and its first observation is written."""
    level = state.next_level[e]
    state.level[e] = level
    state.grid[e] = levels.cells[level]
    state.position[e] = levels.position[level]
    state.direction[e] = levels.direction[level]
    state.carrying[e] = levels.carrying[level]
    state.steps[e] = 0
    state.returns[e] = 0.0
    state.obstacles[e] = levels.obstacles[level]
    if geometry.rule == BABYAI:
        state.marks[e] = levels.marks[level]
        state.satisfied[e] = False
        state.carried_before[e] = EMPTY
    observe(e, state, geometry, out.image, out.direction, out.carrying)
    if geometry.shows == PARTIAL:
        # BabyAI's PutNext moves an object into the agent's hands after the observation was made
        out.image[e] = levels.image[level]
    out.mission[e] = levels.mission[level]


# --- step: MiniGridEnv ---------------------------------------------------------------------------------------------------


@njit(cache=True)
def front(e, state, geometry):
    return state.position[e] + geometry.ahead[state.direction[e]]


@njit(cache=True)
def success_reward(e, state, levels):
    return 1 - 0.9 * (state.steps[e] / levels.max_steps[state.level[e]])


@njit(cache=True)
def toggle(e, ahead, state, levels):
    """A locked door opens with its key, others open and close, a box is replaced by its contents."""
    cell = state.grid[e, ahead]
    kind = cell & 15
    if kind == DOOR:
        is_state = (cell >> 7) & 3
        if is_state == LOCKED:
            held = state.carrying[e]
            if held & 15 == KEY and (held >> 4) & 7 == (cell >> 4) & 7:
                state.grid[e, ahead] = cell & ~(3 << 7) | OPEN << 7
        elif is_state == OPEN:
            state.grid[e, ahead] = cell | CLOSED << 7
        else:
            state.grid[e, ahead] = cell & ~(3 << 7) | OPEN << 7
    elif kind == BOX:
        state.grid[e, ahead] = levels.contents[state.level[e], cell >> 9]


@njit(cache=True)
def step_base(e, action, state, levels, geometry):
    """`MiniGridEnv.step` -> (reward, terminated, truncated)."""
    state.steps[e] += 1
    reward = 0.0
    terminated = False
    ahead = front(e, state, geometry)
    cell = state.grid[e, ahead]
    kind = cell & 15

    if action == LEFT:
        state.direction[e] = (state.direction[e] + 3) & 3
    elif action == RIGHT:
        state.direction[e] = (state.direction[e] + 1) & 3
    elif action == FORWARD:
        is_open = kind == DOOR and (cell >> 7) & 3 == OPEN
        if kind == EMPTY or kind == FLOOR or kind == GOAL or kind == LAVA or is_open:
            state.position[e] = ahead
        if kind == GOAL:
            terminated = True
            reward = success_reward(e, state, levels)
        if kind == LAVA:
            terminated = True
    elif action == PICKUP:
        if (kind == KEY or kind == BALL or kind == BOX) and state.carrying[e] == EMPTY:
            state.carrying[e] = cell
            state.grid[e, ahead] = EMPTY
    elif action == DROP:
        if kind == EMPTY and state.carrying[e] != EMPTY:
            state.grid[e, ahead] = state.carrying[e]
            state.carrying[e] = EMPTY
    elif action == TOGGLE:
        toggle(e, ahead, state, levels)

    truncated = state.steps[e] >= levels.max_steps[state.level[e]]
    return reward, terminated, truncated


# --- step: the environments that have their own --------------------------------------------------------------------------


@njit(cache=True)
def step_pick_target(e, action, state, levels, geometry):
    """Picking up this very object: KeyCorridor, ObstructedMaze, UnlockPickup, BlockedUnlockPickup."""
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    target = levels.parameters[state.level[e], 0]
    if action == PICKUP and target != 0 and state.carrying[e] >> 9 == target:
        reward, terminated = success_reward(e, state, levels), True
    return reward, terminated, truncated


@njit(cache=True)
def step_fetch(e, action, state, levels, geometry):
    """Fetch: carrying anything ends it, the right kind and colour rewards it."""
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    held = state.carrying[e]
    if held != EMPTY:
        terminated = True
        reward = 0.0
        if held & 127 == levels.parameters[state.level[e], 0]:
            reward = success_reward(e, state, levels)
    return reward, terminated, truncated


@njit(cache=True)
def step_go_to(e, action, state, levels, geometry):
    """GoToDoor, GoToObject: saying `done` beside where the target was at first."""
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    if action == TOGGLE:
        terminated = True
    if action == DONE:
        terminated = True
        distance = abs(state.position[e] - levels.parameters[state.level[e], 0])
        if distance == 1 or distance == geometry.width + MARGIN:
            reward = success_reward(e, state, levels)
    return reward, terminated, truncated


@njit(cache=True)
def step_memory(e, action, state, levels, geometry):
    """Memory: `pickup` toggles; one end of the corridor is right, the other wrong."""
    reward, terminated, truncated = step_base(e, TOGGLE if action == PICKUP else action, state, levels, geometry)
    if state.position[e] == levels.parameters[state.level[e], 0]:
        reward, terminated = success_reward(e, state, levels), True
    if state.position[e] == levels.parameters[state.level[e], 1]:
        reward, terminated = 0.0, True
    return reward, terminated, truncated


@njit(cache=True)
def step_put_near(e, action, state, levels, geometry):
    """PutNear: the right object dropped on one of the 8 cells around where the target was; any attempt to drop ends it."""
    held = state.carrying[e]
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    kind_and_colour, target = levels.parameters[state.level[e], 0], levels.parameters[state.level[e], 1]
    if action == PICKUP and state.carrying[e] != EMPTY and state.carrying[e] & 127 != kind_and_colour:
        terminated = True
    if action == DROP and held != EMPTY:
        terminated = True
        if state.carrying[e] == EMPTY:
            stride = geometry.width + MARGIN
            here, there = front(e, state, geometry) - MARGIN, target - MARGIN
            if abs(here % stride - there % stride) <= 1 and abs(here // stride - there // stride) <= 1:
                reward = success_reward(e, state, levels)
    return reward, terminated, truncated


@njit(cache=True)
def door_is_open(e, position, state):
    return (state.grid[e, position] >> 7) & 3 == OPEN


@njit(cache=True)
def step_red_blue(e, action, state, levels, geometry):
    """RedBlueDoors: opening the blue door ends it, rewarded if the red one was open before this step."""
    red, blue = levels.parameters[state.level[e], 0], levels.parameters[state.level[e], 1]
    red_before, blue_before = door_is_open(e, red, state), door_is_open(e, blue, state)
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    if door_is_open(e, blue, state):
        terminated = True
        reward = success_reward(e, state, levels) if red_before else 0.0
    elif door_is_open(e, red, state) and blue_before:
        reward, terminated = 0.0, True
    return reward, terminated, truncated


@njit(cache=True)
def step_unlock(e, action, state, levels, geometry):
    """Unlock: the door is open after a `toggle`."""
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    if action == TOGGLE and door_is_open(e, levels.parameters[state.level[e], 0], state):
        reward, terminated = success_reward(e, state, levels), True
    return reward, terminated, truncated


# --- step: Dynamic-Obstacles ---------------------------------------------------------------------------------------------


@njit(cache=True)
def random_word(e, state):
    """splitmix64 (Steele, Lea & Flood 2014)."""
    state.chance[e] += np.uint64(0x9E3779B97F4A7C15)
    z = state.chance[e]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def draw_move(e, start, state, geometry):
    """Where an obstacle goes: Farama tries 101 times one of the 9 cells around it, and leaves it where it was if none was free.

    So it stays with probability (1 - free/9)^101, and otherwise goes to one of the free cells, each as likely.
    """
    stride = geometry.width + MARGIN
    free = 0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            cell = start + dy * stride + dx
            free += state.grid[e, cell] == EMPTY and cell != state.position[e]
    uniform = np.float64(random_word(e, state) >> np.uint64(11)) * 2.0**-53
    if uniform < (1 - free / 9) ** 101:
        return start
    pick = np.int64(random_word(e, state) >> np.uint64(11)) % free
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            cell = start + dy * stride + dx
            if state.grid[e, cell] == EMPTY and cell != state.position[e]:
                if pick == 0:
                    return cell
                pick -= 1
    return start


@njit(cache=True)
def step_obstacles(e, action, state, levels, geometry):
    """Dynamic-Obstacles: the obstacles move one after another, then the agent; walking into what was in front costs 1."""
    if action >= levels.parameters[state.level[e], 0]:
        action = LEFT
    kind = state.grid[e, front(e, state, geometry)] & 15
    for k in range(state.obstacles.shape[1]):
        start = state.obstacles[e, k]
        end = state.obstacle_moves[e, k]
        if end < 0:
            end = draw_move(e, start, state, geometry)
        if end != start:
            state.grid[e, end] = state.grid[e, start]
            state.grid[e, start] = EMPTY
            state.obstacles[e, k] = end
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    if action == FORWARD and kind != EMPTY and kind != GOAL:
        reward, terminated = -1.0, True
    return reward, terminated, truncated


# --- step: BabyAI --------------------------------------------------------------------------------------------------------


@njit(cache=True)
def verify_atom(e, atom, action, state, levels, geometry):
    """`verify_action` of OpenInstr, GoToInstr, PickupInstr and PutNextInstr; description bits 2 atom and 2 atom + 1."""
    level = state.level[e]
    kind, strict = levels.program[level, 2 + 2 * atom], levels.program[level, 3 + 2 * atom]
    ahead = front(e, state, geometry)
    first = 1 << (2 * atom)

    if kind == REACH:
        return SUCCESS if state.marks[e, ahead] & first else CONTINUE

    if kind == OPEN_DOOR:
        cell = state.grid[e, ahead]
        if action == TOGGLE and cell & 15 == DOOR:
            if levels.masks[level, cell >> 9] & first and (cell >> 7) & 3 == OPEN:
                return SUCCESS
            if strict:
                return FAILURE
        return CONTINUE

    before, held = state.carried_before[e, atom], state.carrying[e]
    state.carried_before[e, atom] = held
    if kind == PICK_UP:
        if action == PICKUP and held != EMPTY:
            if before == EMPTY and levels.masks[level, held >> 9] & first:
                return SUCCESS
            if strict:
                return FAILURE
        return CONTINUE

    # PUT_NEXT
    if strict and action == PICKUP and held != EMPTY:
        return FAILURE
    if action == DROP and before != EMPTY and held == EMPTY and levels.masks[level, before >> 9] & first:
        for direction in range(4):
            if state.marks[e, ahead + geometry.ahead[direction]] & (first << 1):
                return SUCCESS
    return CONTINUE


@njit(cache=True)
def verify_half(e, half, action, state, levels, geometry):
    """One instruction, or AndInstr: both in any order, where a failure (of a strict one) counts for nothing."""
    a, b = 2 * half, 2 * half + 1
    if levels.program[state.level[e], 2 + 2 * b] == ABSENT:
        return verify_atom(e, a, action, state, levels, geometry)
    for atom in (a, b):
        if not state.satisfied[e, atom]:
            state.satisfied[e, atom] = verify_atom(e, atom, action, state, levels, geometry) == SUCCESS
    return SUCCESS if state.satisfied[e, a] and state.satisfied[e, b] else CONTINUE


@njit(cache=True)
def verify(e, action, state, levels, geometry):
    """`instrs.verify`: one half, or BeforeInstr (a then b), or AfterInstr (b then a)."""
    order, strict = levels.program[state.level[e], 0], levels.program[state.level[e], 1]
    if order == SINGLE:
        return verify_half(e, 0, action, state, levels, geometry)
    first, then = (0, 1) if order == BEFORE else (1, 0)
    if not state.satisfied[e, ATOMS]:
        status = verify_half(e, first, action, state, levels, geometry)
        if status == FAILURE:
            return FAILURE
        if status == CONTINUE:
            if strict and verify_half(e, then, action, state, levels, geometry) == SUCCESS:
                return FAILURE
            return CONTINUE
        state.satisfied[e, ATOMS] = True
    return verify_half(e, then, action, state, levels, geometry)


@njit(cache=True)
def step_babyai(e, action, state, levels, geometry):
    """`RoomGridLevel.step`: objects are looked up anew after every `drop`, even one that failed."""
    reward, terminated, truncated = step_base(e, action, state, levels, geometry)
    if action == DROP:
        level = state.level[e]
        for cell in range(state.grid.shape[1]):
            state.marks[e, cell] = levels.masks[level, state.grid[e, cell] >> 9]
    status = verify(e, action, state, levels, geometry)
    if status == SUCCESS:
        reward, terminated = success_reward(e, state, levels), True
    elif status == FAILURE:
        reward, terminated = 0.0, True
    return reward, terminated, truncated


# --- all environments ----------------------------------------------------------------------------------------------------


@njit(cache=True)
def step_rule(e, action, state, levels, geometry):
    rule = geometry.rule
    if rule == BASE:
        return step_base(e, action, state, levels, geometry)
    if rule == PICK_TARGET:
        return step_pick_target(e, action, state, levels, geometry)
    if rule == FETCH:
        return step_fetch(e, action, state, levels, geometry)
    if rule == GO_TO:
        return step_go_to(e, action, state, levels, geometry)
    if rule == MEMORY:
        return step_memory(e, action, state, levels, geometry)
    if rule == PUT_NEAR:
        return step_put_near(e, action, state, levels, geometry)
    if rule == RED_BLUE:
        return step_red_blue(e, action, state, levels, geometry)
    if rule == UNLOCK:
        return step_unlock(e, action, state, levels, geometry)
    if rule == OBSTACLES:
        return step_obstacles(e, action, state, levels, geometry)
    return step_babyai(e, action, state, levels, geometry)


@njit(cache=True)
def step_environment(e, action, state, levels, geometry, out):
    """One step and, where the episode ended, its last observation and the next level."""
    reward, terminated, truncated = step_rule(e, action, state, levels, geometry)
    out.reward[e], out.terminated[e], out.truncated[e] = reward, terminated, truncated
    state.returns[e] += reward
    if terminated or truncated:
        out.episode_return[e], out.episode_length[e] = state.returns[e], state.steps[e]
        observe(e, state, geometry, out.final_image, out.final_direction, out.final_carrying)
        out.final_mission[e] = out.mission[e]
        begin(e, state, levels, geometry, out)
        return 1
    observe(e, state, geometry, out.image, out.direction, out.carrying)
    return 0


@njit(cache=True)
def first_bad_action(actions, count):
    for e in range(actions.shape[0]):
        if actions[e] < 0 or actions[e] >= count:
            return e
    return -1


@njit(cache=True)
def reset_all(state, levels, geometry, out):
    for e in range(state.position.shape[0]):
        begin(e, state, levels, geometry, out)


@njit(cache=True)
def step_all(actions, state, levels, geometry, out):
    """-> how many episodes ended."""
    ended = 0
    for e in range(actions.shape[0]):
        ended += step_environment(e, actions[e], state, levels, geometry, out)
    return ended


@njit(cache=True, parallel=True)
def step_all_parallel(actions, state, levels, geometry, out):
    """`step_all` over the threads numba has; environments share nothing, so the result is the same."""
    ended = 0
    for e in prange(actions.shape[0]):
        ended += step_environment(e, actions[e], state, levels, geometry, out)
    return ended


def step_all_with(rule: Callable[..., Any]) -> Callable[..., int]:
    """`step_all` for a compiled rule of the user's own, with the signature of `step_base`.

    The loop is compiled anew around it: numba cannot keep on disk what calls a function it was handed.
    """

    def around(function: Any, **names: Any) -> Any:
        source = function.py_func
        return njit(FunctionType(source.__code__, {**source.__globals__, **names}, source.__name__))

    return around(step_all, step_environment=around(step_environment, step_rule=rule))
