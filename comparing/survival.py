"""How long it took to reach a threshold, where some runs ended before they did.

Kaplan and Meier (1958), Nonparametric estimation from incomplete observations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reached:
    """When runs reached a threshold.

    Attributes:
        times: steps or seconds of each run (runs,): until it reached the threshold, or until it ended without.
        reached: which runs did (runs,).
    """

    times: np.ndarray
    reached: np.ndarray

    def share(self) -> tuple[np.ndarray, np.ndarray]:
        """Kaplan and Meier's estimate: times (k,), from 0 on, and the share that had reached it by each of them.

        1 - ∏ (1 - dᵢ / nᵢ) over the times until then: dᵢ runs reached it, of the nᵢ that had neither reached it nor
        ended before.
        """
        times = np.unique(self.times[self.reached])
        at_risk = (self.times >= times[:, None]).sum(1)
        events = ((self.times == times[:, None]) & self.reached).sum(1)
        return np.concatenate([[0.0], times]), np.concatenate([[0.0], 1 - np.cumprod(1 - events / at_risk)])

    def median(self) -> float | None:
        """The time by which half of the runs have reached it; None if they have not within their lengths."""
        times, share = self.share()
        half = np.flatnonzero(share >= 0.5 - 1e-12)
        return float(times[half[0]]) if len(half) else None

    def __str__(self) -> str:
        number, total = int(self.reached.sum()), len(self.reached)
        median = self.median()
        time = f"not within {self.times.max():,.0f}" if median is None else f"{median:,.0f}"
        return time if number in (0, total) else f"{time} ({number} of {total})"
