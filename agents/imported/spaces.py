"""Spaces from what SB3 writes as plain text beside their pickles, and whether an environment's spaces fit them.

    Box            shape and dtype, and the bounds as NumPy prints them
    Discrete       n
    MultiDiscrete  nvec as NumPy prints it
    MultiBinary    n

What is printed is rounded, so an environment's own bounds are taken where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from agents.saved.spaces import DTYPES, LARGEST, space_from_data

CLASS = re.compile(r"<class '(?:gym|gymnasium)\.spaces\.\w+\.(\w+)'>")
NUMBER = re.compile(r"[-+]?(?:inf|\d+\.?\d*(?:e[-+]?\d+)?)")
NEARLY = 1e-4  # relative difference that printing may leave between two bounds
KINDS = "Box, Discrete, MultiDiscrete and MultiBinary"


def read_space(text: Any, what: str) -> spaces.Space:
    """The space that SB3 describes.

    Args:
        what: "observation" or "action", for messages.

    Raises:
        ValueError: another kind of space, or a damaged description.
    """
    found = CLASS.fullmatch(str(text.get(":type:"))) if isinstance(text, Mapping) else None
    if found is None or found[1] not in ("Box", "Discrete", "MultiDiscrete", "MultiBinary"):
        kind = found[1] if found else "not a space of Gym or Gymnasium"
        raise ValueError(f"its {what} space is {kind}; policies of {KINDS} can be imported")
    try:
        return space_from_data({"type": found[1], **_fields(found[1], text, what)})
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"its {what} space is damaged") from error


def _fields(kind: str, text: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The fields of `agents.saved.spaces` for a space of a kind."""
    if kind == "Box":
        shape, dtype = text.get("_shape", text.get("shape")), text.get("dtype")
        if not isinstance(shape, list) or not all(type(n) is int and 0 < n <= LARGEST for n in shape):
            raise ValueError("no shape")
        if len(shape) > 8 or np.prod(np.array(shape, float)) > LARGEST or dtype not in DTYPES:
            raise ValueError("no shape or dtype that policies read")
        low, high = (_bound(text, end, shape, dtype, what) for end in ("low", "high"))
        return {"shape": shape, "dtype": dtype, "low": low, "high": high}
    if kind == "MultiDiscrete":
        choices = [int(n) for n in re.findall(r"\d+", str(text["nvec"]) if "nvec" in text else "")]
        return {"nvec": choices if 0 < sum(choices) <= LARGEST else None}
    number = int(str(text.get("n")))
    if not 0 < number <= LARGEST or str(text.get("start", 0)) != "0":
        raise ValueError("no number of choices, or choices that do not count from 0")
    return {"n": number, "start": 0} if kind == "Discrete" else {"n": number}


def _bound(text: Mapping[str, Any], key: str, shape: list[int], dtype: str, what: str) -> Any:
    """A bound as NumPy printed it: one number if all are equal, else nested lists.

    NumPy leaves out the middle ("...") of more than a thousand numbers. Of observations, whose bounds are of no matter
    to a policy, the outermost one stands for all then.
    """
    printed = str(text.get(key))[:100_000]
    with np.errstate(all="ignore"):  # a number beyond its dtype
        numbers = np.array([float(number) for number in NUMBER.findall(printed)]).astype(dtype)
    if (numbers == numbers[0]).all():
        return numbers[0].item()
    if "..." not in printed:
        return numbers.reshape(shape).tolist()
    if what == "observation":
        return (numbers.min() if key == "low" else numbers.max()).item()
    raise ValueError(f"{key} is abridged")


def as_played(said: spaces.Space, there: spaces.Space, what: str) -> spaces.Space:
    """The space to build a policy for that was trained with one space and plays in an environment with another.

    The environment's; for images the one with channels first, as SB3 turns them.

    Raises:
        ValueError: they do not fit. Bounds of observations may differ, those of actions as far as they are rounded.
    """
    fits = said == there
    if isinstance(said, spaces.Box) and isinstance(there, spaces.Box):
        if what == "observation" and len(said.shape) == 3:
            if said.shape in (there.shape, there.shape[-1:] + there.shape[:-1]) and said.dtype == there.dtype:
                return said
        elif said.shape == there.shape:
            fits = what == "observation" or all(
                np.allclose(getattr(said, end), getattr(there, end), rtol=NEARLY, atol=NEARLY)
                for end in ("low", "high")
            )
    if not fits:
        raise ValueError(f"the policy's {what} space is {_shown(said)}, that of the environment {_shown(there)}")
    return there


def _shown(space: spaces.Space) -> str:
    """A space in few words."""
    if not isinstance(space, spaces.Box):
        return f"{space!s:.120}"
    low, high = (f"{bound.flat[0]:.6g}" for bound in (space.low, space.high))
    same = all((bound == bound.flat[0]).all() for bound in (space.low, space.high))
    return f"Box({f'{low}, {high}, ' if same else ''}{space.shape}, {space.dtype})"
