"""`LevelGen`: any instruction about objects in rooms, one of which may be locked.

(minigrid/envs/babyai/core/levelgen.py)
"""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.kernel import BEFORE, BOX, DOOR, KEY, OPEN_DOOR, PICK_UP, PUT_NEXT, REACH
from envs.engine.makers.babyai_rooms import any_room, must_be_reachable, start_outside
from envs.engine.makers.descriptions import ANY_COLOUR, LEFT, NOTHING, fits, is_in_room
from envs.engine.makers.draws import integer, is_heads, next64, reject
from envs.engine.makers.instructions import OWN, act, put_next, unsettled
from envs.engine.makers.rooms import ANY, add_distractors, add_door, add_object, connect_all, neighbour, room_of
from envs.engine.makers.world import COLOURS, ENDLESS, colour_of

OBJECTS, CHANCE, LOCATIONS, IMPLICIT_UNLOCK, ACTIONS, INSTRUCTIONS = range(OWN, OWN + 6)  # options
CHANCES = 1 << 53  # the option CHANCE counts 2^-53
ACTION, BOTH, IN_ORDER = 1, 2, 3  # kinds of instructions
NO_ROOM = -1
DESCRIPTIONS = 101  # tries of rand_obj


def lay_any(w, cells, marks):
    while unsettled(w, cells, marks):
        locked = NO_ROOM
        if next64(w) >> np.uint64(11) < np.uint64(w.options[CHANCE]):
            locked = add_locked_room(w, cells)
        connect_all(w, cells)
        add_distractors(w, cells, ANY, ANY, w.options[OBJECTS], False)
        start_outside(w, cells, locked)
        if not w.options[4]:
            must_be_reachable(w, cells)
        draw_instruction(w, cells, locked)


@njit
def add_locked_room(w, cells):
    """A locked door, and its key in another room -> the room."""
    for _ in range(ENDLESS):
        i, j = any_room(w)
        wall = integer(w, 0, 4)
        locked = room_of(w, i, j)
        if neighbour(w, locked, wall) < 0:
            continue
        door = add_door(w, cells, i, j, wall, ANY, 1)
        while not w.failed:
            i, j = any_room(w)
            if room_of(w, i, j) != locked:
                add_object(w, cells, i, j, KEY, colour_of(door))
                return locked
    reject(w)
    return NO_ROOM


@njit
def draw_description(w, cells, last, count, locked):
    """`rand_obj`: a description of `count` kinds up to `last` that holds for an object.

    It must not be in the locked room unless unlocking may be implicit.
    """
    for _ in range(DESCRIPTIONS):
        colour = integer(w, 0, 7)
        what = (COLOURS[colour - 1] << 4 if colour else ANY_COLOUR) | last - integer(w, 0, count)
        if w.options[LOCATIONS] and is_heads(w):
            what |= LEFT + integer(w, 0, 4) << 7
        for number in range(1, w.count + 1):
            if fits(w, cells, number, what) and (
                w.options[IMPLICIT_UNLOCK] or locked == NO_ROOM or not is_in_room(w, locked, w.place[number])
            ):
                return what
    reject(w)
    return NOTHING


@njit
def any_digit(w, digits):
    """One of the octal digits of a number."""
    count = 0
    while digits >> 3 * count:
        count += 1
    return digits >> 3 * integer(w, 0, count) & 7


@njit
def draw_action(w, cells, atom, locked):
    if w.failed:
        return
    kind = any_digit(w, w.options[ACTIONS])
    if kind == REACH:
        act(w, atom, kind, draw_description(w, cells, BOX, 4, locked))
    elif kind == PICK_UP:
        act(w, atom, kind, draw_description(w, cells, BOX, 3, locked))
    elif kind == OPEN_DOOR:
        act(w, atom, kind, draw_description(w, cells, DOOR, 1, locked))
    elif kind == PUT_NEXT:
        moved = draw_description(w, cells, BOX, 3, locked)
        put_next(w, atom, moved, draw_description(w, cells, BOX, 4, locked))


@njit
def draw_instruction(w, cells, locked):
    """`rand_instr`: one action, two in any order, or two of these one after the other."""
    kind = any_digit(w, w.options[INSTRUCTIONS])
    for half in range(2 if kind == IN_ORDER else 1):
        both = integer(w, 0, 2) if kind == IN_ORDER else kind == BOTH
        draw_action(w, cells, 2 * half, locked)
        if both:
            draw_action(w, cells, 2 * half + 1, locked)
    if kind == IN_ORDER:
        w.program[0] = BEFORE + integer(w, 0, 2)
