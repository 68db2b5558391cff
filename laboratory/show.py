"""Claims and results in the terminal, and as a page of the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.report import markdown, table
from laboratory.claim import Claim, Row
from laboratory.claims import how
from laboratory.result import Result, draw
from storage.durable import write_file

MISSING = "not yet measured"
WIDTH = 110  # of a line in the terminal
MOST = 60  # rows of a table on the page; the file has all

TOP = """# The claims, measured

`python lab.py claim=all output=results/lab`, then `python lab.py write=docs`, writes this page and its pictures: the
second from the numbers in `results/lab` alone. `python lab.py claim=<name>` measures one claim. That takes minutes on
one CPU, and two hours for the table of tasks; `quick=true` takes less of everything, and under a minute. The times
below were taken on a machine that had other work, so a free one needs less.

A claim **held** if the interval of its number lies above the bound that is stated with it, **did not hold here** if it
lies below, and is **undecided** otherwise. Intervals are 95%, over seeds; a number without one is exact."""


def listing(claims: Mapping[str, Claim], results: Mapping[str, Result]) -> str:
    """Each claim by its name, with the verdict of the committed results."""
    width = max(map(len, claims)) + 2
    lines = []
    for name, claim in claims.items():
        text = f"{claim.says} ({claim.source}): {verdict(results.get(name))}"
        lines.append(textwrap.fill(text, WIDTH, initial_indent=name.ljust(width), subsequent_indent=" " * width))
    return "\n".join(
        [
            *lines,
            "",
            "python lab.py claim=<name> measures one, claim=all all of them; quick=true takes a minute for each",
        ]
    )


def verdict(result: Result | None) -> str:
    return result.word if result else MISSING


def told(name: str, claim: Claim, result: Result) -> str:
    """A result in the terminal."""
    quick = f" (quick: {claim.quick})" if result.quick else ""
    head = [f"{name}: {result.word}{quick}", f"  {claim.says} ({claim.source})", f"  {decides(claim, result)}", ""]
    return "\n".join([*head, *_aligned(result.rows), "", *(f"note: {note}" for note in result.notes)]).rstrip()


def decides(claim: Claim, result: Result) -> str:
    """The number with its interval, and the bound above which the claim holds."""
    mean, low, high = result.effect
    number = f"{mean:.4g}" if low == high else str(result.effect)
    return f"{claim.number}: {number}; it holds above {claim.least:g}"


def write_page(claims: Mapping[str, Claim], results: Mapping[str, Result], folder: Path) -> list[Path]:
    """Write claims.md, and a picture of each claim beside it; returns the files.

    Raises:
        OSError: a file cannot be written.
    """
    files = {name: folder / "claims" / f"{name}.png" for name in claims if name in results}
    for name, file in files.items():
        draw(claims[name], results[name], file)
    write_file(folder / "claims.md", page(claims, results))
    return [*files.values(), folder / "claims.md"]


def page(claims: Mapping[str, Claim], results: Mapping[str, Result]) -> str:
    """The text of claims.md."""
    parts = [TOP, _summary(claims, results)]
    for name, claim in claims.items():
        result = results.get(name)
        parts += [f"## {name.capitalize()}: {verdict(result)}", f"{claim.says} ({claim.source})", how(name)]
        if result:
            parts += [f"![{claim.number}](claims/{name}.png)", f"{_sentence(decides(claim, result))}."]
            parts += [*result.notes, _markdown([_shown(row) for row in result.rows[:MOST]])]
            if len(result.rows) > MOST:
                parts.append(f"`results/lab/{name}.json` has all {len(result.rows):,} rows.")
            parts.append(_made(result))
        parts.append(f"```sh\npython lab.py claim={name}\n```")
    return "\n\n".join(parts) + "\n"


def _summary(claims: Mapping[str, Claim], results: Mapping[str, Result]) -> str:
    rows = []
    for name, claim in claims.items():
        result = results.get(name)
        number = decides(claim, result) if result else claim.number
        rows.append({"claim": f"[{name}](#{_anchor(name, result)})", "number": number, "verdict": verdict(result)})
    return _markdown(rows)


def _anchor(name: str, result: Result | None) -> str:
    return f"{name}-{verdict(result)}".replace(" ", "-")


def _made(result: Result) -> str:
    versions = ", ".join(f"{package} {number}" for package, number in result.versions.items())
    return f"Measured in {result.seconds:,.0f} s with {versions}."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _shown(row: Row) -> dict[str, str]:
    return {column: _cell(value) for column, value in row.items()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    return markdown([*rows[0]], [[*row.values()] for row in rows])


def _aligned(rows: Sequence[Row]) -> list[str]:
    """A table in the terminal: text to the left, numbers to the right."""
    header = [*rows[0]]
    texts = {number for number, column in enumerate(header) if any(isinstance(row[column], str) for row in rows)}
    lines = table(header, [[*_shown(row).values()] for row in rows], texts).split("\n")
    return [line.rstrip() for line in lines]
