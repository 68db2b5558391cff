"""Laws of the pretrained policies: what is on the shelf is there, small, loadable, and plays as its card says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from math import sqrt
from statistics import NormalDist

import pytest
import yaml
from conftest import PROJECT, command

from agents import load_policy
from benchmarks.zoo import make
from evaluate import evaluate
from evaluation.report import parameter_counts
from pretrained.card import card
from pretrained.shelf import FACTS, SHELF, Entry, entries, judged, listing, read_facts, shown
from storage.manifest import damage, read_manifest

NAMES = [*entries()]
ENCODERS = {"mlp", "cnn", "lstm", "gnn", "transformer", "hypernetwork", "homomorphic"}
FILES = {"README.md", FACTS, "manifest.json", "policy.safetensors", "policy.yaml"}
Z = 1.959963984540054  # a 95% interval is the mean and about this many standard errors to each side


def test_the_shelf_names_the_folders_that_are_there():
    assert sorted(NAMES) == sorted(folder.parent.name for folder in SHELF.glob("*/policy.yaml"))


def test_the_shelf_has_every_encoder_on_at_least_fourteen_pairs_with_environments():
    facts = [read_facts(SHELF / name) for name in NAMES]
    pairs = {(each["env"], each["encoder"]) for each in facts}
    assert {encoder for _, encoder in pairs} == ENCODERS and len(pairs) >= 14
    assert "recurrent_ppo" in {each["agent"] for each in facts}


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_what_its_generator_writes_from_what_was_measured(name):
    assert (SHELF / name / "README.md").read_text() == card(entries()[name])
    spec = yaml.safe_load((SHELF / name / "policy.yaml").read_text())
    assert shlex.split(spec["command"]) == ["python", "train.py", *entries()[name].options]


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_whole_loads_and_has_as_many_parameters_as_its_card_says(name):
    assert {file.name for file in (SHELF / name).iterdir() if not file.name.startswith("evaluation-")} == FILES
    assert damage(SHELF / name) is None
    assert {"policy.safetensors", "policy.yaml", FACTS} <= read_manifest(SHELF / name).keys()
    policy = load_policy(f"pretrained/{name}", device="cpu")
    assert sum(parameter_counts(policy.module).values()) == read_facts(SHELF / name)["parameters"]


def test_the_policies_are_small():
    sizes = [sum(file.stat().st_size for file in (SHELF / name).iterdir()) for name in NAMES]
    assert max(sizes) <= 1e6 and sum(sizes) <= 15e6


@pytest.mark.parametrize("words", [(), ("--list",)])
def test_the_command_without_a_policy_shows_the_shelf(words):
    done = command("evaluate.py", *words)
    assert done.returncode == 0 and done.stdout.startswith(listing()), done.stderr
    assert all(f"| pretrained/{name} " in done.stdout for name in NAMES)


def test_the_shelf_is_shown_without_importing_torch():
    program = "import sys, evaluate; evaluate.listing(); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], cwd=PROJECT, text=True) == "False\n"


def test_the_documentation_shows_the_shelf_and_what_a_policy_does_in_a_larger_environment():
    page = (PROJECT / "docs" / "policies.md").read_text()
    assert listing() in page
    larger = read_facts(SHELF / "DoorKey-6x6-gnn")["played"][1]
    assert larger["env"] == "DoorKey-8x8"
    for actions in ("sampled", "greedy"):
        assert shown(larger[actions]["success"]) in page and shown(larger[actions]["length"]) in page


def test_a_name_that_is_not_on_the_shelf_is_answered_with_those_that_are_close():
    with pytest.raises(FileNotFoundError, match="did you mean pretrained/CartPole-homomorphic"):
        load_policy("pretrained/CartPole-homomorfic")


@pytest.mark.slow
def test_making_a_policy_writes_what_a_folder_of_the_shelf_holds(tmp_path):
    options = "env=CartPole encoder=mlp encoder.width=4 total_timesteps=256 evaluation.final_episodes=2"
    entry = Entry("Small", options.split(), "Falls.", [])
    make(entry, tmp_path / "shelf" / "Small")
    facts = read_facts(tmp_path / "shelf" / "Small")
    assert damage(tmp_path / "shelf" / "Small") is None
    load_policy(tmp_path / "shelf" / "Small", device="cpu")
    assert (facts["seed"], facts["steps"], facts["played"][0]["episodes"]) == (0, 256, 200)
    written = card(entry, tmp_path / "shelf")
    assert f"python train.py {options}" in written and shown(facts["played"][0]["greedy"]["return"]) in written


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_other_episodes_give_the_scores_of_the_card(name):
    """Sampled and greedy means differ by no more than chance allows, for all policies together with 99%.

    Both means have normal errors, whose size is that of their intervals. The bound is Bonferroni's.
    """
    bound = NormalDist().inv_cdf(1 - 0.01 / 2 / (2 * len(NAMES)))
    again = evaluate(policy=f"pretrained/{name}", episodes=60, seed=1, output="scores.json")
    for actions in ("sampled", "greedy"):
        said, found = judged(read_facts(SHELF / name)["played"][0][actions]), judged(again[actions])
        errors = [(score["high"] - score["low"]) / (2 * Z) for score in (said, found)]
        assert abs(said["mean"] - found["mean"]) <= bound * sqrt(sum(error**2 for error in errors)), (said, found)


def test_a_policy_with_memory_is_not_compared_between_symmetric_states(capsys):
    evaluate(policy="pretrained/MemoryS7-mlp", episodes=2, output="scores.json")
    assert "its outputs depend on the episode so far, so they are not compared" in capsys.readouterr().out
