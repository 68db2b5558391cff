"""The atlas: which architecture generalizes where.

    python -m atlas                                  the verdicts, from results/atlas.csv
    python -m atlas --collect runs                   write results/atlas.csv from finished runs; lists what is missing
    python -m atlas --train --jobs 2 [claim ...]     train the runs that are missing
    python -m atlas --write docs                     write atlas.md and atlas.png there

`python train.py -m experiment=atlas seed=0,1,2,3,4` trains all encoders on all tasks of the atlas.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from atlas.claims import claims
from atlas.collect import read, rows_of, scores_of, write
from atlas.verdict import verdict
from configs.compose import UsageError

RESULTS = Path(__file__).resolve().parent.parent / "results" / "atlas.csv"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m atlas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("claims", nargs="*", help="only these; all, if none is named")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table; default: %(default)s")
    parser.add_argument("--collect", type=Path, metavar="RUNS", help="write the table from the runs in this folder")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write atlas.md and atlas.png")
    given = parser.parse_args(arguments)
    try:
        chosen = claims(given.claims)
        if given.collect:
            rows, missing = rows_of(claims(), given.collect)
            given.results.parent.mkdir(parents=True, exist_ok=True)
            write(rows, given.results)
            print(f"written: {given.results}, {len(rows)} rows; {len(missing)} are missing")
            print("".join(f"  {command}\n" for command in dict.fromkeys(missing)), end="")
        rows_read = read(given.results)
        for claim in chosen:
            found = verdict(claim, scores_of(rows_read, claim.name))
            print(f"{claim.name}: {found.word}")
            print(f"  {claim.says} ({claim.source})")
            if found.advantage:
                print(f"  {claim.favoured} over {claim.rival}: {found.advantage}, {claim.matters.shown}")
                print(f"  due to the property: {found.due}; {found.seeds} seeds; control: {claim.removed.shown}")
        if given.write:
            from atlas.show import draw, page

            page(chosen, rows_read, given.write / "atlas.md")
            draw(chosen, rows_read, given.write / "atlas.png")
    except FileNotFoundError as error:
        print(f"error: there is no {error.filename}; python -m atlas --collect runs makes it", file=sys.stderr)
        return 2
    except (UsageError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
