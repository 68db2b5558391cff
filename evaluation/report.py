"""The table of a run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from evaluation.runs import Run
from evaluation.scores import Interval

PROJECT = Path(__file__).resolve().parent.parent


def table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: Collection[int] = (0,)) -> str:
    """Columns with two spaces between them: those whose numbers are in `texts` to the left, the others to the right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i in texts else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))


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
        *(("body", f"{name}: return {Interval(**score)}") for name, score in result.get("bodies", {}).items()),
        *(("transfer", f"{name}: {_score(score)}") for name, score in result.get("transfer", {}).items()),
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


def _score(score: Mapping[str, Any]) -> str:
    """The success, or the return where an environment defines none."""
    measure = "return" if score["success"] is None else "success"
    return f"{measure} {interval(score[measure])}"


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
