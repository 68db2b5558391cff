"""Tables of runs."""

from __future__ import annotations

import csv
import io
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from evaluation.runs import Run, label
from evaluation.scores import Interval, student_interval
from storage.durable import write_file

PROJECT = Path(__file__).resolve().parent.parent
MEASURES = ("return", "success", "gap")
SUCCESS = 0.9  # the success that "steps to" counts to, where the environment defines success


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns with two spaces between them: the first aligned to the left, the others to the right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def parameter_counts(policy: nn.Module) -> dict[str, int]:
    """Trained parameters of the encoder(s) and of everything behind them; target networks are not counted."""
    counts = {"encoder": 0, "head": 0}
    for name, parameter in policy.named_parameters():
        if "target" not in name.split(".")[0]:
            counts["encoder" if "features_extractor" in name else "head"] += parameter.numel()
    return counts


def result_table(run: Run) -> str:
    """The results of a finished run, one line for each."""
    result, timing = run.result, run.timing or {}
    assert result is not None
    frozen = " (frozen)" if run.config["encoder"].get("freeze") else ""
    rows = [("return", interval(result["return"]))]
    if result["success"] is not None:
        rows.append(("success", interval(result["success"])))
    rows += [("of optimal", line) for line in of_optimal(result)]
    rows += [
        ("", f"mean and 95% interval of {result['episodes']} fresh episodes, sampled actions"),
        *gap_rows(result.get("levels")),
        ("environment steps", f"{result['steps']:,}"),
        (
            "wall time",
            f"{timing.get('wall_seconds', 0):.1f} s, {timing.get('steps_per_second', 0):,} steps/s of learning",
        ),
        ("parameters", f"{result['parameters']['encoder']:,} encoder{frozen}, {result['parameters']['head']:,} head"),
        ("policy", str(run.folder / "policy")),
        ("learning curve", str(run.folder / "learning_curve.png")),
        ("TensorBoard", f"tensorboard --logdir {run.folder}"),
        ("replay", replay(run)),
    ]
    return "\n".join(f"  {label:<18} {value}".rstrip() for label, value in rows)


def gap_rows(levels: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What is known of a policy on levels of training and of tests, as lines of a table."""
    if levels is None:
        return []
    if levels["gap"] is None:
        return [("generalization gap", f"not known: {levels['reason']}")]
    measure = levels["measure"]
    scores = (f"{interval(levels[part][measure])} on {part} levels" for part in ("training", "test"))
    return [("generalization gap", interval(levels["gap"])), ("", f"{measure} {', '.join(scores)}")]


def replay(run: Run) -> str:
    """The command that films a run's policy, for the folder and the way in which this program was started."""
    main = sys.modules["__main__"]
    started = Path(getattr(main, "__file__", None) or "").resolve()
    program = PROJECT / "evaluate.py"
    if Path.cwd() == PROJECT:
        words = ["evaluate.py"]
    elif started.parent == PROJECT and getattr(main, "__spec__", None) is None:  # python <folder>/train.py
        words = [str(program)]
    else:  # python -m train, or a script of the user's that imports it
        words = ["-m", "evaluate"]
    package, colon, _ = run.config["env"]["id"].partition(":")
    trusted = list(run.config.get("trust", []))
    if colon and not any(f"{package}.".startswith(f"{name}.") for name in trusted):  # training needs no trust for it
        trusted.append(package)
    trust = [f"trust=[{','.join(trusted)}]"] if trusted else []
    return shlex.join(["python", *words, f"policy={run.folder}", "video=replay.gif", *trust])


def of_optimal(scores: Mapping[str, Any]) -> list[str]:
    """The share of the best possible return, or why it is not known; nothing in environments without levels."""
    if "of_optimal" not in scores:
        return []
    known = scores["of_optimal"]
    return [interval(known) if known else f"left out: {scores['of_optimal_left_out']}"]


def interval(data: dict[str, float]) -> str:
    """An interval read back from JSON, as text."""
    return str(Interval(data["mean"], data["low"], data["high"]))


def measure_of(runs: Sequence[Run]) -> str:
    """ "success" if every run has it, else "return"."""
    return "success" if all(run.result and run.result["success"] is not None for run in runs) else "return"


def steps_to(run: Run, measure: str, threshold: float | None) -> float | None:
    """Environment steps until the first evaluation at or above the threshold; None if there was none."""
    if threshold is None:
        return None
    return next((row["steps"] for row in run.evaluations if (row[measure] or 0.0) >= threshold), None)


def compare(runs: Sequence[Run], threshold: float | None) -> list[dict[str, Any]]:
    """One row for each label: seeds, mean and 95% interval over seeds, median steps to the threshold, steps/s."""
    measure = measure_of(runs)
    rows = []
    for name in sorted({label(run) for run in runs}):
        group = [run for run in runs if label(run) == name]
        results = [run.result for run in group if run.result is not None]
        gaps = [found["gap"]["mean"] for result in results if (found := result.get("levels")) and found["gap"]]
        reached = [steps_to(run, measure, threshold) for run in group]
        # a run that never reached it took longer than every one that did: the median counts it as infinite
        median = float(np.median([np.inf if steps is None else steps for steps in reached]))
        rows.append(
            {
                "run": name,
                "seeds": len(group),
                "return": student_interval(np.array([result["return"]["mean"] for result in results])),
                "success": None
                if measure == "return"
                else student_interval(np.array([result["success"]["mean"] for result in results]), within=(0, 1)),
                "gap": student_interval(np.array(gaps)) if gaps else None,
                "steps_to": median,
                "reached": sum(steps is not None for steps in reached),
                "steps": max(result["steps"] for result in results),
                "steps_per_second": float(
                    np.median([run.timing["steps_per_second"] for run in group if run.timing] or [0])
                ),
                "parameters": sum(results[0]["parameters"].values()),
            }
        )
    return rows


def mixed_releases(runs: Sequence[Run]) -> str | None:
    """Which runs were made with which release of their environment's simulator; None if it was one release."""
    made: dict[str, list[str]] = {}
    for run in runs:
        simulator = (run.result or {}).get("simulator")
        if simulator:  # runs of earlier versions do not say
            release = f"{simulator} {run.result['versions'].get(simulator)}"  # type: ignore[index]
            made.setdefault(release, []).append(f"{label(run)} seed={run.config['seed']}")
    if len(made) < 2:
        return None
    return "; ".join(
        f"{release}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        for release, names in sorted(made.items())
    )


def mixed_lengths(runs: Sequence[Run]) -> str | None:
    """Which rows of `compare` hold runs of different lengths, and of which; None if none does."""
    steps: dict[str, set[int]] = {}
    for run in runs:
        steps.setdefault(label(run), set()).add((run.result or {}).get("steps", 0))
    mixed = {name: sorted(found) for name, found in sorted(steps.items()) if len(found) > 1}
    rows = [f"{name} ({', '.join(f'{number:,}' for number in found)} steps)" for name, found in mixed.items()]
    return "; ".join(rows) or None


def comparison_table(rows: Sequence[dict[str, Any]], threshold: float | None) -> str:
    """The rows of `compare` as text."""
    named = ["return", *(key for key in ("success", "gap") if any(row[key] is not None for row in rows))]
    target = "-" if threshold is None else f"{threshold:g}"
    header = ["run", "seeds", *named, f"steps to {target}", "steps/s", "parameters"]
    lines = []
    for row in rows:
        steps = f"{row['steps_to']:,.0f}" if np.isfinite(row["steps_to"]) else "not reached"
        if 0 < row["reached"] < row["seeds"]:
            steps += f" ({row['reached']} of {row['seeds']})"
        # one seed tells nothing about others, so it gets no interval
        values = ["-" if row[key] is None else str(row[key]) for key in named]
        measures = [value if row["seeds"] > 1 else value.split(" ")[0] for value in values]
        numbers = [steps, f"{row['steps_per_second']:,.0f}", f"{row['parameters']:,}"]
        lines.append([row["run"], str(row["seeds"]), *measures, *numbers])
    return table(header, lines)


def write_csv(comparisons: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Write the rows of `compare` for each environment, one line each."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    measures = [f"{measure}{part}" for measure in MEASURES for part in ("", "_low", "_high")]
    writer.writerow(
        ["env", "run", "seeds", *measures, "steps_to", "reached", "steps", "steps_per_second", "parameters"]
    )
    for env, rows in comparisons.items():
        for row in rows:
            intervals = [number for key in MEASURES for number in row[key] or ("", "", "")]
            steps = row["steps_to"] if np.isfinite(row["steps_to"]) else ""
            rest = [steps, row["reached"], row["steps"], row["steps_per_second"], row["parameters"]]
            writer.writerow([env, row["run"], row["seeds"], *intervals, *rest])
    write_file(file, text.getvalue())
