"""Physics and levels are of a release, not of an id: runs, policies and level banks say which, and commands compare."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import gymnasium
import pytest
import yaml
from minigrid.envs import EmptyEnv

from compare import compare_runs
from envs.names import simulator_of
from evaluate import evaluate
from train import train

SHORT = [
    "env=CartPole",
    "encoder=mlp",
    "n_envs=2",
    "agent.n_steps=32",
    "agent.batch_size=64",
    "total_timesteps=64",
    "progress=false",
]
SHORT += ["evaluation.every=64", "evaluation.episodes=2", "evaluation.final_episodes=2"]


class Mine(EmptyEnv):
    """A MiniGrid environment of one's own."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of one short run."""
    return train([*SHORT, f"run_dir={tmp_path_factory.mktemp('run') / 'seed=0'}"]).folder


@pytest.fixture
def run(trained):
    """A copy of it."""
    return Path(shutil.copytree(trained, "runs/CartPole/ppo-mlp/default/seed=0"))


def rewritten(file: Path, read, write, change) -> None:
    content = read(file.read_text())
    change(content)
    file.write_text(write(content))


def test_the_simulator_of_an_id_is_found_by_its_class(monkeypatch):
    gymnasium.register("Test-Mine-v0", Mine)
    monkeypatch.setitem(gymnasium.registry, "Test-Mine-v0", gymnasium.registry.pop("Test-Mine-v0"))
    names = {"minigrid": ["MiniGrid-DoorKey-5x5-v0", "BabyAI-GoToLocal-v0", "Test-Mine-v0", "somewhere:Test-Mine-v0"]}
    names |= {"gymnasium": ["CartPole-v1", "FrozenLake-v1", "nobody:Knows-v0"]}
    for simulator, ids in names.items():
        assert {simulator_of(env_id) for env_id in ids} == {simulator}
    pytest.importorskip("mujoco")
    assert simulator_of("Ant-v5") == simulator_of("Reacher-v5") == "mujoco"


def test_results_and_policies_record_the_releases(trained):
    result = json.loads((trained / "result.json").read_text())
    policy = yaml.safe_load((trained / "policy" / "policy.yaml").read_text())
    assert result["simulator"] == "gymnasium" and result["versions"] == policy["versions"]
    for name in ("gymnasium", "minigrid", "torch"):
        assert result["versions"][name] == version(name)
    pytest.importorskip("mujoco")
    assert result["versions"]["mujoco"] == version("mujoco")


@pytest.mark.parametrize(("package", "matters"), [("gymnasium", True), ("minigrid", False)])
def test_evaluating_says_when_the_simulator_is_of_another_release(package, matters, run, capsys):
    policy = run / "policy" / "policy.yaml"
    rewritten(policy, yaml.safe_load, yaml.safe_dump, lambda spec: spec["versions"].update({package: "0.1"}))
    (run / "policy" / "manifest.json").unlink()
    scores = evaluate({"policy": run, "episodes": 2})
    told = f"trained with gymnasium 0.1, and {version('gymnasium')} is installed" in capsys.readouterr().out
    assert told == matters and scores["versions"]["gymnasium"] == version("gymnasium")


def test_comparing_flags_runs_of_different_releases(run, capsys):
    other = Path(shutil.copytree(run, run.with_name("seed=1")))
    compare_runs({"runs": "runs", "figures": False})
    assert "same environment" not in capsys.readouterr().out
    for change, flagged in [
        (lambda result: result["versions"].update(minigrid="0.1"), False),
        (lambda result: result["versions"].update(gymnasium="0.1"), True),
        (lambda result: result.pop("simulator"), False),  # written by a version that did not say
    ]:
        rewritten(other / "result.json", json.loads, json.dumps, change)
        compare_runs({"runs": "runs", "figures": False})
        assert ("need not be of the same environment: gymnasium 0.1 (mlp" in capsys.readouterr().out) == flagged


def test_comparing_flags_rows_of_runs_of_different_lengths(run, capsys):
    other = Path(shutil.copytree(run, run.with_name("seed=1")))
    compare_runs({"runs": "runs", "figures": False})
    assert "different lengths" not in capsys.readouterr().out
    rewritten(other / "result.json", json.loads, json.dumps, lambda result: result.update(steps=10**6))
    compare_runs({"runs": "runs", "figures": False})
    assert re.search(r"these runs have different lengths: 1,000,000 steps \(mlp\)", capsys.readouterr().out)
