"""A level while it is being laid out, and Farama's drawing primitives on it.

Functions take the record `w` (WORLD) and `cells`, the level's row of `kernel.Levels.grid`, in the engine's layout: a
position is one index (see kernel.py). Every object that can be moved or opened gets the next number, 1, 2, ..., in the
number bits of its cell; `make.py` renumbers them as `envs.engine.farama.Level` would.

A level that cannot be made as Farama makes it sets `w.failed`; Farama's own code then makes that level.
"""

from __future__ import annotations

import numba
import numpy as np
from minigrid.core.constants import COLOR_NAMES, COLOR_TO_IDX
from numba import types

from envs.engine.compiled import njit
from envs.engine.kernel import ATOMS, CLOSED, EMPTY, GOAL, LAVA, LOCKED, MARGIN, WALL
from envs.engine.makers.draws import integer, reject, subset
from envs.missions import MISSION_LENGTH, WORDS, split

NUMBERS = 64  # objects of a level; 0 is nobody
ROOMS = 64  # of a grid of rooms
OPTIONS = 12  # that a family has
ENDLESS = 100_000  # tries after which a place is not to be found

WORLD = np.dtype(
    [
        ("state", np.uint64, (2,)),  # of the random numbers: upper and lower half
        ("step", np.uint64, (2,)),
        ("has_half", np.int64),
        ("half", np.uint64),
        ("kept_state", np.uint64, (2,)),  # where the stream stood when the level was rejected
        ("kept_has_half", np.int64),
        ("kept_half", np.uint64),
        ("attempts", np.int64),  # to lay out the level
        ("failed", np.int64),  # FAILED or REJECTED
        ("options", np.int64, (OPTIONS,)),  # what the family's `lay` needs to know about the environment
        ("width", np.int64),
        ("height", np.int64),
        ("stride", np.int64),
        ("x", np.int64),  # the agent; -1 before it is placed
        ("y", np.int64),
        ("direction", np.int64),
        ("max_steps", np.int64),
        ("parameters", np.int64, (4,)),  # of the rule (envs/engine/rules.py)
        ("target", np.int64),  # the number of the object that the rule's first parameter is, or 0
        ("count", np.int64),  # of objects
        ("place", np.int64, (NUMBERS,)),  # where each object is; 0: in a box, or nowhere
        ("inside", np.int16, (NUMBERS,)),  # the cell that a box contains
        ("held", np.int64),  # the number of an object that moves into the agent's hands after the first observation
        ("program", np.int64, (2 + 2 * ATOMS,)),  # BabyAI's instruction
        ("wanted", np.int64, (2 * ATOMS,)),  # its descriptions (makers/descriptions.py)
        ("described", np.int64, (NUMBERS,)),  # objects that descriptions mention, in their order
        ("descriptions", np.int64),  # how many
        ("mask", np.uint8, (NUMBERS,)),  # by object
        ("mission", np.uint8, (MISSION_LENGTH,)),  # word ids
        ("words", np.int64),
        # a grid of rooms (makers/rooms.py); four walls: right, down, left, up
        ("columns", np.int64),
        ("rows", np.int64),
        ("room_size", np.int64),
        ("door_place", np.int64, (ROOMS, 4)),  # an index; 0 where there is no neighbour
        ("door", np.int64, (ROOMS, 4)),  # the number of the door, OPENING where the wall was removed, 0 for neither
        ("locked", np.int64, (ROOMS,)),
        ("met", np.int64),  # bit 8 * colour + kind for every kind and colour of object that was added to a room
    ],
    align=True,
)
# the type of a family's `lay(w, cells, marks)`
LAY = types.void(numba.from_dtype(WORLD), types.int16[::1], types.uint8[::1])

# Farama draws colours by their place in COLOR_NAMES
COLOURS = np.array([COLOR_TO_IDX[name] for name in COLOR_NAMES], np.int64)
RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(6)
A_WALL = np.int16(WALL | GREY << 4)
A_GOAL = np.int16(GOAL | GREEN << 4)
SOME_LAVA = np.int16(LAVA | RED << 4)

ANYWHERE, NEAR_AGENT, NEAR_OBJECT = range(3)  # what `place` rejects


def phrase(text: str) -> np.ndarray:
    """The word ids of a constant piece of a mission."""
    return np.array([WORDS.index(word) for word in split(text)], np.uint8)


COLOUR_WORD = np.array([WORDS.index(name) for name in ("red", "green", "blue", "purple", "yellow", "grey")], np.uint8)
KIND_WORD = np.zeros(11, np.uint8)
KIND_WORD[[4, 5, 6, 7]] = [WORDS.index(name) for name in ("door", "key", "ball", "box")]


# --- cells ------------------------------------------------------------------------------------------------------------


@njit
def clear(w, cells):
    """An empty grid, with walls around it as far as the agent can see."""
    cells[:] = A_WALL
    for y in range(w.height):
        start = index(w, 0, y)
        cells[start : start + w.width] = EMPTY


@njit
def index(w, x, y):
    return MARGIN + (y + MARGIN) * w.stride + x


@njit
def column(w, place):
    return (place - MARGIN) % w.stride


@njit
def row(w, place):
    return (place - MARGIN) // w.stride - MARGIN


@njit
def put(w, cells, cell, place):
    """`put_obj` and `grid.set`."""
    cells[place] = cell
    w.place[cell >> 9] = place


@njit
def horizontal(w, cells, x, y, length, cell):
    """`horz_wall`."""
    start = index(w, x, y)
    cells[start : start + length] = cell


@njit
def vertical(w, cells, x, y, length, cell):
    """`vert_wall`."""
    for i in range(length):
        cells[index(w, x, y + i)] = cell


@njit
def wall_rect(w, cells, x, y, width, height):
    horizontal(w, cells, x, y, width, A_WALL)
    horizontal(w, cells, x, y + height - 1, width, A_WALL)
    vertical(w, cells, x, y, height, A_WALL)
    vertical(w, cells, x + width - 1, y, height, A_WALL)


@njit
def enclosed(w, cells):
    """An empty grid within walls."""
    wall_rect(w, cells, 0, 0, w.width, w.height)


# --- objects ----------------------------------------------------------------------------------------------------------


@njit
def new(w, kind, colour):
    """A new object -> its cell. Doors are closed."""
    if w.count >= NUMBERS - 1:
        w.failed = 1
        return np.int16(kind | colour << 4)
    w.count += 1
    return np.int16(kind | colour << 4 | w.count << 9)


@njit
def new_door(w, colour, locked):
    return np.int16(new(w, 4, colour) | (LOCKED if locked else CLOSED) << 7)


@njit
def kind_of(cell):
    return np.int64(cell & 15)


@njit
def colour_of(cell):
    return np.int64((cell >> 4) & 7)


@njit
def number_of(cell):
    return np.int64(cell >> 9)


@njit
def any_colour(w):
    """`_rand_color`."""
    return COLOURS[integer(w, 0, 6)]


@njit
def some_colours(w, count):
    """`_rand_subset(COLOR_NAMES, count)`."""
    colours = subset(w, 6, count)
    for n in range(count):
        colours[n] = COLOURS[colours[n]]
    return colours


@njit
def any_kind(w):
    """`_rand_elem(["key", "ball", "box"])`."""
    return integer(w, 5, 8)


# --- places -----------------------------------------------------------------------------------------------------------


@njit
def is_rejected(w, x, y, rejected):
    if rejected == NEAR_AGENT:
        return abs(w.x - x) + abs(w.y - y) < 2
    if rejected == NEAR_OBJECT:
        for number in range(1, w.count + 1):
            place = w.place[number]
            if place and abs(column(w, place) - x) <= 1 and abs(row(w, place) - y) <= 1:
                return True
    return False


@njit
def find_place(w, cells, x, y, width, height, rejected, tries):
    """`place_obj`'s search in a rectangle: an empty place, not the agent's -> its index."""
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(left + width, w.width), min(top + height, w.height)
    for _ in range(tries):
        column_drawn = integer(w, left, right)
        row_drawn = integer(w, top, bottom)
        place = index(w, column_drawn, row_drawn)
        if w.failed:
            break
        if cells[place] != EMPTY or (column_drawn == w.x and row_drawn == w.y):
            continue
        if not is_rejected(w, column_drawn, row_drawn, rejected):
            return place
    reject(w)
    return index(w, 0, 0)


@njit
def place(w, cells, cell):
    """`place_obj(obj)`: anywhere in the grid -> the index."""
    found = find_place(w, cells, 0, 0, w.width, w.height, ANYWHERE, ENDLESS)
    put(w, cells, cell, found)
    return found


@njit
def place_agent_in(w, cells, x, y, width, height, tries):
    """`place_agent(top, size)`."""
    w.x, w.y = -1, -1
    found = find_place(w, cells, x, y, width, height, ANYWHERE, tries)
    w.x, w.y = column(w, found), row(w, found)
    w.direction = integer(w, 0, 4)


@njit
def place_agent(w, cells):
    place_agent_in(w, cells, 0, 0, w.width, w.height, ENDLESS)


# --- missions ---------------------------------------------------------------------------------------------------------


@njit
def say_word(w, word):
    if w.words == MISSION_LENGTH:
        w.failed = 1
        return
    w.mission[w.words] = word
    w.words += 1


@njit
def say(w, ids):
    """Add the words of a phrase to the mission."""
    for word in ids:
        say_word(w, word)


@njit
def say_colour(w, colour):
    say_word(w, COLOUR_WORD[colour])


@njit
def say_object(w, cell):
    """Its colour and its kind."""
    say_colour(w, colour_of(cell))
    say_word(w, KIND_WORD[kind_of(cell)])
