"""Pictures of levels: those of training beside those of tests, as MiniGrid draws them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from math import ceil, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs import arguments
from envs.levels import EVALUATION
from envs.missions import missions_vary
from envs.names import resolve_id
from envs.optimum import NoOptimum, Oracle
from envs.split import examples

USAGE = """Draw levels of training beside levels of tests, with their seeds and the fewest steps to success.

    python -m envs.levels env=DoorKey-8x8 count=16 levels=50 levels.png

env        a short name or an id of MiniGrid or BabyAI
count      how many levels of each
levels     all, or N as in env.levels=N: N levels of training, and others
held_out   as in env.held_out=right: the property that tells them apart
file       the picture, which may also stand alone"""
SUFFIXES = (".png", ".pdf", ".svg", ".jpg")
MOST = 256  # levels of a kind
STATES = 200_000  # that the search for a level's optimum may meet
SIDE = 1.7  # inches of a level
LINE = 26  # letters below it


class Picture(NamedTuple):
    """One level: its pixels (y, x, 3), and what is written below it."""

    pixels: np.ndarray
    caption: str


def main() -> None:
    """Write the picture that the command line of `python -m envs.levels` asks for, and say so."""
    defaults: dict[str, Any] = {"env": None, "count": 16, "levels": "all", "held_out": None, "file": "levels.png"}
    given = arguments.read_arguments(bare="file", usage=USAGE, **defaults)
    name, count, levels, file = given["env"], given["count"], given["levels"], Path(given["file"])
    if name is None:
        raise ValueError("env is missing: python -m envs.levels env=DoorKey-8x8 count=16 levels.png")
    if not 1 <= count <= MOST:
        raise ValueError(f"count is a whole number from 1 to {MOST}; got {count}")
    if file.suffix not in SUFFIXES:
        raise ValueError(f"pictures are {', '.join(SUFFIXES)} files; got {file}")
    if not file.parent.is_dir():
        raise ValueError(f"there is no folder {file.parent}")
    seeds: dict[str, Sequence[int]] = {"training": range(count), "test": range(EVALUATION, EVALUATION + count)}
    if levels != "all" and not levels.isdecimal():
        raise ValueError(f"levels is all, or a whole number, at least 1; got {levels!r}")
    if levels != "all" or given["held_out"] is not None:
        print(f"looking for levels of {name}", flush=True)
        seeds |= examples(name, levels if levels == "all" else int(levels), count, given["held_out"])
    left_out = draw(name, {f"{kind} levels": part for kind, part in seeds.items() if part}, file)
    drawn = " and ".join(f"{len(part)} {kind}" for kind, part in seeds.items())
    print(f"{file}: {drawn} levels of {name}, with their seeds and fewest steps to success")
    if left_out:
        print(f"without the fewest steps where they are not known: {left_out}")


def draw(name: str, panels: dict[str, Sequence[int]], file: Path) -> str | None:
    """Draw the levels of these seeds, a panel for each kind -> why an optimum is not known; None if all are.

    Raises:
        ValueError: there is no such environment, or it has no levels.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    every = [seed for seeds in panels.values() for seed in seeds]
    print(f"looking for the fewest steps in {len(every)} levels of {name}", flush=True)
    known = steps_of(name, every)
    drawn = {title: [*pictures(name, seeds, known)] for title, seeds in panels.items()}
    columns = ceil(sqrt(max(map(len, panels.values()))))
    rows = ceil(max(map(len, panels.values())) / columns)
    lines = 1 + max(picture.caption.count("\n") for part in drawn.values() for picture in part)
    height, width, _ = next(iter(drawn.values()))[0].pixels.shape
    each = SIDE * height / width + 0.16 * lines
    figure = plt.figure(figsize=(len(panels) * (columns * SIDE + 0.3), rows * each + 0.5), layout="constrained")
    parts = figure.subfigures(1, len(panels), squeeze=False, wspace=0.03)[0]
    for part, (title, levels) in zip(parts, drawn.items(), strict=True):
        part.suptitle(f"{name}: {title}", fontsize=11)
        for axis in (axes := part.subplots(rows, columns, squeeze=False).ravel()):
            axis.axis("off")
        for axis, level in zip(axes, levels, strict=False):
            axis.imshow(level.pixels)
            axis.set_title(level.caption, fontsize=7, y=0, va="top", pad=-3)
    figure.savefig(file, dpi=120)
    plt.close(figure)
    return next((reason for reason in known.values() if isinstance(reason, str)), None)


def pictures(name: str, seeds: Sequence[int], known: dict[int, int | str]) -> Iterator[Picture]:
    """Farama's own pictures of levels, with the seed, the fewest steps and the mission below."""
    env = gymnasium.make(resolve_id(name), render_mode="rgb_array")
    inner: Any = env.unwrapped
    for seed in seeds:
        with redirect_stdout(StringIO()):  # BabyAI prints each level it rejects
            env.reset(seed=seed)
        steps = known[seed]
        caption = f"seed {seed}" + (f", {steps} step{'s' * (steps > 1)}" if isinstance(steps, int) else "")
        if missions_vary(inner):
            caption = "\n".join([caption, *textwrap.wrap(inner.mission, LINE, max_lines=3)])
        yield Picture(np.asarray(env.render()), caption)


def steps_of(name: str, seeds: Sequence[int]) -> dict[int, int | str]:
    """The fewest steps of each level, or why they are not known.

    Raises:
        ValueError: there is no such environment, or it has no levels.
    """
    if not isinstance(gymnasium.make(resolve_id(name)).unwrapped, MiniGridEnv):
        raise ValueError(f"{name} has no levels that could be drawn; the environments of MiniGrid and BabyAI have")
    try:
        find = Oracle(name)
    except NoOptimum as reason:
        return dict.fromkeys(seeds, str(reason))
    known: dict[int, int | str] = {}
    for seed in seeds:
        try:
            known[seed] = find(seed, STATES).steps
        except NoOptimum as reason:
            known[seed] = str(reason)
    return known
