"""The codes that the cells of a MiniGrid environment can have: object types, colours and states."""

from __future__ import annotations

from typing import Any

from minigrid.core.constants import COLOR_NAMES, COLOR_TO_IDX, OBJECT_TO_IDX

STATES = 4  # of a door: open, closed, locked; of the agent: its direction
PIXELS = 255  # the bound of pixels; codes are smaller


def tables_of(core: Any) -> tuple[dict[str, int], dict[str, int]]:
    """The codes of the objects and of the colours that an environment may show, by name.

    MiniGrid's own environments show its own objects, in the colours of COLOR_NAMES. A user's environment may show
    everything that MiniGrid's tables hold when the environment is made.
    """
    if not type(core).__module__.startswith("minigrid."):
        return dict(OBJECT_TO_IDX), dict(COLOR_TO_IDX)
    objects = {name: code for name, code in OBJECT_TO_IDX.items() if code <= OBJECT_TO_IDX["agent"]}
    return objects, {name: COLOR_TO_IDX[name] for name in COLOR_NAMES}


def number_of_codes(core: Any) -> tuple[int, int, int]:
    """The numbers of codes that an environment has for types, colours and states; MiniGrid's own have (11, 6, 4).

    An environment whose objects have codes outside the tables declares the largest one as the bound of its image, which
    MiniGridEnv leaves at 255.

    Raises:
        ValueError: codes that do not fit a byte, or cannot be told from pixels.
    """
    objects, colours = tables_of(core)
    tables = max(objects.values()) + 1, max(colours.values()) + 1, STATES
    declared = int(core.observation_space["image"].high.max())
    codes = max(tables) if declared >= PIXELS else max(declared + 1, *tables)
    if codes > PIXELS:
        raise ValueError(f"codes of objects and colours are at most {PIXELS - 1}, got {codes - 1}")
    return tables if codes == OBJECT_TO_IDX["agent"] + 1 else (codes, codes, codes)
