"""Replays of evaluations in TensorBoard: the first, the last, and some between them."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from tensorboard.compat.proto.summary_pb2 import Summary

from evaluation.rollout import Episodes
from evaluation.tensorboard import moving_picture
from playing.film import as_gif, draws, replayed

STEPS, PICTURES, SIDE = 1000, 50, 200  # the most steps and pictures of a replay, and pixels of a longer side


class Replays:
    """Shows the first episode of some evaluations.

    The episode is not played for the sake of the picture: its actions are played again, in an environment of its own,
    and all random numbers are left as they were. Where nothing can be drawn, that is said once, and learning goes on.

    Args:
        options: of the environment, as of `envs.make.make_nth_env`.
        which: the numbers of the evaluations, as of `chosen`.
        show: takes a replay.
    """

    def __init__(self, options: Mapping[str, Any], which: set[int], show: Callable[[Summary], object]):
        self.options, self.which, self.show = options, which, show

    def __call__(self, number: int, seed: int, episodes: Episodes) -> None:
        """Show the first episode of an evaluation, if it is one of them.

        Args:
            number: of the evaluation, from 1 on.
            seed, episodes: of its rollout.
        """
        if number not in self.which:
            return
        if not draws(self.options["id"]):
            self.which = set()
            return
        try:
            with unchanged_chance(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert episodes.actions is not None
                pictures, rate = replayed(self.options, seed, episodes.actions[:STEPS], PICTURES)
            gif, size = as_gif(pictures, rate, SIDE)
        except Exception as error:  # whatever the renderer of an environment raises; a run does not need pictures
            self.which = set()
            print(f"note: no replays in TensorBoard: {type(error).__name__}: {error}", file=sys.stderr)
            return
        self.show(moving_picture("evaluation/replay", gif, size))


def chosen(count: int, total: int, every: int) -> set[int]:
    """The numbers of `count` evaluations of a run, from 1 on: the last one, the first, and others evenly between them.

    Args:
        total: steps of the run.
        every: steps between two evaluations.
    """
    last = max(1, total // every)
    return {last} if count == 1 else {*np.linspace(1, last, count).round().astype(int).tolist()}


@contextmanager
def unchanged_chance() -> Iterator[None]:
    """Leave Python's, NumPy's and PyTorch's global random numbers as they were."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
