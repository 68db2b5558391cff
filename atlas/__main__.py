"""The atlas: which architecture generalizes where.

    python -m atlas [claim ...]                   the verdicts, from results/atlas.csv
    python -m atlas --train [claim ...]           train the runs in runs/ that are missing, one for each CPU at a time
    python -m atlas --collect runs                write results/atlas.csv from finished runs, and list the others
    python -m atlas --write docs                  write atlas.md and atlas.png there, and README's table

`python train.py -m experiment=atlas seed=0,1,2,3,4` trains six encoders on nine tasks of the atlas.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from atlas.claims import SEEDS, Claim, claims, jobs
from atlas.collect import Row, read, rows_of, scores_of, write
from atlas.show import draw, page, renew, summary
from atlas.verdict import verdict
from configs.command_line import sweep
from configs.compose import UsageError

PROJECT = Path(__file__).resolve().parent.parent
RESULTS, README = PROJECT / "results" / "atlas.csv", PROJECT / "README.md"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m atlas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("claims", nargs="*", help="only these; all, if none is named")
    parser.add_argument("--train", action="store_true", help="train the runs that are missing")
    parser.add_argument("--jobs", default="auto", help="how many train at a time; default: one for each CPU")
    parser.add_argument("--collect", type=Path, metavar="RUNS", help="write the table from the runs in this folder")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FILE", help="the table; default: results/atlas.csv"
    )
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write atlas.md, atlas.png and README's table")
    given = parser.parse_args(arguments)
    try:
        chosen = claims(given.claims)
        if given.jobs != "auto" and not (given.jobs.isdecimal() and int(given.jobs) > 0):
            raise UsageError(f"--jobs is how many runs train at a time: auto, or 1 or more; got {given.jobs}")
        if given.train:
            return train_all(chosen, given.jobs)
        if given.collect:
            collect(given.collect, given.results)
        rows = read(given.results)
        if given.write:
            page(claims(), rows, given.write / "atlas.md")
            draw(claims(), rows, given.write / "atlas.png")
            renew(README, summary([claim for claim in claims() if scores_of(rows, claim.name)], rows))
        say(chosen, rows)
    except FileNotFoundError as error:
        print(f"error: there is no {error.filename}; python -m atlas --collect runs makes it", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def train_all(chosen: Sequence[Claim], at_once: str) -> int:
    """Train the runs of some claims, as a sweep; returns the exit code."""
    import train

    runs = [[*each.overrides, f"seed={seed}"] for seed in SEEDS for each in jobs(chosen)]
    return sweep("train", train.main, train.SWEEPABLE, runs, at_once)


def collect(runs: Path, file: Path) -> None:
    """Write the table, and say which runs are missing."""
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}; python -m atlas --train makes the runs")
    rows, missing = rows_of(claims(), runs)
    file.parent.mkdir(parents=True, exist_ok=True)
    write(rows, file)
    print(f"written: {file}, {len(rows)} rows; {len(missing)} runs are missing")
    print("".join(f"  {command}\n" for command in missing), end="")


def say(chosen: Sequence[Claim], rows: Sequence[Row]) -> None:
    """Print the verdicts."""
    for claim in chosen:
        found = verdict(claim, scores_of(rows, claim.name))
        print(f"{claim.name}: {found.word}\n  {claim.says} ({claim.source})")
        if found.advantage:
            print(f"  {claim.favoured} over {claim.rival}: {found.advantage}, {claim.matters.shown}")
            print(f"  due to the property: {found.due}; {found.seeds} seeds; without it: {claim.removed.shown}")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # end without a word when whoever read the output has gone, as `head` does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
