"""A run with logger=wandb is the same run, and Weights & Biases has its configuration and its curves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interrupted import DEATHS, of, train_killed

from benchmarks.kills import differences, scalars
from configs.compose import compose, compose_defaults
from evaluation.runs import run_folder
from train import train

CARTPOLE = of("CartPole")
BLOCK, HEADER = 32768, 7  # bytes of the log format of LevelDB, which offline runs are written in


def records(file: Path) -> Iterator[Any]:
    """What an offline run holds: the file is LevelDB's log of protocol buffers, behind one header more."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, part = file.read_bytes(), HEADER, b""
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        part += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(part)
            part = b""


@pytest.mark.slow
def test_weights_and_biases_has_what_tensorboard_has_and_changes_nothing(monkeypatch):
    """A run that was killed is one run there: the same id, and the points of the whole run."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(CARTPOLE, run_dir="plain")
    train_killed(monkeypatch, DEATHS[:1], {**CARTPOLE, "logger": "wandb"}, "killed")
    assert differences("plain", "killed") == []
    assert train({**CARTPOLE, "logger": None}, run_dir="killed").scores is not None  # it is the same run without

    files = [*Path("wandb").glob("offline-run-*/*.wandb")]
    assert len(files) == 2 and {file.stem for file in files} == {
        f"run-{json.loads(Path('killed/wandb.json').read_text())['id']}"
    }
    points: dict[str, set[tuple[int, float]]] = {}
    configs: dict[str, Any] = {}
    for record in (each for file in files for each in records(file)):
        if record.HasField("history"):
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for key in row.keys() - {"steps"}:
                points.setdefault(key, set()).add((int(row["steps"]), row[key]))
        for change in (*record.config.update, *record.run.config.update):
            configs[change.key or change.nested_key[0]] = json.loads(change.value_json)
    assert configs["env"]["name"] == "CartPole" and configs["agent"]["n_steps"] == 16
    for tag, curve in scalars(Path("killed")).items():
        expected = [(step, pytest.approx(value, rel=1e-6)) for step, value in sorted({*curve})]
        assert sorted(points[tag]) == expected, tag
    assert "final/return" in points and "evaluation/return" in points


def test_a_missing_extra_is_one_line_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr("evaluation.weights_and_biases.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'^logger=wandb needs the package wandb: pip install -e "\.\[wandb\]"$'):
        train(CARTPOLE, logger="wandb", run_dir="run")
    with pytest.raises(ValueError, match=r"^logger is null or wandb, .*got 'mlflow'$"):
        train(CARTPOLE, logger="mlflow", run_dir="run")
    assert not Path("run").exists()


def test_so_is_a_missing_key(monkeypatch):
    wandb = pytest.importorskip("wandb")

    def refuse():
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr("wandb.login", refuse)
    with pytest.raises(ValueError, match=r"Use `wandb login` to log in\. Or keep the runs here: WANDB_MODE=offline$"):
        train(CARTPOLE, logger="wandb", run_dir="run")
    assert not Path("run").exists()


def test_the_logger_does_not_name_a_run():
    overrides = ["env=CartPole", "logger=wandb"]
    assert run_folder(compose("train", overrides), compose_defaults(overrides)).parent.name == "default"
