"""The final scores of a run as numbers of its logs, by which TensorBoard sorts runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.thresholds import solved_at, steps_to


def numbers(
    result: Mapping[str, Any], evaluations: Sequence[Mapping[str, float | None]], env_id: str
) -> dict[str, float]:
    """What is logged of a finished run: {"final/success": 0.98, "final/steps_to_threshold": 40960.0, ...}.

    `steps_to_threshold` are the steps of the first evaluation at or above `solved_at`; absent without one.

    Args:
        result: the content of `result.json`.
        evaluations: the rows of `evaluations.csv`.
        env_id: the environment's.
    """
    found = {key: result[key]["mean"] for key in ("return", "success", "of_optimal") if result.get(key)}
    if "equivariance_error" in result:
        found["equivariance_error"] = result["equivariance_error"]
    levels = result.get("levels")
    if levels and levels["gap"]:
        measure = levels["measure"]
        found |= {f"{part}_{measure}": levels[part][measure]["mean"] for part in ("training", "test")}
        found["generalization_gap"] = levels["gap"]["mean"]
    for name, score in result.get("transfer", {}).items():
        found[f"transfer/{name}"] = (score["success"] or score["return"])["mean"]
    measure = "return" if result["success"] is None else "success"
    reached = steps_to(evaluations, measure, solved_at(env_id, measure))
    if reached is not None:
        found["steps_to_threshold"] = reached
    return {f"final/{key}": value for key, value in found.items()}
