"""The generated bodies: a file for each family, with the names of its bodies and what makes one of them.

Each has `NAMES`, the bodies that are registered, and `task(name) -> Task | None`, None for a name of another family.
Bodies that are not registered can be made too, such as Centipede-40.
"""

from __future__ import annotations

from envs.bodies.families import centipede
from envs.bodies.task import Task

FAMILIES = (centipede,)
NAMES = tuple(name for family in FAMILIES for name in family.NAMES)


def task(name: str) -> Task | None:
    """The body of that name; None if no family has one.

    Raises:
        ValueError: its family has none of that size.
    """
    return next((found for family in FAMILIES if (found := family.task(name)) is not None), None)
