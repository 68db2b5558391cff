"""Files of every format that this project has written can still be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents import load_policy
from learning.snapshot import FORMAT, read_snapshot
from train import train

HERE = Path(__file__).parent
RUN = ["env=CartPole", "agent=ppo", "encoder=mlp", "encoder.width=4", "n_envs=2", "agent.n_steps=16", "progress=false"]
RUN += ["agent.batch_size=32", "agent.n_epochs=1", "total_timesteps=256", "evaluation.every=64"]
RUN += ["evaluation.episodes=2", "evaluation.final_episodes=2", "run_dir=run"]


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_run_that_was_interrupted_with_an_older_format_goes_on(number, capsys):
    shutil.copytree(HERE / f"format-{number}" / "run", "run")
    assert read_snapshot(Path("run"))["format"] == number
    assert load_policy("run/best").spec["format"] == 1  # its best policy, from before policies had checksums
    assert train(RUN).scores["steps"] == 256
    assert "goes on after 128 steps" in capsys.readouterr().out
