"""BabyAI's instructions, and the frame in which its levels are laid out.

A level is laid out in `while unsettled(w, cells, marks): ...`, which lays the rooms, and ends after an attempt that was
not rejected. An attempt places objects and the agent, and gives the instruction: `act` and `put_next` fill one of its
four atoms (see kernel.py). Atom a has the descriptions 2 a and 2 a + 1.

Options of all these levels: 0 columns, 1 rows, 2 the size of a room, 3 whether max_steps is fixed, 4 `unblocking`.
(minigrid/envs/babyai/core/roomgrid_level.py and verifier.py)
"""

from __future__ import annotations

from envs.engine.compiled import njit
from envs.engine.kernel import (
    ABSENT,
    AFTER,
    ATOMS,
    BEFORE,
    KEY,
    LOCKED,
    OPEN_DOOR,
    PICK_UP,
    PUT_NEXT,
    REACH,
)
from envs.engine.makers.descriptions import NOTHING, fits, mention_all, same, say_description
from envs.engine.makers.draws import REJECTED, reject, resume
from envs.engine.makers.rooms import lay_rooms
from envs.engine.makers.world import clear, colour_of, kind_of, phrase, say

ATTEMPTS = 10_000
OWN = 5  # the first option that a level can use as it likes

GO_TO, PICK_UP_WORDS, OPEN, PUT = phrase("go to"), phrase("pick up"), phrase("open"), phrase("put")
NEXT_TO, AND, THEN, AFTER_YOU = phrase("next to"), phrase("and"), phrase(", then"), phrase("after you")


@njit
def unsettled(w, cells, marks):
    """`RoomGridLevel._gen_grid`: whether another attempt is to be made, for which the rooms are laid."""
    if w.attempts:
        if not w.failed:
            validate(w, cells)
        if not w.failed:
            settle(w, cells, marks)
        if w.failed != REJECTED or w.attempts == ATTEMPTS:
            return False
        resume(w)
        clear(w, cells)
        w.count = w.held = 0
        w.inside[:] = 0
        w.program[:] = 0
        w.wanted[:] = NOTHING
    w.attempts += 1
    lay_rooms(w, cells)
    return True


# --- giving an instruction --------------------------------------------------------------------------------------------


@njit
def act(w, atom, kind, what):
    """`OpenInstr`, `GoToInstr` or `PickupInstr` of what a description holds for."""
    w.program[2 + 2 * atom] = kind
    w.wanted[2 * atom] = what


@njit
def put_next(w, atom, moved, fixed):
    """`PutNextInstr` of what two descriptions hold for."""
    act(w, atom, PUT_NEXT, moved)
    w.wanted[2 * atom + 1] = fixed


@njit
def strictly(w, atom):
    """`strict=True`."""
    w.program[3 + 2 * atom] = 1


@njit
def go_to(w, cell):
    act(w, 0, REACH, same(cell))


@njit
def pick_up(w, cell):
    act(w, 0, PICK_UP, same(cell))


@njit
def open_door(w, atom, cell):
    act(w, atom, OPEN_DOOR, same(cell))


# --- what follows from it ---------------------------------------------------------------------------------------------


@njit
def validate(w, cells):
    """`validate_instrs`: reject an instruction to put objects together that already are, or to use up a key."""
    locked = 0  # bits of the colours of locked doors
    if w.options[4]:
        for number in range(1, w.count + 1):
            cell = cells[w.place[number]]
            if cell >> 7 & 3 == LOCKED:
                locked |= 1 << colour_of(cell)
    for atom in range(ATOMS):
        if w.program[2 + 2 * atom] == PUT_NEXT and are_together(w, cells, w.wanted[2 * atom], w.wanted[2 * atom + 1]):
            reject(w)
    for what in w.wanted:
        if kind_of(what) == KEY and locked >> colour_of(what) & 1:
            reject(w)


@njit
def are_together(w, cells, moved, fixed):
    """Whether an object fits both descriptions, or one is next to another one."""
    for a in range(1, w.count + 1):
        if not fits(w, cells, a, moved):
            continue
        for b in range(1, w.count + 1):
            if fits(w, cells, b, fixed):
                apart = abs(w.place[a] - w.place[b])
                if apart == 0 or apart == 1 or apart == w.stride:
                    return True
    return False


@njit
def settle(w, cells, marks):
    """The limit of steps, the mission, and the objects it is about."""
    if not w.options[3]:
        ways = 0
        for atom in range(ATOMS):
            kind = w.program[2 + 2 * atom]
            ways += 2 if kind == PUT_NEXT else 1 if kind != ABSENT else 0
        w.max_steps = ways * w.room_size * w.room_size * w.columns * w.rows
    say_half(w, cells, 0)
    if w.program[0] == BEFORE:
        say(w, THEN)
    elif w.program[0] == AFTER:
        say(w, AFTER_YOU)
    say_half(w, cells, 2)
    mention_all(w, cells, marks)


@njit
def say_half(w, cells, atom):
    say_atom(w, cells, atom)
    if w.program[2 + 2 * (atom + 1)] != ABSENT:
        say(w, AND)
        say_atom(w, cells, atom + 1)


@njit
def say_atom(w, cells, atom):
    """`surface`."""
    kind = w.program[2 + 2 * atom]
    if kind == ABSENT:
        return
    if kind == REACH:
        say(w, GO_TO)
    elif kind == PICK_UP:
        say(w, PICK_UP_WORDS)
    elif kind == OPEN_DOOR:
        say(w, OPEN)
    else:
        say(w, PUT)
    say_description(w, cells, w.wanted[2 * atom])
    if kind == PUT_NEXT:
        say(w, NEXT_TO)
        say_description(w, cells, w.wanted[2 * atom + 1])
