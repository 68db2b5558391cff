"""Crash files: the episode in which an environment raised an exception, as plain data that can be played again.

    {"format": 1, "environment": {"id": ..., "index": 0, ...}, "level": 17,
     "episode": {"seed": ..., "random": {...}, "counters": [...], "actions": {"dtype": "int64", "values": [2, 0, 2]}},
     "error": {"type": "ValueError", "message": ..., "step": 3, "traceback": ...}, "versions": {...}}

`environment` is what `envs.make.make_nth_env` takes; `envs.recorded` says what the episode is a function of. Step 0 is
the reset. A file from outside is checked against a schema, and names no module outside `trust`.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.saved.policy import trusted_id
from agents.saved.schema import ENVIRONMENT, check_grid
from envs.errors import EnvironmentFailed
from envs.make import make_nth_env
from envs.names import id_of
from storage.durable import write_file
from storage.plain import from_json
from storage.reading import read_regular
from storage.schema import mapping, one_of, optional, plain, record, several, text, whole

FORMAT = 1
LARGEST = 2**26  # bytes
SAID = 2000  # characters of an exception's message
TRACED = 20_000  # and of its traceback
MOST = 2**63
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "bool")
ACTIONS = record({"dtype": one_of(*DTYPES), "values": lambda value, name: None})
EPISODE = record(
    {
        "seed": optional(whole(-MOST, MOST)),
        "random": mapping(plain(2**128), 20),
        "counters": several(several(optional(whole(-MOST, MOST)), 2, 2), 20),
        "actions": ACTIONS,
    }
)
ERROR = {"type": text(200), "step": whole(0, MOST)}
SCHEMA = record(
    {
        "format": whole(1, FORMAT),
        "environment": record({"id": text(200), "index": whole(0, 2**20), "first_level": whole(0, 2**32)}, more=True),
        "level": optional(whole(-MOST, MOST)),
        "episode": EPISODE,
        "error": record(ERROR, more=True),
    },
    more=True,
)


@dataclass(frozen=True)
class Replay:
    """What an episode came to when it was played again.

    Attributes:
        error: what the environment raised; None if it raised nothing.
        step: in which; without an exception, the last one.
        same: whether the same kind of exception came in the same step.
    """

    error: BaseException | None
    step: int
    same: bool


def write_crash(file: Path, error: EnvironmentFailed, versions: Mapping[str, str]) -> Path | None:
    """Write the crash file of an environment that raised an exception -> it; None if no episode led to the exception.

    Raises:
        ValueError: it would be too large, or the environment was made with options that are no plain data.
        OSError: it cannot be written.
    """
    cause, played = error.__cause__, error.played
    if cause is None or played is None:
        return None
    actions = played["actions"]
    episode = {**played, "actions": {"dtype": actions.dtype.name, "values": actions.tolist()}}
    environment, level = episode.pop("environment"), episode.pop("level")
    said = {
        "type": type(cause).__name__,
        "message": str(cause)[:SAID],
        "step": len(actions),
        "traceback": _traceback(cause)[-TRACED:],
    }
    data = {"format": FORMAT, "environment": environment, "level": level, "episode": episode, "error": said}
    try:
        written = json.dumps({**data, "versions": versions}, default=_listed, allow_nan=False) + "\n"
        check_crash(from_json(written.encode()))
    except TypeError as problem:
        raise ValueError(f"the options of the environment are no plain data ({problem})") from problem
    if len(written) > LARGEST:
        raise ValueError(f"the episode has {len(actions):,} actions, which take more than {LARGEST // 2**20} MB")
    write_file(file, written)
    return file


def read_crash(file: Path) -> dict[str, Any]:
    """Read a crash file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged or of a newer version.
    """
    try:
        data = from_json(read_regular(file, LARGEST))
        check_crash(data)
        actions = data["episode"]["actions"]
        values = np.array(actions["values"])
        data["episode"]["actions"] = values.astype(actions["dtype"])
        if len(values) and not np.array_equal(values, data["episode"]["actions"].astype(values.dtype)):
            raise ValueError(f"episode.actions are not all {actions['dtype']}")
    except FileNotFoundError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{file} is no crash file that can be played: {error}") from error
    return data


def check_crash(data: Any) -> None:
    """Raise ValueError unless this is the content of a crash file."""
    SCHEMA(data, "")
    environment = data["environment"]
    options = {key: value for key, value in environment.items() if key not in ("index", "first_level")}
    ENVIRONMENT(options, "environment")
    check_grid({**options, "id": id_of(options["id"])})


def replay(crash: Mapping[str, Any], trust: Sequence[str] = ()) -> Replay:
    """Play the episode of a crash file again, in an environment made anew.

    Raises:
        ValueError: the environment is one of a module outside `trust`, cannot be made, or cannot begin so.
    """
    options = {**crash["environment"], "id": trusted_id(crash["environment"]["id"], trust, "the crash file")}
    expected, actions = crash["error"], crash["episode"]["actions"]
    env: Any = make_nth_env(**{key: value for key, value in options.items() if key != "engine"})
    try:
        try:
            env.begin_again(crash["episode"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"the episode cannot begin as the crash file says: {error}") from error
        for action in actions:
            *_, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
    except EnvironmentFailed as error:
        cause = error.__cause__ or error
        return Replay(cause, env.count, (type(cause).__name__, env.count) == (expected["type"], expected["step"]))
    finally:
        env.close()
    return Replay(None, env.count, False)


def told(crash: Mapping[str, Any], found: Replay) -> str:
    """What came of playing an episode again, in words, with the traceback of what the environment raised."""
    expected, level = crash["error"], crash["level"]
    where = "" if level is None else f" of level {level}"
    before = f"{expected['type']} in {'step ' + str(expected['step']) if expected['step'] else 'the reset'}{where}"
    if found.error is None:
        return f"no exception came in {found.step} steps; the crash file tells of {before}"
    if found.same:
        return f"{_traceback(found.error)}the same exception came in the same place: {before}"
    came = f"{type(found.error).__name__} in step {found.step}"
    return f"{_traceback(found.error)}{came} came; the crash file tells of {before}"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _listed(value: Any) -> Any:
    """What JSON has no word for: arrays and numbers of NumPy."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__}: {value!r:.60}")
