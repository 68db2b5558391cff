"""Properties by which levels of training and of tests are told apart (`env.held_out=`).

    right    the target lies in the left half of the grid in training, and in the right half in tests
    things   the same of every key, ball and box
    pairs    tests ask for a third of all pairs of type and colour; training has every type and every colour, but shows
             no object of such a pair: else it would teach that these are never asked for

The target is the goal, or the place or the object that the rule of the environment asks for. A middle column belongs to
neither half: where it has a target, a level is played by nobody.

A property of your own is one function: HELD_OUT["mine"] = mine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from envs.engine import kernel
from envs.engine.kernel import BALL, BOX, GOAL, KEY, MARGIN, Levels
from envs.engine.shift import is_coloured

# bool (levels,) each: those for training, those for tests; some may be for neither
Sides = tuple[np.ndarray, np.ndarray]
# rule -> which parameter is the place
PLACES = {kernel.GO_TO: 0, kernel.MEMORY: 0, kernel.PUT_NEAR: 1, kernel.UNLOCK: 0}
ENOUGH = 1_000  # levels that show every pair there is


def targets(levels: Levels, rule: int) -> np.ndarray:
    """Where the targets are, bool (levels, cells); several cells where any of them will do.

    Raises:
        ValueError: the rule has no target, or a level has none.
    """
    grid, asked = levels.grid, levels.agent["parameters"]
    if rule in PLACES:
        found = np.arange(grid.shape[1]) == asked[:, PLACES[rule], None]
    elif rule == kernel.FETCH:
        found = grid & 127 == asked[:, :1]
    elif rule == kernel.PICK_TARGET:
        found = (grid >> 9 == asked[:, :1]) & (asked[:, :1] > 0)
    elif rule in (kernel.BASE, kernel.OBSTACLES):
        found = grid & 15 == GOAL
    else:
        raise ValueError("its levels have no single target")
    if not found.any(1).all():
        raise ValueError("not every level has a target")
    return found


def right(levels: Levels, rule: int) -> Sides:
    """Training: all targets in the left half. Tests: all in the right half."""
    return _halves(levels, targets(levels, rule))


def things(levels: Levels, rule: int) -> Sides:
    """Training: every key, ball and box in the left half. Tests: every one in the right half.

    Raises:
        ValueError: a level has none.
    """
    found = np.isin(levels.grid & 15, (KEY, BALL, BOX))
    if not found.any(1).all():
        raise ValueError("not every level has a key, a ball or a box")
    return _halves(levels, found)


def _halves(levels: Levels, found: np.ndarray) -> Sides:
    stride = int(levels.agent["stride"][0])
    twice = 2 * ((np.arange(found.shape[1]) - MARGIN) % stride) - (stride - MARGIN - 1)  # 2x - (width - 1)
    return np.all(~found | (twice < 0), axis=1), np.all(~found | (twice > 0), axis=1)


def pairs(levels: Levels, rule: int) -> Sides:
    """Tests: the target is of a pair with (type + colour) mod 3 = 0 in MiniGrid's codes, a Latin square. Training: no
    door, key, ball or box is.

    Raises:
        ValueError: the targets are no objects, or some type or colour would be met in tests only.
    """
    asked = levels.grid[np.arange(len(levels.grid)), targets(levels, rule).argmax(1)]
    if not is_coloured(asked).all():
        raise ValueError("its targets are not doors, keys, balls or boxes")
    test = _left_out(asked)
    training = ~np.any(is_coloured(levels.grid) & _left_out(levels.grid), axis=1)
    for name, part in {"type": asked & 15, "colour": asked >> 4 & 7}.items():
        if len(asked) >= ENOUGH and not np.isin(part[test], part[training]).all():
            raise ValueError(f"training would never ask for some {name}, since each has one pair only")
    return training, test


def _left_out(cells: np.ndarray) -> np.ndarray:
    return ((cells & 15) + (cells >> 4 & 7)) % 3 == 0


HELD_OUT: dict[str, Callable[[Levels, int], Sides]] = {"right": right, "things": things, "pairs": pairs}
