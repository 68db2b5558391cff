"""What is searched: the forms of an entry, and what is refused before anything is trained."""

from __future__ import annotations

import pytest

from configs.compose import UsageError, existing
from tuning.search import search_of
from tuning.space import Choice, Range, corners, space_of

CARTPOLE = ["env=CartPole", "encoder=mlp"]


def test_a_rate_that_falls_keeps_falling():
    entry = {"agent": {"learning_rate": [1e-4, 1e-2, "log"]}}
    falling = space_of(entry, {"agent.learning_rate": "lin_5e-3"}, set())["agent.learning_rate"]
    constant = space_of(entry, {"agent.learning_rate": 5e-3}, set())["agent.learning_rate"]
    assert falling.option(falling.nearest("lin_5e-3")) == "lin_0.005"
    assert constant.option(constant.nearest(5e-3)) == 0.005
    assert constant.option(0.00123456) == 0.00123  # what is tried is what the file can say


def test_the_first_trial_has_the_present_settings_or_the_nearest_ones():
    assert Range(1e-4, 0.1, True).nearest(0.0) == 1e-4
    assert Range(2, 64, True).nearest(10.0) == 10
    assert Choice((64, 128, 256)).nearest(100) == 128 and Choice((False, True)).nearest(True) is True
    assert Choice(("tanh", "relu")).nearest(None) == "tanh"


def test_an_option_that_is_given_is_not_searched_and_others_are_added_and_left_out():
    usual = search_of(CARTPOLE)[0].space
    more = ["agent.gamma=0.9", "space.agent.clip_range=null", "space.agent.vf_coef=[0.3,1,uniform]"]
    search = search_of([*CARTPOLE, *more])[0]
    assert usual.keys() ^ search.space.keys() == {"agent.gamma", "agent.clip_range", "agent.vf_coef"}
    assert search.present["agent.gamma"] == 0.9 and str(search.space["agent.vf_coef"]) == "0.3 to 1"


def test_a_space_may_be_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("encoder:\n  width: [16, 64]\nagent:\n  learning_rate: [1e-4, 1e-3, log]\n")
    search = search_of([*CARTPOLE, f"space={tmp_path / 'mine.yaml'}"])[0]
    assert {key: str(searched) for key, searched in search.space.items()} == {
        "encoder.width": "16, 64",
        "agent.learning_rate": "0.0001 to 0.001 (log), falling to 0",
    }


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (0.9, "got 0.9"),
        ([0.9], "there is nothing to choose"),
        ([0.9, 0.9, 0.99], "a value is there twice"),
        ([0.99, 0.9, "uniform"], "0.99 is not below 0.9"),
        ([0.9, "log"], "log follows two numbers"),
        ([0.0, 0.1, "log"], "a logarithmic range is of positive numbers"),
        ([[0.9], [0.99]], "a value is a number, a word, true, false or null"),
    ],
)
def test_an_entry_of_another_form_is_one_line(entry, reason):
    with pytest.raises(UsageError, match=r"^space\.agent\.gamma is \[low,high,log\], .*") as refused:
        space_of({"agent": {"gamma": entry}}, {}, set())
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("space.agent.gama=[0.9,0.99]", "no option is called 'agent.gama'; did you mean agent.gamma"),
        ("space.total_timesteps=[1000,2000]", "space.total_timesteps: the options of agent, encoder and env"),
        ("space=none.yaml", "space=none.yaml cannot be read"),
        ("space=pppo", "no space is called 'pppo'"),
        ("trials=0", "trials is a whole number from 1"),
        ("jobs=none", "jobs is auto or a whole number"),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_searched_is_one_line(override, reason):
    with pytest.raises(UsageError) as refused:
        search_of([*CARTPOLE, override])
    assert reason in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("agent", existing("agent"))
def test_every_agent_has_a_space_and_every_value_of_it_is_met_in_a_corner(agent):
    env = "Pendulum" if agent in ("sac", "td3") else "CartPole"
    space = search_of([f"env={env}", "encoder=mlp", f"agent={agent}"])[0].space
    assert all(key.startswith("agent.") for key in space)  # sizes of networks stay equal
    for key, searched in space.items():
        assert {*searched.ends} == {corner[key] for corner in corners(space)}
