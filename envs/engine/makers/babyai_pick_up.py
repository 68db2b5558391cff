"""BabyAI's levels of "pick up" (minigrid/envs/babyai/pickup.py, other.py and unlock.py)."""

from __future__ import annotations

from envs.engine.kernel import BALL, BOX, DOOR, KEY, OPEN_DOOR, PICK_UP, REACH
from envs.engine.makers.babyai_rooms import add_four_doors, all_reachable, any_of, must_be_reachable
from envs.engine.makers.descriptions import ANY_COLOUR, ANY_KIND, same
from envs.engine.makers.draws import integer, is_heads, reject
from envs.engine.makers.instructions import OWN, act, pick_up, strictly, unsettled
from envs.engine.makers.room_grids import lay_blocked_door, lay_corridor
from envs.engine.makers.rooms import ANY, add_distractors, add_door, add_object, connect_all, place_agent_in_room
from envs.engine.makers.world import colour_of, kind_of, some_colours


def lay_pick_up(w, cells, marks):
    """Objects in rooms whose doors are closed."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        connect_all(w, cells)
        first = add_distractors(w, cells, ANY, ANY, 18, False)
        must_be_reachable(w, cells)
        pick_up(w, any_of(w, cells, first, 18))


def lay_unblock_pick_up(w, cells, marks):
    """The same, where at least one object is blocked by others."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        connect_all(w, cells)
        first = add_distractors(w, cells, ANY, ANY, 20, False)
        if all_reachable(w, cells):
            reject(w)
        pick_up(w, any_of(w, cells, first, 20))


def lay_pick_up_described(w, cells, marks):
    """One of five different objects, described by its kind, its colour, or both."""
    while unsettled(w, cells, marks):
        first = add_distractors(w, cells, ANY, ANY, 5, True)
        place_agent_in_room(w, cells, 0, 0)
        what = same(any_of(w, cells, first, 5))
        described_by = integer(w, 0, 3)
        if described_by == 0:
            what = what & 15 | ANY_COLOUR
        elif described_by == 1:
            what = what & ANY_COLOUR | ANY_KIND
        act(w, 0, PICK_UP, what)
        if w.options[OWN]:
            strictly(w, 0)


def lay_pick_up_above(w, cells, marks):
    """An object in the room above the agent's."""
    while unsettled(w, cells, marks):
        wanted = add_object(w, cells, 1, 0, ANY, ANY)
        add_door(w, cells, 1, 1, 3, ANY, 0)
        place_agent_in_room(w, cells, 1, 1)
        connect_all(w, cells)
        pick_up(w, wanted)


def lay_one_room(w, cells, marks):
    """A ball and the agent."""
    while unsettled(w, cells, marks):
        add_object(w, cells, 0, 0, BALL, ANY)
        place_agent_in_room(w, cells, ANY, ANY)
        act(w, 0, PICK_UP, BALL | ANY_COLOUR)


def lay_find_object(w, cells, marks):
    """One object in any room; the agent in the middle one."""
    while unsettled(w, cells, marks):
        i = integer(w, 0, w.rows)
        j = integer(w, 0, w.columns)
        wanted = add_object(w, cells, i, j, ANY, ANY)
        place_agent_in_room(w, cells, 1, 1)
        connect_all(w, cells)
        act(w, 0, PICK_UP, kind_of(wanted) | ANY_COLOUR)


def lay_key_corridor(w, cells, marks):
    while unsettled(w, cells, marks):
        act(w, 0, PICK_UP, kind_of(lay_corridor(w, cells, w.options[OWN])) | ANY_COLOUR)


def lay_unlock_pick_up(w, cells, marks):
    """A box behind a locked door; there may be four other objects."""
    while unsettled(w, cells, marks):
        box = add_object(w, cells, 1, 0, BOX, ANY)
        door = add_door(w, cells, 0, 0, 0, ANY, 1)
        add_object(w, cells, 0, 0, KEY, colour_of(door))
        if w.options[OWN]:
            add_distractors(w, cells, ANY, ANY, 4, True)
        place_agent_in_room(w, cells, 0, 0)
        pick_up(w, box)


def lay_blocked_unlock_pick_up(w, cells, marks):
    while unsettled(w, cells, marks):
        lay_blocked_door(w, cells)
        act(w, 0, PICK_UP, BOX | ANY_COLOUR)


def lay_unlock_to_unlock(w, cells, marks):
    """Three rooms in a row: the key of the left door is behind the right door, a ball behind the left one."""
    while unsettled(w, cells, marks):
        colours = some_colours(w, 2)
        add_door(w, cells, 0, 0, 0, colours[0], 1)
        add_object(w, cells, 2, 0, KEY, colours[0])
        add_door(w, cells, 1, 0, 0, colours[1], 1)
        add_object(w, cells, 1, 0, KEY, colours[1])
        add_object(w, cells, 0, 0, BALL, ANY)
        place_agent_in_room(w, cells, 1, 0)
        act(w, 0, PICK_UP, BALL | ANY_COLOUR)


def lay_action(w, cells, marks):
    """Five different objects in the middle room, and its four doors: go to one, or pick it up or open it."""
    while unsettled(w, cells, marks):
        add_distractors(w, cells, 1, 1, 5, True)
        add_four_doors(w, cells, 0)
        place_agent_in_room(w, cells, 1, 1)
        cell = any_of(w, cells, 1, 9)
        kind = OPEN_DOOR if kind_of(cell) == DOOR else PICK_UP
        act(w, 0, REACH if is_heads(w) else kind, same(cell))
