"""Every `auto` of a configuration is decided in one place, with a reason, and no configuration is changed in place."""

from __future__ import annotations

import copy
from contextlib import closing

import pytest

from configs.check import checked
from configs.compose import FOLDER, compose, compose_defaults
from learning.build import build
from learning.decide import decide


@pytest.mark.parametrize("agent", [path.stem for path in sorted((FOLDER / "agent").glob("*.yaml"))])
def test_no_auto_is_left_and_no_configuration_is_changed_in_place(agent):
    env = "Pendulum" if agent in ("sac", "td3") else "CartPole"
    chosen = [f"env={env}", f"agent={agent}", "total_timesteps=300", "encoder.width=8"]
    config = checked(compose("train", chosen), compose_defaults(chosen))
    untouched = copy.deepcopy(config)
    before, reasons = decide(config)
    assert config == untouched and {"device", "threads"} <= reasons.keys()
    built_from = copy.deepcopy(before)
    with closing(build(before)) as built:
        decided, more = decide(before, built.env, built.model)
        assert before == built_from and decided["env"]["engine"] == built.env.engine
    assert ("agent.implementation" in more) == ("implementation" in config["agent"])
    undecided = {"implementation", "distinct", "overlap"} & {k for k, v in decided["agent"].items() if v == "auto"}
    assert not undecided and "auto" not in (decided["device"], decided["threads"], decided["env"]["engine"])
    assert "auto" not in (decided["evaluation"]["every"], decided["symmetry"]["method"])
