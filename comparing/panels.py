"""What the figures and the page draw, without saying how: both draw the same panels, so they cannot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comparing.statistics import Estimate


@dataclass(frozen=True)
class Series:
    """What one contender shows in a panel.

    Attributes:
        contender: its place among the contenders of the report, which decides its colour.
        x, y: the points of the curve (n,).
        low, high: the ends of their intervals (n,); None where there are none.
        runs: the x and y of each run behind it.
        marks: x and y of each run that ended without what the curve counts (censored).
    """

    contender: int
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    runs: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    marks: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """Curves or points above one axis.

    Attributes:
        title, x, y: what stands above it and along its axes, with units.
        series: one for each contender that has something to show.
        along, within: the ranges of x and y.
        log: x is drawn as its logarithm.
        stairs: a curve stays at each y until the next x.
        dots: points with bars, not curves with bands.
        joined: the x and y of points that a thin line joins.
        level: where a horizontal line marks a threshold.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    along: tuple[float, float]
    within: tuple[float, float]
    log: bool = False
    stairs: bool = False
    dots: bool = False
    joined: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    level: float | None = None


@dataclass(frozen=True)
class Row:
    """A point with its interval.

    Attributes:
        label: what stands beside it.
        contender: its place among the contenders, which decides its colour.
        estimate: the point, and its interval if there is one.
        runs: what each run behind it has.
        firm: whether the data support it; else it is drawn hollow.
    """

    label: str
    contender: int
    estimate: Estimate
    runs: Sequence[float] = ()
    firm: bool = True


@dataclass(frozen=True)
class Strip:
    """Rows one above the other, on one axis.

    Attributes:
        title, x: what stands above and below it, with units.
        rows: from the top.
        within: the range of x.
        level: where a vertical line marks "no difference".
    """

    title: str
    x: str
    rows: Sequence[Row]
    within: tuple[float, float]
    level: float | None = None
