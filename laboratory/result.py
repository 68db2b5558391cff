"""The result of a claim's measurement, as a file and as a picture."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from comparing.figures import STYLE
from evaluation.pictures import pyplot
from evaluation.scores import Interval
from laboratory.claim import Claim, Row
from storage.durable import write_file
from storage.plain import from_json

PACKAGES = ("inductive-rl", "numpy", "torch")
DOTS = 110  # per inch


@dataclass(frozen=True)
class Result:
    """Attributes:
    effect: the number that decides, with its interval.
    word: the verdict.
    quick: whether it was measured the quick way.
    seconds: that the measurement took.
    rows, drawn, notes: as in `Measured`.
    versions: of the packages that computed it.
    """

    effect: Interval
    word: str
    quick: bool
    seconds: float
    rows: Sequence[Row]
    drawn: Mapping[str, Any]
    notes: Sequence[str]
    versions: Mapping[str, str]


def measured(claim: Claim, quick: bool = False) -> Result:
    """Measure a claim."""
    began = time.perf_counter()
    found = claim.measure(quick)
    taken = time.perf_counter() - began if found.seconds is None else found.seconds
    effect = Interval(**found.effect.to_data())  # as the file will have it
    versions = {package: version(package) for package in PACKAGES}
    said = claim.word(effect)
    return Result(effect, said, quick, round(taken, 1), [*found.rows], found.drawn, [*found.notes], versions)


def write(result: Result, file: Path) -> None:
    """Write a result as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    content = asdict(replace(result, effect=None)) | {"effect": result.effect.to_data()}  # type: ignore[arg-type]
    write_file(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read(claim: Claim, file: Path) -> Result:
    """Read a result back; the verdict is that of its number now.

    Raises:
        ValueError: the file is not one.
        OSError: it cannot be read.
    """
    try:
        content = from_json(file.read_bytes())
        effect = Interval(**content.pop("effect"))
        return replace(Result(effect=effect, **content), word=claim.word(effect))
    except TypeError as error:
        raise ValueError(f"{file} is not a result of lab.py: {error}") from error


def draw(claim: Claim, result: Result, file: Path) -> None:
    """Draw a result from what its file holds alone.

    Raises:
        OSError: the picture cannot be written.
    """
    plt = pyplot()
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=claim.size, layout="constrained")
        claim.draw(result.rows, result.drawn, figure)
        content = io.BytesIO()
        figure.savefig(content, dpi=DOTS, format="png")
        plt.close(figure)
    write_file(file, content.getvalue())
