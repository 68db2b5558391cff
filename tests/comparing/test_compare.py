"""compare.py: what it says, flags, refuses and writes, for copies of a real run that differ in what they score."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT

from compare import compare_runs
from comparing.compare import compare
from comparing.names import in_common, short_names
from comparing.tables import to_csv, to_latex
from comparing.words import counted, sentences
from configs.compose import compose, overrides_of
from evaluation.runs import look_for_runs, read_run
from train import train

TINY = {"total_timesteps": 512, "evaluation": {"every": 128, "episodes": 2, "final_episodes": 4}, "progress": False}
HIGH, LOW = (0.91, 0.93, 0.95, 0.97, 0.99), (0.11, 0.13, 0.15, 0.17, 0.19)
MIXED = (0.12, 0.92, 0.14, 0.94, 0.16)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A finished run of DoorKey-5x5."""
    return read_run(train(TINY, env="DoorKey-5x5", run_dir=str(tmp_path_factory.mktemp("real") / "run")).folder)


@pytest.fixture
def copies(real, monkeypatch):
    """Makes copies of it in runs/<env>: the successes of their seeds by encoder -> their folders."""
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    copied = __import__("report").copied

    def make(env="DoorKey-5x5", options="default", **encoders):
        return [
            copied(real, Path("runs"), env, encoder, seed, success, options)
            for encoder, successes in encoders.items()
            for seed, success in enumerate(successes)
        ]

    return make


def change(folder, name, **values):
    """Change entries of config.yaml or result.json, named with __ between their keys."""
    read, write = (yaml.safe_load, yaml.safe_dump) if name.endswith("yaml") else (json.loads, json.dumps)
    content = read((folder / name).read_text())
    for key, value in values.items():
        *way, last = key.split("__")
        inner = content
        for each in way:
            inner = inner[each]
        inner[last] = value
    (folder / name).write_text(write(content))


def compared(measure="auto", folder="runs"):
    """What compare.py makes its report of."""
    return compare(*look_for_runs([Path(folder)]), measure)


def test_it_says_in_words_which_contender_is_better_and_what_would_tell_otherwise(copies, capsys):
    copies(gnn=HIGH, cnn=LOW, mlp=MIXED)
    found = compare_runs(runs="runs", figures=False)
    assert sentences(found) == [
        "gnn > cnn on DoorKey-5x5 (P = 1.00 [0.64, 1.00])",
        "not separated: gnn, mlp on DoorKey-5x5 (P = 0.88 [0.50, 0.98]); about 6 more seeds would be needed",
        "not separated: mlp, cnn on DoorKey-5x5 (P = 0.64 [0.30, 0.88]); about 70 more seeds would be needed",
    ]
    said = capsys.readouterr().out
    assert "3 pairs compared, 1 separated" in said and all(f"  {line}\n" in said for line in sentences(found))
    assert Path("runs/report/words.txt").read_text().splitlines() == [counted(found), *sentences(found)]


def test_the_more_pairs_an_environment_has_the_more_it_takes_and_other_environments_take_nothing(copies):
    copies("Few", gnn=HIGH, cnn=LOW)
    copies("Many", gnn=HIGH, cnn=LOW, **{f"other{i}": MIXED for i in range(4)})
    all_pairs = compared()
    found = {(pair.environment, pair.first, pair.second): pair for pair in all_pairs.pairs}
    few, many = (found[env, "gnn", "cnn"] for env in ("Few", "Many"))
    assert few.p_value == many.p_value == pytest.approx(2 / 252) and len(found) == 16
    assert few.separated and not many.separated and many.more_seeds > 0
    alone = "not separated (they would be, were they the only pair here): gnn, cnn on Many (P = 1.00 [0.64, 1.00]);"
    assert any(line.startswith(alone) for line in sentences(all_pairs))


def test_intervals_are_possible_and_one_seed_has_none(copies):
    copies(gnn=(0.0, 1.0, 1.0), cnn=(1.0, 1.0, 0.9), mlp=(0.5,))
    for measure in ("success", "return"):
        cnn, gnn, mlp = compared(measure).environments[0].contenders
        assert (gnn.score.low, gnn.score.high) == (0, 1) and cnn.score.high == 1
        assert gnn.score.value == pytest.approx(2 / 3) and mlp.score == (0.5, None, None)
    (line,) = (line for line in sentences(compared()) if line.startswith("no interval"))
    assert line.startswith("no interval: mlp on DoorKey-5x5; one seed tells nothing about others")


def test_every_task_of_an_environment_has_a_table_of_its_own(copies):
    for task in ("parity_check", "odds_first"):
        for folder in copies("chomsky", options=f"env.task={task},seed_of=1", gnn=HIGH, cnn=LOW):
            change(folder, "config.yaml", env__name="chomsky", env__task=task)
    found = compared()
    assert [each.name for each in found.environments] == ["chomsky odds_first", "chomsky parity_check"]
    assert [one.label for one in found.environments[0].contenders] == ["cnn", "gnn"]


def test_what_makes_runs_unequal_is_flagged(copies):
    folders = copies(gnn=HIGH, cnn=LOW)
    first, second, *_ = folders

    def notes():
        return " / ".join(compared().environments[0].notes)

    assert notes() == ""
    change(first, "config.yaml", device="cuda", threads=7, evaluation__every=7)  # these change no final score
    assert notes() == ""
    change(first, "config.yaml", env__levels=50, env__bank=50)
    assert notes() == (
        "these runs train on different levels, and so are tested on different ones: "
        "50 levels, and tests on others (gnn); all levels (cnn, gnn)"
    )
    change(first, "config.yaml", env__levels="all", env__bank=10_000)
    for name, values, note in [
        ("result.json", {"steps": 640}, "different lengths: 512 steps (cnn, gnn); 640 steps (gnn)"),
        (
            "config.yaml",
            {"env__view": "full"},
            "settings: env.view is full (gnn seed=1); partial (gnn seed=0, ",
        ),
        ("config.yaml", {"agent__gamma": 0.5}, "settings: agent.gamma is 0.5 (gnn seed=1); 0.99 (gnn seed=0, "),
        ("config.yaml", {"encoder__width": 7}, "settings: encoder.width is 128 (gnn seed=0, gnn seed=2, "),
        ("config.yaml", {"seed": 0}, "these seeds are counted more than once: gnn seed=0 (runs/"),
    ]:
        before = (second / name).read_text()
        change(second, name, **values)
        if "seed" in values:
            change(second, "result.json", seed=0)
        assert note in notes()
        (second / name).write_text(before)
    change(second, "result.json", seed=1)
    for folder in folders[:5]:
        change(folder, "config.yaml", env__view="full")
    assert notes() == "these runs have different settings: env.view is full (gnn); partial (cnn)"


def test_what_is_missing_is_named_with_the_reason(copies, capsys):
    folders = copies(gnn=HIGH, cnn=LOW[:3])
    for folder in folders[1:3]:
        (folder / "result.json").unlink()
    (folders[2] / "crash.json").write_text("{}")
    (folders[3] / "result.json").write_text("{")
    found = compare_runs(runs="runs", figures=False)
    printed = capsys.readouterr()
    assert [one.seeds for one in found.environments[0].contenders] == [(0, 1, 2), (0, 4)]
    assert printed.err == f"warning: left out: {folders[3]}/result.json is damaged: it is no JSON: Expecting property "\
        "name enclosed in double quotes: line 1 column 2 (char 1)\n"  # fmt: skip
    for line in (
        "missing on DoorKey-5x5: cnn seed 4 (never begun)",
        "missing on DoorKey-5x5: gnn seed 1 (not finished)",
        "missing on DoorKey-5x5: gnn seed 2 (its environment failed: crash.json)",
        f"left out: {folders[3]}/result.json is damaged",
    ):
        assert line in printed.out and line in Path("runs/report/words.txt").read_text()
    assert "gnn        2 of 4" in printed.out


def test_results_csv_has_a_row_for_each_run_and_measure(copies):
    folders = copies("A", gnn=HIGH, cnn=(0.5,)) + copies("B", gnn=LOW)
    change(folders[0], "result.json", transfer={"A-large": elsewhere(0.75)})
    rows = [*csv.DictReader(to_csv(compared()).splitlines())]
    keys = [(row["env"], row["contender"], row["seed"], row["measure"]) for row in rows]
    assert len({*keys}) == len(keys)
    values = {key: row["value"] for key, row in zip(keys, rows, strict=True)}
    for folder in folders:
        result = json.loads((folder / "result.json").read_text())
        run = (result["env"], f"ppo-{result['encoder']}", str(result["seed"]))
        assert float(values[(*run, "success")]) == result["success"]["mean"]
        assert int(values[(*run, "steps")]) == result["steps"]
        reached = [row["steps"] for row in read_run(folder).evaluations if row["success"] >= 0.9]
        assert values[(*run, "steps_to")] == (str(reached[0]) if reached else "")
    assert values["A", "ppo-gnn", "0", "transfer.A-large"] == "0.75"
    assert values["A", "ppo-cnn", "1", ""] == ""  # missing


def elsewhere(success):
    return {"return": score(0.2), "success": score(success), "episodes": 4}


def score(mean):
    return {"mean": mean, "low": 0.0, "high": 1.0}


def test_any_score_of_the_runs_can_be_the_measure(copies):
    folders = copies(gnn=HIGH, cnn=LOW)
    for i, folder in enumerate(folders):
        change(folder, "result.json", transfer={"mirror": elsewhere(i / 10)})
        parts = {"training": {"return": score(0.9), "success": score(0.8)}, "measure": "success", "distinct": 50}
        parts |= {"test": {"return": score(0.1), "success": score(0.3)}, "gap": {"mean": 0.5, "low": 0, "high": 1}}
        change(folder, "result.json", levels=parts)
    for measure, means in {
        "auto": (0.15, 0.95),
        "transfer.mirror": (0.7, 0.2),
        "training": (0.8, 0.8),
        "test": (0.3, 0.3),
        "gap": (0.5, 0.5),
    }.items():
        assert [one.score.value for one in compared(measure).environments[0].contenders] == pytest.approx(means)
    with pytest.raises(ValueError, match=r"no measure 'transfer.x'; they have: auto, return, .*gap, transfer.mirror$"):
        compared("transfer.x")


@pytest.mark.parametrize(
    ("labels", "shared", "names"),
    [
        (["ppo-cnn", "ppo-mlp-average"], ["ppo"], ["cnn", "mlp-average"]),
        (["ppo-cnn", "dqn-cnn"], [], ["ppo-cnn", "dqn-cnn"]),
        (["ppo-cnn a=1,b=2", "dqn-cnn b=2"], ["b=2"], ["ppo-cnn a=1", "dqn-cnn"]),
        (["ppo-cnn a=1,b=2", "ppo-cnn b=3"], ["ppo"], ["cnn a=1,b=2", "cnn b=3"]),
        (["ppo-cnn a=1"], ["ppo", "a=1"], ["cnn"]),
    ],
)
def test_contenders_are_called_by_what_not_all_of_them_share(labels, shared, names):
    assert in_common(labels) == shared and [*short_names(labels).values()] == names


def test_environments_are_averaged_where_their_scores_are_shares_of_one(copies):
    copies("A", gnn=HIGH, cnn=LOW, mlp=LOW)
    copies("B", gnn=(0.5, 0.6), cnn=LOW)
    for folder in copies("C", gnn=HIGH):
        change(folder, "result.json", success=None)
        (folder / "evaluations.csv").unlink()
    aggregate = compare_runs(runs="runs", figures=False).aggregate
    assert aggregate.environments == ("A", "B") and [total.label for total in aggregate.totals] == [
        "cnn",
        "gnn",
    ]
    assert aggregate.totals[1].mean.value == pytest.approx((0.95 + 0.55) / 2)
    assert aggregate.improvements["cnn", "gnn"].value == 0
    assert aggregate.left_out == (
        "C: return has no scale that environments share",
        "mlp: it has no score in B",
    )


def test_the_latex_table_has_equal_rows_and_marks_what_nobody_beats(copies):
    copies("A_1", gnn=HIGH, cnn=LOW)
    copies("B", gnn=HIGH, options="agent.gamma=0.9,x=50%")
    lines = to_latex(compared()).splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [row.count("&") - row.count(r"\&") for row in rows] == [2] * 4
    assert rows[0] == r"contender & A\_1 (success) & B (success) \\"
    assert rows[1:3] == [
        r"cnn & 0.15 [0.11, 0.19] & -- \\",
        r"gnn & \textbf{0.95 [0.91, 0.99]} & -- \\",
    ]
    assert rows[3].startswith(r"gnn agent.gamma=0.9,x=50\% & -- & 0.95 [")


def test_folders_are_given_in_any_way_and_no_run_counts_twice(copies):
    copies("A", options="agent.gamma=0.9,agent.ent_coef=0.1", gnn=HIGH)
    copies("B", gnn=LOW)
    a, b = Path("runs/A/ppo-gnn/agent.gamma=0.9,agent.ent_coef=0.1"), Path("runs/B")
    both = [str(a), str(b)]
    for given in (both, [f"runs=['{a}','{b}']"], ["runs=[runs/A/,runs/B]"], overrides_of({"runs": both})):
        assert [Path(folder) for folder in compose("compare", given)["runs"]] in ([a, b], [a.parents[1], b])
    for given in (both, ["runs", str(a), f"{b}/"]):
        found = compare_runs([*given, "figures=false"])
        seeds = {each.name: each.contenders[0].seeds for each in found.environments}
        assert seeds == {"A": (0, 1, 2, 3, 4), "B": (0, 1, 2, 3, 4)}
        assert Path("runs/report/results.csv").is_file()


def test_what_cannot_be_compared_is_one_clear_message(copies):
    Path("empty").mkdir()
    folders = copies("A", gnn=HIGH)
    for given, message in [
        ({"runs": "empty"}, "there is no finished run below empty"),
        ({"runs": "runs/B"}, "there is no folder runs/B; there are: runs/A$"),
        ({"runs": "nowhere/DoorKey-5x5"}, "train first: python train.py -m env=DoorKey-5x5 encoder=mlp,cnn"),
        ({"runs": "runs", "threshold": "high"}, "threshold is auto or a number; got 'high'"),
        ({"runs": "runs", "threshold": 475}, "threshold is a success in A, from 0 to 1; got 475"),
        ({"runs": "runs", "measure": "reward"}, "no measure 'reward'; they have: auto, return, success, of_optimal$"),
        ({"runs": "runs", "axis": "x"}, "no option is called 'axis'"),
    ]:
        with pytest.raises(ValueError, match=message):
            compare_runs(given)
    change(folders[1], "result.json", success=None)
    (folders[1] / "evaluations.csv").unlink()
    with pytest.raises(ValueError, match=r"of A measure different things: .*measure=return compares their returns"):
        compared()
    assert len(compared("return").environments[0].contenders[0].known) == 5
