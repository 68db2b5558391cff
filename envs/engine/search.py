"""The fewest steps to a success: breadth-first search over the engine's own states, compiled by numba.

A *world* is all of a state but the agent's position and direction: the cells, BabyAI's marks, the carried object, and
what the instruction remembers, in one vector of int16. Most steps only move the agent within its world. So a state is
(world, 4 position + direction), and worlds are compared, number by number, only when a step has made another one.

The steps are those of kernel.py and the search leaves none out, so the first success it meets takes the fewest.
"""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.hashes import absorb
from envs.engine.kernel import ATOMS, BABYAI, DONE, DROP, front, step_babyai, step_simple

NO_SUCCESS, TOO_MANY = -1, -2  # instead of a number of steps
MEMORY = 2 + ATOMS  # numbers of an agent's record that belong to a world
FIRST = 64  # worlds that memory is taken for at first
MOST_BYTES = 2**28  # of memory for worlds


@njit
def remember(agent, memory):
    memory[0], memory[1] = agent.carrying, agent.satisfied
    for atom in range(ATOMS):
        memory[2 + atom] = agent.carried_before[atom]


@njit
def recall(agent, memory):
    agent.carrying, agent.satisfied = memory[0], memory[1]
    for atom in range(ATOMS):
        agent.carried_before[atom] = memory[2 + atom]


@njit
def differ(a, b):
    i = 0
    while i < a.shape[0] and a[i] == b[i]:
        i += 1
    return i < a.shape[0]


@njit
def digest(world):
    """The hash of `envs.engine.hashes`, of a world's numbers."""
    word = np.uint64(0)
    for i in range(world.shape[0]):
        word = absorb(word, world[i])
    return word


@njit
def slot_of(world, word, worlds, words, slots):
    """The slot of the table that holds a world, or the free one where it belongs."""
    slot = np.int64(word & np.uint64(slots.shape[0] - 1))
    while slots[slot] and (words[slots[slot] - 1] != word or differ(worlds[slots[slot] - 1], world)):
        slot = (slot + 1) & (slots.shape[0] - 1)
    return slot


@njit
def grown(array):
    """A copy with zeros behind it, as many."""
    longer = np.zeros((2 * array.shape[0], array.shape[1]), array.dtype)
    longer[: array.shape[0]] = array
    return longer


@njit
def table(words, count, size):
    """A hash table with open addressing of the worlds with these words: number + 1, and 0 in free slots."""
    slots = np.zeros(size, np.int32)
    for number in range(count):
        slot = np.int64(words[number] & np.uint64(size - 1))
        while slots[slot]:
            slot = (slot + 1) & (size - 1)
        slots[slot] = number + 1
    return slots


@njit
def search(rule, start, grid, marks, masks, contents, most, path):
    """-> (the fewest steps to a success, or NO_SUCCESS or TOO_MANY; how many states were met); `path`: the actions.

    Args:
        rule: which step; neither OBSTACLES nor CUSTOM.
        start: AGENT (1,), at the start of the level; it is overwritten.
        grid, marks, masks, contents: of the level.
        most: the number of states after which the search is given up.
        path: int8 (max_steps,).
    """
    agent, cells = start[0], grid.shape[0]
    world = np.concatenate((grid, marks.astype(np.int16), np.zeros(MEMORY, np.int16)))
    grid, marks, memory = world[:cells], world[cells:-MEMORY], world[-MEMORY:]
    remember(agent, memory)
    worlds, words = np.zeros((FIRST, world.shape[0]), np.int16), np.zeros(FIRST, np.uint64)
    met = np.zeros((FIRST, cells), np.uint8)  # of each world and position: bit d is set if direction d was met
    worlds[0], words[0] = world, digest(world)
    slots, count = table(words, 1, 4 * FIRST), 1
    homes, places = np.empty(most, np.int32), np.empty(most, np.int32)
    parents, actions = np.empty(most, np.int32), np.empty(most, np.int8)
    homes[0], places[0], parents[0], states = 0, 4 * agent.position + agent.direction, -1, 1
    met[0, agent.position] = 1 << agent.direction
    steps, state, last = 0, 0, 1  # states from `state` to `last` - 1 are `steps` steps from the start
    while state < states and steps < agent.max_steps:
        home, place = homes[state], places[state]
        world[:] = worlds[home]
        for action in range(DONE + 1):
            agent.position, agent.direction, agent.steps = place >> 2, place & 3, steps
            recall(agent, memory)
            ahead = front(agent)
            before = grid[ahead]  # no step changes another cell
            if rule == BABYAI:
                reward, terminated, _ = step_babyai(agent, grid, contents, marks, masks, action)
            else:
                reward, terminated, _ = step_simple(rule, agent, grid, contents, action)
            if terminated and reward > 0:
                path[steps] = action
                for step in range(steps - 1, -1, -1):
                    path[step] = actions[state]
                    state = parents[state]
                return steps + 1, states
            remember(agent, memory)
            there, changed = home, grid[ahead] != before or differ(memory, worlds[home, -MEMORY:])
            changed = changed or (rule == BABYAI and action == DROP)  # the marks
            if changed and not terminated:
                word = digest(world)
                slot = slot_of(world, word, worlds, words, slots)
                if slots[slot] == 0:
                    if count == words.shape[0]:
                        if 2 * (worlds.nbytes + met.nbytes) > MOST_BYTES:
                            return TOO_MANY, states
                        worlds, met = grown(worlds), grown(met)
                        words = np.concatenate((words, np.zeros(count, np.uint64)))
                        slots = table(words, count, 8 * count)
                        slot = slot_of(world, word, worlds, words, slots)
                    worlds[count], words[count] = world, word
                    count += 1
                    slots[slot] = count
                there = slots[slot] - 1
            if changed:
                world[:] = worlds[home]
            if terminated or (met[there, agent.position] >> agent.direction) & 1:
                continue
            if states == most:
                return TOO_MANY, states
            met[there, agent.position] |= 1 << agent.direction
            homes[states], places[states] = there, 4 * agent.position + agent.direction
            parents[states], actions[states] = state, action
            states += 1
        state += 1
        if state == last:
            steps, last = steps + 1, states
    return NO_SUCCESS, states
