"""How much of the best possible return a policy gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.errors import EnvironmentFailed
from envs.optimum import best_returns
from evaluation.rollout import Episodes
from evaluation.scores import ratio_interval

LONGEST = 500  # characters of a reason


def best_of(levels: np.ndarray | None, options: Mapping[str, Any]) -> np.ndarray | str | None:
    """The best returns of levels of `envs.make_env(**options)`, or why they are not known; None without levels."""
    if levels is None:
        return None
    try:
        return best_returns(options["id"], levels, kwargs=options.get("kwargs"))
    except (ValueError, EnvironmentFailed) as reason:
        return str(reason)[:LONGEST]


def of_optimal(episodes: Episodes, best: np.ndarray | str | None) -> dict[str, Any]:
    """Mean return / mean best return, as an interval, or why it is not known; nothing without levels.

    Args:
        episodes: with unscaled rewards.
        best: what `best_of` says about their levels.
    """
    if best is None:
        return {}
    if isinstance(best, str):
        return {"of_optimal": None, "of_optimal_left_out": best}
    return {"of_optimal": ratio_interval(episodes.returns, best).to_data()}
