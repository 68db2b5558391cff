"""`RoomGrid`'s drawing primitives: a grid of rooms that share walls, doors in them, objects in rooms.

Room (i, j) is column i, row j, at place j * columns + i of the record's arrays. Its walls are 0 right, 1 down, 2 left,
3 up, so the neighbour behind wall k sees that wall as (k + 2) % 4.
"""

from __future__ import annotations

from envs.engine.compiled import njit
from envs.engine.kernel import EMPTY, WALL, ahead_of
from envs.engine.makers.draws import integer, is_heads, reject
from envs.engine.makers.world import (
    COLOURS,
    ENDLESS,
    NEAR_AGENT,
    any_colour,
    any_kind,
    colour_of,
    find_place,
    index,
    kind_of,
    new,
    new_door,
    number_of,
    place_agent_in,
    put,
    wall_rect,
)

OPENING = -1  # in place of a door's number: the wall was removed
ANY = -1  # a colour, kind or place that is drawn
TRIES = 1001  # of place_obj with max_tries=1000
CONNECTIONS = 5001  # of connect_all


@njit
def room_of(w, i, j):
    return j * w.columns + i


@njit
def room_at(w, x, y):
    """`room_from_pos`."""
    return room_of(w, x // (w.room_size - 1), y // (w.room_size - 1))


@njit
def neighbour(w, room, wall):
    """The room behind a wall, or -1."""
    i, j = room % w.columns, room // w.columns
    if wall == 0:
        i += 1
    elif wall == 1:
        j += 1
    elif wall == 2:
        i -= 1
    else:
        j -= 1
    if i < 0 or j < 0 or i >= w.columns or j >= w.rows:
        return -1
    return room_of(w, i, j)


@njit
def lay_rooms(w, cells):
    """`RoomGrid._gen_grid`: the walls, the places for doors, and the agent in the middle.

    The first three options of the family are how many columns and rows there are, and the size of a room.
    """
    columns, rows, size = w.options[0], w.options[1], w.options[2]
    w.columns, w.rows, w.room_size = columns, rows, size
    w.door_place[: columns * rows] = 0
    w.door[: columns * rows] = 0
    w.locked[: columns * rows] = 0
    w.met = 0
    step = size - 1
    for j in range(rows):
        for i in range(columns):
            wall_rect(w, cells, i * step, j * step, size, size)
    for j in range(rows):
        for i in range(columns):
            room, left, top = room_of(w, i, j), i * step + 1, j * step + 1
            right, bottom = left + size - 2, top + size - 2
            if i < columns - 1:
                w.door_place[room, 0] = index(w, right, integer(w, top, bottom))
            if j < rows - 1:
                w.door_place[room, 1] = index(w, integer(w, left, right), bottom)
            if i > 0:
                w.door_place[room, 2] = w.door_place[room - 1, 0]
            if j > 0:
                w.door_place[room, 3] = w.door_place[room - columns, 1]
    w.x, w.y = (columns // 2) * step + size // 2, (rows // 2) * step + size // 2
    w.direction = 0


@njit
def place_in_room(w, cells, i, j, cell):
    """`place_in_room`: not next to the agent -> the cell."""
    step = w.room_size - 1
    found = find_place(w, cells, i * step, j * step, w.room_size, w.room_size, NEAR_AGENT, TRIES)
    put(w, cells, cell, found)
    w.met |= 1 << (8 * colour_of(cell) + kind_of(cell))
    return cell


@njit
def add_object(w, cells, i, j, kind, colour):
    """`add_object` -> its cell."""
    if kind == ANY:
        kind = any_kind(w)
    if colour == ANY:
        colour = any_colour(w)
    return place_in_room(w, cells, i, j, new(w, kind, colour))


@njit
def add_door(w, cells, i, j, wall, colour, locked):
    """`add_door` -> its cell; `locked` is 0, 1 or ANY."""
    room = room_of(w, i, j)
    if wall == ANY:
        wall = integer(w, 0, 4)
        while neighbour(w, room, wall) < 0 or w.door[room, wall]:
            wall = integer(w, 0, 4)
    if colour == ANY:
        colour = any_colour(w)
    if locked == ANY:
        locked = 1 if is_heads(w) else 0
    other = neighbour(w, room, wall)
    if other < 0 or w.door[room, wall]:
        w.failed = 1  # Farama raises AssertionError
        return new_door(w, colour, locked)
    w.locked[room] = locked
    door = new_door(w, colour, locked)
    put(w, cells, door, w.door_place[room, wall])
    w.door[room, wall] = w.door[other, (wall + 2) % 4] = number_of(door)
    return door


@njit
def remove_wall(w, cells, i, j, wall):
    """`remove_wall`: the rooms on both sides become one."""
    room, step = room_of(w, i, j), w.room_size - 1
    other = neighbour(w, room, wall)
    for k in range(1, step):
        if wall == 0 or wall == 2:
            cells[index(w, i * step + (step if wall == 0 else 0), j * step + k)] = EMPTY
        else:
            cells[index(w, i * step + k, j * step + (step if wall == 1 else 0))] = EMPTY
    w.door[room, wall] = w.door[other, (wall + 2) % 4] = OPENING


@njit
def place_agent_in_room(w, cells, i, j):
    """`RoomGrid.place_agent`: not in front of an object; i and j may be ANY."""
    if i == ANY:
        i = integer(w, 0, w.columns)
    if j == ANY:
        j = integer(w, 0, w.rows)
    step = w.room_size - 1
    for _ in range(ENDLESS):
        place_agent_in(w, cells, i * step, j * step, w.room_size, w.room_size, TRIES)
        ahead = cells[index(w, w.x, w.y) + ahead_of(w.direction, w.stride)]
        if w.failed or ahead == EMPTY or ahead & 15 == WALL:
            return
    reject(w)  # no place will do: Farama's search never ends


@njit
def reachable(w, room):
    """The number of rooms that can be reached from a room through doors and openings."""
    seen, fresh = 1 << room, 1 << room
    count = 0
    while fresh:
        reached = 0
        for other in range(w.columns * w.rows):
            if fresh >> other & 1:
                count += 1
                for wall in range(4):
                    if w.door[other, wall]:
                        reached |= 1 << neighbour(w, other, wall)
        fresh = reached & ~seen
        seen |= fresh
    return count


@njit
def another_colour(w, without):
    """`_rand_elem` of the colours other than `without`."""
    drawn = integer(w, 0, 5)
    for k in range(5):
        if COLOURS[k] == without and drawn >= k:
            return COLOURS[drawn + 1]
    return COLOURS[drawn]


@njit
def connect_all(w, cells, without=ANY):
    """`connect_all`: doors at random until every room can be reached from the agent's; none of the colour `without`."""
    first = room_at(w, w.x, w.y)
    connected = reachable(w, first) == w.columns * w.rows
    for _ in range(CONNECTIONS):
        if connected or w.failed:
            return
        i, j = integer(w, 0, w.columns), integer(w, 0, w.rows)
        wall = integer(w, 0, 4)
        room = room_of(w, i, j)
        other = neighbour(w, room, wall)
        if other < 0 or w.door[room, wall] or w.locked[room] or w.locked[other]:
            continue
        add_door(w, cells, i, j, wall, any_colour(w) if without == ANY else another_colour(w, without), 0)
        connected = reachable(w, first) == w.columns * w.rows
    reject(w)


@njit
def add_distractors(w, cells, i, j, count, all_different):
    """`add_distractors` -> the number of the first object; the others follow. i and j may be ANY."""
    first = w.count + 1
    added = 0
    while added < count and not w.failed:
        colour, kind = any_colour(w), any_kind(w)
        if all_different and w.met >> (8 * colour + kind) & 1:
            continue
        column = integer(w, 0, w.columns) if i == ANY else i
        row = integer(w, 0, w.rows) if j == ANY else j
        add_object(w, cells, column, row, kind, colour)
        added += 1
    return first
