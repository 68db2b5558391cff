"""BabyAI's descriptions of objects, like "a red ball on your left".

A description is a cell without state or number, and a location: kind (1 for any) | colour << 4 (7 for any) |
location << 7 (0 for none, then as Farama's LOC_NAMES). So `same(cell)` describes the kind and colour of an object. 0 is
no description.

Locations are meant as seen from the agent's start, within its room. (ObjDesc in minigrid/envs/babyai/core/verifier.py.)
"""

from __future__ import annotations

import numpy as np
from minigrid.core.constants import DIR_TO_VEC

from envs.engine.compiled import njit
from envs.engine.kernel import WALL
from envs.engine.makers.rooms import room_at
from envs.engine.makers.world import (
    GREY,
    KIND_WORD,
    NUMBERS,
    colour_of,
    column,
    index,
    kind_of,
    new,
    number_of,
    phrase,
    row,
    say,
    say_colour,
    say_word,
)

NOTHING, ANY_KIND, ANY_COLOUR = 0, 1, 7 << 4
NOWHERE, LEFT, RIGHT, FRONT, BEHIND = range(5)
TO_X = np.array([x for x, _ in DIR_TO_VEC], np.int64)  # by direction
TO_Y = np.array([y for _, y in DIR_TO_VEC], np.int64)

A, THE, OBJECT = phrase("a"), phrase("the"), phrase("object")
ON_YOUR_LEFT, ON_YOUR_RIGHT = phrase("on your left"), phrase("on your right")
IN_FRONT_OF_YOU, BEHIND_YOU = phrase("in front of you"), phrase("behind you")


@njit
def same(cell):
    """What describes the kind and colour of an object."""
    return np.int64(cell & 127)


@njit
def is_in_room(w, room, place):
    """`pos_inside`: the walls of a room belong to it."""
    step = w.room_size - 1
    x = column(w, place) - room % w.columns * step
    y = row(w, place) - room // w.columns * step
    return 0 <= x <= step and 0 <= y <= step


@njit
def is_located(w, place, location):
    if not is_in_room(w, room_at(w, w.x, w.y), place):
        return False
    x, y = column(w, place) - w.x, row(w, place) - w.y
    to_x, to_y = TO_X[w.direction], TO_Y[w.direction]
    ahead, right = x * to_x + y * to_y, y * to_x - x * to_y
    if location == LEFT:
        return right < 0
    if location == RIGHT:
        return right > 0
    return ahead > 0 if location == FRONT else ahead < 0


@njit
def fits(w, cells, number, what):
    """Whether a description holds for an object."""
    place = w.place[number]
    cell, kind, colour, location = cells[place], what & 15, what & ANY_COLOUR, what >> 7
    if place == 0 or (kind != ANY_KIND and kind_of(cell) != kind):
        return False
    if colour != ANY_COLOUR and colour_of(cell) << 4 != colour:
        return False
    return location == NOWHERE or is_located(w, place, location)


@njit
def fits_walls(what):
    """Whether a description without a location holds for walls, which are grey objects."""
    colour = what & ANY_COLOUR
    return what & 15 == ANY_KIND and (colour == ANY_COLOUR or colour == GREY << 4)


@njit
def matches(w, cells, what):
    """How many things a description holds for; walls count as two."""
    count = 2 if fits_walls(what) else 0
    for number in range(1, w.count + 1):
        count += fits(w, cells, number, what)
    return count


@njit
def say_description(w, cells, what):
    """`surface`."""
    say(w, A if matches(w, cells, what) > 1 else THE)
    if what & ANY_COLOUR != ANY_COLOUR:
        say_colour(w, colour_of(what))
    if what & 15 == ANY_KIND:
        say(w, OBJECT)
    else:
        say_word(w, KIND_WORD[kind_of(what)])
    location = what >> 7
    if location == LEFT:
        say(w, ON_YOUR_LEFT)
    elif location == RIGHT:
        say(w, ON_YOUR_RIGHT)
    elif location == FRONT:
        say(w, IN_FRONT_OF_YOU)
    elif location == BEHIND:
        say(w, BEHIND_YOU)


@njit
def in_order(w, cells):
    """The numbers of the objects in the order of `find_matching_objs`, column by column."""
    numbers, count = np.empty(NUMBERS, np.int64), 0
    for x in range(w.width):
        for y in range(w.height):
            number = number_of(cells[index(w, x, y)])
            if number:
                numbers[count] = number
                count += 1
    return numbers[:count]


@njit
def mention(w, marks, bit, number, place):
    """Let description `bit` hold for an object, which is here."""
    marks[place] |= 1 << bit
    if w.mask[number] == 0:
        w.described[w.descriptions] = number
        w.descriptions += 1
    w.mask[number] |= 1 << bit


@njit
def mention_walls(w, cells, marks, bit):
    """Let description `bit` hold for all walls, which share one number: rules cannot tell them apart."""
    wall = cells[index(w, 0, 0)]
    if number_of(wall) == 0:
        wall = new(w, WALL, GREY)
    for y in range(w.height):
        for x in range(w.width):
            place = index(w, x, y)
            if kind_of(cells[place]) == WALL:
                cells[place] = wall
                mention(w, marks, bit, number_of(wall), place)


@njit
def mention_all(w, cells, marks):
    """Let the descriptions of the instruction hold for what they describe."""
    numbers = in_order(w, cells)
    for bit in range(w.wanted.shape[0]):
        what = w.wanted[bit]
        if what == NOTHING:
            continue
        if fits_walls(what):
            mention_walls(w, cells, marks, bit)
        for number in numbers:
            if fits(w, cells, number, what):
                mention(w, marks, bit, number, w.place[number])
