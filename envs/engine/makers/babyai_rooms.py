"""What several of BabyAI's levels lay out in the same way."""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.kernel import DOOR, EMPTY, KEY
from envs.engine.makers.draws import integer, reject
from envs.engine.makers.rooms import ANY, add_distractors, add_door, add_object, place_agent_in_room, room_at
from envs.engine.makers.world import ENDLESS, colour_of, index, kind_of


@njit
def all_reachable(w, cells):
    """`check_objs_reachable`: whether the agent gets next to every object without moving another one."""
    start = index(w, w.x, w.y)
    seen, stack = np.zeros(cells.shape[0], np.bool_), np.empty(cells.shape[0], np.int64)
    seen[start], stack[0], waiting, missing = True, start, 1, 0
    for number in range(1, w.count + 1):
        missing += w.place[number] > 0
    while waiting and missing:
        waiting -= 1
        here = stack[waiting]
        missing -= cells[here] >> 9 > 0
        if cells[here] != EMPTY and kind_of(cells[here]) != DOOR:
            continue
        for step in (1, -1, w.stride, -w.stride):
            if not seen[here + step]:
                seen[here + step] = True
                stack[waiting] = here + step
                waiting += 1
    return missing == 0


@njit
def must_be_reachable(w, cells):
    """`check_objs_reachable`."""
    if not all_reachable(w, cells):
        reject(w)


@njit
def any_of(w, cells, first, count):
    """`_rand_elem` of the objects with successive numbers -> its cell."""
    return cells[w.place[first + integer(w, 0, count)]]


@njit
def any_room(w):
    """-> (column, row)."""
    i = integer(w, 0, w.columns)
    return i, integer(w, 0, w.rows)


@njit
def start_outside(w, cells, room):
    """The agent in any room but this one."""
    for _ in range(ENDLESS):
        place_agent_in_room(w, cells, ANY, ANY)
        if w.failed or room_at(w, w.x, w.y) != room:
            return
    reject(w)


@njit
def add_four_doors(w, cells, locked):
    """Doors on all sides of the middle room, in random order."""
    for _ in range(4):
        add_door(w, cells, 1, 1, ANY, ANY, locked)


@njit
def lock_room(w, cells, i, j):
    """A locked door to a room, and its key in any room -> the door's cell.

    BabyAI means to put the key into another room, but it compares NumPy's integers with `is`, which never holds.
    """
    door = add_door(w, cells, i, j, ANY, ANY, 1)
    i, j = any_room(w)
    add_object(w, cells, i, j, KEY, colour_of(door))
    return door


@njit
def fill_rooms(w, cells, count):
    """So many objects in each room, column by column."""
    for i in range(w.columns):
        for j in range(w.rows):
            add_distractors(w, cells, i, j, count, False)
