"""Farama's `reset`, `step` and `gen_obs` for many environments at once, compiled by numba.

All compiled code of MiniGrid is in this one long file on purpose. numba keeps compiled functions on disk and compiles a
function again only when its own file changes: if its callees were in other files, editing them would leave stale code
in the cache. (classic_kernel.py shares no function with this file, only the decorator `njit` and constants.)

A cell is an int16: type (4 bits) | colour << 4 (3) | state << 7 (2) | object number << 9 (6). The number identifies the
object, for rules that ask "is it *this* ball?"; 0 is an object that no rule asks about. An empty cell is 1.

A grid of width W and height H is stored row by row in one vector of cells, surrounded by walls as far as the agent can
see: 6 rows above and below, and 6 columns on one side only, because those of the next row serve the other side. So a
position is one index, and neighbours and views are fixed offsets from it:

    stride = W + 6,   index(x, y) = 6 + (y + 6) stride + x

Functions take an agent's record and rows of arrays. Only the loops at the end take the tuples that hold all arrays:
numba counts references to every array in a tuple each time it passes the tuple on, which took longer than the step.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import prange

# NumPy's error model needs no test before a division; without the interpreter's lock, other Python threads can run
njit = numba.njit(cache=True, error_model="numpy", nogil=True)

LARGEST_COLOUR = 7  # 3 bits of a cell
VIEW = 7  # cells along each side of the partial view
MARGIN = VIEW - 1

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT_TYPE = range(11)
OPEN, CLOSED, LOCKED = range(3)

# Rules: which environment's `step` is run (see envs/engine/rules.py).
BASE, PICK_TARGET, FETCH, GO_TO, MEMORY, PUT_NEAR, RED_BLUE, UNLOCK, OBSTACLES, BABYAI, CUSTOM = range(11)

# A BabyAI program: SINGLE | BEFORE | AFTER, strict, then for each of four atoms its kind and strictness. Atoms 0 and 1
# are the first half (both: "and"), 2 and 3 the second.
SINGLE, BEFORE, AFTER = range(3)
ABSENT, OPEN_DOOR, REACH, PICK_UP, PUT_NEXT = range(5)
ATOMS = 4
CONTINUE, SUCCESS, FAILURE = range(3)

PARTIAL, FULL, RGB = range(3)
NOW, LAST = range(2)
TILE = 8  # pixels of a cell in the rgb view
DARK, LIT, WITH_AGENT = range(3)  # kinds of tile


# The agent and episode of one environment; the bank holds their values at the start of each level.
AGENT = np.dtype(
    [
        ("position", np.int32),
        ("direction", np.int32),
        ("carrying", np.int32),  # the carried cell, EMPTY for none
        ("steps", np.int32),
        ("max_steps", np.int32),
        ("stride", np.int32),
        ("level", np.int32),  # row of the bank
        ("next_level", np.int32),  # row of the bank for the episode after this one
        ("parameters", np.int32, (4,)),  # of the rule, for this level
        ("program", np.int32, (2 + 2 * ATOMS,)),  # BabyAI's instruction
        ("satisfied", np.int32),  # bits 0 to 3: the atoms; bit 4: the half that must come first
        ("carried_before", np.int32, (ATOMS,)),  # BabyAI's `preCarrying`
        ("episode_return", np.float64),
        ("chance", np.uint64),  # state of the random numbers
    ],
    align=True,
)
RESULT = np.dtype(
    [
        ("reward", np.float64),
        ("terminated", np.bool_),
        ("truncated", np.bool_),
        ("done", np.bool_),
        ("episode_return", np.float64),  # of the episode, where it ended
        ("episode_length", np.int32),
    ],
    align=True,
)


class State(NamedTuple):
    """The state of every environment; the leading axis is the environment."""

    agent: np.ndarray  # AGENT (n,)
    grid: np.ndarray  # int16 (n, cells)
    marks: np.ndarray  # uint8 (n, cells): bit d is set if description d holds for the object here (`obj_poss`)
    obstacles: np.ndarray  # int32 (n, k): positions, in Farama's order
    moves: np.ndarray  # int32 (n, k): where the obstacles go next; -1 draws a move


class Levels(NamedTuple):
    """The bank of levels; the leading axis is the level."""

    agent: np.ndarray  # AGENT
    grid: np.ndarray  # int16 (levels, cells)
    marks: np.ndarray  # uint8 (levels, cells)
    obstacles: np.ndarray  # int32 (levels, k)
    masks: np.ndarray  # uint8 (levels, 64): bit d is set if description d holds for the object with this number
    contents: np.ndarray  # int16 (levels, 64): the cell inside the box with this number
    image: np.ndarray  # uint8 (levels, 7, 7, 3): the first partial view, verbatim
    mission: np.ndarray  # uint8 (levels, words)


class Geometry(NamedTuple):
    """What all levels of an environment have in common."""

    width: int
    height: int
    sees_through: bool
    rule: int
    shows: int  # PARTIAL | FULL | RGB
    sight: np.ndarray  # int32 (2^14,): which cells of a row are visible and pass light on (see envs.engine.tables)
    tiles: np.ndarray  # uint8 (3, 512, 8, 8, 3): pictures of the cells; rgb view only


class Output(NamedTuple):
    """What the caller gets: observations NOW, and the LAST ones of the episodes that ended in this step."""

    result: np.ndarray  # RESULT (n,)
    image: np.ndarray  # uint8 (2, n, x, y, 3)
    direction: np.ndarray  # uint8 (2, n, 1)
    carrying: np.ndarray  # uint8 (2, n, 2)
    mission: np.ndarray  # uint8 (2, n, words)


# --- the observation --------------------------------------------------------------------------------------------------


@njit
def is_opaque(cell):
    kind = cell & 15
    return kind == WALL or (kind == DOOR and (cell >> 7) & 3 != OPEN)


@njit
def ahead_of(direction, stride):
    """The offset of the cell in front; Farama's directions are right, down, left, up."""
    along = stride if direction & 1 else 1
    return along if direction < 2 else -along


@njit
def observe_partial(agent, grid, sees_through, sight, image):
    """`gen_obs`: the 7x7 cells ahead. Light starts at the agent; each row is lit by what the row before let through."""
    forward = ahead_of(agent.direction, agent.stride)
    right = ahead_of((agent.direction + 1) & 3, agent.stride)
    reached = 1 << (VIEW // 2)
    for row in range(VIEW - 1, -1, -1):
        start = agent.position + forward * (VIEW - 1 - row) - right * (VIEW // 2)
        visible = (1 << VIEW) - 1
        if not sees_through:
            opaque = 0
            for column in range(VIEW):
                opaque |= np.int64(is_opaque(grid[start + right * column])) << column
            seen = sight[opaque << VIEW | reached]
            visible, reached = seen & 127, seen >> VIEW
        for column in range(VIEW):
            cell = grid[start + right * column] * ((visible >> column) & 1)
            image[column, row, 0] = cell & 15
            image[column, row, 1] = (cell >> 4) & 7
            image[column, row, 2] = (cell >> 7) & 3
    image[VIEW // 2, VIEW - 1, 0] = agent.carrying & 15
    image[VIEW // 2, VIEW - 1, 1] = (agent.carrying >> 4) & 7
    image[VIEW // 2, VIEW - 1, 2] = (agent.carrying >> 7) & 3


@njit
def observe_full(agent, grid, width, height, image):
    """`FullyObsWrapper`: every cell, with the agent in place of the cell it stands on."""
    for x in range(width):
        for y in range(height):
            cell = grid[MARGIN + (y + MARGIN) * agent.stride + x]
            image[x, y, 0] = cell & 15
            image[x, y, 1] = (cell >> 4) & 7
            image[x, y, 2] = (cell >> 7) & 3
    x, y = (agent.position - MARGIN) % agent.stride, (agent.position - MARGIN) // agent.stride - MARGIN
    image[x, y, 0] = AGENT_TYPE
    image[x, y, 1] = 0
    image[x, y, 2] = agent.direction


@njit
def observe_rgb(agent, grid, sees_through, sight, tiles, image):
    """`RGBImgPartialObsWrapper`: the partial view, drawn cell by cell; axes (y, x)."""
    codes = np.empty((VIEW, VIEW, 3), np.int16)  # signed: numba turns a mix of signed and unsigned into floats
    observe_partial(agent, grid, sees_through, sight, codes)
    for row in range(VIEW):
        for column in range(VIEW):
            code = codes[column, row]
            cell, light = code[0] | code[1] << 4 | code[2] << 7, LIT
            if code[0] == UNSEEN:
                cell, light = EMPTY, DARK
            if row == VIEW - 1 and column == VIEW // 2:
                light = WITH_AGENT
            for i in range(TILE):
                for j in range(TILE):
                    for channel in range(3):
                        image[row * TILE + i, column * TILE + j, channel] = tiles[light, cell, i, j, channel]


# --- MiniGridEnv.step -------------------------------------------------------------------------------------------------


@njit
def front(agent):
    return agent.position + ahead_of(agent.direction, agent.stride)


@njit
def success_reward(agent):
    return 1 - 0.9 * (agent.steps / agent.max_steps)


@njit
def toggle(agent, grid, contents):
    """A locked door opens with its key, other doors open and close, a box is replaced by its contents."""
    ahead = front(agent)
    cell = grid[ahead]
    kind, state = cell & 15, (cell >> 7) & 3
    if kind == BOX:
        grid[ahead] = contents[cell >> 9]
    elif kind == DOOR:
        has_key = agent.carrying & 127 == (KEY | cell & (7 << 4))
        if state == OPEN:
            grid[ahead] = cell | CLOSED << 7
        elif state == CLOSED or has_key:
            grid[ahead] = cell & ~(3 << 7) | OPEN << 7


@njit
def step_base(agent, grid, contents, action):
    """-> (reward, terminated, truncated)."""
    agent.steps += 1
    reward = 0.0
    terminated = False
    ahead = front(agent)
    cell = grid[ahead]
    kind = cell & 15

    if action == LEFT:
        agent.direction = (agent.direction + 3) & 3
    elif action == RIGHT:
        agent.direction = (agent.direction + 1) & 3
    elif action == FORWARD:
        is_open = kind == DOOR and (cell >> 7) & 3 == OPEN
        if is_open or kind in (EMPTY, FLOOR, GOAL, LAVA):
            agent.position = ahead
        if kind == GOAL:
            reward, terminated = success_reward(agent), True
        if kind == LAVA:
            terminated = True
    elif action == PICKUP:
        if kind in (KEY, BALL, BOX) and agent.carrying == EMPTY:
            agent.carrying = cell
            grid[ahead] = EMPTY
    elif action == DROP:
        if kind == EMPTY and agent.carrying != EMPTY:
            grid[ahead] = agent.carrying
            agent.carrying = EMPTY
    elif action == TOGGLE:
        toggle(agent, grid, contents)

    return reward, terminated, agent.steps >= agent.max_steps


# --- the environments with a step of their own ------------------------------------------------------------------------


@njit
def step_pick_target(agent, grid, contents, action):
    """Picking up this very object: KeyCorridor, ObstructedMaze, UnlockPickup, BlockedUnlockPickup."""
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    target = agent.parameters[0]
    if action == PICKUP and target != 0 and agent.carrying >> 9 == target:
        reward, terminated = success_reward(agent), True
    return reward, terminated, truncated


@njit
def step_fetch(agent, grid, contents, action):
    """Fetch: carrying anything ends the episode, with a reward if its type and colour are right."""
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if agent.carrying != EMPTY:
        terminated = True
        reward = success_reward(agent) if agent.carrying & 127 == agent.parameters[0] else 0.0
    return reward, terminated, truncated


@njit
def step_go_to(agent, grid, contents, action):
    """GoToDoor, GoToObject: the action `done` next to the place where the target was at the start."""
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if action == TOGGLE:
        terminated = True
    if action == DONE:
        terminated = True
        distance = abs(agent.position - agent.parameters[0])
        if distance == 1 or distance == agent.stride:
            reward = success_reward(agent)
    return reward, terminated, truncated


@njit
def step_memory(agent, grid, contents, action):
    """Memory: `pickup` acts as `toggle`; one end of the corridor is a success, the other a failure."""
    reward, terminated, truncated = step_base(agent, grid, contents, TOGGLE if action == PICKUP else action)
    if agent.position == agent.parameters[0]:
        reward, terminated = success_reward(agent), True
    if agent.position == agent.parameters[1]:
        reward, terminated = 0.0, True
    return reward, terminated, truncated


@njit
def step_put_near(agent, grid, contents, action):
    """PutNear: dropping the right object within one cell of where the target was at the start.

    Any attempt to drop ends the episode.
    """
    held = agent.carrying
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if action == PICKUP and agent.carrying != EMPTY and agent.carrying & 127 != agent.parameters[0]:
        terminated = True
    if action == DROP and held != EMPTY:
        terminated = True
        if agent.carrying == EMPTY:
            here, there = front(agent) - MARGIN, agent.parameters[1] - MARGIN
            columns, rows = here % agent.stride - there % agent.stride, here // agent.stride - there // agent.stride
            if abs(columns) <= 1 and abs(rows) <= 1:
                reward = success_reward(agent)
    return reward, terminated, truncated


@njit
def door_is_open(grid, position):
    return (grid[position] >> 7) & 3 == OPEN


@njit
def step_red_blue(agent, grid, contents, action):
    """RedBlueDoors: opening the blue door ends the episode, with a reward if the red one was open before this step."""
    red, blue = agent.parameters[0], agent.parameters[1]
    red_before, blue_before = door_is_open(grid, red), door_is_open(grid, blue)
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if door_is_open(grid, blue):
        terminated = True
        reward = success_reward(agent) if red_before else 0.0
    elif door_is_open(grid, red) and blue_before:
        reward, terminated = 0.0, True
    return reward, terminated, truncated


@njit
def step_unlock(agent, grid, contents, action):
    """Unlock: the door is open after a `toggle`."""
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if action == TOGGLE and door_is_open(grid, agent.parameters[0]):
        reward, terminated = success_reward(agent), True
    return reward, terminated, truncated


@njit
def step_custom(agent, grid, contents, action):
    """A placeholder for a user's own step (see `step_all_with`)."""
    return step_base(agent, grid, contents, action)


@njit
def step_simple(rule, agent, grid, contents, action):
    """The rules that read the agent, the grid and the contents of boxes, and nothing else."""
    if rule == BASE:
        return step_base(agent, grid, contents, action)
    if rule == PICK_TARGET:
        return step_pick_target(agent, grid, contents, action)
    if rule == FETCH:
        return step_fetch(agent, grid, contents, action)
    if rule == GO_TO:
        return step_go_to(agent, grid, contents, action)
    if rule == MEMORY:
        return step_memory(agent, grid, contents, action)
    if rule == PUT_NEAR:
        return step_put_near(agent, grid, contents, action)
    if rule == RED_BLUE:
        return step_red_blue(agent, grid, contents, action)
    return step_unlock(agent, grid, contents, action)


# --- Dynamic-Obstacles ------------------------------------------------------------------------------------------------


@njit
def random_word(agent):
    """splitmix64 (Steele, Lea & Flood 2014)."""
    agent.chance += np.uint64(0x9E3779B97F4A7C15)
    z = agent.chance
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit
def neighbour(agent, grid, start, chosen):
    """(the chosen-th free cell of the 9 around `start`, how many are free)."""
    free = 0
    found = start
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            cell = start + dy * agent.stride + dx
            if grid[cell] == EMPTY and cell != agent.position:
                if free == chosen:
                    found = cell
                free += 1
    return found, free


@njit
def draw_move(agent, grid, start):
    """Where an obstacle goes: Farama draws one of the 9 cells around it up to 101 times, until one is free.

    So it stays with probability (1 - free/9)^101, and otherwise goes to each free cell with equal probability.
    """
    _, free = neighbour(agent, grid, start, -1)
    uniform = np.float64(random_word(agent) >> np.uint64(11)) * 2.0**-53
    if uniform < (1 - free / 9) ** 101:
        return start
    return neighbour(agent, grid, start, np.int64(random_word(agent) >> np.uint64(11)) % free)[0]


@njit
def step_obstacles(agent, grid, contents, obstacles, moves, action):
    """Dynamic-Obstacles: the obstacles move one after another, then the agent.

    Moving forward ends the episode with reward -1 if there was something in front before the obstacles moved.
    """
    if action >= agent.parameters[0]:
        action = LEFT
    kind = grid[front(agent)] & 15
    for k in range(obstacles.shape[0]):
        start = obstacles[k]
        end = moves[k] if moves[k] >= 0 else draw_move(agent, grid, start)
        if end != start:
            grid[end] = grid[start]
            grid[start] = EMPTY
            obstacles[k] = end
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if action == FORWARD and kind != EMPTY and kind != GOAL:
        reward, terminated = -1.0, True
    return reward, terminated, truncated


# --- BabyAI -----------------------------------------------------------------------------------------------------------


@njit
def verify_atom(agent, grid, marks, masks, atom, action):
    """`verify_action` of OpenInstr, GoToInstr, PickupInstr and PutNextInstr.

    The descriptions of an atom are the bits 2 atom and 2 atom + 1 of masks and marks.
    """
    kind, strict = agent.program[2 + 2 * atom], agent.program[3 + 2 * atom]
    ahead = front(agent)
    first = 1 << (2 * atom)

    if kind == REACH:
        return SUCCESS if marks[ahead] & first else CONTINUE

    if kind == OPEN_DOOR:
        cell = grid[ahead]
        if action == TOGGLE and cell & 15 == DOOR:
            if masks[cell >> 9] & first and (cell >> 7) & 3 == OPEN:
                return SUCCESS
            if strict:
                return FAILURE
        return CONTINUE

    before, held = agent.carried_before[atom], agent.carrying
    agent.carried_before[atom] = held
    if kind == PICK_UP:
        if action == PICKUP and held != EMPTY:
            if before == EMPTY and masks[held >> 9] & first:
                return SUCCESS
            if strict:
                return FAILURE
        return CONTINUE

    # PUT_NEXT
    if strict and action == PICKUP and held != EMPTY:
        return FAILURE
    if action == DROP and before != EMPTY and held == EMPTY and masks[before >> 9] & first:
        for direction in range(4):
            if marks[ahead + ahead_of(direction, agent.stride)] & (first << 1):
                return SUCCESS
    return CONTINUE


@njit
def verify_half(agent, grid, marks, masks, half, action):
    """One instruction, or both of an AndInstr in any order; AndInstr ignores a failure of a strict one."""
    if agent.program[4 + 4 * half] == ABSENT:
        return verify_atom(agent, grid, marks, masks, 2 * half, action)
    both = 3 << (2 * half)
    for atom in range(2 * half, 2 * half + 2):
        if not (agent.satisfied >> atom) & 1 and verify_atom(agent, grid, marks, masks, atom, action) == SUCCESS:
            agent.satisfied |= 1 << atom
    return SUCCESS if agent.satisfied & both == both else CONTINUE


@njit
def verify(agent, grid, marks, masks, action):
    """`instrs.verify`: one half, or BeforeInstr (a then b), or AfterInstr (b then a)."""
    order, strict = agent.program[0], agent.program[1]
    if order == SINGLE:
        return verify_half(agent, grid, marks, masks, 0, action)
    first, then = (0, 1) if order == BEFORE else (1, 0)
    if not (agent.satisfied >> ATOMS) & 1:
        status = verify_half(agent, grid, marks, masks, first, action)
        if status == FAILURE:
            return FAILURE
        if status == CONTINUE:
            if strict and verify_half(agent, grid, marks, masks, then, action) == SUCCESS:
                return FAILURE
            return CONTINUE
        agent.satisfied |= 1 << ATOMS
    return verify_half(agent, grid, marks, masks, then, action)


@njit
def step_babyai(agent, grid, contents, marks, masks, action):
    """`RoomGridLevel.step`: the positions of objects are looked up again after every `drop`, even a failed one."""
    reward, terminated, truncated = step_base(agent, grid, contents, action)
    if action == DROP:
        for cell in range(grid.shape[0]):
            marks[cell] = masks[grid[cell] >> 9]
    status = verify(agent, grid, marks, masks, action)
    if status == SUCCESS:
        reward, terminated = success_reward(agent), True
    elif status == FAILURE:
        reward, terminated = 0.0, True
    return reward, terminated, truncated


# --- all environments -------------------------------------------------------------------------------------------------


@njit
def observe(e, state, geometry, when, out):
    image, carrying = out.image[when], out.carrying[when]
    agent, grid = state.agent[e], state.grid[e]
    if geometry.shows == PARTIAL:
        observe_partial(agent, grid, geometry.sees_through, geometry.sight, image[e])
    elif geometry.shows == FULL:
        observe_full(agent, grid, geometry.width, geometry.height, image[e])
        carrying[e, 0] = agent.carrying & 15
        carrying[e, 1] = (agent.carrying >> 4) & 7
    else:
        observe_rgb(agent, grid, geometry.sees_through, geometry.sight, geometry.tiles, image[e])
    out.direction[when, e, 0] = agent.direction


@njit
def begin(e, state, levels, geometry, out):
    """The next episode: the level's arrays become the environment's, and its first observation is written."""
    level, chance = state.agent[e].next_level, state.agent[e].chance
    state.agent[e] = levels.agent[level]
    state.agent[e].level, state.agent[e].chance = level, chance
    state.grid[e] = levels.grid[level]
    state.marks[e] = levels.marks[level]
    state.obstacles[e] = levels.obstacles[level]
    observe(e, state, geometry, NOW, out)
    if geometry.shows == PARTIAL:
        # BabyAI's PutNext moves an object into the agent's hands after it has made the first observation
        out.image[NOW, e] = levels.image[level]
    out.mission[NOW, e] = levels.mission[level]


@njit
def end(e, state, geometry, out):
    """The last observation of an episode, and its statistics."""
    out.result[e].episode_return = state.agent[e].episode_return
    out.result[e].episode_length = state.agent[e].steps
    observe(e, state, geometry, LAST, out)
    out.mission[LAST, e] = out.mission[NOW, e]


@njit
def reset_all(state, levels, geometry, out):
    for e in range(state.agent.shape[0]):
        begin(e, state, levels, geometry, out)


@njit
def step_some(start, stop, actions, state, levels, geometry, out):
    """Step the environments from `start` to `stop` - 1; ended episodes are followed by new ones -> how many ended."""
    agents, grids, marks, contents, masks = state.agent, state.grid, state.marks, levels.contents, levels.masks
    obstacles, moves, results = state.obstacles, state.moves, out.result
    rule, shows, sees_through, sight = geometry.rule, geometry.shows, geometry.sees_through, geometry.sight
    images, directions = out.image[NOW], out.direction[NOW]
    ended = 0
    for e in range(start, stop):
        agent, grid, result = agents[e], grids[e], results[e]
        inside = contents[agent.level]
        if rule == BABYAI:
            reward, terminated, truncated = step_babyai(agent, grid, inside, marks[e], masks[agent.level], actions[e])
        elif rule == OBSTACLES:
            reward, terminated, truncated = step_obstacles(agent, grid, inside, obstacles[e], moves[e], actions[e])
        elif rule == CUSTOM:
            reward, terminated, truncated = step_custom(agent, grid, inside, actions[e])
        else:
            reward, terminated, truncated = step_simple(rule, agent, grid, inside, actions[e])
        result.reward, result.terminated, result.truncated = reward, terminated, truncated
        result.done = terminated or truncated
        agent.episode_return += reward
        if result.done:
            end(e, state, geometry, out)
            begin(e, state, levels, geometry, out)
            ended += 1
        elif shows == PARTIAL:
            observe_partial(agent, grid, sees_through, sight, images[e])
            directions[e, 0] = agent.direction
        else:
            observe(e, state, geometry, NOW, out)
    return ended


@njit
def step_all(start, stop, actions, state, levels, geometry, out):
    """`step_some` -> how many episodes ended; or -1, with nothing changed, if an action is outside the action space."""
    for e in range(start, stop):
        if actions[e] < LEFT or actions[e] > DONE:
            return -1
    return step_some(start, stop, actions, state, levels, geometry, out)


@numba.njit(cache=True, error_model="numpy", nogil=True, parallel=True)
def step_all_parallel(threads, start, stop, actions, state, levels, geometry, out):
    """`step_all` on several threads; environments share nothing, so the result is the same."""
    for e in range(start, stop):
        if actions[e] < LEFT or actions[e] > DONE:
            return -1
    ended = 0
    n = stop - start
    for part in prange(threads):
        begin, end = start + n * part // threads, start + n * (part + 1) // threads
        ended += step_some(begin, end, actions, state, levels, geometry, out)
    return ended


def step_all_with(rule: Callable[..., Any]) -> Callable[..., int]:
    """`step_all` with a user's own compiled step, which has the signature of `step_base`.

    The loop is compiled again around it in every process: numba's cache does not hold functions that were passed in.
    """

    def around(function: Any, **names: Any) -> Any:
        source = function.py_func
        return numba.njit(FunctionType(source.__code__, {**source.__globals__, **names}, source.__name__), nogil=True)

    return around(step_all, step_some=around(step_some, step_custom=rule))
