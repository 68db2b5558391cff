"""What a claim is: a sentence, a measurement, and a number that decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.scores import Interval

HELD, NOT, UNDECIDED = "held", "did not hold here", "undecided"

Row = Mapping[str, Any]  # of a table: column -> text, number, or None where there is none


@dataclass(frozen=True)
class Measured:
    """What a measurement found.

    Attributes:
        effect: the number that decides, with its 95% interval over seeds; of width 0 where it is exact.
        rows: what was measured, a table with the same columns in each row.
        drawn: what only the picture needs, as JSON has it.
        notes: what a reader must know beside it, each a sentence.
        seconds: that it took, where parts of it were measured earlier; None: as long as the call.
    """

    effect: Interval
    rows: Sequence[Row]
    drawn: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class Claim:
    """A claim of theory and its experiment.

    Attributes:
        says: the claim, in one sentence.
        source: the paper, with section, theorem or figure.
        number: what the number that decides is, in words.
        least: the claim held if the number's interval lies above this, and did not if it lies below.
        measure: makes the measurement; the argument is `quick`: less of everything, under a minute on one CPU.
        draw: draws rows, and what `drawn` holds, into an empty figure of matplotlib.
        quick: what is left out when it is quick, in words.
        size: of the figure, in inches.
    """

    says: str
    source: str
    number: str
    measure: Callable[[bool], Measured]
    draw: Callable[[Sequence[Row], Mapping[str, Any], Any], None]
    quick: str
    least: float = 0.0
    size: tuple[float, float] = (8.0, 3.6)

    def word(self, effect: Interval) -> str:
        """The verdict."""
        if effect.low > self.least:
            return HELD
        return NOT if effect.high < self.least else UNDECIDED
