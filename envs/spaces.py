"""Spaces as agents can read them: numbers counted from 0, and at most one level of keys.

Observations
    Discrete, MultiDiscrete with a start        the same, counted from 0
    MultiDiscrete of several dimensions         of one dimension
    Box(())                                     Box((1,))
    Tuple, nested Dict                          Dict; keys are paths: "1", "body/arms/0"

Actions, besides these
    Box, MultiBinary of several dimensions      of one dimension
    Tuple or Dict of discrete parts             one MultiDiscrete, the parts in order
    Tuple or Dict of Boxes                      one Box, the parts in order

What is not listed stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TransformAction, TransformObservation

READ = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
COUNTED = READ[1:]

Path = tuple[str, ...]
Convert = Callable[[Any], Any]


def readable(env: gymnasium.Env) -> gymnasium.Env:
    """The environment with spaces that agents can read; itself where they already are.

    Raises:
        ValueError: a part of a space that has no such form; the message names its key.
    """
    seen, observe = _readable_observations(env.observation_space)
    if observe is not None:
        env = TransformObservation(env, observe, seen)
    wanted = env.action_space
    actions = _readable_actions(wanted)
    if actions != wanted:
        env = TransformAction(env, lambda action: _given(wanted, np.ravel(action)), actions)
    return env


def _readable_observations(space: spaces.Space) -> tuple[spaces.Space, Convert | None]:
    """The space that agents read, and how an observation is brought into it; None where it is there already."""
    parts = {path: (*_readable_part(leaf), leaf) for path, leaf in _leaves("observation", space)}
    if () in parts:
        return parts[()][:2]
    names = {"/".join(path): path for path in parts}
    if len(names) < len(parts):
        raise ValueError(f"two parts of the observation have one name: {', '.join(map('/'.join, parts))}")
    if all(len(path) == 1 and part[1] is None for path, part in parts.items()) and isinstance(space, spaces.Dict):
        return space, None
    converts = {name: parts[path][1] for name, path in names.items()}

    def observe(observation: Any) -> dict[str, Any]:
        found = {"/".join(path): part for path, part in _values(space, observation)}
        return {name: found[name] if convert is None else convert(found[name]) for name, convert in converts.items()}

    return spaces.Dict({name: parts[path][0] for name, path in names.items()}), observe


def _readable_part(space: spaces.Space) -> tuple[spaces.Space, Convert | None]:
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return spaces.Discrete(int(space.n)), lambda value: value - space.start
    if isinstance(space, spaces.MultiDiscrete) and (space.start.any() or space.nvec.ndim > 1):
        return spaces.MultiDiscrete(space.nvec.ravel()), lambda value: (np.asarray(value) - space.start).ravel()
    if isinstance(space, spaces.Box) and space.shape == ():
        dtype: Any = space.dtype
        one = spaces.Box(space.low.reshape(1), space.high.reshape(1), dtype=dtype)
        return one, lambda value: np.asarray(value, dtype).reshape(1)
    return space, None


def _readable_actions(space: spaces.Space) -> spaces.Space:
    parts = [part for _, part in _leaves("action", space)]
    boxes = [part for part in parts if isinstance(part, spaces.Box)]
    if space in boxes and len(boxes[0].shape) == 1:
        return space
    if boxes and len(boxes) == len(parts):
        low, high = (np.concatenate([getattr(box, end).ravel() for box in boxes]) for end in ("low", "high"))
        return spaces.Box(low, high, dtype=low.dtype.type)
    if boxes:
        raise ValueError(f"agents choose either numbers or choices, and the action is both: {space}")
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiBinary):
        return space if len(space.shape) == 1 else spaces.MultiBinary(int(np.prod(space.shape)))
    return spaces.MultiDiscrete(np.concatenate([_choices(part) for part in parts]))


def _choices(space: Any) -> np.ndarray:
    if isinstance(space, spaces.MultiBinary):
        return np.full(int(np.prod(space.shape)), 2)
    return np.ravel(space.n if isinstance(space, spaces.Discrete) else space.nvec)


def _given(space: spaces.Space, numbers: np.ndarray) -> Any:
    """The action of the environment's own space that an agent's numbers stand for."""
    parts = []
    for _, part in _leaves("action", space):
        size = int(np.prod(part.shape or ()))
        start = part.start if isinstance(part, (spaces.Discrete, spaces.MultiDiscrete)) else 0
        value = np.asarray(numbers[:size].reshape(part.shape or ()) + start, part.dtype)  # of any shape, () too
        parts.append(value[()] if isinstance(part, spaces.Discrete) else value)
        numbers = numbers[size:]
    return _structured(space, iter(parts))


def _structured(space: spaces.Space, parts: Iterator[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _structured(part, parts) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_structured(part, parts) for part in space.spaces)
    return next(parts)


def _inner(space: spaces.Space) -> Iterator[tuple[str, Any, spaces.Space]] | None:
    """(name, key, space) of the parts of a Dict or Tuple; None for any other space."""
    if isinstance(space, spaces.Dict):
        return ((str(key), key, part) for key, part in space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return ((str(i), i, part) for i, part in enumerate(space.spaces))
    return None


def _leaves(what: str, space: spaces.Space, path: Path = ()) -> Iterator[tuple[Path, spaces.Space]]:
    """The parts of a space that are not Dict or Tuple, each with its path.

    Raises:
        ValueError: one that agents cannot read.
    """
    inner = _inner(space)
    if inner is not None:
        for name, _, part in inner:
            yield from _leaves(what, part, (*path, name))
        return
    if not isinstance(space, READ):
        key = f" {'/'.join(path)!r}" if path else ""
        raise ValueError(
            f"the {what}{key} is {space}, and agents read Box, Discrete, MultiDiscrete and MultiBinary, and Dict and "
            "Tuple of these; leave it out or convert it in a wrapper of your own (gymnasium.wrappers)"
        )
    yield path, space


def _values(space: spaces.Space, value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    inner = _inner(space)
    if inner is None:
        yield path, value
        return
    for name, key, part in inner:
        yield from _values(part, value[key], (*path, name))
