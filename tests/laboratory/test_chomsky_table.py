"""The table of tasks and architectures: what counts as matched, and that no fit is repeated."""

from __future__ import annotations

import pytest

from envs.chomsky import TASKS
from evaluation.pictures import pyplot
from laboratory.claims import chomsky


def paper():
    """A table with the paper's numbers in every cell."""
    return {
        task: {name: [{"trained": 100.0, "longer": number}] for name, number in cells.items()}
        for task, cells in chomsky.PAPER.items()
    }


def test_the_papers_table_has_every_task_and_architecture():
    assert {*chomsky.PAPER} == {*TASKS}
    assert all([*cells] == [*chomsky.NETWORKS] for cells in chomsky.PAPER.values())


def test_the_papers_own_numbers_match_in_all_tasks_and_each_other_solved_cell_counts_one_less():
    assert chomsky._counted(paper()) == (15, 15, 15)
    for task, name, longer in (("parity_check", "RNN", 89.9), ("reverse_string", "LSTM", 90.0)):
        table = paper()
        table[task][name] = [{"trained": 100.0, "longer": longer}]
        assert chomsky._counted(table) == (14, 14, 14)
        row = chomsky._row(task, table[task])
        assert row["as in the paper"] == "no" and name in row["why not"]
        assert chomsky._missed(table) == ([(task, name)] if task == "parity_check" else [])
    table = paper()
    table["parity_check"]["Tape-RNN"] = [{"trained": 0.0, "longer": 0.0}]
    assert chomsky._counted(table) == (15, 15, 15), "the tape does not decide"


def test_a_seed_that_alone_solves_a_task_widens_the_interval():
    table = paper()
    table["parity_check"]["RNN"] = [{"trained": 100.0, "longer": longer} for longer in (100.0, 50.0, 50.0)]
    assert chomsky._counted(table) == (15, 14, 15)


def test_a_fit_is_read_from_its_file_unless_it_was_asked_for_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr(chomsky, "CELLS", tmp_path)
    monkeypatch.setattr(chomsky, "STEPS", 2)
    monkeypatch.setattr(chomsky, "LONGER", (41,))
    first = chomsky._fit("parity_check", "RNN", 0, quick=False)
    assert [file.name for file in tmp_path.iterdir()] == ["parity_check-rnn-0.json"]

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(chomsky, "fit", never)
    assert chomsky._fit("parity_check", "RNN", 0, quick=False) == first
    monkeypatch.setattr(chomsky, "STEPS", 3)
    with pytest.raises(AssertionError, match="trained again"):
        chomsky._fit("parity_check", "RNN", 0, quick=False)


def test_a_table_is_drawn():
    figure = pyplot().figure()
    chomsky.draw([], {"table": paper()}, figure)
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == [text.get_text() for text in right.texts]
    assert len(left.texts) == 15 * 5
    pyplot().close(figure)
