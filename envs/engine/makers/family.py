"""What it takes to lay out an environment's levels: a compiled function, and its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from envs.engine.makers.world import ROOMS


class Family(NamedTuple):
    """A compiled `lay(w, cells, marks)` (world.LAY), and the options that it reads: at most OPTIONS whole numbers."""

    lay: Any
    options: Callable[[Any], Sequence[int]] = lambda env: ()

    @property
    def name(self) -> str:
        """Of the function, with its module."""
        return f"{self.lay.__module__.rpartition('.')[2]}.{self.lay.__name__}"


class Unlike(ValueError):
    """An environment whose options the compiled function does not know."""


def rooms(env: Any) -> list[int]:
    """Columns, rows and room size of a `RoomGrid`."""
    if env.num_rows * env.num_cols > ROOMS - 2:
        raise Unlike(f"it has more than {ROOMS - 2} rooms")
    return [env.num_cols, env.num_rows, env.room_size]
