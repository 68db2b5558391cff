"""The score at which an environment counts as solved, and how soon a run reached a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gymnasium

SUCCESS = 0.9  # where the environment defines success


def solved_at(env_id: str, measure: str) -> float | None:
    """0.9 success, or the return at which Gymnasium calls an environment solved; None where it does not say."""
    if measure == "success":
        return SUCCESS
    spec = gymnasium.registry.get(env_id.split(":")[-1])
    return spec.reward_threshold if spec else None


def steps_to(evaluations: Sequence[Mapping[str, float | None]], measure: str, threshold: float | None) -> float | None:
    """The steps of the first evaluation (rows of `evaluations.csv`) at or above a threshold; None without one."""
    if threshold is None:
        return None
    scores = ((row["steps"], row[measure]) for row in evaluations)
    return next((steps for steps, score in scores if score is not None and score >= threshold), None)
