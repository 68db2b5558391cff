"""What the README shows is what happens: its Python runs, and every command it names exists."""

from __future__ import annotations

import re

import pytest
from conftest import PROJECT

from configs.compose import compose, jobs, settle
from evaluate import evaluate

README = (PROJECT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = re.findall(r"python (train|evaluate|compare)\.py ((?:-m )?[^\n`]+)", README)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippets_run(snippet):
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})


def test_the_readme_puts_an_encoder_into_a_plain_sb3_script():
    assert any("from encoders.gnn import GNN" in s and "from stable_baselines3 import PPO" in s for s in SNIPPETS)


@pytest.mark.parametrize(("entry", "arguments"), COMMANDS)
def test_commands_compose(entry, arguments):
    words = [word for word in arguments.replace("<run folder>", "run").split() if "=" in word and "<" not in word]
    for job in jobs(settle(entry, words)) if words else []:
        assert compose(entry, job)


def test_pretrained_policies_are_as_good_as_their_cards_say():
    for folder in sorted((PROJECT / "pretrained").iterdir()):
        card = (folder / "README.md").read_text()
        assert "python train.py" in card
        scores = evaluate(policy=f"pretrained/{folder.name}", episodes=20, output="scores.json")["sampled"]
        if scores["success"] is None:
            assert scores["return"]["mean"] >= 475
        else:
            assert scores["success"]["mean"] >= 0.9
