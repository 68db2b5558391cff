"""Small commands, `python -m envs.<name> key=value ...`, spelled as Hydra spells them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def read_arguments(bare: str | None = None, **defaults: Any) -> dict[str, Any]:
    """The arguments of the command line, with these defaults; each has the type of its default (text for None).

    Args:
        bare: the key that a word alone belongs to.

    Raises:
        ValueError: a word that is not of the form `key=value`, an unknown key, or a value of another type.
    """
    given = dict(defaults)
    for argument in sys.argv[1:]:
        word = f"{bare}={argument}" if bare and "=" not in argument else argument
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


def run_command(main: Callable[[], int | None]) -> None:
    """Exit with what `main` returns; a ValueError is shown to the user as one line."""
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(f"error: {error}")
