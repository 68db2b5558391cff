"""Small commands, `python -m envs.<name> key=value ...`, spelled as Hydra spells them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def read_arguments(bare: str | None = None, usage: str | None = None, **defaults: Any) -> dict[str, Any]:
    """The arguments of the command line, with these defaults; each has the type of its default (text for None).

    Args:
        bare: the key that a word alone belongs to.
        usage: what --help prints, if not the text at the head of the program.

    Raises:
        SystemExit: help was asked for, and printed.
        ValueError: a word that is not of the form `key=value`, an unknown key, or a value of another type.
    """
    known = " ".join(f"{name}={'...' if default is None else default}" for name, default in defaults.items())
    if {"-h", "--help"} & {*sys.argv[1:]}:
        print(f"{(usage or sys.modules['__main__'].__doc__ or '').strip()}\n\nthe arguments are: {known}")
        sys.exit()
    given = dict(defaults)
    for argument in sys.argv[1:]:
        word = f"{bare}={argument}" if bare and "=" not in argument else argument
        key, equals, value = word.partition("=")
        if not equals or key not in defaults:
            raise ValueError(f"cannot read {word!r}; the arguments are: {known}")
        kind = str if defaults[key] is None else type(defaults[key])
        try:
            given[key] = kind(value)
        except ValueError as error:
            raise ValueError(f"{key} is a number like {defaults[key]}, got {value!r}") from error
    return given


def run_command(main: Callable[[], int | None]) -> None:
    """Exit with what `main` returns; a ValueError is shown to the user as one line, and the exit code is 2."""
    try:
        sys.exit(main())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
