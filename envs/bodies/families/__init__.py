"""The generated bodies: a file for each family, with the names of its bodies and what makes one of them.

    centipede, ant                          on legs, in space
    snake                                   in a fluid, in the plane
    hopper, walker, cheetah, humanoid       on legs, in the plane: tables of limbs, which `planar` puts together
    scene                                   what their models share

Each family has `NAMES`, the bodies that are registered, and `task(name) -> Task | None`, None for a name that it has
not. Bodies that are not registered can be made too, such as Centipede-40 or Snake-20.
"""

from __future__ import annotations

from envs.bodies.families import ant, centipede, cheetah, hopper, humanoid, snake, walker
from envs.bodies.task import Task

FAMILIES = (centipede, snake, hopper, walker, cheetah, humanoid, ant)
NAMES = tuple(name for family in FAMILIES for name in family.NAMES)


def task(name: str) -> Task | None:
    """The body of that name; None if no family has one.

    Raises:
        ValueError: its family has none of that size.
    """
    return next((found for family in FAMILIES if (found := family.task(name)) is not None), None)
