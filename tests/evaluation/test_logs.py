"""Logs that go on after an interruption hold what those of an uninterrupted run hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evaluation.logs import Logs


def log(logs: Logs, step: int) -> None:
    logs.record("time/fps", 1000 + step)
    logs.record("rollout/return", step / 3)
    logs.record("time/iterations", step, exclude="tensorboard")
    if step > 2:  # a column that comes later
        logs.record("train/loss", -step / 7)
    logs.dump(step)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    # files of one second are read in the order of their names, which need not be that of time
    events = EventAccumulator(str(folder), purge_orphaned_data=False).Reload()
    return {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("saved_after", [0, 1, 2, 3])
def test_what_was_written_after_a_snapshot_is_removed_and_written_again(tmp_path, saved_after):
    whole = Logs(tmp_path / "whole")
    for step in range(1, 6):
        log(whole, step)
    whole.close()

    first = Logs(tmp_path / "again")
    for step in range(1, saved_after + 1):
        log(first, step)
    state = first.saved()
    for step in range(saved_after + 1, 5):
        log(first, step)
    first.close()
    second = Logs(tmp_path / "again", state)
    for step in range(saved_after + 1, 6):
        log(second, step)
    second.close()

    for name in ("progress.csv", "log.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert scalars(tmp_path / "again") == scalars(tmp_path / "whole")


def test_the_table_holds_no_clocks_and_its_columns_come_in_the_order_of_their_keys(tmp_path):
    logs = Logs(tmp_path)
    for step in (1, 2, 3):
        log(logs, step)
    logs.close()
    lines = (tmp_path / "progress.csv").read_text().splitlines()
    assert lines[0] == "rollout/return,time/iterations,train/loss"
    assert lines[1] == f"{1 / 3},1," and lines[3] == f"1.0,3,{-3 / 7}"


def test_what_was_recorded_and_not_yet_written_is_part_of_the_state(tmp_path):
    first = Logs(tmp_path)
    first.record("train/loss", 0.5)
    first.record_mean("train/mean", 1.0)
    state = first.saved()
    first.close()
    second = Logs(tmp_path, state)
    second.record_mean("train/mean", 2.0)
    assert dict(second.name_to_value) == {"train/loss": 0.5, "train/mean": 1.5}
    second.close()


def test_rollouts_before_an_interruption_count_for_when_is_logged(tmp_path):
    logged: list[int] = []
    first = Logs(tmp_path)
    for _ in range(3):
        first.after_rollouts(logged.append, every=2)(1)
    state = first.saved()
    first.close()
    second = Logs(tmp_path, state)
    second.after_rollouts(logged.append, every=2)(1)
    second.close()
    assert logged == [2, 4]


def test_a_file_that_lacks_what_it_held_is_an_error(tmp_path):
    logs = Logs(tmp_path)
    log(logs, 1)
    state = logs.saved()
    logs.close()
    (tmp_path / "log.txt").write_text("")
    with pytest.raises(ValueError, match=r"log\.txt is shorter than it was"):
        Logs(tmp_path, state)
