"""Runs say on which levels their numbers were obtained: those of training, or others."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import yaml

from compare import compare_runs
from envs import make_env, make_vec_env
from evaluate import evaluate
from evaluation.runs import read_run
from evaluation.scores import difference, generalization_gap, wilson_interval
from train import train

SHORT = {
    "total_timesteps": 2048,
    "n_envs": 16,
    "progress": False,
    "agent": {"name": "ppo", "n_steps": 32, "n_epochs": 1, "batch_size": 512},
    "evaluation": {"every": 1024, "episodes": 100, "final_episodes": 250},
}
TINY = {**SHORT, "total_timesteps": 256, "evaluation": {"every": 256, "episodes": 4, "final_episodes": 4}}


def watch(monkeypatch) -> dict[str, set[int]]:
    """The seeds of the levels that every environment made from now on plays, for training, for tests, and for `all`."""
    met: dict[str, set[int]] = {"training": set(), "test": set(), "all": set()}

    def watched(*arguments, **options):
        env = make_vec_env(*arguments, **options)
        levels, reset, step = met[options.get("part", "training")], env.reset, env.step_wait
        levels = levels if options.get("levels") else met["all"]

        def remembered(result):
            levels.update(info["level_seed"] for info in env.reset_infos)
            return result

        def stepped():
            _, _, done, infos = result = step()
            levels.update(infos[i]["level_seed"] for i in np.flatnonzero(done))
            return result

        monkeypatch.setattr(env, "reset", lambda: remembered(reset()))
        monkeypatch.setattr(env, "step_wait", stepped)
        return env

    monkeypatch.setattr("learning.build.make_vec_env", watched)
    monkeypatch.setattr("envs.make_vec_env", watched, raising=False)
    return met


def contents(id: str, seeds: set[int]) -> set[tuple]:
    """The levels of these seeds, as Farama's environment encodes them."""
    env, found = make_env(id), set()
    for seed in seeds:
        env.reset(seed=seed)
        level = env.unwrapped
        found.add((level.grid.encode().tobytes(), tuple(level.agent_pos), level.agent_dir, level.mission))
    return found


def test_of_a_run_on_200_levels_no_level_of_training_is_one_of_tests(monkeypatch):
    met = watch(monkeypatch)
    options = {"name": "DoorKey-8x8", "levels": 200, "kwargs": {"max_steps": 4}}
    result = train(SHORT, env=options)
    evaluate(policy=str(result.folder), episodes=250)
    training, test = (contents("DoorKey-8x8", met[part]) for part in ("training", "test"))
    assert 150 < len(training) <= 200 and len(test) > 400 and not met["all"]
    assert training.isdisjoint(test)
    assert result.scores["levels"]["distinct"] == 200
    assert result.scores["levels"]["test"]["success"] == result.scores["success"]


@pytest.mark.slow
def test_every_evaluation_of_a_run_with_a_property_plays_levels_without_it(monkeypatch, capsys):
    met = watch(monkeypatch)
    result = train(TINY, env={"name": "GoToDoor-5x5", "held_out": "right", "kwargs": {"max_steps": 4}})
    assert "env.held_out=right" in str(result.folder)
    evaluate(policy=str(result.folder), episodes=20, output="scores.json")
    said = capsys.readouterr().out
    assert "; env.held_out=right leaves others for tests" in said and "left for tests by env.held_out=right" in said
    env, columns = make_env("GoToDoor-5x5").unwrapped, {}
    for part in ("training", "test"):
        columns[part] = set()
        for seed in met[part]:
            env.reset(seed=seed)
            columns[part].add(env.target_pos[0] - (env.width - 1) / 2)
    assert max(columns["training"]) < 0 < min(columns["test"]) and not met["all"]
    assert result.scores["levels"]["test"]["success"] == result.scores["success"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 20 levels of DoorKey-5x5."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(TINY, env={"name": "DoorKey-5x5", "levels": 20}, run_dir=str(folder)).folder


def test_a_run_says_on_how_many_levels_it_trains_and_how_much_better_it_is_on_them(run, capsys):
    result = json.loads((run / "result.json").read_text())
    levels = result["levels"]
    assert (levels["distinct"], levels["found"], levels["complete"]) == (20, 48, True)
    trained, tested = (levels[part]["success"] for part in ("training", "test"))
    assert levels["gap"]["mean"] == pytest.approx(trained["mean"] - tested["mean"])
    assert levels["gap"]["low"] <= levels["gap"]["mean"] <= levels["gap"]["high"]
    with (run / "progress.csv").open() as file:
        logged = [row for row in csv.DictReader(file) if row["final/success"]]
    for name, value in (("training_success", trained), ("test_success", tested), ("generalization_gap", levels["gap"])):
        assert float(logged[0][f"final/{name}"]) == pytest.approx(value["mean"])
    assert {"evaluation/training_success", "evaluation/generalization_gap"} <= {*logged[0]}
    train(TINY, env={"name": "DoorKey-5x5", "levels": 20}, run_dir=str(run))
    said = capsys.readouterr().out
    assert "  generalization gap " in said and " on training levels, " in said


def test_a_comparison_has_a_column_of_gaps_where_runs_have_one(run, capsys, tmp_path):
    gap = json.loads((run / "result.json").read_text())["levels"]["gap"]["mean"]
    (one,) = compare_runs(runs=str(run), output=str(tmp_path), figures=False).environments[0].contenders
    assert one.gap.value == pytest.approx(gap) and one.levels == 20
    assert "  gap  " in capsys.readouterr().out
    with (tmp_path / "results.csv").open() as file:
        values = {row["measure"]: row["value"] for row in csv.DictReader(file)}
    assert float(values["gap"]) == pytest.approx(gap)
    (one,) = compare_runs(runs=str(run), output=str(tmp_path), figures=False, measure="gap").environments[0].contenders
    assert one.score.value == pytest.approx(gap)


def test_a_policy_is_evaluated_on_levels_that_it_was_not_trained_on(run, monkeypatch, capsys):
    met = watch(monkeypatch)
    assert yaml.safe_load((run / "policy" / "policy.yaml").read_text())["environment"]["levels"] == 20
    measured = evaluate(policy=str(run), episodes=20, output="scores.json")
    training, test = (contents("DoorKey-5x5", met[part]) for part in ("training", "test"))
    assert 10 < len(training) <= 20 and len(test) > 10 and training.isdisjoint(test) and not met["all"]
    assert measured["levels"]["test"]["success"] == measured["sampled"]["success"]
    said = capsys.readouterr().out
    assert (
        "on levels that are none of the 20 of its training" in said and "generalization gap, sampled actions:" in said
    )
    elsewhere = evaluate(policy=str(run), env="DoorKey-6x6", episodes=2, output="scores.json")
    assert "levels" not in elsewhere and met["all"]


@pytest.mark.slow
def test_a_run_without_a_gap_says_why(capsys):
    result = train(TINY, env="DoorKey-5x5").scores["levels"]
    assert result["distinct"] == 48 and result["gap"] is None
    said = capsys.readouterr().out
    assert "distinct levels: 48 of at most 48 (in 10,000 seeds)" in said
    assert "generalization gap not known: training has 1,000 of 1,000 levels that evaluations draw" in said
    assert "levels" not in train(TINY, env="CartPole").scores


def test_a_run_of_an_earlier_version_was_on_all_levels(run, tmp_path):
    folder = tmp_path / "earlier"
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["env"]["levels"]
    config["env"]["bank"] = 10_000
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    result = json.loads((run / "result.json").read_text())
    del result["levels"]
    (folder / "result.json").write_text(json.dumps(result))
    assert train(TINY, env="DoorKey-5x5", run_dir=str(folder)).scores == result
    with pytest.raises(ValueError, match=r"env.bank was 10000, now 20; env.levels was all, now 20"):
        train(TINY, env={"name": "DoorKey-5x5", "levels": 20}, run_dir=str(folder))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("levels.gap", 1, "levels.gap"),
        ("levels.gap", None, "levels.reason is missing"),
        ("levels.measure", "luck", "levels.measure"),
        ("levels.test", None, "levels.test"),
        ("levels.training.success", None, "levels.measure is success, of which there is none"),
        ("levels.training.success.mean", 2, "levels.training.success.mean"),
    ],
)
def test_a_damaged_gap_is_named(run, path, value, message, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for name in ("config.yaml", "evaluations.csv"):
        (folder / name).write_bytes((run / name).read_bytes())
    result = part = json.loads((run / "result.json").read_text())
    *way, last = path.split(".")
    for key in way:
        part = part[key]
    part[last] = value
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(ValueError, match=f"result.json is damaged: {message}"):
        read_run(folder)


def test_the_interval_of_a_difference_is_newcombe_s():
    """His examples (1998, table II, method 10): 56 of 70 and 48 of 80; 9 of 10 and 3 of 10; 10 of 10 and 0 of 20."""
    for (a, m), (b, n), low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ):
        first, second = (wilson_interval(np.arange(of) < ones) for ones, of in ((a, m), (b, n)))
        found = difference(first, second)
        assert found == pytest.approx((a / m - b / n, low, high), abs=5e-5)
        assert generalization_gap({"success": first}, {"success": second}) == ("success", found)
    without = {"success": None, "return": first}
    assert generalization_gap(without, {"success": None, "return": second}) == ("return", found)
