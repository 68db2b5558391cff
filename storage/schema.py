"""What data from outside may be: types, ranges and sizes, checked before anything is made of it.

A check takes a value and its name, and raises ValueError with one line: what the value may be, and what it is.

    check = record({"layers": whole(0, 100)}, {"activation": one_of("relu", "tanh")})
    check({"layers": 1.5}, "encoder")      ValueError: encoder.layers is a whole number from 0 to 100; got 1.5
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]

SHOWN = 60  # characters of a value in a message


def refuse(name: str, allowed: str, value: Any) -> None:
    """Raise ValueError: what `name` may be, and its value, shortened."""
    if isinstance(value, (dict, list)):
        got = f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**SHOWN:
        got = "a whole number of more than 60 digits"
    else:
        got = repr(value)
        got = got if len(got) <= SHOWN else f"{got[:SHOWN]}..."
    raise ValueError(f"{name} is {allowed}; got {got}")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; true and 1.0 are none."""
    return type(value) is int


def whole(least: int, most: int) -> Check:
    """A whole number in a range."""

    def check(value: Any, name: str) -> None:
        if not is_whole(value) or not least <= value <= most:
            refuse(name, f"a whole number from {least:,} to {most:,}", value)

    return check


def number(least: float = -1e30, most: float = 1e30) -> Check:
    """A finite number in a range."""

    def check(value: Any, name: str) -> None:
        if type(value) not in (int, float) or not least <= value <= most:
            bounds = "" if (least, most) == (-1e30, 1e30) else f" from {least:g} to {most:g}"
            refuse(name, f"a finite number{bounds}", value)

    return check


def bound(value: Any, name: str) -> None:
    """A number or infinity, and no NaN."""
    # spaces are often bounded by the largest float of their dtype
    if type(value) not in (int, float) or not (abs(value) <= sys.float_info.max or math.isinf(value)):
        refuse(name, "a number, or infinity", value)


def truth(value: Any, name: str) -> None:
    """True or false."""
    if type(value) is not bool:
        refuse(name, "true or false", value)


def text(most: int) -> Check:
    """A text of printable characters."""

    def check(value: Any, name: str) -> None:
        if type(value) is not str or not 0 < len(value) <= most or not value.isprintable():
            refuse(name, f"a text of up to {most:,} printable characters", value)

    return check


def one_of(*choices: Any) -> Check:
    """One of some values, of the same type."""

    def check(value: Any, name: str) -> None:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            refuse(name, f"one of {', '.join(map(str, choices))}", value)

    return check


def optional(check: Check) -> Check:
    """Null, or what another check takes."""
    return lambda value, name: None if value is None else check(value, name)


def several(check: Check, most: int, least: int = 0) -> Check:
    """A list."""

    def check_all(value: Any, name: str) -> None:
        if type(value) is not list or not least <= len(value) <= most:
            refuse(name, f"a list of {f'{least:,} to ' if least else 'up to '}{most:,}", value)
        for i, each in enumerate(value):
            check(each, f"{name}[{i}]")

    return check_all


def nested(check: Check, depth: int = 8) -> Check:
    """What another check takes, or lists of it within lists."""

    def check_all(value: Any, name: str, left: int = depth) -> None:
        if type(value) is not list:
            check(value, name)
        elif not left:
            refuse(name, f"no more than {depth} lists within each other", value)
        else:
            for i, each in enumerate(value):
                check_all(each, f"{name}[{i}]", left - 1)

    return check_all


def mapping(check: Check, most: int) -> Check:
    """A mapping from texts to what another check takes."""

    def check_all(value: Any, name: str) -> None:
        if type(value) is not dict or len(value) > most:
            refuse(name, f"a mapping of up to {most:,} names", value)
        for key, each in value.items():
            text(100)(key, f"a name in {name}")
            check(each, f"{name}.{key}")

    return check_all


def record(needed: Mapping[str, Check], others: Mapping[str, Check] | None = None, more: bool = False) -> Check:
    """A mapping with these names.

    Args:
        needed, others: the check of each name that must be there, and of each that may.
        more: whether further names are ignored; otherwise they are refused.
    """
    known = {**needed, **(others or {})}

    def check(value: Any, name: str) -> None:
        mapping(lambda each, where: None, 1000)(value, name or "the content")
        prefix = f"{name}." if name else ""
        missing = [key for key in needed if key not in value]
        if missing:
            raise ValueError(f"{name or 'the content'} lacks {', '.join(missing)}")
        for key, each in value.items():
            if key in known:
                known[key](each, f"{prefix}{key}")
            elif not more:
                raise ValueError(f"{name} has no entry {key[:SHOWN]!r}; it has: {', '.join(known)}")

    return check


def plain(most: int, depth: int = 6) -> Check:
    """Texts, truths, null and finite numbers up to `most`, and lists and mappings of them."""
    scalars: Mapping[type, Check] = {
        int: whole(-most, most),
        float: number(),
        str: text(1000),
        bool: truth,
        type(None): lambda value, name: None,
    }

    def check(value: Any, name: str, left: int = depth) -> None:
        if type(value) in scalars:
            if value != "":
                scalars[type(value)](value, name)
        elif not left or type(value) not in (list, dict):
            refuse(name, f"plain data: texts, numbers, lists and mappings, up to {depth} within each other", value)
        elif type(value) is list:
            several(lambda each, where: check(each, where, left - 1), 10_000)(value, name)
        else:
            mapping(lambda each, where: check(each, where, left - 1), 1000)(value, name)

    return check
