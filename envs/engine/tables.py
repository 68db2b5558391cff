"""The tables of the compiled code: occlusion, and pictures of cells."""

from __future__ import annotations

from functools import cache

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Floor, Goal, Key, Lava, Wall, WorldObj

from envs.engine.kernel import CLOSED, DARK, EMPTY, LIT, LOCKED, OPEN, RGB, TILE, VIEW, WITH_AGENT, Geometry

KINDS = {2: Wall, 3: Floor, 5: Key, 6: Ball, 7: Box, 8: Goal}


def geometry(width: int, height: int, sees_through: bool, rule: int, view: int) -> Geometry:
    """The tables for grids of one size; pictures of cells for the rgb view only."""
    tiles = draw_tiles(*COLOR_TO_IDX.items()) if view == RGB else np.zeros((1, 1, 1, 1, 1), np.uint8)
    return Geometry(width, height, sees_through, rule, view, sight(), tiles)


@cache
def sight() -> np.ndarray:
    """`Grid.process_vis` for one row: entry `opaque << 7 | reached` is `visible | reached in the next row << 7`.

    Light enters the row at the cells `reached`. It spreads to the right and then to the left from every cell that is
    not opaque, and each time also to the two cells of the next row that lie above the pair.
    """
    entries = np.arange(1 << 2 * VIEW)
    opaque = [(entries >> (VIEW + i)) & 1 for i in range(VIEW)]
    visible = [(entries >> i) & 1 for i in range(VIEW)]
    above = [np.zeros_like(entries) for _ in range(VIEW)]
    steps = [(i, i + 1) for i in range(VIEW - 1)] + [(i, i - 1) for i in range(VIEW - 1, 0, -1)]
    for start, end in steps:
        passes = visible[start] & ~opaque[start] & 1
        visible[end] = visible[end] | passes
        above[start] = above[start] | passes
        above[end] = above[end] | passes
    parts = [bit << i for i, bit in enumerate(visible + above)]
    return np.bitwise_or.reduce(parts).astype(np.int32)


@cache
def draw_tiles(*colours: tuple[str, int]) -> np.ndarray:
    """Farama's picture of every cell in these colours: unlit, lit, and lit with the agent on it, facing up."""
    tiles = np.zeros((3, 512, TILE, TILE, 3), np.uint8)
    tiles[DARK, EMPTY] = Grid.render_tile(None, tile_size=TILE)
    objects: list[WorldObj | None] = [None, Lava()]
    for colour, _ in colours:
        objects += [kind(colour) for kind in KINDS.values()]
        objects += [Door(colour, is_open=state == OPEN, is_locked=state == LOCKED) for state in (OPEN, CLOSED, LOCKED)]
    for thing in objects:
        code = thing.encode() if thing else (EMPTY, 0, 0)
        cell = code[0] | code[1] << 4 | code[2] << 7
        tiles[LIT, cell] = Grid.render_tile(thing, highlight=True, tile_size=TILE)
        tiles[WITH_AGENT, cell] = Grid.render_tile(thing, agent_dir=3, highlight=True, tile_size=TILE)
    return tiles
