"""`transfer=`: the last policy of a run is played elsewhere too, and its training stays the same."""

from __future__ import annotations

import csv
import json

import pytest

from evaluate import evaluate
from evaluation.runs import read_run
from train import can_be_trained, train

TINY = {
    "total_timesteps": 256,
    "n_envs": 8,
    "progress": False,
    "agent": {"name": "ppo", "n_steps": 32, "n_epochs": 1},
    "evaluation": {"every": 256, "episodes": 2, "final_episodes": 100},
}
ELSEWHERE = {
    "recoloured": {"shift": "colours"},
    "shuffled": {"shuffle": 1},
    "6x6": {"id": "MiniGrid-GoToDoor-6x6-v0"},
    "short": {"kwargs": {"max_steps": 9}, "shift": "mirror"},
}
AS_EVALUATED = {
    "recoloured": {"shift": "colours"},
    "shuffled": {"shuffle": 1},
    "6x6": {"env": "MiniGrid-GoToDoor-6x6-v0"},
    "short": {"env": {"kwargs": {"max_steps": 9}}, "shift": "mirror"},
}


@pytest.mark.slow
def test_a_policy_is_played_elsewhere_as_evaluate_py_plays_it(capsys):
    trained = {"encoder": {"name": "transformer", "width": 52}, "initial": "pretrained/GoToDoor-5x5-transformer"}
    run = train(TINY, env={"name": "GoToDoor-5x5", "levels": 50}, transfer=ELSEWHERE, **trained)
    found = run.scores["transfer"]
    for name, options in AS_EVALUATED.items():
        played = evaluate(policy=str(run.folder), episodes=100, seed=3_000_000, output="scores.json", **options)
        score = (played["shifted"] if "shift" in options else played)["sampled"]
        assert found[name] == {"return": score["return"], "success": score["success"], "episodes": 100}
    assert len({score["return"]["mean"] for score in found.values()}) == 4
    with (run.folder / "progress.csv").open() as file:
        logged = next(row for row in csv.DictReader(file) if row["final/success"])
    assert float(logged["final/transfer/6x6"]) == pytest.approx(found["6x6"]["success"]["mean"])
    assert "  transfer           6x6: success " in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_played_elsewhere_changes_nothing_else_and_may_be_added_to_a_finished_run(tmp_path):
    short, long = ({"kwargs": {"max_episode_steps": steps}} for steps in (5, 9))
    plain, whole = (str(tmp_path / name) for name in ("plain", "whole"))
    tiny = {**TINY, "agent": "a2c"}  # whose actions depend on every random number that is drawn before
    before = train(tiny, env="CartPole", run_dir=plain).scores
    result = train(tiny, env="CartPole", run_dir=whole, transfer={"a": short, "b": long}).scores
    assert {key: value for key, value in result.items() if key != "transfer"} == before
    parameters = [(tmp_path / name / "policy/policy.safetensors").read_bytes() for name in ("plain", "whole")]
    assert parameters[0] == parameters[1]
    assert [result["transfer"][name]["return"]["mean"] for name in "ab"] == [5, 9]
    train(tiny, env="CartPole", run_dir=plain, transfer={"a": long, "b": None})
    train(tiny, env="CartPole", run_dir=plain, transfer={"a": short, "b": long})  # one that has changed, and a new one
    assert (tmp_path / "plain/result.json").read_bytes() == (tmp_path / "whole/result.json").read_bytes()
    assert read_run(tmp_path / "plain").config["transfer"] == {"a": short, "b": long}
    assert train(tiny, env="CartPole", run_dir=plain).scores == result
    file = tmp_path / "whole/result.json"
    file.write_text(json.dumps({**result, "transfer": {"a": {**result["transfer"]["a"], "success": 7}}}))
    with pytest.raises(ValueError, match=r"result.json is damaged: transfer.a.success"):
        read_run(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("8x8:{id:DoorKey-8x8}", "8x8: the parameters in the policy do not fit the network: .* has shape"),
        ("a:{id:DoorKey-9x9}", "a: no environment is called 'DoorKey-9x9'; did you mean DoorKey-8x8"),
        ("a:{id:CartPole}", r"a: the policy acts in Discrete\(7\), CartPole-v1 in Discrete\(2\)"),
        ("a:{shift:colors}", "a: no shift is called 'colors'; did you mean colours?"),
        ("a:{shfit:mirror}", "a: no option is called 'shfit'; did you mean shift"),
        ("a:{shuffle:-1}", "a: env.shuffle is null, or the seed of a permutation"),
        ("a:mirror", "a is a mapping of id, kwargs, shift, shuffle; got 'mirror'"),
    ],
)
def test_what_cannot_be_played_is_refused_before_training(entry, message, tmp_path):
    chosen = ["env=DoorKey-6x6", "env.view=full", "encoder=mlp", f"run_dir={tmp_path / 'run'}"]
    with pytest.raises(ValueError, match=f"^transfer.{message}") as refused:
        can_be_trained([*chosen, f"transfer={{{entry}}}"])
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()
