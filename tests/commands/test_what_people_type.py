"""What researchers type out of habit works, or is answered with what to type instead."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from conftest import command

from compare import main as compare_main
from configs.compose import compose
from evaluate import main as evaluate_main
from train import train

SHORT = ["total_timesteps=256", "evaluation.every=128", "evaluation.episodes=2", "evaluation.final_episodes=4"]
SHORT += ["encoder.width=16", "progress=false"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of one short run."""
    return train([*SHORT, f"run_dir={tmp_path_factory.mktemp('run') / 'seed=0'}"]).folder


def test_whole_numbers_may_be_written_as_floats_and_name_the_same_run(capsys):
    first = train([*SHORT, "env.history=2", "agent.batch_size=32"])
    capsys.readouterr()
    floats = ["total_timesteps=2.56e2", "evaluation.every=1.28e2", "evaluation.episodes=2.0", "seed=0.0", "n_envs=8.0"]
    floats += ["evaluation.final_episodes=4.0", "encoder.width=1.6e1", "agent.batch_size=3.2e1", "env.history=2.0"]
    second = train([*floats, "progress=false"])
    assert second.folder == first.folder and second.scores == first.scores
    assert "nothing to train" in capsys.readouterr().out
    recorded = yaml.safe_load((first.folder / "config.yaml").read_text())
    assert {type(recorded["total_timesteps"]), type(second.config["agent"]["batch_size"])} == {int}
    assert second.config["encoder"]["width"] == 16 and type(second.config["encoder"]["width"]) is int


@pytest.mark.parametrize("option", ["total_timesteps", "agent.batch_size", "env.history", "seed"])
def test_a_fraction_is_no_whole_number(option):
    with pytest.raises(ValueError, match=rf"{option} is a whole number.*got 1.5"):
        train([*SHORT, f"{option}=1.5"])
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("agent.lr=1e-3", "agent.learning_rate"),
        ("lr=1e-3", "agent.learning_rate"),
        ("steps=1000", "total_timesteps"),
        ("timesteps=1000", "total_timesteps"),
        ("batch=64", "agent.batch_size"),
        ("agent.batch=64", "agent.batch_size"),
        ("batch_size=64", "agent.batch_size"),
        ("epochs=4", "agent.n_epochs"),
        ("agent.epochs=4", "agent.n_epochs"),
        ("hidden=64", "encoder.width"),
        ("encoder.hidden=64", "encoder.width"),
        ("algo=ppo", "agent"),
        ("gamma=0.9", "agent.gamma"),
        ("agent.learningrate=1", "agent.learning_rate"),
    ],
)
def test_other_names_of_an_option_suggest_its_own(typed, meant):
    with pytest.raises(ValueError, match=rf"no option is called '{typed.split('=')[0]}'; did you mean {meant}\b"):
        compose("train", [typed])


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (["--env", "CartPole"], "env=CartPole"),
        (["--env=CartPole"], "env=CartPole"),
        (["--seed", "1"], "seed=1"),
        (["--lr", "1e-3"], "agent.learning_rate=1e-3"),
    ],
)
def test_flags_are_answered_with_the_option_to_write(flags, answer):
    done = command("train.py", *flags)
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 2 and line.startswith("error: ") and line.endswith(f"write {answer}"), line


def test_evaluate_and_compare_take_a_folder_as_it_is(trained, capsys, monkeypatch):
    monkeypatch.chdir(trained.parent)
    assert evaluate_main([str(trained), "episodes=2"]) == evaluate_main(["seed=0", "episodes=2"]) == 0
    assert compare_main([str(trained.parent), "figures=false"]) == compare_main([".", "figures=false"]) == 0
    out = capsys.readouterr().out
    assert "CartPole: means and 95% intervals over seeds" in out and "scores: " in out


@pytest.mark.slow
def test_a_folder_as_it_is_works_from_the_shell(trained):
    assert command("compare.py", str(trained.parent)).returncode == 0
    assert command("evaluate.py", str(trained), "episodes=2").returncode == 0
    refused = command("evaluate.py", "nowhere/at=all")
    assert refused.returncode == 2 and "there is no policy in nowhere/at=all" in refused.stderr


@pytest.mark.parametrize("env_id", ["ALE/Pong-v5", "ALE/Breakout-v5"])
def test_ids_of_a_package_that_is_not_installed_name_it_and_the_form(env_id, monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)  # as if it were not installed
    for overrides in ([f"env={env_id}"], ["env=gym", f"env.id={env_id}"]):
        with pytest.raises(ValueError, match="ale-py") as refusal:
            train([*SHORT, *overrides])
        assert f"env=gym env.id={env_id}" in str(refusal.value) and "Ant" not in str(refusal.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize("env_id", ["Käfer-v0", "迷路/Maze-v0", "a b-v0", "it's:Mine-v0", "(odd)-v0"])
def test_free_strings_need_no_quotes(env_id):
    assert compose("train", ["env=gym", f"env.id={env_id}"])["env"]["id"] == env_id
    kwargs = compose("train", [f"env.kwargs.label={env_id}", "run_dir=out/ü=(1)"])
    assert kwargs["env"]["kwargs"] == {"label": env_id} and kwargs["run_dir"] == "out/ü=(1)"


@pytest.mark.slow
def test_several_ids_are_several_runs_of_a_sweep():
    done = command("train.py", "-m", "env=gym", "env.id=Nowhere-v0,Käfer-v0", *SHORT)
    assert done.returncode == 2 and "'Nowhere-v0'" in done.stderr and "'Käfer-v0'" in done.stderr, done.stderr
