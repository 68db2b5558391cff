"""BabyAI's levels of "put next to" (minigrid/envs/babyai/putnext.py and other.py)."""

from __future__ import annotations

from envs.engine.compiled import njit
from envs.engine.kernel import BEFORE
from envs.engine.makers.babyai_rooms import any_of, must_be_reachable
from envs.engine.makers.descriptions import same
from envs.engine.makers.draws import is_heads, subset
from envs.engine.makers.instructions import OWN, put_next, unsettled
from envs.engine.makers.rooms import ANY, add_distractors, place_agent_in_room, remove_wall
from envs.engine.makers.world import number_of


@njit
def put_object_next(w, cells, atom, moved, fixed):
    """By their numbers."""
    put_next(w, atom, same(cells[w.place[moved]]), same(cells[w.place[fixed]]))


def lay_put_next_local(w, cells, marks):
    """Different objects in one room."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        first = add_distractors(w, cells, ANY, ANY, w.options[OWN], True)
        must_be_reachable(w, cells)
        pair = subset(w, w.options[OWN], 2)
        put_object_next(w, cells, 0, first + pair[0], first + pair[1])


@njit
def lay_two_halves(w, cells, count):
    """The agent on the left, different objects on both sides of a removed wall -> the first numbers."""
    place_agent_in_room(w, cells, 0, 0)
    left = add_distractors(w, cells, 0, 0, count, True)
    right = add_distractors(w, cells, 1, 0, count, True)
    remove_wall(w, cells, 0, 0, 0)
    return left, right


def lay_put_next(w, cells, marks):
    """One object on each side; put one next to the other, which the agent may hold already."""
    while unsettled(w, cells, marks):
        count = w.options[OWN]
        left, right = lay_two_halves(w, cells, count)
        moved, fixed = number_of(any_of(w, cells, left, count)), number_of(any_of(w, cells, right, count))
        if is_heads(w):
            moved, fixed = fixed, moved
        put_object_next(w, cells, 0, moved, fixed)
        if w.options[OWN + 1]:
            w.held = moved


def lay_move_two_across(w, cells, marks):
    """Put one from the left next to one on the right, then the other way round with two other ones."""
    while unsettled(w, cells, marks):
        count = w.options[OWN]
        left, right = lay_two_halves(w, cells, count)
        a, b = subset(w, count, 2), subset(w, count, 2)
        w.program[0] = BEFORE
        put_object_next(w, cells, 0, left + a[0], right + b[0])
        put_object_next(w, cells, 2, right + b[1], left + a[1])
