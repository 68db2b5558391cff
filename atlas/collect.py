"""Run folders -> results/atlas.csv, and reading it back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from atlas.claims import SEEDS, Claim, job
from atlas.verdict import Scores
from comparing.measures import Measure
from evaluation.runs import Run, read_run
from storage.durable import write_file

PACKAGES = ("inductive-rl", "torch", "stable-baselines3", "minigrid")
COLUMNS = (
    *(
        "claim",
        "setting",
        "contender",
        "seed",
        "score",
        "measure",
        "trained",
        "return",
        "steps",
        "parameters",
        "rising",
    ),
    *("steps_per_second", "command", *PACKAGES),
)
FLAT = 0.15  # a curve is flat whose last fifth is at most so much above the fifth before: two errors of 80 episodes

Row = dict[str, str]


def rows_of(chosen: Sequence[Claim], root: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each finished run of some claims below `root`, and the commands of those that are missing.

    Raises:
        ValueError: a run's files are damaged, or it has not been measured as the claim asks.
    """
    rows: list[dict[str, Any]] = []
    missing: dict[str, None] = {}  # a run may serve two claims
    for claim in chosen:
        for name, setting in claim.settings.items():
            for contender, overrides in claim.contenders.items():
                planned = job(setting, overrides)
                for seed in SEEDS:
                    folder = root / Path(*planned.folder.parts[1:]) / f"seed={seed}"
                    command = " ".join(["python train.py", *planned.overrides, f"seed={seed}"])
                    run = read_run(folder) if (folder / "result.json").exists() else None
                    if run is None or run.result is None or run.result["steps"] < planned.steps:
                        missing[command] = None
                        continue
                    about = {"claim": claim.name, "setting": name, "contender": contender, "seed": seed}
                    rows.append({**about, **_measured(run, setting.score), "command": command})
    return rows, [*missing]


def write(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Write a table.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(file, text.getvalue())


def read(file: Path) -> list[Row]:
    """Read it back.

    Raises:
        ValueError: it is not such a table.
        OSError: it cannot be read.
    """
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    for number, row in enumerate(rows, start=2):
        if set(row) != {*COLUMNS} or None in row.values():
            raise ValueError(f"{file}, line {number}: the columns are not {', '.join(COLUMNS)}")
        try:
            float(row["score"]), float(row["rising"]), int(row["seed"]), int(row["parameters"])
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from error
    return rows


def scores_of(rows: Iterable[Row], claim: str) -> Scores:
    """setting -> contender -> score of each seed."""
    scores: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["claim"] == claim:
            scores.setdefault(row["setting"], {}).setdefault(row["contender"], []).append(float(row["score"]))
    return scores


def _measured(run: Run, score: str) -> dict[str, Any]:
    result = run.result
    assert result is not None
    measured = Measure(score, "success").of(run)
    if measured is None:
        raise ValueError(f"{run.folder} has no {score}; train it with experiment=atlas")
    counts = result["parameters"]
    return {
        "score": measured,
        "measure": score,
        "trained": result["success"]["mean"],
        "return": result["return"]["mean"],
        "steps": result["steps"],
        "parameters": counts["encoder"] + counts["head"],
        "rising": rising([row["success"] or 0.0 for row in run.evaluations]),
        "steps_per_second": (run.timing or {}).get("steps_per_second", ""),
        # a result does not tell this project's own release
        **{package: result.get("versions", {}).get(package) or version(package) for package in PACKAGES},
    }


def rising(successes: Sequence[float]) -> float:
    """How much the last fifth of a curve is above the fifth before it, on average."""
    fifth = len(successes) // 5
    if fifth == 0:
        return 0.0
    last, before = successes[-fifth:], successes[-2 * fifth : -fifth]
    return round(sum(last) / fifth - sum(before) / fifth, 4)
