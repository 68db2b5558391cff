"""Compare finished runs of any environments: a table, what it supports in words, and a report.

    python train.py -m env=DoorKey-5x5 encoder=mlp,cnn,gnn seed=0,1,2,3,4
    python compare.py runs/DoorKey-5x5

Scores are those of the last policy on fresh episodes, never of the best one.
From Python: `compare_runs({"runs": "runs"})`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command_line import command_line
from configs.compose import UsageError, compose, overrides_of

if TYPE_CHECKING:
    from comparing.comparison import Comparison

SENTENCES = 30  # printed; all are in report/words.txt


def compare_runs(config: Mapping[str, Any] | Sequence[str] = (), **options: Any) -> Comparison:
    """Compare the finished runs below folders.

    Args:
        config: a partial mapping or a list of overrides of configs/compare.yaml.
        options: more entries of the mapping.

    Raises:
        ValueError: no finished run there; damaged ones are left out with a warning. A measure or threshold that these
            runs cannot have.
        OSError: the report cannot be written.
    """
    given = overrides_of(config) if isinstance(config, Mapping) else list(config)
    settings = compose("compare", given + overrides_of(options))
    threshold = settings["threshold"]
    if threshold != "auto" and (isinstance(threshold, bool) or not isinstance(threshold, (int, float))):
        raise UsageError(f"threshold is auto or a number; got {threshold!r}")
    if not isinstance(settings["figures"], bool):
        raise UsageError(f"figures is true or false; got {settings['figures']!r}")
    folders = settings["runs"] if isinstance(settings["runs"], list) else [settings["runs"]]
    roots = [Path(folder) for folder in folders]
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"there is no folder {root}; {_instead(root)}")

    from comparing.compare import compare
    from evaluation.runs import look_for_runs

    found, left_out = look_for_runs(roots)
    for _, reason in left_out:
        print(f"warning: left out: {reason}", file=sys.stderr)
    if not any(run.result for run in found):
        there = ", ".join(map(str, roots))
        raise UsageError(f"there is no finished run below {there}; train.py puts runs into runs/")
    comparison = compare(found, left_out, settings["measure"], None if threshold == "auto" else float(threshold))
    _print(comparison)
    output = Path(settings["output"] or Path(os.path.commonpath(roots), "report"))
    _write(comparison, output, settings["figures"])
    return comparison


def _instead(root: Path) -> str:
    """What to type for a folder that is not there."""
    from configs.compose import existing

    there = sorted(str(folder) for folder in root.parent.glob("[!.]*") if folder.is_dir())
    if there:
        return f"there are: {', '.join(there[:10])}{' and more' if len(there) > 10 else ''}"
    env = root.name if root.name in existing("env") else "<name>"
    return f"train first: python train.py -m env={env} encoder=mlp,cnn seed=0,1,2,3,4"


def _print(comparison: Comparison) -> None:
    """The tables, what makes runs less comparable, what the runs support, and what is missing."""
    from comparing.tables import aggregate_table, environment_table, heading
    from comparing.words import counted, not_there, sentences, shared

    if common := shared(comparison):
        print(f"{common}\n")
    for environment in comparison.environments:
        print(heading(environment))
        print(environment_table(environment))
        for note in environment.notes:
            print(f"note: {note}")
        print()
    aggregate = comparison.aggregate
    if len(aggregate.environments) > 1 and aggregate.totals:
        print(f"{len(aggregate.environments)} environments: estimates and 95% intervals (stratified bootstrap)")
        print(aggregate_table(comparison))
    if len(comparison.environments) > 1:
        for reason in aggregate.left_out:
            print(f"not in the average: {reason}")
        print()
    said = sentences(comparison)
    print(counted(comparison))
    for sentence in said[:SENTENCES]:
        print(f"  {sentence}")
    if len(said) > SENTENCES:
        print(f"  and {len(said) - SENTENCES} more in words.txt")
    for line in not_there(comparison):
        print(line)


def _write(comparison: Comparison, output: Path, figures: bool) -> None:
    """The report."""
    from comparing.figures import draw
    from comparing.page import write_page
    from comparing.tables import to_csv, to_latex
    from comparing.words import counted, not_there, sentences
    from storage.durable import write_file

    said = [counted(comparison), *sentences(comparison), *not_there(comparison)]
    files = {"results.csv": to_csv(comparison), "table.tex": to_latex(comparison), "words.txt": "\n".join(said) + "\n"}
    for name, content in files.items():
        write_file(output / name, content)
    drawn = draw(comparison, output) if figures else []
    write_page(comparison, output / "report.html")
    print(f"written: {', '.join(str(output / name) for name in ['report.html', *files])}, {len(drawn) // 2} figures")


def main(overrides: list[str]) -> int:
    compare_runs(overrides)
    return 0


if __name__ == "__main__":
    command_line("compare", main)
