"""A damaged run folder is one warning, and the report is made of the others."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from compare import compare_runs
from evaluation.runs import find_runs, read_run
from train import train

TINY = {"total_timesteps": 512, "evaluation": {"every": 128, "episodes": 2, "final_episodes": 4}, "progress": False}
RUN = Path("runs/DoorKey-5x5/ppo-mlp/default")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run with successes."""
    return train(TINY, env="DoorKey-5x5", run_dir=str(tmp_path_factory.mktemp("trained") / "run")).folder


def say(name, where, value="removed"):
    """Change a field of a file, named by its keys with dots between, or remove it."""

    def damage(folder):
        read, write = (yaml.safe_load, yaml.safe_dump) if name.endswith("yaml") else (json.loads, json.dumps)
        content = read((folder / name).read_text())
        *way, last = where.split(".")
        inner = content
        for key in way:
            inner = inner[key]
        inner[last] = value
        if value == "removed":
            del inner[last]
        (folder / name).write_text(write(content))

    return damage


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def rows(change):
    """Change the lines of evaluations.csv, of which the first is the header."""

    def damage(folder):
        file = folder / "evaluations.csv"
        file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")

    return damage


def field(number, value):
    """Change a field of the second evaluation."""

    def change(lines):
        fields = lines[2].split(",")
        fields[number] = value
        return [*lines[:2], ",".join(fields), *lines[3:]]

    return rows(change)


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-12])


def instead(name, make):
    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


DAMAGES = {
    "config: no YAML": (write("config.yaml", "a: ["), "config.yaml"),
    "config: a list": (write("config.yaml", "[]"), "config.yaml is damaged: the content is a mapping"),
    "config: nothing": (write("config.yaml", ""), "config.yaml"),
    "config: bytes": (write("config.yaml", b"\xff\xfe"), "config.yaml"),
    "config: in itself": (write("config.yaml", "a: &a [*a]"), "config.yaml"),
    "config: deep": (write("config.yaml", "a: " + "[" * 10_000), "config.yaml"),
    "config: a tag": (write("config.yaml", "!!python/object/apply:os.system ['touch canary']"), "names the type"),
    "config: no env": (say("config.yaml", "env"), "lacks env"),
    "config: an env of text": (say("config.yaml", "env", "DoorKey"), "env is a mapping"),
    "config: no name": (say("config.yaml", "env.name"), "env lacks name"),
    "config: a name of lists": (say("config.yaml", "agent.name", ["ppo"]), "agent.name"),
    "config: a name of lines": (say("config.yaml", "encoder.name", "a\nb"), "encoder.name"),
    "config: a seed of text": (say("config.yaml", "seed", "0"), "seed"),
    "config: another seed": (say("config.yaml", "seed", 8), "seed is 0, and 8 in config.yaml"),
    "config: another agent": (say("config.yaml", "agent.name", "dqn"), "agent is 'ppo', and 'dqn'"),
    "config: a pipe": (instead("config.yaml", os.mkfifo), "not a regular file"),
    "config: a folder": (instead("config.yaml", Path.mkdir), "not a regular file"),
    "config: endless": (instead("config.yaml", lambda file: file.symlink_to("/dev/zero")), "a link to elsewhere"),
    "result: no JSON": (write("result.json", "{"), "result.json is damaged: it is no JSON"),
    "result: nothing": (write("result.json", ""), "result.json"),
    "result: zeros": (write("result.json", bytes(500)), "result.json"),
    "result: deep": (write("result.json", "[" * 100_000), "too deep"),
    "result: a list": (write("result.json", "[]"), "result.json is damaged: the content is a mapping"),
    "result: null": (write("result.json", "null"), "the content is a mapping"),
    "result: large": (write("result.json", " " * 1_000_001), "at most 1,000,000"),
    "result: no return": (say("result.json", "return"), "lacks return"),
    "result: a return of null": (say("result.json", "return", None), "return"),
    "result: a return of NaN": (say("result.json", "return.mean", float("nan")), "return.mean is a finite number"),
    "result: a return of infinity": (say("result.json", "return.high", float("inf")), "return.high is a finite"),
    "result: a return of text": (say("result.json", "return.mean", "0.5"), "return.mean"),
    "result: outside its interval": (say("result.json", "return.mean", 99.0), "outside the interval"),
    "result: a success of 2": (say("result.json", "success", {"mean": 2, "low": 2, "high": 2}), "success.mean"),
    "result: no success": (say("result.json", "success", None), "success is there in some"),
    "result: steps of text": (say("result.json", "steps", "512"), "steps"),
    "result: steps below 0": (say("result.json", "steps", -1), "steps"),
    "result: no parameters": (say("result.json", "parameters", {}), "parameters lacks"),
    "result: parameters of lists": (say("result.json", "parameters.head", [1]), "parameters.head"),
    "result: versions of lists": (say("result.json", "versions", [1]), "versions"),
    "result: no versions": (say("result.json", "versions"), "lacks the simulator"),
    "result: a pipe": (instead("result.json", os.mkfifo), "not a regular file"),
    "timing: a list": (write("timing.json", "[]"), "timing.json"),
    "timing: text": (say("timing.json", "steps_per_second", "fast"), "steps_per_second"),
    "timing: NaN": (say("timing.json", "wall_seconds", float("nan")), "wall_seconds"),
    "table: nothing": (write("evaluations.csv", ""), "its columns are not"),
    "table: bytes": (write("evaluations.csv", b"\xff\xff"), "evaluations.csv"),
    "table: other columns": (rows(lambda lines: ["a,b", *lines[1:]]), "its columns are not"),
    "table: no header": (rows(lambda lines: lines[1:]), "its columns are not"),
    "table: a long row": (rows(lambda lines: [*lines, lines[-1] + ",1"]), "more or fewer fields"),
    "table: a short row": (rows(lambda lines: [*lines[:-1], lines[-1].rpartition(",")[0]]), "more or fewer fields"),
    "table: half a row": (cut("evaluations.csv"), "evaluations.csv"),
    "table: zeros": (rows(lambda lines: [*lines, "\0" * 20]), "evaluations.csv"),
    "table: text": (field(1, "one"), "row 2: could not convert"),
    "table: NaN": (field(1, "nan"), "not finite"),
    "table: infinity": (field(1, "inf"), "not finite"),
    "table: a gap": (field(1, ""), "return is empty"),
    "table: a gap in successes": (field(4, ""), "success"),
    "table: a success of 7": (field(4, "7"), "success"),
    "table: back in time": (field(0, "1"), "steps do not increase"),
    "table: a pipe": (instead("evaluations.csv", os.mkfifo), "not a regular file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_one_warning_that_names_its_file(name, trained, tmp_path, capsys):
    damage, message = DAMAGES[name]
    for seed in (0, 1):
        shutil.copytree(trained, RUN / f"seed={seed}")
    damage(RUN / "seed=1")
    assert [run.folder for run in find_runs(Path("runs"))] == [RUN / "seed=0"]
    printed = capsys.readouterr().err
    assert printed.startswith(f"warning: left out: {RUN / 'seed=1'}") and printed.count("\n") == 1
    assert message in printed and len(printed) < 1000
    assert not list(tmp_path.rglob("canary"))


def test_a_comparison_of_damaged_runs_is_made_of_the_intact_ones(trained, capsys):
    for seed, damage in enumerate(DAMAGES.values()):
        shutil.copytree(trained, RUN / f"seed={seed}")
        damage[0](RUN / f"seed={seed}")
    shutil.copytree(trained, RUN / "seed=intact")
    comparison = compare_runs(runs="runs", figures=False)
    assert [one.seeds for one in comparison.environments[0].contenders] == [(0,)]
    printed = capsys.readouterr()
    assert printed.err.count("\n") == printed.err.count("warning: left out:") == len(DAMAGES)
    assert printed.out.count("\nleft out: ") == len(comparison.left_out) == len(DAMAGES)
    assert Path("runs/report/results.csv").is_file()


def test_a_table_whose_last_line_is_not_finished_is_read_as_far_as_it_is(trained):
    shutil.copytree(trained, "run")
    Path("run/result.json").unlink()
    file = Path("run/evaluations.csv")
    rows = read_run(Path("run")).evaluations
    file.write_bytes(file.read_bytes()[:-5])
    assert read_run(Path("run")).evaluations == rows[:-1]
    file.write_bytes(b"")
    assert read_run(Path("run")).evaluations == []
