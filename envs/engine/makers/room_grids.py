"""The levels of MiniGrid's environments on `RoomGrid`, laid out as Farama's `_gen_grid` draws them."""

from __future__ import annotations

from envs.engine.compiled import njit
from envs.engine.kernel import BALL, BOX, KEY, ahead_of
from envs.engine.makers.draws import integer
from envs.engine.makers.rooms import (
    ANY,
    add_door,
    add_object,
    connect_all,
    lay_rooms,
    place_agent_in_room,
    place_in_room,
    remove_wall,
    room_of,
)
from envs.engine.makers.world import (
    BLUE,
    GREEN,
    GREY,
    any_colour,
    colour_of,
    new,
    number_of,
    phrase,
    put,
    say,
    say_object,
    some_colours,
)

PICK_UP_THE = phrase("pick up the")


def lay_unlock(w, cells, marks):
    lay_rooms(w, cells)
    door = add_door(w, cells, 0, 0, 0, ANY, 1)
    add_object(w, cells, 0, 0, KEY, colour_of(door))
    place_agent_in_room(w, cells, 0, 0)
    w.parameters[0] = w.place[number_of(door)]


def lay_unlock_pickup(w, cells, marks):
    lay_rooms(w, cells)
    box = add_object(w, cells, 1, 0, BOX, ANY)
    door = add_door(w, cells, 0, 0, 0, ANY, 1)
    add_object(w, cells, 0, 0, KEY, colour_of(door))
    place_agent_in_room(w, cells, 0, 0)
    want(w, box)


@njit
def lay_blocked_door(w, cells):
    """A ball in front of a locked door, a box behind it -> the box."""
    box = add_object(w, cells, 1, 0, BOX, ANY)
    door = add_door(w, cells, 0, 0, 0, ANY, 1)
    put(w, cells, new(w, BALL, any_colour(w)), w.place[number_of(door)] - 1)
    add_object(w, cells, 0, 0, KEY, colour_of(door))
    place_agent_in_room(w, cells, 0, 0)
    return box


def lay_blocked_unlock_pickup(w, cells, marks):
    lay_rooms(w, cells)
    want(w, lay_blocked_door(w, cells))


@njit
def lay_corridor(w, cells, kind):
    """A hallway in the middle column; an object behind a locked door on the right, the key on the left."""
    for j in range(1, w.rows):
        remove_wall(w, cells, 1, j, 3)
    j = integer(w, 0, w.rows)
    door = add_door(w, cells, 2, j, 2, ANY, 1)
    wanted = add_object(w, cells, 2, j, kind, ANY)
    add_object(w, cells, 0, integer(w, 0, w.rows), KEY, colour_of(door))
    place_agent_in_room(w, cells, 1, w.rows // 2)
    connect_all(w, cells)
    return wanted


def lay_key_corridor(w, cells, marks):
    lay_rooms(w, cells)
    want(w, lay_corridor(w, cells, w.options[3]))


@njit
def want(w, cell):
    """The object to pick up, and the mission."""
    w.target = number_of(cell)
    say(w, PICK_UP_THE)
    say_object(w, cell)


# --- ObstructedMaze: the ball to find is blue, balls that block doors are green, boxes with keys are grey -------------


@njit
def add_key(w, cells, i, j, colour, in_box):
    """A key in a room, in a box if asked for."""
    key = new(w, KEY, colour)
    if in_box:
        box = new(w, BOX, GREY)
        w.inside[number_of(box)] = key
        key = box
    place_in_room(w, cells, i, j, key)


@njit
def add_blocked_door(w, cells, i, j, wall, colour, locked, blocked):
    """A door, and a ball in front of it if asked for."""
    door = w.door_place[room_of(w, i, j), wall]
    add_door(w, cells, i, j, wall, colour, locked)
    if blocked:
        put(w, cells, new(w, BALL, GREEN), door - ahead_of(wall, w.stride))


def lay_obstructed_maze_1d(w, cells, marks):
    """Two rooms with a locked door between them."""
    lay_rooms(w, cells)
    colours = some_colours(w, 6)
    add_blocked_door(w, cells, 0, 0, 0, colours[0], 1, w.options[4])
    add_key(w, cells, 0, 0, colours[0], w.options[3])
    want(w, add_object(w, cells, 1, 0, BALL, BLUE))
    place_agent_in_room(w, cells, 0, 0)


@njit
def lay_quarters(w, cells, keys_last):
    """Doors from the middle room to the rooms beside it, and from there locked ones to the corners.

    `keys_last` places the two keys of a side room after both of its doors (version 1 of the environments).
    """
    lay_rooms(w, cells)
    in_box, blocked, quarters = w.options[3], w.options[4], w.options[5]
    colours = some_colours(w, 6)
    sides = ((2, 1), (1, 2), (0, 1), (1, 0))
    corners = ((2, 0), (2, 2), (0, 2), (0, 0))
    for q in range(quarters):
        i, j = sides[q]
        add_blocked_door(w, cells, 1, 1, q, colours[q], 0, False)
        for k in (-1, 1):
            add_blocked_door(w, cells, i, j, (q + k) % 4, colours[(q + k) % 6], 1, blocked)
            if not keys_last:
                add_key(w, cells, i, j, colours[(q + k) % 6], in_box)
        if keys_last:
            add_key(w, cells, i, j, colours[(q - 1) % 6], in_box)
            add_key(w, cells, i, j, colours[(q + 1) % 6], in_box)
    i, j = corners[integer(w, 0, quarters)]
    want(w, add_object(w, cells, i, j, BALL, BLUE))
    place_agent_in_room(w, cells, w.options[6], w.options[7])


def lay_obstructed_maze(w, cells, marks):
    lay_quarters(w, cells, False)


def lay_obstructed_maze_v1(w, cells, marks):
    lay_quarters(w, cells, True)
