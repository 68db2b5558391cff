"""Broken or ill-meant statistics are one clear error; nothing in them is executed."""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from saved_models import CANARY, Canary, refused, saved
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """A zip, and statistics to be damaged."""
    folder = tmp_path_factory.mktemp("intact")
    saved(folder, PPO, gymnasium.make("CartPole-v1")).rename(folder / "ppo.zip")
    normalizer = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    normalizer.save(str(folder / "statistics.pkl"))
    return folder


def statistics(change):
    """Changes the state of a normalizer before it is pickled."""

    def damage(file: Path) -> None:
        normalizer = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
        change(normalizer)
        with open(file, "wb") as stream:
            pickle.dump(normalizer, stream)

    return damage


BROKEN_STATISTICS = {
    "no file": (Path.unlink, "No such file|there is no"),
    "an empty file": (lambda file: file.write_bytes(b""), "has no end|damaged"),
    "text": (lambda file: file.write_text("statistics"), "its pickle"),
    "a pickle of something else": (
        lambda file: file.write_bytes(pickle.dumps({"mean": 0})),
        "not a file of VecNormalize",
    ),
    "a canary": (lambda file: file.write_bytes(pickle.dumps(Canary())), "would import \\w+.mkdir"),
    "a canary for statistics": (statistics(lambda n: setattr(n, "obs_rms", Canary())), "would import \\w+.mkdir"),
    "a canary for a space": (
        statistics(lambda n: setattr(n, "observation_space", Canary())),
        "would import \\w+.mkdir",
    ),
    "statistics that are None": (statistics(lambda n: setattr(n, "obs_rms", None)), "no statistics of observations"),
    "a mean of text": (statistics(lambda n: setattr(n.obs_rms, "mean", "0")), "its mean is not an array"),
    "a mean of objects": (statistics(lambda n: setattr(n.obs_rms, "mean", np.array([None] * 4))), "its mean is not of"),
    "a mean that is NaN": (statistics(lambda n: n.obs_rms.mean.fill(np.nan)), "its mean is not finite"),
    "a negative variance": (statistics(lambda n: n.obs_rms.var.fill(-1)), "statistics are damaged"),
    "another shape": (statistics(lambda n: setattr(n.obs_rms, "var", np.ones(3))), "statistics are damaged"),
    "a clip that is NaN": (statistics(lambda n: setattr(n, "clip_obs", float("nan"))), "clip_obs is not a number"),
    "a clip of 0": (statistics(lambda n: setattr(n, "clip_obs", 0)), "statistics are damaged"),
    "an epsilon of text": (statistics(lambda n: setattr(n, "epsilon", "1")), "epsilon is not a number"),
    "statistics of another observation": (
        statistics(lambda n: [setattr(n.obs_rms, key, np.ones(3)) for key in ("mean", "var")]),
        r"statistics of shape \(3,\), and the policy in .* reads observations of shape \(4,\)",
    ),
    "statistics of a Dict": (statistics(lambda n: setattr(n, "obs_rms", {"x": n.obs_rms})), "the parts of a Dict"),
}


@pytest.mark.parametrize("case", BROKEN_STATISTICS)
def test_broken_statistics_are_one_clear_error_and_nothing_of_them_is_executed(case, intact, tmp_path):
    damage, message = BROKEN_STATISTICS[case]
    file = Path(shutil.copy(intact / "statistics.pkl", tmp_path / "statistics.pkl"))
    damage(file)
    assert re.search(message, refused(intact / "ppo.zip", file))
    assert not Path(CANARY).exists()


def test_statistics_cut_off_anywhere_are_one_clear_error(intact, tmp_path):
    content, file = (intact / "statistics.pkl").read_bytes(), tmp_path / "statistics.pkl"
    for length in range(0, len(content), 16):
        file.write_bytes(content[:length])
        refused(intact / "ppo.zip", file)
