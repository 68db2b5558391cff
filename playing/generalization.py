"""How much better a policy is on the levels that it was trained on than on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from envs.split import Split
from evaluation.rollout import Episodes
from evaluation.scores import Interval, generalization_gap, scores


def generalization(
    split: Split, part: Callable[[str], VecEnv], play: Callable[[VecEnv], Episodes], tested: Episodes | None = None
) -> dict[str, Any]:
    """What `result.json` says of levels: how many there are, the scores on both parts, the generalization gap.

    Args:
        split: the levels that the policy was trained on, and others.
        part: makes environments that play "training" or "test" levels.
        play: plays episodes with the policy.
        tested: episodes on levels of tests, if some have been played.
    """
    count = {"distinct": split.distinct, "found": split.found, "seeds": split.looked, "complete": split.complete}
    if split.test is None:
        return {**count, "gap": None, "reason": split.reason}

    def measured(name: str) -> dict[str, Interval | None]:
        with closing(part(name)) as env:
            return scores(play(env))

    training = measured("training")
    test = measured("test") if tested is None else scores(tested)
    measure, gap = generalization_gap(training, test)
    return {**count, "measure": measure, "training": _data(training), "test": _data(test), "gap": gap.to_data()}


def _data(intervals: Mapping[str, Interval | None]) -> dict[str, Any]:
    return {key: interval and interval.to_data() for key, interval in intervals.items()}
