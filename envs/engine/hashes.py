"""A 64-bit hash of what a level is: the same for the same level on every platform, whatever its seed."""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit
from envs.engine.kernel import AGENT, EMPTY, MARGIN, Levels

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)


def hashes(levels: Levels, rows: np.ndarray | None = None) -> np.ndarray:
    """The hashes (uint64) of all levels, or of those in these rows.

    h ← mix(h ⊕ v), mix(h) = g ⊕ (g ≫ 32), g = h · 0x9E3779B97F4A7C15 mod 2^64, for every value v of: the agent and the
    rule, each cell within the walls with what is said of it, each object's contents, the mission.

    The first view and the places of obstacles follow from these. The order in which obstacles move, the number of the
    row and the random numbers are not of the level.
    """
    which = np.arange(len(levels.grid)) if rows is None else np.asarray(rows, np.int64)
    found = np.zeros(len(which), np.uint64)
    _hash_rows(levels._replace(agent=levels.agent.view(AGENT)), which, found)
    return found


@njit
def absorb(h, value):
    h = (h ^ np.uint64(value)) * MULTIPLIER
    return h ^ (h >> HALF)


@njit
def _hash_rows(levels, rows, found):
    for i in range(rows.shape[0]):
        row = rows[i]
        agent, grid, marks = levels.agent[row], levels.grid[row], levels.marks[row]
        masks, contents = levels.masks[row], levels.contents[row]
        h = np.uint64(0)
        for value in (agent.position, agent.direction, agent.carrying, agent.max_steps, agent.stride):
            h = absorb(h, value)
        for value in agent.parameters:
            h = absorb(h, value)
        for value in agent.program:
            h = absorb(h, value)
        for start in range(MARGIN + MARGIN * agent.stride, grid.shape[0] - MARGIN * agent.stride, agent.stride):
            for place in range(start, start + agent.stride - MARGIN):
                mark = marks[place] if marks.shape[0] else np.uint8(0)
                h = absorb(h, np.int64(grid[place]) | np.int64(mark) << 16)
        for number in range(masks.shape[0]):
            if masks[number] or contents[number] != EMPTY:
                h = absorb(h, number | np.int64(masks[number]) << 8 | np.int64(contents[number]) << 16)
        for value in levels.mission[row]:
            h = absorb(h, value)
        found[i] = h
