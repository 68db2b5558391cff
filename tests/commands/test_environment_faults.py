"""Faults of an environment, met in training or evaluation, are neither the user's nor the learner's."""

from __future__ import annotations

import pytest
import strange_spaces  # noqa: F401 # registers the environments

from evaluate import evaluate
from train import train

RAISED = r"environment Broken-v0 raised ValueError in step 3 .*the door is gone"
QUICK = {"encoder": "mlp", "agent": "a2c", "n_envs": 2, "total_timesteps": 64, "evaluation.every": 64}
QUICK |= {"evaluation.episodes": 2, "evaluation.final_episodes": 2}


def test_an_environment_that_raises_a_value_error_is_no_usage_error_in_training(tmp_path):
    with pytest.raises(Exception, match=RAISED) as raised:
        train({"env": "Broken-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    assert not isinstance(raised.value, ValueError) and isinstance(raised.value.__cause__, ValueError)


def test_an_environment_that_raises_a_value_error_is_no_usage_error_in_evaluation(tmp_path):
    result = train({"env": "Strange-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    with pytest.raises(Exception, match=RAISED) as raised:
        evaluate({"policy": str(result.folder), "env": "Broken-v0", "episodes": 2})
    assert not isinstance(raised.value, ValueError) and isinstance(raised.value.__cause__, ValueError)


def test_nan_from_the_environment_is_not_blamed_on_learning(tmp_path):
    with pytest.raises(FloatingPointError, match=r"Poisoned-v0, .* returned nan as observation 'b'") as raised:
        train({"env": "Poisoned-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    assert "learning" not in str(raised.value)
