"""`evaluate.py shift=`: the scores on shifted levels beside those on the levels as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envs import make_vec_env
from evaluate import evaluate


def test_a_policy_that_is_equivariant_plays_mirrored_levels_as_well(capsys):
    policy = "pretrained/LavaCrossingS9N1-homomorphic"
    result = evaluate(policy=policy, shift="mirror", episodes=5, output="scores.json")
    assert result == json.loads(Path("scores.json").read_text())
    shifted = result["shifted"]
    assert shifted["by"] == "mirror" and shifted["greedy"] == result["greedy"]
    assert shifted["of_optimal"]["greedy"] == result["of_optimal"]["greedy"]
    shown = capsys.readouterr().out
    assert "greedy, mirrored" in shown and "sampled, mirrored" in shown


@pytest.mark.parametrize(
    ("policy", "shift", "said"),
    [("LavaGapS7-hypernetwork", "rotate", "rotated"), ("GoToDoor-5x5-transformer", "colours", "other colours")],
)
def test_the_scores_on_the_levels_as_they_are_stay_the_same(policy, shift, said, capsys):
    named = {"policy": f"pretrained/{policy}", "episodes": 4}
    plain, result = evaluate(**named, output="plain.json"), evaluate(**named, shift=shift, output="shifted.json")
    shifted = result.pop("shifted")
    assert shifted["by"] == shift and result == plain
    # the encoder of LavaGapS7 reads the direction, which a rotation changes
    assert shift != "rotate" or shifted["greedy"]["return"]["mean"] < plain["greedy"]["return"]["mean"]
    assert f"sampled, {said}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        ("DoorKey-6x6-gnn", {"shift": "turn"}, "no shift is called 'turn'. There are: colours, mirror, rotate"),
        ("DoorKey-6x6-gnn", {"shift": "colors"}, "no shift is called 'colors'; did you mean colours?"),
        (
            "DoorKey-6x6-gnn",
            {"shift": "mirror", "video": "a.gif"},
            "video= draws levels as they are, and shift= changes",
        ),
        ("CartPole-homomorphic", {"shift": "mirror"}, "CartPole-v1 has no levels, which shift=mirror would change"),
        ("LavaGapS7-hypernetwork", {"shift": "colours"}, "shift=colours changes nothing in LavaGapEnv"),
    ],
)
def test_a_shift_that_cannot_be_is_one_line(policy, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(policy=f"pretrained/{policy}", episodes=2, **options)


@pytest.mark.parametrize(
    ("view", "shift", "message"),
    [
        ("full", "rotate", "shift=rotate makes a grid of 6x11 cells, and policies of env.view=full know 11x6"),
        (
            "flat",
            "mirror",
            "shift=mirror needs the batched engine, which cannot step Unlock: it does not show env.view=flat",
        ),
    ],
)
def test_a_view_that_cannot_be_shifted_is_one_line(view, shift, message):
    with pytest.raises(ValueError, match=message):
        make_vec_env("Unlock", view=view, bank=0, shift=shift)


SIZES = "other sizes of MiniGrid-GoToDoor-5x5-v0 are MiniGrid-GoToDoor-6x6-v0, MiniGrid-GoToDoor-8x8-v0"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("MiniGrid-GoToDoor-7x7-v0", "no environment is called .*; did you mean MiniGrid-GoToDoor-"),
        ("CartPole", r"the policy acts in Discrete\(7\), CartPole.* in Discrete\(2\)"),
        ("DoorKey-5x5", f"shows direction, image, and the policy reads direction, image, mission; {SIZES}"),
    ],
)
def test_another_size_that_cannot_be_played_is_one_line(env, message):
    with pytest.raises(ValueError, match=message):
        evaluate(policy="pretrained/GoToDoor-5x5-transformer", env=env, episodes=2)


def test_a_size_of_another_family_is_said_to_be_one(capsys):
    played = {"policy": "pretrained/GoToDoor-5x5-transformer", "episodes": 1, "output": "scores.json"}
    evaluate(**played, env="MiniGrid-GoToDoor-6x6-v0")
    assert "another task" not in capsys.readouterr().out
    evaluate(**played, env="MiniGrid-Fetch-5x5-N2-v0")
    said = "note: MiniGrid-Fetch-5x5-N2-v0 is no other size of the policy's own environment, but another task"
    assert f"{said}; {SIZES}" in capsys.readouterr().out
