"""A freshly reset environment of Farama's as the engine's arrays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.world_object import Ball, Box, Door, Floor, Goal, Key, Lava, Wall
from minigrid.envs.babyai.core import verifier
from minigrid.minigrid_env import MiniGridEnv

from envs.engine import kernel
from envs.engine.kernel import AGENT, ATOMS, EMPTY, MARGIN, WALL, Levels
from envs.engine.rules import RULES, step_owner
from envs.errors import EnvironmentFailed
from envs.missions import missions_vary, word_ids

NUMBERS = 64  # object numbers fit in 6 bits; 0 is nobody
NUMBERED = (Door, Key, Ball, Box)  # what changes or moves
KNOWN = (Wall, Floor, Door, Key, Ball, Box, Goal, Lava)
ATOM_KINDS: dict[type, int] = {
    verifier.OpenInstr: kernel.OPEN_DOOR,
    verifier.GoToInstr: kernel.REACH,
    verifier.PickupInstr: kernel.PICK_UP,
    verifier.PutNextInstr: kernel.PUT_NEXT,
}
ORDERS: dict[type, int] = {verifier.BeforeInstr: kernel.BEFORE, verifier.AfterInstr: kernel.AFTER}


DIFFER = "its levels differ in size"


class Unsupported(ValueError):
    """A level that the engine cannot represent; the message says why."""


class Level:
    """A freshly reset environment; `arrays` is what the engine needs to know about it, a row of `kernel.Levels`.

    Args:
        env: the environment.
        observation: what its `reset` returned.
        words: that missions say beside `envs.missions.WORDS`.

    Raises:
        Unsupported: an unknown kind of object or instruction, a door both open and locked, more than 63 objects.
    """

    def __init__(self, env: MiniGridEnv, observation: dict[str, Any], words: tuple[str, ...] = ()):
        self.env = env
        self.width, self.height = env.grid.width, env.grid.height
        self.stride = self.width + MARGIN
        self.numbers: dict[int, int] = {}  # by id(): the environment keeps its objects alive meanwhile
        self.masks = np.zeros(NUMBERS, np.uint8)
        self.contents = np.full(NUMBERS, EMPTY, np.int16)
        program, marks = self._instructions()
        cells = np.full(MARGIN + (self.height + 2 * MARGIN) * self.stride, WALL | COLOR_TO_IDX["grey"] << 4, np.int16)
        for place, thing in enumerate(env.grid.grid):
            y, x = divmod(place, self.width)
            cells[self.index((x, y))] = self.cell(thing)
        movable = [id(thing) for thing in (*env.grid.grid, env.carrying) if isinstance(thing, NUMBERED)]
        if len(set(movable)) < len(movable):
            raise Unsupported("one object is in two places")
        rule = RULES[step_owner(env)]
        agent = np.zeros((), AGENT)
        for name, value in {
            "position": self.index(env.agent_pos),
            "direction": env.agent_dir,
            "carrying": self.cell(env.carrying),
            "max_steps": env.max_steps,
            "stride": self.stride,
            "program": program,
            "carried_before": EMPTY,
        }.items():
            agent[name] = value
        parameters = rule.parameters(env, self)
        if len(parameters) > 4 or not all(0 <= value < cells.size for value in parameters):
            raise ValueError(f"a rule has at most 4 parameters from 0 to {cells.size - 1}, got {parameters}")
        agent["parameters"][: len(parameters)] = parameters
        obstacles = [self.index(ball.cur_pos) for ball in env.obstacles] if rule.code == kernel.OBSTACLES else []  # type: ignore
        self.arrays = Levels(
            agent=agent,
            grid=cells,
            marks=marks,
            obstacles=np.array(obstacles, np.int32),
            masks=self.masks,
            contents=self.contents,
            image=np.asarray(observation["image"], np.uint8),
            mission=word_ids(observation["mission"], words) if missions_vary(env) else np.zeros(0, np.uint8),
        )

    def index(self, position: Any) -> int:
        """The engine's index of a position (x, y)."""
        x, y = position
        return int(MARGIN + (y + MARGIN) * self.stride + x)

    def place(self, thing: Any) -> int:
        """The index of the cell that an object is in."""
        y, x = divmod(next(i for i, other in enumerate(self.env.grid.grid) if other is thing), self.width)
        return self.index((x, y))

    def number(self, thing: Any) -> int:
        """The number of an object of this level; 0 for one that is not in it."""
        return self.numbers.get(id(thing), 0)

    def cell(self, thing: Any) -> int:
        """An object, or None, as a cell."""
        if thing is None:
            return EMPTY
        if type(thing) not in KNOWN or OBJECT_TO_IDX[thing.type] > kernel.LAVA:
            raise Unsupported(f"it has a {type(thing).__name__}, which is not one of Farama's objects")
        state = 0
        if isinstance(thing, Door):
            if thing.is_open and thing.is_locked:
                raise Unsupported("it has a door both open and locked, which an observation cannot tell")
            state = kernel.OPEN if thing.is_open else kernel.LOCKED if thing.is_locked else kernel.CLOSED
        if isinstance(thing, NUMBERED) and id(thing) not in self.numbers:
            self._enumerate(thing)
            if thing.contains is not None:
                self.contents[self.numbers[id(thing)]] = self.cell(thing.contains)
        return OBJECT_TO_IDX[thing.type] | COLOR_TO_IDX[thing.color] << 4 | state << 7 | self.number(thing) << 9

    def _enumerate(self, thing: Any) -> int:
        number = len(set(self.numbers.values())) + 1
        if number >= NUMBERS:
            raise Unsupported(f"a level has more than {NUMBERS - 1} objects")
        self.numbers[id(thing)] = number
        return number

    def _instructions(self) -> tuple[np.ndarray, np.ndarray]:
        """BabyAI's instruction as a program, and `marks`; description d is bit d of masks and marks."""
        program = np.zeros(2 + 2 * ATOMS, np.int32)
        instructions = getattr(self.env, "instrs", None)
        if RULES[step_owner(self.env)].code != kernel.BABYAI or instructions is None:
            return program, np.zeros(0, np.uint8)
        halves = [instructions]
        if type(instructions) in ORDERS:
            program[0], program[1] = ORDERS[type(instructions)], instructions.strict
            halves = [instructions.instr_a, instructions.instr_b]
        described: dict[int, tuple[Any, int]] = {}
        marks = np.zeros(MARGIN + (self.height + 2 * MARGIN) * self.stride, np.uint8)
        for half, instruction in enumerate(halves):
            both = type(instruction) is verifier.AndInstr
            for atom, part in enumerate(
                [instruction.instr_a, instruction.instr_b] if both else [instruction], 2 * half
            ):
                if type(part) not in ATOM_KINDS:
                    raise Unsupported(f"its instruction has a {type(part).__name__} where BabyAI has none")
                program[2 + 2 * atom] = ATOM_KINDS[type(part)]
                program[3 + 2 * atom] = getattr(part, "strict", False)
                moved = [part.desc_move, part.desc_fixed] if type(part) is verifier.PutNextInstr else [part.desc]
                for bit, description in enumerate(moved, 2 * atom):
                    for thing in description.obj_set:
                        described[id(thing)] = thing, described.get(id(thing), (thing, 0))[1] | 1 << bit
                    for position in description.obj_poss:
                        marks[self.index(position)] |= 1 << bit
        # Things that cannot move (a wall is "a grey object") share one number if the same descriptions hold for them.
        shared: dict[int, int] = {}
        for thing, mask in described.values():
            if isinstance(thing, NUMBERED):
                self.cell(thing)
                number = self.number(thing)
            else:
                number = shared[mask] = self.numbers[id(thing)] = shared.get(mask) or self._enumerate(thing)
            self.masks[number] = mask
        return program, marks


class Made(NamedTuple):
    """The levels `seeds` of one environment."""

    seeds: np.ndarray  # int64 (levels,)
    width: int
    height: int
    sees_through: bool
    levels: Levels


def read_levels(env: gymnasium.Env, seeds: Sequence[int], words: tuple[str, ...] = ()) -> Made:
    """The levels that an environment makes from these seeds, as `reset` makes them; its missions say `words` beside
    `envs.missions.WORDS`.

    Raises:
        Unsupported: a level cannot be represented.
        ValueError: a level cannot be made.
        EnvironmentFailed: the environment raised another exception.
    """
    inner = env.unwrapped
    assert isinstance(inner, MiniGridEnv)
    rows: list[Levels] = []
    # BabyAI prints a line about every level that it rejects
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        for seed in seeds:
            try:
                observation, _ = inner.reset(seed=int(seed))
            except (OSError, ImportError, RuntimeError, AssertionError, gymnasium.error.Error) as error:
                said = str(error) or type(error).__name__
                raise ValueError(f"{type(inner).__name__} cannot make level {seed}: {said}") from error
            except (Exception, SystemExit) as error:  # a fault in the environment's code
                failed = EnvironmentFailed(
                    f"environment {type(inner).__name__} raised {type(error).__name__} in reset(seed={seed}): {error}"
                )
                failed.level = int(seed)
                raise failed from error
            try:
                rows.append(Level(inner, observation, words).arrays)
            except Unsupported as reason:
                raise Unsupported(f"{reason} (level {seed})") from reason
    if any(len({array.shape for array in arrays}) > 1 for arrays in zip(*rows, strict=True)):
        raise Unsupported(DIFFER)
    levels = Levels(*(np.stack(arrays) for arrays in zip(*rows, strict=True)))
    return Made(np.array(seeds, np.int64), inner.width, inner.height, bool(inner.see_through_walls), levels)


def put(levels: Levels, rows: Any, made: Levels) -> None:
    """Copy levels into these rows of others.

    Raises:
        Unsupported: they differ in size.
    """
    for array, new in zip(levels, made, strict=True):
        if array.shape[1:] != new.shape[1:]:
            raise Unsupported(DIFFER)
        array[rows] = new
