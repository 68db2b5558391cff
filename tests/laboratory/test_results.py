"""A result: what decides, its file, its picture, the page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import PROJECT

from evaluation.scores import Interval
from lab import committed
from laboratory import claims, measured
from laboratory.claims import NAMES, claim
from laboratory.claims.constraint import declared
from laboratory.result import draw, read, write
from laboratory.show import page, told, write_page


def test_a_file_in_claims_is_a_claim_and_its_name_is_in_the_list():
    files = (PROJECT / "laboratory" / "claims").glob("*.py")
    assert sorted(NAMES) == sorted(file.stem for file in files if file.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_says_what_it_is_where_it_comes_from_and_what_decides(name):
    each = claim(name)
    assert each.says.endswith(".") and each.source and each.number and each.quick
    assert re.search(r"\d{4}", each.source), "no year"


def test_a_claim_held_if_its_interval_lies_above_the_bound_and_not_if_it_lies_below():
    each = replace(claim("reductions"), least=0.5)
    for low, high, word in ((0.6, 0.9, "held"), (0.1, 0.4, "did not hold here"), (0.4, 0.6, "undecided")):
        assert each.word(Interval((low + high) / 2, low, high)) == word


def test_a_result_is_the_same_when_it_was_read_back_and_damage_is_named(tmp_path):
    each, file = claim("reductions"), tmp_path / "some.json"
    result = measured(each, quick=True)
    write(result, file)
    assert read(each, file) == result
    file.write_text(file.read_text().replace('"seconds"', '"hours"'))
    with pytest.raises(ValueError, match="is not a result of lab"):
        read(each, file)


def test_the_page_has_the_numbers_of_the_results_and_their_pictures(tmp_path):
    known = claims()
    result = measured(known["reductions"], quick=True)
    files = write_page(known, {"reductions": result}, tmp_path)
    text = (tmp_path / "claims.md").read_text()
    assert files == [tmp_path / "claims" / "reductions.png", tmp_path / "claims.md"]
    number = f"{result.effect.mean:.4g}"
    assert number in text and number in told("reductions", known["reductions"], result)
    for row in result.rows:
        assert f"| {row['layer']} | {row['is']} |" in text
    draw(known["reductions"], result, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == files[0].read_bytes()
    assert text.count("not yet measured") == 2 * (len(NAMES) - 1)


def test_the_page_of_the_documentation_is_what_its_command_writes():
    text = (PROJECT / "docs" / "claims.md").read_text()
    assert text == page(claims(), committed()), "python lab.py write=docs makes it anew"
    pictures = {file.stem for file in (PROJECT / "docs" / "claims").glob("*.png")}
    assert pictures == {*committed()}


def test_the_constraints_that_environments_declare_are_counted_whatever_is_installed():
    rows = {row["map"]: row for row in declared()}
    assert {"CartPole", "Acrobot", "Pendulum"} <= rows.keys()
    assert (rows["CartPole"]["free"], rows["CartPole"]["constrained"]) == (8, 4)
