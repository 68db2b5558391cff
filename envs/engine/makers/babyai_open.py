"""BabyAI's levels of "open" (minigrid/envs/babyai/open.py and unlock.py)."""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.kernel import BEFORE, BOX, DOOR, KEY, OPEN_DOOR
from envs.engine.makers.babyai_rooms import any_room, fill_rooms, lock_room, must_be_reachable, start_outside
from envs.engine.makers.descriptions import ANY_COLOUR, LEFT
from envs.engine.makers.draws import integer, is_heads, subset
from envs.engine.makers.instructions import OWN, act, open_door, strictly, unsettled
from envs.engine.makers.rooms import (
    ANY,
    add_distractors,
    add_door,
    add_object,
    connect_all,
    place_agent_in_room,
    place_in_room,
    room_of,
)
from envs.engine.makers.world import RED, ROOMS, any_colour, colour_of, new, number_of, some_colours

A_DOOR = DOOR | ANY_COLOUR


@njit
def any_door(w, cells):
    """One of the doors, which are listed room by room, each twice -> its cell."""
    doors, count = np.empty(4 * ROOMS, np.int64), 0
    for i in range(w.columns):
        for j in range(w.rows):
            for wall in range(4):
                number = w.door[room_of(w, i, j), wall]
                if number:
                    doors[count] = number
                    count += 1
    return cells[w.place[doors[integer(w, 0, count)]]]


def lay_open(w, cells, marks):
    """One of the doors between rooms full of objects."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        connect_all(w, cells)
        add_distractors(w, cells, ANY, ANY, 18, False)
        must_be_reachable(w, cells)
        open_door(w, 0, any_door(w, cells))


def lay_open_red_door(w, cells, marks):
    while unsettled(w, cells, marks):
        door = add_door(w, cells, 0, 0, 0, RED, 0)
        place_agent_in_room(w, cells, 0, 0)
        open_door(w, 0, door)


def lay_open_door(w, cells, marks):
    """One of four doors of different colours around the agent's room, described by its colour or its location."""
    while unsettled(w, cells, marks):
        colours = some_colours(w, 4)
        for wall in range(4):
            add_door(w, cells, 1, 1, wall, colours[wall], 0)
        by_location = w.options[OWN] if w.options[OWN] != ANY else integer(w, 0, 2)
        what = DOOR | colours[0] << 4
        if by_location:
            what = A_DOOR | LEFT + integer(w, 0, 4) << 7
        place_agent_in_room(w, cells, 1, 1)
        act(w, 0, OPEN_DOOR, what)
        if w.options[OWN + 1]:
            strictly(w, 0)


def lay_open_two_doors(w, cells, marks):
    """The door on the left, then the one on the right; the options may give their colours."""
    while unsettled(w, cells, marks):
        colours = some_colours(w, 2)
        for k in range(2):
            if w.options[OWN + k] != ANY:
                colours[k] = w.options[OWN + k]
        left = add_door(w, cells, 1, 1, 2, colours[0], 0)
        right = add_door(w, cells, 1, 1, 0, colours[1], 0)
        place_agent_in_room(w, cells, 1, 1)
        w.program[0] = BEFORE
        open_door(w, 0, left)
        open_door(w, 2, right)
        if w.options[OWN + 2]:
            strictly(w, 0)


def lay_open_in_order(w, cells, marks):
    """Doors of different colours around the agent's room; open one, or two in the order said."""
    while unsettled(w, cells, marks):
        count = w.options[OWN]
        colours = some_colours(w, count)
        for k in range(count):
            add_door(w, cells, 1, 1, ANY, colours[k], 0)
        place_agent_in_room(w, cells, 1, 1)
        pair = subset(w, count, 2)
        w.program[0] = integer(w, 0, 3)  # SINGLE, BEFORE or AFTER
        for k in range(2 if w.program[0] else 1):
            open_door(w, 2 * k, cells[w.place[1 + pair[k]]])
            if w.options[OWN + 1]:
                strictly(w, 2 * k)


def lay_unlock(w, cells, marks):
    """A locked room; other doors may have the colour of its door, or must not."""
    while unsettled(w, cells, marks):
        i, j = any_room(w)
        door = lock_room(w, cells, i, j)
        connect_all(w, cells, colour_of(door) if is_heads(w) else ANY)
        fill_rooms(w, cells, 3)
        start_outside(w, cells, room_of(w, i, j))
        must_be_reachable(w, cells)
        open_door(w, 0, door)


def lay_unlock_local(w, cells, marks):
    """The agent with the key in a locked room; there may be three other objects."""
    while unsettled(w, cells, marks):
        door = add_door(w, cells, 1, 1, ANY, ANY, 1)
        add_object(w, cells, 1, 1, KEY, colour_of(door))
        if w.options[OWN]:
            add_distractors(w, cells, 1, 1, 3, True)
        place_agent_in_room(w, cells, 1, 1)
        act(w, 0, OPEN_DOOR, A_DOOR)


def lay_key_in_box(w, cells, marks):
    """The agent in a locked room with a box that contains the key."""
    while unsettled(w, cells, marks):
        key = new(w, KEY, colour_of(add_door(w, cells, 1, 1, ANY, ANY, 1)))
        box = new(w, BOX, any_colour(w))
        w.inside[number_of(box)] = key
        place_in_room(w, cells, 1, 1, box)
        place_agent_in_room(w, cells, 1, 1)
        act(w, 0, OPEN_DOOR, A_DOOR)
