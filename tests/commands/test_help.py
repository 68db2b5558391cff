"""`--help` explains every option of every command, from the comments in the YAML files."""

from __future__ import annotations

import pytest
from conftest import command

from configs.compose import existing
from configs.explained import comments, explained, options_of

LONGEST = 200  # characters of an explanation
CHOICES = [
    *(("train", f"agent={agent}", "env=Pendulum") for agent in existing("agent")),
    *(("train", f"encoder={encoder}", "env=DoorKey-5x5") for encoder in existing("encoder")),
    *(("train", f"symmetry={method}") for method in existing("symmetry")),
    ("train", "env=gym", "env.id=Acrobot-v1"),
    ("train", "env=BabyAI-GoToLocal-v0", "agent=ppo_fast"),
    *(("tune", f"agent={agent}") for agent in ("ppo_fast", "sac")),
    ("evaluate",),
    ("evaluate", "env=DoorKey-8x8"),
    ("compare",),
]
USUAL = [("train",), ("tune",), ("evaluate",), ("compare",), ("lab",)]


@pytest.mark.parametrize("choices", [*USUAL, *(pytest.param(each, marks=pytest.mark.slow) for each in CHOICES)])
def test_every_option_of_a_command_is_explained_in_a_few_words(choices):
    name, *overrides = choices
    options = options_of(name, overrides)
    assert len(options) >= 5
    unexplained = [option for option, (_, text) in options.items() if not 0 < len(text) <= LONGEST]
    assert unexplained == []


def test_a_comment_is_found_where_it_stands(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text("# of the file\na: 1 # one\nb:\n  c: 'x#y' # two\n  d: 3\ne: [4] # three: four # five\n")
    assert comments(file) == {"a": "one", "b.c": "two", "e": "three: four # five"}


@pytest.mark.parametrize("name", ["train", "tune"])
def test_the_choices_of_training_are_listed_without_the_files_that_they_are_made_of(name):
    said = " ".join(explained(name, []).partition("== Options")[0].split())
    for group in ("env", "agent", "encoder", "symmetry", "experiment"):
        assert f"{group}: {', '.join(existing(group))}" in said
    assert said.count(":") == 5 and "tuned" not in said


def test_values_are_those_of_the_choices_and_of_what_is_given():
    said = explained("train", ["env=DoorKey-5x5", "agent=ppo_fast", "agent.gamma=0.5"])
    assert "\nagent.gamma=0.5 " in said and "\nn_envs=16 " in said and "\nagent.target_kl=null " in said
    assert all(len(line) <= 120 for line in said.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["train.py", "tune.py", "evaluate.py", "compare.py"])
def test_help_and_h_show_the_same(entry):
    long, short = command(entry, "--help"), command(entry, "-h")
    assert long.returncode == 0 and long.stdout == short.stdout and "== Options" in long.stdout
    assert not long.stderr
