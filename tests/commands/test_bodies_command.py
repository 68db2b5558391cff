"""Bodies as a user trains and plays them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import PROJECT, command

from train import train

pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

TINY = {
    "total_timesteps": 256,
    "n_envs": 4,
    "agent": {"n_steps": 64, "batch_size": 64, "n_epochs": 1},
    "evaluation": {"every": 256, "episodes": 4, "final_episodes": 4},
    "progress": False,
}
SHORT = "env.kwargs.max_episode_steps=20"
BODIES = {"name": "bodies", "train": ["Centipede-4", "Centipede-6"], "test": ["Centipede-8"]}


def shown(*words):
    """`python -m envs.bodies` with these words."""
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    whole = [sys.executable, "-m", "envs.bodies", *words]
    return subprocess.run(whole, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=240)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of gnn and one of mlp on two bodies, tested on a third."""
    place = tmp_path_factory.mktemp("bodies")
    return {
        name: train({**TINY, "env": BODIES, "encoder": {"name": name}, "run_dir": str(place / name)}).folder
        for name in ("gnn", "mlp")
    }


@pytest.mark.parametrize("encoder", ["gnn", "mlp"])
def test_a_policy_of_several_bodies_is_scored_on_each_and_on_those_it_never_saw(runs, encoder):
    result = json.loads((runs[encoder] / "result.json").read_text())
    assert [*result["bodies"]] == ["Centipede-4", "Centipede-6"] and [*result["transfer"]] == ["Centipede-8"]
    assert "evaluation/return/Centipede-4" in (runs[encoder] / "progress.csv").read_text().partition("\n")[0]


def test_a_gnn_plays_a_larger_body_and_an_mlp_says_that_it_is_tied_to_its_size(runs):
    played, refused = (
        command("evaluate.py", f"policy={runs[name]}", "env=Centipede-12", "episodes=2", SHORT)
        for name in ("gnn", "mlp")
    )
    assert played.returncode == 0, played.stderr
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert (
        "MLP is tied to the size of the bodies that it was trained on; a GNN or a Transformer is not" in refused.stderr
    )


def test_every_policy_plays_a_smaller_body_of_its_family(runs):
    said = command("evaluate.py", f"policy={runs['mlp']}", "env=Centipede-4", "episodes=2", SHORT)
    assert said.returncode == 0, said.stderr


def test_a_policy_of_bodies_is_exported_for_batches_of_any_size(runs, tmp_path):
    said = command("evaluate.py", f"policy={runs['gnn']}", "episodes=2", SHORT, f"export={tmp_path / 'policy.onnx'}")
    assert "whose actions were compared with the policy's" in said.stdout, said.stderr


def test_sac_trains_on_bodies_and_its_policy_plays_a_larger_one(tmp_path):
    agent = {"name": "sac", "learning_starts": 32, "batch_size": 8, "gradient_steps": 2}
    small = {"name": "gnn", "width": 16, "channels": 8}
    often = {"every": 48, "episodes": 2, "final_episodes": 2}
    options = {**TINY, "total_timesteps": 48, "agent": agent, "encoder": small, "evaluation": often}
    short = {**BODIES, "kwargs": {"max_episode_steps": 20}}
    folder = train({**options, "env": short, "run_dir": str(tmp_path / "sac")}).folder
    assert [*json.loads((folder / "result.json").read_text())["transfer"]] == ["Centipede-8"]
    played = command("evaluate.py", f"policy={folder}", "env=Centipede-12", "episodes=2", SHORT)
    assert played.returncode == 0, played.stderr


def test_a_body_is_printed_and_drawn(tmp_path):
    said = shown("Centipede-4", f"out={tmp_path / 'body.png'}")
    assert said.returncode == 0, said.stderr
    assert "hip_left_1" in said.stdout and (tmp_path / "body.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("run", "words", "message"),
    [
        (shown, ["Centipede"], "no body is called 'Centipede'; did you mean Centipede-"),
        (shown, ["missing.xml"], "missing.xml cannot be read: No such file or directory"),
        (command, ["train.py", "env=bodies", "env.train=[Centipede-7]"], "a centipede has 4 legs or more"),
        (command, ["train.py", "env=bodies", "env.test=[Snail-8]"], "no body is called 'Snail-8'"),
        (
            command,
            ["train.py", "env=bodies", "n_envs=1"],
            "an environment keeps to one body, and env.train names 2",
        ),
        (
            command,
            ["train.py", "env=bodies", "agent=recurrent_ppo"],
            "agent=recurrent_ppo has no heads for the nodes of bodies; these have: ppo, a2c, sac, td3",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, words, message):
    said = run(*words)
    assert said.returncode == 2 and message in said.stderr and said.stderr.count("\n") == 1
