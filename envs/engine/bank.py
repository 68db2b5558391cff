"""Level banks in files: read as data only, written whole or not at all, made again when damaged or outdated."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import gymnasium
import minigrid
import numpy as np

from envs.engine.kernel import AGENT, EMPTY, MARGIN, VIEW, WALL, Levels
from envs.engine.levels import NUMBERS, Bank, generate

log = logging.getLogger(__name__)

FORMAT = 1  # of the file: raise it whenever an array changes its meaning


def bank(env: gymnasium.Env, first: int, count: int) -> Bank:
    """Levels first ... first + count - 1, from the cache where they are, else generated and kept there.

    The cache is the folder $INDUCTIVE_CACHE (default: `inductive` in $XDG_CACHE_HOME or ~/.cache); levels of classes
    outside the minigrid package are generated each time, since their code may have changed.

    Raises:
        Unsupported: a level cannot be represented.
    """
    spec = env.unwrapped.spec
    key = json.dumps(
        [FORMAT, minigrid.__version__, np.__version__, spec and spec.id, spec and spec.kwargs, first, count],
        default=repr,
        sort_keys=True,
    )
    if spec is None or not type(env.unwrapped).__module__.startswith("minigrid."):
        return generate(env, range(first, first + count))
    file = cache_folder() / f"{spec.id}-{first}-{count}-{sha256(key.encode()).hexdigest()[:12]}.npz"
    if file.exists():
        try:
            return read(file, key)
        except Exception as error:  # zip, zlib, numpy and struct each have errors of their own for damage
            log.warning("the level bank %s cannot be used (%s); it is made again", file, error)
    log.info("making %s levels of %s, once; they are kept in %s", f"{count:,}", spec.id, file)
    made = generate(env, range(first, first + count))
    try:
        write(file, key, made)
    except OSError as error:
        log.warning("the level bank cannot be kept in %s: %s", file, error)
    return made


def cache_folder() -> Path:
    """Where banks are kept."""
    named = os.environ.get("INDUCTIVE_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inductive"


def write(file: Path, key: str, made: Bank) -> None:
    """Keeps a bank in a file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            size = np.array([made.width, made.height, made.sees_through], np.int64)
            np.savez_compressed(stream, key=np.array(key), seeds=made.seeds, size=size, **made.levels._asdict())
        os.replace(beside, file)
    except BaseException:
        os.unlink(beside)
        raise


def read(file: Path, key: str) -> Bank:
    """A bank from its file.

    Raises:
        Exception: it is damaged, or holds something else.
    """
    with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as data:
        if str(data["key"]) != key:
            raise ValueError("it holds other levels, or those of another version")
        width, height, sees_through = (int(value) for value in data["size"])
        levels = Levels(**{name: data[name] for name in Levels._fields})
        found = Bank(data["seeds"], width, height, bool(sees_through), levels)
    check(found)
    return found


def check(found: Bank) -> None:
    """That compiled code, which checks no bounds, stays within its arrays whatever the file says.

    Raises:
        ValueError: it would not.
    """
    levels, count = found.levels, len(found.seeds)
    size = MARGIN + (found.height + 2 * MARGIN) * (found.width + MARGIN)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        "agent": ((), AGENT),
        "grid": ((size,), np.int16),
        "marks": (levels.marks.shape[1:], np.uint8),
        "obstacles": (levels.obstacles.shape[1:], np.int32),
        "masks": ((NUMBERS,), np.uint8),
        "contents": ((NUMBERS,), np.int16),
        "image": ((VIEW, VIEW, 3), np.uint8),
        "mission": (levels.mission.shape[1:], np.uint8),
    }
    for name, array in levels._asdict().items():
        shape, dtype = expected[name]
        if array.shape != (count, *shape) or array.dtype != dtype:
            raise ValueError(f"its {name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{(count, *shape)}")
    agent = levels.agent
    inside = np.zeros(size, bool)
    inside[MARGIN:].reshape(-1, found.width + MARGIN)[MARGIN:-MARGIN, : found.width] = True
    places = [agent["position"], levels.obstacles]
    cells = [levels.grid, levels.contents, agent["carrying"]]
    fine = (
        levels.marks.ndim == levels.obstacles.ndim == levels.mission.ndim == 2
        and levels.marks.shape[1] in (0, size)
        and (levels.grid[:, ~inside] & 15 == WALL).all()
        and all(((place >= 0) & (place < size)).all() and inside[place].all() for place in places)
        and all(((cell >= 0) & (cell < 2**15)).all() for cell in cells)
        and ((agent["parameters"] >= 0) & (agent["parameters"] < size)).all()
        and ((agent["direction"] >= 0) & (agent["direction"] < 4)).all()
        and (agent["stride"] == found.width + MARGIN).all()
        and (agent["carried_before"] == EMPTY).all()
        and (agent["max_steps"] > 0).all()
    )
    if not fine:
        raise ValueError("its arrays point outside the grid")
