"""Gymnasium spaces as plain data, for policy files."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces


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


def space_from_data(data: dict[str, Any]) -> spaces.Space:
    """The inverse of `space_to_data`.

    Raises:
        ValueError: the data describes no space.
    """
    try:
        kind = data["type"]
        if kind == "Dict":
            return spaces.Dict({str(key): space_from_data(part) for key, part in data["spaces"].items()})
        if kind == "Box":
            shape, dtype = tuple(int(n) for n in data["shape"]), np.dtype(data["dtype"])
            low, high = (np.broadcast_to(np.array(data[k], dtype), shape).copy() for k in ("low", "high"))
            return spaces.Box(low, high, shape, dtype.type)
        if kind == "Discrete":
            return spaces.Discrete(int(data["n"]), start=int(data["start"]))
        if kind == "MultiDiscrete":
            start = data.get("start")  # older files have none
            return spaces.MultiDiscrete(np.array(data["nvec"]), start=None if start is None else np.array(start))
        if kind == "MultiBinary":
            return spaces.MultiBinary(data["n"])
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"not a space: {error!r}") from error
    raise ValueError(f"not a space: type {kind!r}")


def _bound(values: np.ndarray) -> Any:
    same = values.size and (values == values.flat[0]).all()
    return values.flat[0].item() if same else values.tolist()
