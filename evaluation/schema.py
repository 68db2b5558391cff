"""What the files of a run folder may say: checked before a report is made of them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

from storage.schema import mapping, number, one_of, optional, record, text, truth, whole

COLUMNS = ("steps", "return", "return_low", "return_high", "success", "success_low", "success_high", "length")
LARGEST = {"config.yaml": 1_000_000, "result.json": 1_000_000, "timing.json": 1_000_000, "evaluations.csv": 50_000_000}
MOST = 2**63
SLACK = 1e-5  # which rounding to six digits may leave between a mean and its interval

NAME = record({"name": text(1000)}, more=True)
CONFIG = record(
    {
        "env": record({"name": text(1000), "id": text(1000)}, more=True),
        "agent": NAME,
        "encoder": NAME,
        "symmetry": record({}, more=True),
        "seed": whole(0, MOST),
    },
    {"total_timesteps": whole(1, MOST), "decided_for": whole(1, MOST)},
    more=True,
)
TIMING = record({}, {"wall_seconds": number(0), "steps_per_second": number(0)}, more=True)


def interval(least: float, most: float) -> Any:
    """A mean within its interval."""
    bounds = number(least, most)

    def check(value: Any, name: str) -> None:
        record({"mean": bounds, "low": bounds, "high": bounds})(value, name)
        if not value["low"] - SLACK <= value["mean"] <= value["high"] + SLACK:
            raise ValueError(f"{name}.mean is outside the interval from {name}.low to {name}.high")

    return check


SCORE = {"return": interval(-1e30, 1e30), "success": optional(interval(0, 1))}
SCORES = record(SCORE, more=True)
LEVELS = record(
    {"gap": optional(interval(-1e30, 1e30))},
    {
        "distinct": optional(whole(1, MOST)),
        "found": whole(0, MOST),
        "seeds": whole(0, MOST),
        "complete": truth,
        "measure": one_of("return", "success"),
        "training": SCORES,
        "test": SCORES,
        "reason": text(10_000),
    },
    more=True,
)
RESULT = record(
    {
        "env": text(1000),
        "agent": text(1000),
        "encoder": text(1000),
        "seed": whole(0, MOST),
        "steps": whole(0, MOST),
        "episodes": whole(1, MOST),
        "return": interval(-1e30, 1e30),
        "success": optional(interval(0, 1)),
        "parameters": record({"encoder": whole(0, MOST), "head": whole(0, MOST)}),
    },
    {
        "symmetry": text(1000),
        "actions": text(1000),
        "length": interval(0, 1e30),
        "equivariance_error": optional(number(0)),
        "of_optimal": optional(interval(0, 1)),
        "of_optimal_left_out": text(1000),
        "simulator": optional(text(1000)),
        "versions": mapping(text(1000), 100),
        "levels": LEVELS,
        "transfer": mapping(record({**SCORE, "episodes": whole(1, MOST)}), 1000),
        "bodies": mapping(interval(-1e30, 1e30), 1000),
    },
    more=True,
)


def check_result(result: Any, config: Mapping[str, Any]) -> None:
    """Raise ValueError if `result.json` is no result, or that of another configuration."""
    RESULT(result, "")
    levels = result.get("levels")
    if levels and levels["gap"] and not {"measure", "training", "test"} <= {*levels}:
        raise ValueError("levels.gap is given without levels.measure, levels.training and levels.test")
    if levels and levels["gap"] is None and "reason" not in levels:
        raise ValueError("levels.reason is missing: there is no gap")
    if levels and levels["gap"] and any(levels[part][levels["measure"]] is None for part in ("training", "test")):
        raise ValueError("levels.measure is success, of which there is none")
    if result.get("simulator") and result["simulator"] not in result.get("versions", {}):
        raise ValueError(f"versions lacks the simulator, {result['simulator']}")
    if "of_optimal" in result and result["of_optimal"] is None and not result.get("of_optimal_left_out"):
        raise ValueError("of_optimal is left out, and of_optimal_left_out does not say why")
    ours = {"seed": config["seed"], **{key: config[key]["name"] for key in ("env", "agent", "encoder")}}
    for key, value in ours.items():
        if result[key] != value:
            raise ValueError(f"{key} is {result[key]!r}, and {value!r} in config.yaml")


def read_evaluations(content: bytes, result: Mapping[str, Any] | None, grows: bool) -> list[dict[str, float | None]]:
    """The rows of `evaluations.csv`, with None for an empty field; those after the result are left out.

    Args:
        result: of the finished run, None without one.
        grows: the run goes on, so the last line may be one that its writer did not finish.

    Raises:
        ValueError: a row that is no evaluation, or steps that do not increase.
    """
    written = content.decode()
    if grows and not written.endswith("\n"):
        written = written[: written.rfind("\n") + 1]
    try:
        reader = csv.DictReader(io.StringIO(written, newline=""), strict=True)
        header = reader.fieldnames
        lines = [*reader]
    except csv.Error as error:
        raise ValueError(f"it is no table: {error}") from error
    if header is None and grows:
        return []
    if header is None or len({*header}) < len(header) or not {*COLUMNS} <= {*header}:
        raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
    rows = [_evaluation(line, f"row {i}") for i, line in enumerate(lines, 1)]
    for i, (row, following) in enumerate(zip(rows, rows[1:], strict=False), 2):
        if not row["steps"] < following["steps"]:  # type: ignore[operator]
            raise ValueError(f"row {i}: steps do not increase")
    successes = {row["success"] is None for row in rows} | ({result["success"] is None} if result else set())
    if len(successes) > 1:
        raise ValueError("success is there in some evaluations, and in others it is not")
    return [row for row in rows if result is None or row["steps"] <= result["steps"]]  # type: ignore[operator]


def _evaluation(line: Mapping[Any, Any], name: str) -> dict[str, float | None]:
    """A line of the table as numbers."""
    if None in line or None in line.values():
        raise ValueError(f"{name} has more or fewer fields than columns")
    try:
        row = {key: float(value) if value else None for key, value in line.items()}
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    given = {key: value for key, value in row.items() if value is not None}
    if not all(map(math.isfinite, given.values())):
        raise ValueError(f"{name}: a number is not finite")
    missing = [key for key in ("steps", "return", "return_low", "return_high", "length") if key not in given]
    if missing:
        raise ValueError(f"{name}: {missing[0]} is empty")
    for measure, least, most in (("return", -1e30, 1e30), ("success", 0, 1)):
        if measure in given:
            parts = {"mean": row[measure], "low": row[f"{measure}_low"], "high": row[f"{measure}_high"]}
            interval(least, most)(parts, f"{name}: {measure}")
    number(0)(row["steps"], f"{name}: steps")
    return row
