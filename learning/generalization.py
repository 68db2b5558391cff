"""How much better the policy of a run is on the levels that it was trained on than on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from evaluation.rollout import Episodes
from evaluation.scores import Interval, generalization_gap, scores
from learning.build import Built, evaluating


def measured(
    built: Built, config: Mapping[str, Any], final: Episodes, play: Callable[[VecEnv], Episodes]
) -> dict[str, Any]:
    """What `result.json` says of the levels: how many there are, scores on both parts, the generalization gap.

    Args:
        final: the final evaluation.
        play: plays another one.
    """
    split = built.split
    assert split is not None
    count = {"distinct": split.distinct, "found": split.found, "seeds": split.looked, "complete": split.complete}
    if split.test is None:
        return {**count, "gap": None, "reason": split.reason}

    def part(name: str) -> dict[str, Interval | None]:
        with closing(evaluating(config, config["env"]["engine"], name)) as env:
            return scores(play(env))

    training = part("training")
    test = scores(final) if built.training_levels is not None else part("test")
    measure, gap = generalization_gap(training, test)
    return {**count, "measure": measure, "training": _data(training), "test": _data(test), "gap": gap.to_data()}


def _data(intervals: Mapping[str, Interval | None]) -> dict[str, Any]:
    return {key: interval and interval.to_data() for key, interval in intervals.items()}
