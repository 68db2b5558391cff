"""The generated bodies: a file for each family, with the names of its bodies and what makes one of them.

Each has `NAMES`, the bodies that are registered, and `task(name) -> Task | None`, None for a name of another family; more
bodies than the registered ones can be made, such as Centipede-40.
"""

from __future__ import annotations

from functools import cache

from envs.bodies.families import centipede
from envs.bodies.task import Task

FAMILIES = (centipede,)
NAMES = tuple(name for family in FAMILIES for name in family.NAMES)


@cache
def task_named(name: str) -> Task:
    """The body of that name.

    Raises:
        ValueError: no family has one; the message lists those that are registered.
    """
    from envs.names import unknown

    for family in FAMILIES:
        found = family.task(name)
        if found is not None:
            return found
    raise ValueError(unknown("body", name, NAMES))
