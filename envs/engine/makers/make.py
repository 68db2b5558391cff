"""Levels from seeds: a family's `lay` draws them, and the rest of `kernel.Levels` follows from what it drew."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs.engine.compiled import callback, njit
from envs.engine.kernel import AGENT, EMPTY, MARGIN, Levels, observe_partial
from envs.engine.makers.draws import seeded
from envs.engine.makers.families import family_of
from envs.engine.makers.world import LAY, OPTIONS, WORLD, clear, index
from envs.engine.tables import sight


class Fixed(NamedTuple):
    """What all levels of an environment have in common, as whole numbers."""

    width: int
    height: int
    max_steps: int
    sees_through: bool
    options: np.ndarray  # int64 (OPTIONS,)
    sight: np.ndarray


@njit
def numbered(w, number, numbers, counted, contents):
    """Give an object the next number, and what it contains the one after it -> how many numbers are taken."""
    if numbers[number]:
        return counted
    counted += 1
    numbers[number] = counted
    inside = w.inside[number]
    if inside:
        counted += 1
        numbers[inside >> 9] = counted
        contents[numbers[number]] = inside & 511 | counted << 9
    return counted


@njit
def make_levels(lay, seeds, rows, fixed, levels, worlds, made):
    """Write the level of each seed into a row of `levels`; `made` says which ones could be made."""
    world, blank = worlds[0], worlds[1]
    width, height = fixed.width, fixed.height
    numbers = np.zeros(64, np.int64)
    for n in range(seeds.shape[0]):
        level = rows[n]
        agent, cells = levels.agent[level], levels.grid[level]
        masks, contents, image = levels.masks[level], levels.contents[level], levels.image[level]
        worlds[0] = blank
        world.width, world.height, world.stride = width, height, width + MARGIN
        world.x, world.y, world.direction, world.max_steps = -1, -1, -1, fixed.max_steps
        for i in range(fixed.options.shape[0]):
            world.options[i] = fixed.options[i]
        seeded(world, seeds[n])
        clear(world, cells)
        levels.marks[level, :] = 0
        lay(world, cells, levels.marks[level])
        made[n] = world.failed == 0
        if world.failed:
            continue
        agent.position, agent.direction = index(world, world.x, world.y), world.direction
        agent.carrying = EMPTY
        agent.steps = 0
        agent.max_steps, agent.stride = world.max_steps, world.stride
        agent.level = agent.next_level = 0
        agent.satisfied = 0
        agent.episode_return = 0.0
        agent.chance = 0
        for i in range(4):
            agent.parameters[i] = world.parameters[i]
            agent.carried_before[i] = EMPTY
        for i in range(world.program.shape[0]):
            agent.program[i] = world.program[i]
        observe_partial(agent, cells, fixed.sees_through, fixed.sight, image)
        held = EMPTY
        if world.held:
            held = cells[world.place[world.held]]
            cells[world.place[world.held]] = EMPTY
        # numbers in the order in which `envs.engine.farama.Level` gives them
        numbers[:] = 0
        masks[:] = 0
        contents[:] = EMPTY
        counted = 0
        for i in range(world.descriptions):
            number = world.described[i]
            counted = numbered(world, number, numbers, counted, contents)
            masks[numbers[number]] = world.mask[number]
        for y in range(height):
            start = index(world, 0, y)
            for place in range(start, start + width):
                if cells[place] >> 9:
                    counted = numbered(world, np.int64(cells[place] >> 9), numbers, counted, contents)
                    cells[place] = cells[place] & 511 | numbers[cells[place] >> 9] << 9
        if held != EMPTY:
            numbered(world, np.int64(held >> 9), numbers, counted, contents)
            agent.carrying = held & 511 | numbers[held >> 9] << 9
        if world.target:
            agent.parameters[0] = numbers[world.target]
        for i in range(levels.obstacles.shape[1]):
            levels.obstacles[level, i] = world.place[i + 1]
        for i in range(levels.mission.shape[1]):
            levels.mission[level, i] = world.mission[i]


class CompiledMaker:
    """Levels of one environment at the speed of compiled code, bit for bit those that Farama makes.

    Attributes:
        env: the environment.
        fixed: what its levels have in common.
    """

    def __init__(self, env: MiniGridEnv):
        """
        Raises:
            Unlike: no compiled function knows its levels; the message says why.
        """
        family = family_of(env)
        options = np.zeros(OPTIONS, np.int64)
        given = family.options(env)
        options[: len(given)] = given
        self.env = env
        self.lay = callback(LAY, family.lay)
        self.fixed = Fixed(env.width, env.height, env.max_steps, bool(env.see_through_walls), options, sight())
        self.worlds = np.zeros(2, WORLD)

    def make(self, levels: Levels, rows: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Write the levels of these seeds into these rows -> bool (seeds,), which ones could be made."""
        made = np.zeros(len(seeds), np.bool_)
        levels = levels._replace(agent=levels.agent.view(AGENT))
        make_levels(
            self.lay, np.asarray(seeds, np.int64), np.asarray(rows, np.int64), self.fixed, levels, self.worlds, made
        )
        return made

    def agrees(self, seeds: np.ndarray, levels: Levels) -> bool:
        """Whether it makes these levels, which Farama has made."""
        own = Levels(*(np.zeros_like(array) for array in levels))
        own = own._replace(agent=np.zeros(len(seeds), AGENT))
        made = self.make(own, np.arange(len(seeds)), seeds)
        return all(np.array_equal(mine[made], theirs[made]) for mine, theirs in zip(own, levels, strict=True))
