"""Gymnasium spaces as plain data, for policy files."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from storage.schema import Check, bound, mapping, nested, one_of, optional, record, several, whole

LARGEST = 4_000_000  # numbers in an observation: a picture of 1,000 x 1,000 with four channels
DTYPES = ("float32", "float64", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "bool")
COUNT = whole(1, LARGEST)
SIZES = several(COUNT, 8, 1)
START = whole(-(2**31), 2**31)
KINDS: dict[str, Check] = {
    "Dict": lambda data, name: None,
    "Box": record(
        {
            "type": one_of("Box"),
            "low": nested(bound),
            "high": nested(bound),
            "shape": several(whole(0, LARGEST), 8),
            "dtype": one_of(*DTYPES),
        }
    ),
    "Discrete": record({"type": one_of("Discrete"), "n": COUNT, "start": START}),
    "MultiDiscrete": record(
        {"type": one_of("MultiDiscrete"), "nvec": nested(COUNT)}, {"start": optional(nested(START))}
    ),
    "MultiBinary": record(
        {
            "type": one_of("MultiBinary"),
            "n": lambda n, name: (several(COUNT, 8, 1) if type(n) is list else COUNT)(n, name),
        }
    ),
}


def space_to_data(space: spaces.Space) -> dict[str, Any]:
    """A space as numbers, strings and lists; bounds that are all equal are one number.

    Raises:
        ValueError: a kind of space that policies here do not use.
    """
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: space_to_data(part) for key, part in space.spaces.items()}}
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "low": _bound(space.low),
            "high": _bound(space.high),
            "shape": list(space.shape),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    raise ValueError(f"a policy file cannot hold the space {space}")


def check_space(data: Any, name: str, depth: int = 3) -> None:
    """Check that data describes a space of up to `LARGEST` numbers.

    Raises:
        ValueError: the first field that does not.
    """
    kind = data.get("type") if type(data) is dict else None
    if type(kind) is not str or kind not in KINDS:
        raise ValueError(f"{name} is not a space: its type is one of {', '.join(KINDS)}")
    if data["type"] == "Dict":
        if not depth:
            raise ValueError(f"{name} is not a space: it is too deep")
        record({"type": one_of("Dict"), "spaces": mapping(partial(check_space, depth=depth - 1), 100)})(data, name)
    else:
        KINDS[data["type"]](data, name)
    if numbers_in(data) > LARGEST:
        raise ValueError(f"{name} has {numbers_in(data):,} numbers; a policy reads at most {LARGEST:,}")


def numbers_in(data: dict[str, Any]) -> int:
    """How many numbers an element of a checked space has."""
    if data["type"] == "Dict":
        return sum(map(numbers_in, data["spaces"].values()))
    if data["type"] == "Box":
        return math.prod(data["shape"])
    if data["type"] == "MultiDiscrete":
        return int(np.sum(data["nvec"]))  # one-hot
    return math.prod(data["n"]) if type(data["n"]) is list else data["n"]


def space_from_data(data: dict[str, Any]) -> spaces.Space:
    """The inverse of `space_to_data`.

    Raises:
        ValueError: the data describes no space.
    """
    check_space(data, "the space")
    try:
        kind = data["type"]
        if kind == "Dict":
            return spaces.Dict({str(key): space_from_data(part) for key, part in data["spaces"].items()})
        if kind == "Box":
            shape, dtype = tuple(int(n) for n in data["shape"]), np.dtype(data["dtype"])
            low, high = (np.broadcast_to(np.array(data[k], dtype), shape).copy() for k in ("low", "high"))
            if not (low <= high).all():
                raise ValueError("a lower bound is above the upper one")
            return spaces.Box(low, high, shape, dtype.type)
        if kind == "Discrete":
            return spaces.Discrete(int(data["n"]), start=int(data["start"]))
        if kind == "MultiDiscrete":
            start = data.get("start")  # older files have none
            return spaces.MultiDiscrete(np.array(data["nvec"]), start=None if start is None else np.array(start))
        if kind == "MultiBinary":
            return spaces.MultiBinary(data["n"])
    except (KeyError, TypeError, ValueError, AssertionError, OverflowError) as error:
        raise ValueError(f"not a space: {error!r}") from error
    raise ValueError(f"not a space: type {kind!r}")


def _bound(values: np.ndarray) -> Any:
    same = values.size and (values == values.flat[0]).all()
    return values.flat[0].item() if same else values.tolist()
