"""Banks of levels: each level is made when it is first drawn, and kept in a file for later runs.

Files are read as data only. They are written whole or not at all. A damaged or outdated file is ignored and replaced.
"""

from __future__ import annotations

import io
import json
import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import gymnasium
import minigrid
import numpy as np

from envs.engine.farama import NUMBERS, Made, put
from envs.engine.kernel import AGENT, EMPTY, MARGIN, VIEW, WALL, Levels
from envs.engine.levels import TRIED, maker_of
from storage.durable import write_file
from storage.reading import read_regular

log = logging.getLogger(__name__)

LARGEST = 2**34  # bytes of a file
FORMAT = 3  # of the file: raise it whenever an array changes its meaning
WORTH_KEEPING = 500  # levels made when the file is first written; then at every doubling


class Bank:
    """Levels first ... first + count - 1 of an environment, made when needed; level s is the level of seed s.

    Files are for levels that Farama's Python makes: compiled code makes a level sooner than it could be read. They are
    in the folder $INDUCTIVE_CACHE (default: `inductive` in $XDG_CACHE_HOME or ~/.cache), one for each release of
    MiniGrid and of Gymnasium. Levels of classes outside the minigrid package are not kept, since their code may change.

    Args:
        env: makes the levels.
        first: the seed of the first level.
        count: the number of levels.
        words: the words of missions besides `envs.missions.WORDS`.

    Attributes:
        levels: one row for each level; rows of levels not yet made are zeros.
        made: bool (count,), which levels have been made.

    Raises:
        Unsupported: a level cannot be represented.
    """

    def __init__(self, env: gymnasium.Env, first: int, count: int, words: tuple[str, ...] = ()):
        self.env, self.first, self.count, self.words = env, first, count, words
        self.maker = maker_of(env, words)
        spec = env.unwrapped.spec
        self.key = json.dumps(
            {
                "format": FORMAT,
                "releases": {"minigrid": minigrid.__version__, "gymnasium": gymnasium.__version__},
                "numpy": np.__version__,
                "id": spec and spec.id,
                "kwargs": spec and spec.kwargs,
                "levels": [first, count],
                "words": words,
            },
            default=repr,
            sort_keys=True,
        )
        self.file: Path | None = None
        owned = type(env.unwrapped).__module__.startswith("minigrid.")
        if spec is not None and owned and self.maker.compiled is None:
            digest = sha256(self.key.encode()).hexdigest()[:12]
            self.file = cache_folder() / f"{spec.id}-{first}-{count}-{digest}.levels"
        found = self._found()
        made = found or self.maker.made(range(first, first + min(TRIED, count)))
        self.width, self.height, self.sees_through = made.width, made.height, made.sees_through
        # the operating system gives memory only to rows that are written
        self.levels = Levels(*(np.zeros((count, *array.shape[1:]), array.dtype) for array in made.levels))
        # files and copies lose the alignment of records; numba would compile everything again for unaligned ones
        self.levels = self.levels._replace(agent=np.zeros(count, AGENT))
        self.made = np.zeros(count, bool)
        self.kept = len(found.seeds) if found else 0
        self._take(made)

    def make(self, rows: np.ndarray) -> None:
        """Make the levels in these rows (seed - first) that have not been made.

        Raises:
            Unsupported: a level cannot be represented.
        """
        if self.made[rows].all():
            return
        missing = np.unique(rows[~self.made[rows]])
        self.maker.make(self.levels, missing, self.first + missing)
        self.made[missing] = True
        count = int(self.made.sum())
        if count == self.count or count >= max(2 * self.kept, WORTH_KEEPING):
            self.keep()

    def keep(self) -> None:
        """Write the levels made so far to the file, together with those that other programs have added to it."""
        if self.file is None or self.made.sum() <= self.kept:
            return
        found = self._found(quietly=True)
        if found:
            self._take(found)
        rows = np.flatnonzero(self.made)
        levels = Levels(*(array[rows] for array in self.levels))
        self.kept = len(rows)
        try:
            write(self.file, self.key, Made(self.first + rows, self.width, self.height, self.sees_through, levels))
        except OSError as error:
            log.warning("the level bank cannot be kept in %s: %s", self.file, error)
            self.file = None

    def _take(self, made: Made) -> None:
        rows = made.seeds - self.first
        put(self.levels, rows, made.levels)
        self.made[rows] = True

    def _found(self, quietly: bool = False) -> Made | None:
        if self.file is None or not self.file.exists():
            return None
        try:
            return read(self.file, self.key, range(self.first, self.first + self.count))
        except Exception as error:  # for damaged files zip, zlib, NumPy and struct raise errors of different types
            if not quietly:
                log.warning("the level bank %s cannot be used (%s); its levels are made again", self.file, error)
            return None


def cache_folder() -> Path:
    """The folder of the banks' files."""
    named = os.environ.get("INDUCTIVE_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inductive"


def write(file: Path, key: str, made: Made) -> None:
    """Write levels to a file, whole or not at all: a line with the SHA-256 of the rest, then NumPy's arrays."""
    stream = io.BytesIO()
    size = np.array([made.width, made.height, made.sees_through], np.int64)
    np.savez_compressed(stream, key=np.array(key), seeds=made.seeds, size=size, **made.levels._asdict())
    content = stream.getvalue()
    write_file(file, sha256(content).hexdigest().encode() + b"\n" + content)


def read(file: Path, key: str, seeds: range) -> Made:
    """Read levels from a file.

    Raises:
        Exception: the file is damaged, or holds other levels.
    """
    digest, _, content = read_regular(file, LARGEST).partition(b"\n")
    if sha256(content).hexdigest().encode() != digest:
        raise ValueError("it was altered: its checksum differs")
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        if str(data["key"]) != key:
            raise ValueError("it holds other levels, or those of another version")
        width, height, sees_through = (int(value) for value in data["size"])
        levels = Levels(**{name: data[name] for name in Levels._fields})
        found = Made(data["seeds"], width, height, bool(sees_through), levels)
    check(found, seeds)
    return found


def check(found: Made, seeds: range) -> None:
    """Check that the compiled code, which tests no bounds, stays within its arrays on these levels.

    Raises:
        ValueError: an array has the wrong shape or type, or a value out of range.
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
    if found.seeds.shape != (count,) or found.seeds.dtype != np.int64 or not count:
        raise ValueError("its seeds are not a list of whole numbers")
    if not ((found.seeds >= seeds.start) & (found.seeds < seeds.stop)).all():
        raise ValueError("it holds levels of another bank")
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
