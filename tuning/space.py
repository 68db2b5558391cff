"""What is searched: options of a run, and the values that each may have.

    agent.learning_rate: [1e-5, 1e-2, log]    any number between the two, as likely in every decade
    agent.gae_lambda: [0.8, 1.0, uniform]     any number between the two; a whole one if both are
    agent.batch_size: [64, 128, 256]          one of these
    agent.gamma: null                         not searched

A rate whose present value falls (lin_1e-3) keeps falling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.compose import UsageError
from configs.flatten import flatten

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SCALES = ("log", "uniform")
FALLS = "lin_"  # before the first value of a rate that falls to 0
DIGITS = 3  # of a number that is tried, so that the file of tuned settings holds exactly what was trained
FORMS = "[low,high,log], [low,high,uniform], a list of two or more values, or null"


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; whole ones if both are. With `falls`, a rate falls from them to 0."""

    low: float
    high: float
    log: bool
    falls: bool = False

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def option(self, sampled: Any) -> Any:
        """The value of the option for a number that was sampled."""
        number = int(sampled) if self.whole else min(max(float(f"{sampled:.{DIGITS}g}"), self.low), self.high)
        return f"{FALLS}{number:g}" if self.falls else number

    def nearest(self, present: Any) -> Any:
        """The number that is nearest to the present value of the option."""
        text = str(present).removeprefix(FALLS)
        try:
            number = min(max(float(text), self.low), self.high)
        except ValueError:  # a word, or nothing
            return self.low
        return round(number) if self.whole else number

    @property
    def ends(self) -> list[Any]:
        """The values whose ranges are checked before anything is trained."""
        return [self.option(self.low), self.option(self.high)]

    def __str__(self) -> str:
        falling = ", falling to 0" if self.falls else ""
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}{falling}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def option(self, sampled: Any) -> Any:
        """The value itself."""
        return sampled

    def nearest(self, present: Any) -> Any:
        """The present value where it is one of these; else the nearest number, or the first value."""
        if present in self.values:
            return self.values[self.values.index(present)]
        numbers = [value for value in (*self.values, present) if _is_number(value)]
        if len(numbers) <= len(self.values):
            return self.values[0]
        return min(self.values, key=lambda value: abs(value - present))

    @property
    def ends(self) -> list[Any]:
        return list(self.values)

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Space = dict[str, Range | Choice]


def space_of(described: Mapping[str, Any], present: Mapping[str, Any], fixed: set[str]) -> Space:
    """The space that a file of configs/space, and the options space.<option>=..., describe.

    Args:
        described: options, nested as in a configuration.
        present: the values of all options of the run, by full name.
        fixed: options that the user has given, which are not searched.

    Raises:
        UsageError: an entry is none of the forms above, or nothing is left to search.
    """
    entries = {key: entry for key, entry in flatten(described).items() if key not in ("name", *fixed)}
    space = {key: _entry(key, entry, present.get(key)) for key, entry in entries.items() if entry is not None}
    if not space:
        raise UsageError("nothing is left to search; give an option its values, like space.agent.gamma=[0.9,0.99]")
    return space


def _entry(key: str, entry: Any, present: Any) -> Range | Choice:
    if not isinstance(entry, list):
        raise _wrong(key, entry, "")
    if entry and entry[-1] in SCALES:
        bounds, log = entry[:-1], entry[-1] == "log"
        if len(bounds) != 2 or not all(map(_is_number, bounds)):
            raise _wrong(key, entry, f"{entry[-1]} follows two numbers")
        low, high = bounds
        if not low < high:
            raise _wrong(key, entry, f"{low:g} is not below {high:g}")
        if log and low <= 0:
            raise _wrong(key, entry, "a logarithmic range is of positive numbers")
        whole = all(isinstance(bound, int) for bound in bounds)
        falls = isinstance(present, str) and present.startswith(FALLS)
        return Range(low, high, log, falls) if whole else Range(float(low), float(high), log, falls)
    if not all(value is None or isinstance(value, (bool, int, float, str)) for value in entry):
        raise _wrong(key, entry, "a value is a number, a word, true, false or null")
    if len({*map(repr, entry)}) < 2:
        raise _wrong(key, entry, "there is nothing to choose")
    if len({*map(repr, entry)}) < len(entry):
        raise _wrong(key, entry, "a value is there twice")
    return Choice(tuple(entry))


def _wrong(key: str, entry: Any, reason: str) -> UsageError:
    return UsageError(f"space.{key} is {FORMS}; got {entry!r}{': ' * bool(reason)}{reason}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def corners(space: Space) -> list[dict[str, Any]]:
    """Settings in which every value of a list, and both ends of every range, are met at least once."""
    ends = {key: searched.ends for key, searched in space.items()}
    return [{key: values[i % len(values)] for key, values in ends.items()} for i in range(max(map(len, ends.values())))]
