"""Runs for tuning have seeds, levels and episodes of their own."""

from __future__ import annotations

from contextlib import closing

import pytest

from configs.check import checked
from configs.compose import UsageError, compose, compose_defaults
from envs import make_env
from envs.missions import words_beyond
from envs.split import hashes_of
from learning.build import build, evaluation_seed
from learning.decide import decide
from learning.learn import FINAL

SMALL = ["encoder=mlp", "agent=ppo_fast", "n_envs=4", "agent.n_steps=8", "env.engine=batched"]


def configuration(*overrides: str) -> dict:
    given = [*SMALL, *overrides]
    return decide(checked({**compose("train", given), "command": given}, compose_defaults(given)))[0]


def played(env, seed: int) -> set[int]:
    """The seeds of the levels of three episodes of each environment."""
    seeds: set[int] = set()
    with closing(env):
        for episode in range(3):
            env.seed(seed + episode)
            env.reset()
            seeds |= {info["level_seed"] for info in env.reset_infos}
    return seeds


@pytest.mark.parametrize(
    ("env", "which"),
    [
        ("DoorKey-8x8", "env.levels=20"),
        pytest.param("DoorKey-8x8", "env.levels=all", marks=pytest.mark.slow),
        pytest.param("GoToDoor-5x5", "env.held_out=right", marks=pytest.mark.slow),
    ],
)
def test_what_tuning_is_scored_on_is_neither_trained_on_nor_played_by_reports(env, which):
    about = [f"env={env}", which]
    report = configuration(*about)
    tuning = configuration(*about, "evaluation.purpose=tuning", "seed=10000000")
    seeds = {}
    for name, config in (("report", report), ("tuning", tuning)):
        built = build(config)
        seeds[name] = played(built.evaluation_env, evaluation_seed(config))
        seeds[f"{name} training"] = played(built.env, config["seed"])
        assert (built.training_levels is None) == (name == "tuning" or which == "env.levels=all")
    assert not seeds["tuning"] & (seeds["report"] | seeds["report training"] | seeds["tuning training"])
    assert len(seeds["tuning"]) > 5
    if which == "env.levels=20":  # told apart by what they are, too
        env = make_env("DoorKey-8x8").unwrapped
        hashes = [{*hashes_of(env, words_beyond(env), sorted(seeds[name]))} for name in ("tuning", "tuning training")]
        assert not hashes[0] & hashes[1]


def test_the_episodes_of_tuning_are_others():
    tuning, report = configuration("evaluation.purpose=tuning", "seed=10000000"), configuration()
    begin, theirs = evaluation_seed(tuning), evaluation_seed(report)
    assert min(begin, begin + FINAL) - max(theirs, theirs + FINAL) >= FINAL


@pytest.mark.parametrize("given", [["seed=10000000"], ["evaluation.purpose=tuning"], ["evaluation.purpose=fun"]])
def test_seeds_of_tuning_are_for_tuning_only(given):
    with pytest.raises(UsageError, match=r"10,000,000 to 10,999,999|report or tuning"):
        configuration(*given)
