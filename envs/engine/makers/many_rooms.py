"""The levels of MiniGrid's houses of rooms that are not on `RoomGrid`, laid out as Farama's `_gen_grid` draws them."""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.kernel import EMPTY, KEY
from envs.engine.makers.draws import integer
from envs.engine.makers.world import (
    A_GOAL,
    A_WALL,
    ANYWHERE,
    COLOURS,
    ENDLESS,
    any_colour,
    any_kind,
    enclosed,
    find_place,
    horizontal,
    index,
    new,
    new_door,
    phrase,
    place,
    place_agent,
    place_agent_in,
    put,
    say,
    say_colour,
    some_colours,
    vertical,
    wall_rect,
)

GET_THE, KEY_FROM_THE, ROOM = phrase("get the"), phrase("key from the"), phrase("room,")
UNLOCK_THE, DOOR_AND_GO_TO_THE_GOAL = phrase("unlock the"), phrase("door and go to the goal")
TRIES = 8  # for the next room of MultiRoom
MOST_ROOMS = 32


def lay_four_rooms(w, cells, marks):
    """Gaps in the walls between four rooms; the agent and the goal anywhere, or where the options say."""
    enclosed(w, cells)
    width, height = w.width // 2, w.height // 2
    for j in range(2):
        for i in range(2):
            left, top = i * width, j * height
            if i == 0:
                vertical(w, cells, left + width, top, height, A_WALL)
                cells[index(w, left + width, integer(w, top + 1, top + height))] = EMPTY
            if j == 0:
                horizontal(w, cells, left, top + height, width, A_WALL)
                cells[index(w, integer(w, left + 1, left + width), top + height)] = EMPTY
    if w.options[0] >= 0:
        w.x, w.y = w.options[0], w.options[1]
        cells[index(w, w.x, w.y)] = EMPTY
        w.direction = integer(w, 0, 4)
    else:
        place_agent(w, cells)
    if w.options[2] >= 0:
        put(w, cells, A_GOAL, index(w, w.options[2], w.options[3]))
    else:
        place(w, cells, A_GOAL)


def lay_locked_room(w, cells, marks):
    """Six rooms along a hallway; the goal is in the locked one, its key in another one."""
    enclosed(w, cells)
    left, right, height = w.width // 2 - 2, w.width // 2 + 2, w.height // 3
    vertical(w, cells, left, 0, w.height, A_WALL)
    vertical(w, cells, right, 0, w.height, A_WALL)
    for n in range(3):
        horizontal(w, cells, 0, n * height, left, A_WALL)
        horizontal(w, cells, right, n * height, w.width - right, A_WALL)
    # room r: the side r % 2, the row r // 2
    locked = integer(w, 0, 6)
    x = integer(w, (locked % 2) * right + 1, (locked % 2) * right + left)
    y = integer(w, (locked // 2) * height + 1, (locked // 2) * height + height)
    put(w, cells, A_GOAL, index(w, x, y))
    colours = some_colours(w, 6)
    for r in range(6):
        put(w, cells, new_door(w, colours[r], r == locked), index(w, right if r % 2 else left, (r // 2) * height + 3))
    keys = locked
    while keys == locked:
        keys = integer(w, 0, 6)
    x = integer(w, (keys % 2) * right + 1, (keys % 2) * right + left)
    y = integer(w, (keys // 2) * height + 1, (keys // 2) * height + height)
    put(w, cells, new(w, KEY, colours[locked]), index(w, x, y))
    place_agent_in(w, cells, left, 0, right - left, w.height, ENDLESS)
    say(w, GET_THE)
    say_colour(w, colours[locked])
    say(w, KEY_FROM_THE)
    say_colour(w, colours[keys])
    say(w, ROOM)
    say(w, UNLOCK_THE)
    say_colour(w, colours[locked])
    say(w, DOOR_AND_GO_TO_THE_GOAL)


def lay_playground(w, cells, marks):
    """Nine rooms with doors between all of them, and twelve objects."""
    enclosed(w, cells)
    width, height = w.width // 3, w.height // 3
    for j in range(3):
        for i in range(3):
            left, top = i * width, j * height
            if i < 2:
                vertical(w, cells, left + width, top, height, A_WALL)
                y = integer(w, top + 1, top + height - 1)
                put(w, cells, new_door(w, any_colour(w), False), index(w, left + width, y))
            if j < 2:
                horizontal(w, cells, left, top + height, width, A_WALL)
                x = integer(w, left + 1, left + width - 1)
                put(w, cells, new_door(w, any_colour(w), False), index(w, x, top + height))
    place_agent(w, cells)
    for _ in range(12):
        kind, colour = any_kind(w), any_colour(w)
        place(w, cells, new(w, kind, colour))


@njit
def add_room(w, rooms, count, largest, wall, x, y):
    """`_placeRoom` without what follows it: a room whose entry is in this wall at (x, y) -> whether it fits.

    A room is (left, top, width, height, entry x, entry y); walls are right, bottom, left, top.
    """
    width, height = integer(w, 4, largest + 1), integer(w, 4, largest + 1)
    left, top = x, y
    if count > 0:
        if wall == 0:
            left, top = x - width + 1, integer(w, y - height + 2, y)
        elif wall == 1:
            left, top = integer(w, x - width + 2, x), y - height + 1
        elif wall == 2:
            left, top = x, integer(w, y - height + 2, y)
        else:
            left, top = integer(w, x - width + 2, x), y
    if left < 0 or top < 0 or left + width > w.width or top + height >= w.height:
        return False
    for n in range(count - 1):
        apart = left + width < rooms[n, 0] or rooms[n, 0] + rooms[n, 2] <= left
        if not (apart or top + height < rooms[n, 1] or rooms[n, 1] + rooms[n, 3] <= top):
            return False
    rooms[count, 0], rooms[count, 1], rooms[count, 2], rooms[count, 3] = left, top, width, height
    rooms[count, 4], rooms[count, 5] = x, y
    return True


@njit
def chain(w, rooms, wanted, largest, x, y):
    """`_placeRoom`'s recursion: each room tries 8 times to continue the chain -> the number of rooms.

    A room that was added stays, even if the ones after it do not fit.
    """
    if not add_room(w, rooms, 0, largest, 2, x, y):
        return 0
    count = 1
    entry = 2
    tries = 0
    while count < wanted and tries < TRIES:
        tries += 1
        left, top, width, height = rooms[count - 1, 0], rooms[count - 1, 1], rooms[count - 1, 2], rooms[count - 1, 3]
        wall = integer(w, 0, 3)
        wall += wall >= entry  # the walls other than the entry's
        if wall == 0:
            x, y = left + width - 1, top + integer(w, 1, height - 1)
        elif wall == 1:
            x, y = left + integer(w, 1, width - 1), top + height - 1
        elif wall == 2:
            x, y = left, top + integer(w, 1, height - 1)
        else:
            x, y = left + integer(w, 1, width - 1), top
        if add_room(w, rooms, count, largest, (wall + 2) % 4, x, y):
            # a room that has been added counts as a success, so the one before it tries no more
            count, entry, tries = count + 1, (wall + 2) % 4, 0
    return count


def lay_multi_room(w, cells, marks):
    """A chain of rooms with doors between them; the agent in the first one, the goal in the last one."""
    fewest, most, largest = w.options[0], w.options[1], w.options[2]
    wanted = integer(w, fewest, most + 1)
    rooms, tried = np.zeros((MOST_ROOMS, 6), np.int64), np.zeros((MOST_ROOMS, 6), np.int64)
    count = 0
    for _ in range(ENDLESS):
        if count >= wanted:
            break
        x, y = integer(w, 0, w.width - 2), integer(w, 0, w.width - 2)
        found = chain(w, tried, wanted, largest, x, y)
        if found > count:
            rooms, tried, count = tried, rooms, found
    if count < wanted:
        w.failed = 1
        return
    before = -1  # the place of the last door's colour among the sorted colours
    for i in range(count):
        wall_rect(w, cells, rooms[i, 0], rooms[i, 1], rooms[i, 2], rooms[i, 3])
        if i > 0:
            drawn = integer(w, 0, 6 if before < 0 else 5)
            drawn += before >= 0 and drawn >= before
            put(w, cells, new_door(w, COLOURS[drawn], False), index(w, rooms[i, 4], rooms[i, 5]))
            before = drawn
    place_agent_in(w, cells, rooms[0, 0], rooms[0, 1], rooms[0, 2], rooms[0, 3], ENDLESS)
    last = count - 1
    left, top, width, height = rooms[last, 0], rooms[last, 1], rooms[last, 2], rooms[last, 3]
    put(w, cells, A_GOAL, find_place(w, cells, left, top, width, height, ANYWHERE, ENDLESS))
