"""What an encoder's options may be: checked by the constructor that has them, whoever calls it.

require_whole(1, width=width)                          encoder.width is a whole number, at least 1; got 0
require_choice(("max", "mean"), pooling=pooling)       encoder.pooling is max or mean; got 'sum'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MOST = 1_000_000  # a layer of that many units holds more numbers than any memory


def require_whole(least: int, **options: Any) -> None:
    """Check that every option is a whole number from `least` to `MOST`.

    Raises:
        ValueError: the first one that is not.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"encoder.{name} is a whole number, at least {least}; got {value!r}")
        if value > MOST:
            raise ValueError(f"encoder.{name} is at most {MOST:,}; got {value!r}")


def require_probability(**options: Any) -> None:
    """Check that every option is a probability below 1.

    Raises:
        ValueError: the first one that is not.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ValueError(f"encoder.{name} is a probability below 1, like 0.1; got {value!r}")


def require_choice(choices: Sequence[Any], **options: Any) -> None:
    """Check that every option is one of `choices`.

    Raises:
        ValueError: the first one that is not.
    """
    for name, value in options.items():
        if not any(type(value) is type(each) and value == each for each in choices):  # 1 is not true
            *others, last = map(_shown, choices)
            offered = f"{', '.join(others)} or {last}" if others else last
            raise ValueError(f"encoder.{name} is {offered}; got {value!r}")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
