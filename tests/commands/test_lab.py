"""`lab.py` as a user types it."""

from __future__ import annotations

import pytest
from conftest import command

from laboratory.claims import NAMES


def test_alone_it_lists_the_claims():
    said = command("lab.py")
    assert said.returncode == 0
    assert all(any(line.startswith(f"{name} ") for line in said.stdout.splitlines()) for name in NAMES)


def test_a_claim_is_measured_and_drawn(tmp_path):
    said = command("lab.py", "reductions", "quick=true", f"output={tmp_path}")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("reductions: held (quick: 2 seeds instead of 20)")
    assert {file.name for file in tmp_path.iterdir()} == {"reductions-quick.json", "reductions-quick.png"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["claim=reduction"], "did you mean reductions or"),
        (["claim=reductions", "quick=3"], "quick is true or false; got 3"),
        (["claim=all", "jobs=0"], "jobs is how many claims are measured at a time: auto, or 1 or more; got 0"),
        (["write=docs", "quick=true"], "write= writes the page from results/lab and measures nothing"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(words, message):
    said = command("lab.py", *words)
    assert said.returncode == 2
    assert message in said.stderr and said.stderr.count("\n") == 1
