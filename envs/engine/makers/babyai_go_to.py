"""BabyAI's levels of "go to" (minigrid/envs/babyai/goto.py), laid out as their `gen_mission` draws them."""

from __future__ import annotations

from envs.engine.kernel import BALL, CLOSED
from envs.engine.makers.babyai_rooms import (
    add_four_doors,
    any_of,
    any_room,
    fill_rooms,
    lock_room,
    must_be_reachable,
    start_outside,
)
from envs.engine.makers.draws import integer, reject
from envs.engine.makers.instructions import OWN, go_to, unsettled
from envs.engine.makers.rooms import ANY, add_distractors, add_object, connect_all, place_agent_in_room, room_of
from envs.engine.makers.world import BLUE, GREY, RED, colour_of, kind_of


def lay_go_to_red_ball(w, cells, marks):
    """A red ball among other objects, which may all be grey."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        ball = add_object(w, cells, 0, 0, BALL, RED)
        others = add_distractors(w, cells, ANY, ANY, w.options[OWN], False)
        if w.options[OWN + 1]:
            for number in range(others, w.count + 1):
                place = w.place[number]
                cells[place] = cells[place] & ~(7 << 4) | GREY << 4
        must_be_reachable(w, cells)
        go_to(w, ball)


def lay_go_to_object(w, cells, marks):
    """One object in one room."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        go_to(w, cells[w.place[add_distractors(w, cells, ANY, ANY, 1, True)]])


def lay_go_to(w, cells, marks):
    """Objects in rooms whose doors are closed or open; go to one of them. (`GoToLocal` has one room.)"""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        connect_all(w, cells)
        first = add_distractors(w, cells, ANY, ANY, w.options[OWN], False)
        must_be_reachable(w, cells)
        go_to(w, any_of(w, cells, first, w.options[OWN]))
        if w.options[OWN + 1]:
            for number in range(1, first):  # the doors
                cells[w.place[number]] &= ~(CLOSED << 7)


def lay_go_to_implicit_unlock(w, cells, marks):
    """Go to an object in a locked room."""
    while unsettled(w, cells, marks):
        i, j = any_room(w)
        lock_room(w, cells, i, j)
        connect_all(w, cells)
        fill_rooms(w, cells, 2)
        start_outside(w, cells, room_of(w, i, j))
        must_be_reachable(w, cells)
        go_to(w, cells[w.place[add_distractors(w, cells, i, j, 1, False)]])


def lay_go_to_red_or_blue_ball(w, cells, marks):
    """Exactly one red or blue ball, among other objects."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, ANY, ANY)
        for number in range(add_distractors(w, cells, ANY, ANY, w.options[OWN], False), w.count + 1):
            cell = cells[w.place[number]]
            if kind_of(cell) == BALL and (colour_of(cell) == BLUE or colour_of(cell) == RED):
                reject(w)
        ball = add_object(w, cells, 0, 0, BALL, BLUE if integer(w, 0, 2) else RED)
        must_be_reachable(w, cells)
        go_to(w, ball)


def lay_go_to_door(w, cells, marks):
    """Go to one of the four doors of the middle room."""
    while unsettled(w, cells, marks):
        add_four_doors(w, cells, ANY)
        place_agent_in_room(w, cells, 1, 1)
        go_to(w, any_of(w, cells, 1, 4))


def lay_go_to_object_or_door(w, cells, marks):
    """Go to an object in the middle room, or to one of its four doors."""
    while unsettled(w, cells, marks):
        place_agent_in_room(w, cells, 1, 1)
        add_distractors(w, cells, 1, 1, 8, False)
        add_four_doors(w, cells, ANY)
        must_be_reachable(w, cells)
        go_to(w, any_of(w, cells, 1, 12))
