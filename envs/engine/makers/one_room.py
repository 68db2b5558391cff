"""The levels of MiniGrid's single rooms, laid out in the order in which Farama's `_gen_grid` draws.

Each `lay` is that method of the class it is named after. `w.options` are what the list at the end reads from the
environment.
"""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.kernel import BALL, EMPTY, KEY
from envs.engine.makers.draws import integer, shuffle
from envs.engine.makers.world import (
    A_GOAL,
    A_WALL,
    ANYWHERE,
    BLUE,
    ENDLESS,
    GREEN,
    NEAR_OBJECT,
    NUMBERS,
    RED,
    SOME_LAVA,
    YELLOW,
    any_colour,
    any_kind,
    colour_of,
    enclosed,
    find_place,
    horizontal,
    index,
    kind_of,
    new,
    new_door,
    phrase,
    place,
    place_agent,
    place_agent_in,
    put,
    say,
    say_colour,
    say_object,
    vertical,
    wall_rect,
)

GO_TO_THE, DOOR_WORD = phrase("go to the"), phrase("door")
GET_A, GO_GET_A, FETCH_A = phrase("get a"), phrase("go get a"), phrase("fetch a")
GO_FETCH_A, YOU_MUST_FETCH_A = phrase("go fetch a"), phrase("you must fetch a")
PUT_THE, NEAR_THE = phrase("put the"), phrase("near the")


@njit
def start(w, cells):
    """The agent's place and direction in the options, or anywhere if there are none."""
    if w.options[0] >= 0:
        w.x, w.y, w.direction = w.options[0], w.options[1], w.options[2]
    else:
        place_agent(w, cells)


@njit
def corner_to_corner(w, cells):
    """The agent in the upper left corner, the goal in the lower right one."""
    enclosed(w, cells)
    w.x, w.y, w.direction = 1, 1, 0
    put(w, cells, A_GOAL, index(w, w.width - 2, w.height - 2))


def lay_empty(w, cells, marks):
    enclosed(w, cells)
    put(w, cells, A_GOAL, index(w, w.width - 2, w.height - 2))
    start(w, cells)


def lay_dist_shift(w, cells, marks):
    """A row of lava at the top, another one in the row that the option says."""
    enclosed(w, cells)
    put(w, cells, A_GOAL, index(w, w.options[4], w.options[5]))
    if w.width > 6:
        horizontal(w, cells, 3, 1, w.width - 6, SOME_LAVA)
        horizontal(w, cells, 3, w.options[3], w.width - 6, SOME_LAVA)
    start(w, cells)


def lay_dynamic_obstacles(w, cells, marks):
    enclosed(w, cells)
    put(w, cells, A_GOAL, index(w, w.width - 2, w.height - 2))
    start(w, cells)
    w.parameters[0] = w.options[4]
    for _ in range(w.options[3]):
        ball = new(w, BALL, BLUE)
        put(w, cells, ball, find_place(w, cells, 0, 0, w.width, w.height, ANYWHERE, 101))


def lay_door_key(w, cells, marks):
    """A wall with a locked door; the agent and the key to its left, the goal to its right."""
    enclosed(w, cells)
    put(w, cells, A_GOAL, index(w, w.width - 2, w.height - 2))
    split = integer(w, 2, w.width - 2)
    vertical(w, cells, split, 0, w.height, A_WALL)
    place_agent_in(w, cells, 0, 0, split, w.height, ENDLESS)
    put(w, cells, new_door(w, YELLOW, True), index(w, split, integer(w, 1, w.height - 2)))
    put(w, cells, new(w, KEY, YELLOW), find_place(w, cells, 0, 0, split, w.height, ANYWHERE, ENDLESS))


def lay_lava_gap(w, cells, marks):
    """A column of lava or wall with one gap."""
    corner_to_corner(w, cells)
    x, y = integer(w, 2, w.width - 2), integer(w, 1, w.height - 1)
    vertical(w, cells, x, 1, w.height - 2, np.int16(w.options[0]))
    cells[index(w, x, y)] = EMPTY


def lay_crossing(w, cells, marks):
    """Rivers across the room, at random among the even columns and rows, and a way to the goal through all of them."""
    corner_to_corner(w, cells)
    obstacle = np.int16(w.options[0])
    rivers = np.zeros(NUMBERS, np.int64)  # columns, and rows as negative numbers
    found = 0
    for x in range(2, w.height - 2, 2):
        rivers[found], found = x, found + 1
    for y in range(2, w.width - 2, 2):
        rivers[found], found = -y, found + 1
    shuffle(w, rivers, found)
    count = min(w.options[1], found)
    for river in rivers[:count]:
        if river > 0:
            vertical(w, cells, river, 1, w.height - 2, obstacle)
        else:
            horizontal(w, cells, 1, -river, w.width - 2, obstacle)
    # the way: first as many 0, which cross the next column, as there are columns, then 1 for each row
    way = np.zeros(NUMBERS, np.int64)
    columns = 0
    for river in rivers[:count]:
        columns += river > 0
    for n in range(columns, count):
        way[n] = 1
    shuffle(w, way, count)
    left = top = 0
    for crosses_row in way[:count]:
        right, bottom = w.height - 1, w.width - 1
        for river in rivers[:count]:
            if river > left:
                right = min(right, river)
            if -river > top:
                bottom = min(bottom, -river)
        if crosses_row:
            x, y = integer(w, left + 1, right), bottom
            top = bottom
        else:
            x, y = right, integer(w, top + 1, bottom)
            left = right
        cells[index(w, x, y)] = EMPTY


def lay_memory(w, cells, marks):
    """An object in the first room; at the end of the hallway one like it and one unlike it."""
    enclosed(w, cells)
    middle = w.height // 2
    end = integer(w, 4, w.width - 2) if w.options[0] else w.width - 3
    horizontal(w, cells, 1, middle - 2, 4, A_WALL)
    horizontal(w, cells, 1, middle + 2, 4, A_WALL)
    cells[index(w, 4, middle - 1)] = cells[index(w, 4, middle + 1)] = A_WALL
    for x in range(5, end):
        cells[index(w, x, middle - 1)] = cells[index(w, x, middle + 1)] = A_WALL
    for y in range(w.height):
        if y != middle:
            cells[index(w, end, y)] = A_WALL
        cells[index(w, end + 2, y)] = A_WALL
    w.x, w.y, w.direction = integer(w, 1, end + 1), middle, 0
    shown = integer(w, 0, 2)  # a key or a ball
    put(w, cells, new(w, KEY if shown == 0 else BALL, GREEN), index(w, 1, middle - 1))
    upper = 1 - integer(w, 0, 2)
    put(w, cells, new(w, KEY if upper == 0 else BALL, GREEN), index(w, end + 1, middle - 2))
    put(w, cells, new(w, BALL if upper == 0 else KEY, GREEN), index(w, end + 1, middle + 2))
    above, below = index(w, end + 1, middle - 1), index(w, end + 1, middle + 1)
    w.parameters[0] = above if shown == upper else below
    w.parameters[1] = below if shown == upper else above


def lay_red_blue_doors(w, cells, marks):
    """A red door in the left wall of the middle room, a blue one in its right wall."""
    size = w.options[0]
    wall_rect(w, cells, 0, 0, 2 * size, size)
    wall_rect(w, cells, size // 2, 0, size, size)
    place_agent_in(w, cells, size // 2, 0, size, size, ENDLESS)
    w.parameters[0] = index(w, size // 2, integer(w, 1, size - 1))
    put(w, cells, new_door(w, RED, False), w.parameters[0])
    w.parameters[1] = index(w, size // 2 + size - 1, integer(w, 1, size - 1))
    put(w, cells, new_door(w, BLUE, False), w.parameters[1])


def lay_go_to_door(w, cells, marks):
    """A room of random size with four doors of different colours."""
    width, height = integer(w, 5, w.width + 1), integer(w, 5, w.height + 1)
    wall_rect(w, cells, 0, 0, width, height)
    places, colours = np.zeros(4, np.int64), np.zeros(4, np.int64)
    places[0] = index(w, integer(w, 2, width - 2), 0)
    places[1] = index(w, integer(w, 2, width - 2), height - 1)
    places[2] = index(w, 0, integer(w, 2, height - 2))
    places[3] = index(w, width - 1, integer(w, 2, height - 2))
    taken, found = 0, 0
    while found < 4:
        colour = any_colour(w)
        if not taken >> colour & 1:
            taken |= 1 << colour
            colours[found], found = colour, found + 1
    for i in range(4):
        put(w, cells, new_door(w, colours[i], False), places[i])
    place_agent_in(w, cells, 0, 0, width, height, ENDLESS)
    chosen = integer(w, 0, 4)
    w.parameters[0] = places[chosen]
    say(w, GO_TO_THE)
    say_colour(w, colours[chosen])
    say(w, DOOR_WORD)


@njit
def place_different(w, cells, count, rejected):
    """`count` keys, balls and boxes, no two alike -> their cells."""
    found = np.zeros(NUMBERS, np.int16)
    some = 0
    while some < count and not w.failed:
        kind, colour = any_kind(w), any_colour(w)
        alike = False
        for cell in found[:some]:
            alike |= kind_of(cell) == kind and colour_of(cell) == colour
        if not alike:
            found[some] = new(w, kind, colour)
            put(w, cells, found[some], find_place(w, cells, 0, 0, w.width, w.height, rejected, ENDLESS))
            some += 1
    return found


def lay_go_to_object(w, cells, marks):
    enclosed(w, cells)
    found = place_different(w, cells, w.options[0], ANYWHERE)
    place_agent(w, cells)
    chosen = integer(w, 0, w.options[0])
    w.parameters[0] = w.place[chosen + 1]
    say(w, GO_TO_THE)
    say_object(w, found[chosen])


def lay_put_near(w, cells, marks):
    """Objects that are not near each other."""
    enclosed(w, cells)
    count = w.options[0]
    found = place_different(w, cells, count, NEAR_OBJECT)
    place_agent(w, cells)
    moved = integer(w, 0, count)
    near = moved
    while near == moved and not w.failed:
        near = integer(w, 0, count)
        w.failed |= count < 2  # Farama looks for another object for ever
    w.parameters[0], w.parameters[1] = found[moved] & 127, w.place[near + 1]
    say(w, PUT_THE)
    say_object(w, found[moved])
    say(w, NEAR_THE)
    say_object(w, found[near])


def lay_fetch(w, cells, marks):
    enclosed(w, cells)
    found = np.zeros(NUMBERS, np.int16)
    for i in range(w.options[0]):
        kind, colour = KEY + integer(w, 0, 2), any_colour(w)
        found[i] = new(w, kind, colour)
        place(w, cells, found[i])
    place_agent(w, cells)
    chosen = found[integer(w, 0, w.options[0])]
    w.parameters[0] = chosen & 127
    syntax = integer(w, 0, 5)
    if syntax == 0:
        say(w, GET_A)
    elif syntax == 1:
        say(w, GO_GET_A)
    elif syntax == 2:
        say(w, FETCH_A)
    elif syntax == 3:
        say(w, GO_FETCH_A)
    else:
        say(w, YOU_MUST_FETCH_A)
    say_object(w, chosen)
