"""Laws of the atlas's table: which runs are in it, what is read back, and what the page says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from atlas.__main__ import main
from atlas.claims import claims, job
from atlas.collect import COLUMNS, read, rising, rows_of
from atlas.show import MARKS, page, renew, summary
from train import train

CLAIM = claims(["locality"])[0]


def row(**values):
    base = dict.fromkeys(COLUMNS, "0") | {"claim": "locality", "contender": "mlp", "setting": "matters"}
    return base | {key: str(value) for key, value in values.items()}


@pytest.mark.slow
def test_a_run_is_in_the_table_once_it_has_its_budget(monkeypatch):
    brief = replace(CLAIM.matters, overrides=(*CLAIM.matters.overrides, "total_timesteps=4096"))
    claim = replace(CLAIM, matters=brief)
    planned = job(claim.matters, claim.contenders["mlp"])
    short = [*planned.overrides, "seed=0", "evaluation.final_episodes=5", "progress=false", "agent.n_steps=16"]
    short += [f"run_dir={planned.folder / 'seed=0'}", f"evaluation.every={planned.steps // 3}"]
    train([*short, "total_timesteps=512"])
    rows, missing = rows_of([claim], Path("runs"))
    assert rows == [] and f"python train.py {' '.join(planned.overrides)} seed=0" in missing
    train([*short, f"total_timesteps={planned.steps}"])
    rows, still = rows_of([claim], Path("runs"))
    assert [(each["contender"], each["seed"], each["setting"]) for each in rows] == [("mlp", 0, "matters")]
    assert len(still) == len(missing) - 1
    monkeypatch.setattr("atlas.__main__.claims", lambda names=(): [claim])
    assert main(["--collect", "runs", "--results", "table.csv", "locality"]) == 0
    [again] = read(Path("table.csv"))
    assert float(again["score"]) == rows[0]["score"] and set(again) == {*COLUMNS}


def test_a_curve_rises_by_its_last_fifth_less_the_fifth_before():
    assert rising([*[0.5] * 6, 0.1, 0.3, 0.9, 0.9]) == pytest.approx(0.7)
    assert rising([0.5]) == 0


def test_a_table_with_other_columns_or_values_is_named_with_its_line(tmp_path, capsys):
    file = tmp_path / "table.csv"
    for line, said in (
        ("claim,score\nsize,1\n", "line 2: the columns"),
        (",".join(COLUMNS) + "\n" + ",".join("x" * len(COLUMNS)), "line 2"),
    ):
        file.write_text(line)
        assert main(["--results", str(file)]) == 2
        assert said in capsys.readouterr().err
    assert main(["--results", str(tmp_path / "none.csv")]) == 2
    assert "--collect" in capsys.readouterr().err
    assert main(["--collect", str(tmp_path / "none")]) == 2
    assert "--train" in capsys.readouterr().err


def test_the_summary_takes_the_place_between_its_marks_and_nothing_else(tmp_path):
    rows = [
        row(setting=s, contender=c, score=v, seed=0)
        for s in ("matters", "removed")
        for c, v in ((CLAIM.favoured, 1), ("mlp", 0.5))
    ]
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{MARKS[0]}\nold\n{MARKS[1]}\nbelow\n")
    renew(readme, summary([CLAIM], rows))
    text = readme.read_text()
    assert text.startswith("above\n") and text.endswith(f"{MARKS[1]}\nbelow\n") and "old" not in text
    assert "| 1.00 against 0.50 | 0.50 |" in text


def test_the_page_has_each_claim_with_its_verdict_and_what_was_learned_about_its_task(tmp_path):
    rows = [
        row(claim=c.name, setting=s, contender=n, score=1, seed=0)
        for c in claims()
        for s in c.settings
        for n in c.contenders
    ]
    page(claims(), rows, tmp_path / "atlas.md")
    text = (tmp_path / "atlas.md").read_text()
    for claim in claims():
        assert f"## {claim.name.capitalize()}: undecided" in text and claim.says in text and claim.note in text
