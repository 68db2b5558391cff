"""What axes show: names and ranges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comparing.comparison import Environment
from comparing.measures import Measure

WIDE = 4  # a range whose ends have this ratio is drawn as its logarithm


def measured(measure: Measure) -> str:
    """What an axis of scores says."""
    return measure.kind if measure.name == measure.kind.replace(" ", "_") else f"{measure.kind}: {measure.name}"


def score_range(environment: Environment) -> tuple[float, float]:
    """The range of an axis of final scores."""
    estimates = [one.interquartile_mean for one in environment.contenders if one.interquartile_mean is not None]
    ends = [number for estimate in estimates for number in estimate if number is not None]
    return possible_range(
        environment.measure.possible, [np.array(ends), *(one.known for one in environment.contenders)]
    )


def possible_range(bounds: tuple[float, float], values: Sequence[np.ndarray]) -> tuple[float, float]:
    """All that is possible, where that is known; else from the least to the greatest value."""
    low, high = range_of(np.concatenate(values))
    return (bounds[0] if np.isfinite(bounds[0]) else low, bounds[1] if np.isfinite(bounds[1]) else high)


def range_of(values: np.ndarray) -> tuple[float, float]:
    """From the least to the greatest value, with some space where they are one."""
    low, high = float(np.min(values)), float(np.max(values))
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def across(values: Sequence[float]) -> tuple[tuple[float, float], bool]:
    """A range with space on both sides, and whether it is wide enough for logarithms."""
    low, high = min(values), max(values)
    if high / low >= WIDE:
        return (low / 1.3, high * 1.3), True
    space = 0.08 * (high - low) or 0.1 * low
    return (low - space, high + space), False
