"""The arguments of small commands: `key=value` words, as Hydra spells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def read_arguments(words: Sequence[str], **defaults: Any) -> dict[str, Any]:
    """The defaults, replaced by what the words say; a value has the type of its default (text where that is None).

    Raises:
        ValueError: a word that is no `key=value`, an unknown key, or a value of another type.
    """
    given = dict(defaults)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in defaults:
            known = " ".join(f"{name}={'...' if default is None else default}" for name, default in defaults.items())
            raise ValueError(f"cannot read {word!r}; the arguments are: {known}")
        kind = str if defaults[key] is None else type(defaults[key])
        try:
            given[key] = kind(value)
        except ValueError as error:
            raise ValueError(f"{key} is a number like {defaults[key]}, got {value!r}") from error
    return given
