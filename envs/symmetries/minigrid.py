"""MiniGrid: the world can be reflected and, in the full view, turned. Object types, colours and door states stay.

Directions are 0 right, 1 down, 2 left, 3 up (y grows downwards). An element of the group is a permutation of them. A
reflection exchanges turning left and turning right, and the words "left" and "right" in missions, which are meant as
the agent sees it. Every other word ("front", "behind", "next to") means the same in the reflected world.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.core.grid import Grid

from envs.minigrid import MiniGridObservation
from envs.missions import WORDS
from symmetry import Codes, Group, Representation, Symmetry, dihedral
from symmetry.codes import Rename

Directions = tuple[int, ...]

REFLECT_X: Directions = (2, 1, 0, 3)
REFLECT_Y: Directions = (0, 3, 2, 1)
MIRROR = Group([REFLECT_X], "C2")
RECTANGLE = Group([REFLECT_X, REFLECT_Y], "C2xC2")
SQUARE = dihedral(4)  # a quarter turn, and REFLECT_Y

EXCHANGED = {"left": "right", "right": "left"}


def minigrid_symmetry_of(env: gymnasium.Env) -> Symmetry | None:
    """The symmetry of a MiniGrid environment made by `make_env`, a user's own too; None if it shows pixels."""
    layer: Any = env
    while not isinstance(layer, MiniGridObservation):
        if not isinstance(layer, gymnasium.Wrapper):
            raise ValueError(f"{env} is not a MiniGrid environment made by make_env(id, view=...)")
        layer = layer.env
    assert isinstance(layer.action_space, spaces.Discrete)
    vocabulary = (*WORDS, *layer.words)
    return minigrid_symmetry(layer.observation_space, layer.view, vocabulary, int(layer.action_space.n), layer.codes)


def minigrid_symmetry(
    space: spaces.Space,
    view: str,
    vocabulary: Sequence[str],
    actions: int = 7,
    codes: tuple[int, int, int] = (11, 6, 4),
) -> Symmetry | None:
    """The mirror for the agent's own view; D4 for a square full view, C2xC2 for any other; None for others.

    Args:
        space: of the observations, as `envs.minigrid` describes them.
        view: "partial", "full", "rgb" or "flat".
        vocabulary: the words of missions, in the order of their ids.
        actions: how many there are; the first two turn left and right.
        codes: how many codes there are for types, for colours and for states.
    """
    if view not in ("partial", "full"):
        return None
    assert isinstance(space, spaces.Dict)
    image = space["image"].shape
    assert image is not None
    words = space["mission"].shape if "mission" in space.spaces else None
    return _declared(view, image[:2], "carrying" in space.spaces, words, tuple(vocabulary), actions, codes)


@cache
def _declared(
    view: str,
    size: tuple[int, int],
    carries: bool,
    words: tuple[int] | None,
    vocabulary: tuple[str, ...],
    actions: int,
    codes: tuple[int, int, int],
) -> Symmetry:
    full = view == "full"
    types, colours, states = codes
    group = MIRROR if not full else SQUARE if size[0] == size[1] else RECTANGLE

    def permutation(images: Sequence[Sequence[int]]) -> Representation:
        return Representation(group, [(image, [1] * len(image)) for image in images])

    def stay(size: int) -> Representation:
        return Representation.trivial(group, size)

    def exchange(size: int, a: int, b: int) -> Representation:
        """The representation in which reflections exchange a and b."""
        exchanged = [b if i == a else a if i == b else i for i in range(size)]
        return permutation([exchanged if reflects(g) else range(size) for g in group.generators])

    # the egocentric view is reflected along its own x, whichever way the agent faces
    cells = permutation(
        [
            [x * size[1] + y for x, y in (moved((x, y), g, size) for x in range(size[0]) for y in range(size[1]))]
            for g in group.generators
        ]
    )
    directions = permutation(group.generators)
    kinds: list[Rename] = [(0, stay(types), None), (1, stay(colours), None)]
    state: Rename = (2, stay(states), None)
    if full:
        turned = directions + stay(states - 4) if states > 4 else directions
        state = (2, turned, (0, OBJECT_TO_IDX["agent"]))
    observation = {
        "image": Codes(group, (*size, 3), cells, [*kinds, state]),
        "direction": Codes(group, (1,), stay(1), [(0, directions, None)]),
    }
    if carries:
        observation["carrying"] = Codes(group, (2,), stay(1), kinds)
    if words is not None:
        known = {"left", "right"} <= set(vocabulary)
        swapped = (vocabulary.index("left"), vocabulary.index("right")) if known else (0, 0)
        renamed = exchange(len(vocabulary), *swapped)
        observation["mission"] = Codes(group, words, stay(words[0]), [(0, renamed, None)])
    return Symmetry(group, observation, exchange(actions, 0, 1), partial(transform, group=group))


def reflects(directions: Directions) -> bool:
    """Whether an element is a reflection: it reverses the order of the directions."""
    return (directions[1] - directions[0]) % 4 == 3


def moved(position: Any, directions: Directions, size: tuple[int, int]) -> tuple[int, int]:
    """Where a cell of a grid of that size goes: its vector from the centre is transformed like the directions."""
    corner = np.array(size) - 1
    x, y = 2 * np.asarray(position) - corner
    vector = x * DIR_TO_VEC[directions[0]] + y * DIR_TO_VEC[directions[1]]
    new_x, new_y = (vector + corner) // 2
    return int(new_x), int(new_y)


def transform(env: Any, g: int, group: Group) -> None:
    """The twin: cells with their contents, the agent, positions that the task remembers, and the mission's words."""
    if g == 0:
        return
    world, directions = env.unwrapped, group.elements[g]
    size = world.width, world.height
    move = partial(moved, directions=directions, size=size)
    grid, old = Grid(*size), world.grid
    for x in range(size[0]):
        for y in range(size[1]):
            cell = old.get(x, y)
            grid.set(*move((x, y)), cell)
            if cell is not None and cell.cur_pos is not None:
                cell.cur_pos = move((x, y))
    world.grid = grid
    world.agent_dir = directions[world.agent_dir]
    for name, value in vars(world).items():  # agent_pos, and positions of the task: target_pos, success_pos, ...
        if name.endswith("_pos") and value is not None:
            setattr(world, name, move(value))
    if hasattr(world, "instrs"):  # BabyAI's verifier
        _move_instructions(world.instrs, move)
    if reflects(directions):
        world.mission = re.sub(r"\b(left|right)\b", lambda word: EXCHANGED[word[0]], world.mission)


def _move_instructions(instruction: Any, move: Any) -> None:
    for part in vars(instruction).values():
        if hasattr(part, "obj_poss"):
            part.obj_poss = [move(position) for position in part.obj_poss]
        elif hasattr(part, "verify"):
            _move_instructions(part, move)
