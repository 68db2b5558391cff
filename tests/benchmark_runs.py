"""Running a benchmark as a command and reading the numbers that it wrote."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from conftest import command


def run(*arguments: str) -> dict[str, Any]:
    """What the benchmark wrote with `--json`."""
    done = command(f"benchmarks/{arguments[0]}.py", *arguments[1:], "--json", "numbers.json")
    assert done.returncode == 0, done.stderr
    return json.loads(Path("numbers.json").read_text())


def positive(numbers: Any) -> bool:
    return all(isinstance(each, (int, float)) and math.isfinite(each) and each > 0 for each in numbers)
