"""`evaluate.py lipschitz=true` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import PROJECT

from evaluate import evaluate

FEW = {"episodes": 2, "output": "scores.json", "lipschitz": True}


def test_both_bounds_are_printed_and_written(capsys):
    result = evaluate(FEW, policy=str(PROJECT / "pretrained" / "CartPole-homomorphic"))
    found = json.loads(Path("scores.json").read_text())["lipschitz"]
    assert found == result["lipschitz"] and 0 < found["lower"] < found["upper"] and found["states"] > 100
    said = capsys.readouterr().out
    assert f"Lipschitz constant of its logits: at least {found['lower']:.4g}" in said
    assert f"at most {found['upper']:.4g} everywhere" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": str(PROJECT / "pretrained" / "MemoryS7-mlp")}, "lipschitz= needs a policy without memory"),
        ({"policy": "nowhere", "lipschitz": 3}, "lipschitz is true or false; got 3"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_played(options, message, capsys):
    with pytest.raises(ValueError, match=message):
        evaluate({**FEW, **options})
    assert not capsys.readouterr().out
