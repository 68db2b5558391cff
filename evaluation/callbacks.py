"""Callbacks of a training run: evaluations, signals, the progress bar."""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from evaluation.rollout import PATIENCE, Episodes, Interrupted, Predicts, rollout
from evaluation.schema import COLUMNS
from evaluation.scores import Interval, generalization_gap, of_bodies, scores


class StopOnSignal(BaseCallback):
    """Ctrl-C or SIGTERM ends learning before the next step, and an evaluation too (`stop=lambda: stop.requested`).

    Updates are always completed. A second signal interrupts at once.

    Attributes:
        number: of the signal; 0 before it.
        waits: learning goes on until a snapshot has been taken, which is possible between two rollouts only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number, self.waits = 0, False
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        return bool(self.number)

    def _request(self, number: int, _: object) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.number = number
        when = " after this rollout" if self.waits else ""
        # print would fail if the signal came within another print
        os.write(2, f"{signal.Signals(number).name}: stopping{when}; a second signal stops at once\n".encode())

    def _on_step(self) -> bool:
        return not self.requested or self.waits


class Evaluate(BaseCallback):
    """Plays `episodes` fresh episodes with sampled actions every `every` steps; writes and logs their scores.

    The k-th evaluation uses seed + k·episodes, so no two evaluations share an episode, and none shares one with
    training. An evaluation that `stop` interrupts is not written, and ends learning.

    Args:
        env: evaluation environments (unscaled rewards, raw observations).
        training_levels: the same on levels of training, whose score is logged with the difference; None: not played.
        policy: returns the current policy, which takes raw observations.
        every, episodes, seed: see above.
        file: `evaluations.csv`.
        save_best: called when an evaluation is the best so far (by success where there is one, then by return).
        diagnose: returns further numbers to log, given observations that the current policy has met.
        check: called before each evaluation; raises an error if the policy is not to be evaluated.
        show: called with the number of an evaluation, from 1 on, its seed and its episodes.
        evaluated: called after each evaluation; raises an error if learning is to end.
        patience, stop: as for `rollout`.

    Raises:
        EndlessEpisode: no episode has ended for `patience` steps.
    """

    def __init__(
        self,
        env: VecEnv,
        policy: Callable[[], Predicts],
        *,
        every: int,
        episodes: int,
        seed: int,
        file: Path,
        save_best: Callable[[dict[str, Interval | None]], object],
        training_levels: VecEnv | None = None,
        diagnose: Callable[[Any], Mapping[str, float]] = lambda states: {},
        check: Callable[[], object] = lambda: None,
        show: Callable[[int, int, Episodes], object] = lambda number, seed, episodes: None,
        evaluated: Callable[[], object] = lambda: None,
        patience: int = PATIENCE,
        stop: Callable[[], bool] = lambda: False,
    ):
        super().__init__()
        self.env, self.policy, self.every, self.episodes, self.seed = env, policy, every, episodes, seed
        self.file, self.save_best, self.diagnose, self.check = file, save_best, diagnose, check
        self.show, self.evaluated = show, evaluated
        self.training_levels, self.patience, self.stop = training_levels, patience, stop
        self.count, self.seconds = 0, 0.0
        self.best = (-np.inf, -np.inf)
        self.last: dict[str, Interval | None] | None = None

    def saved(self) -> dict[str, Any]:
        """How many evaluations there were, and the best."""
        return {"count": self.count, "best": [*self.best]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `saved`; `evaluations.csv` has its rows."""
        self.count, self.best = state["count"], tuple(state["best"])

    def _on_training_start(self) -> None:
        if self.count == 0:
            with self.file.open("w", newline="") as file:
                csv.writer(file).writerow(COLUMNS)

    def _on_step(self) -> bool:
        return self.num_timesteps < (self.count + 1) * self.every or self.evaluate()

    def _on_training_end(self) -> None:
        if self.count == 0 and self.num_timesteps >= self.model._total_timesteps:  # the run was too short for one
            self.evaluate()

    def evaluate(self) -> bool:
        """Evaluate now; False if it was interrupted."""
        self.check()
        begin = time.perf_counter()
        seed = self.seed + self.count * self.episodes
        before = self.stop()  # then this evaluation belongs to the rollout that learning ends after
        waiting: dict[str, Any] = {"patience": self.patience, "stop": lambda: not before and self.stop()}
        try:
            episodes = rollout(self.policy(), self.env, self.episodes, seed=seed, **waiting)
            measured = scores(episodes)
            if self.training_levels is not None:
                trained = scores(rollout(self.policy(), self.training_levels, self.episodes, seed=seed, **waiting))
                measure, gap = generalization_gap(trained, measured)
                self.logger.record(f"evaluation/training_{measure}", trained[measure].mean)  # type: ignore[union-attr]
                self.logger.record("evaluation/generalization_gap", gap.mean)
        except Interrupted:
            return False
        for key, value in self.diagnose(episodes.states).items():
            self.logger.record(f"evaluation/{key}", value)
        self.count += 1
        self.show(self.count, seed, episodes)
        self.seconds += time.perf_counter() - begin
        self.last = measured
        score, success, length = measured["return"], measured["success"], measured["length"]
        assert score is not None and length is not None
        with self.file.open("a", newline="") as file:
            row = [*score, *(success or ("", "", "")), length.mean]
            csv.writer(file).writerow([self.num_timesteps, *(round(x, 6) if x != "" else "" for x in row)])
        self.logger.record("evaluation/return", score.mean)
        self.logger.record("evaluation/length", length.mean)
        for body, of_body in of_bodies(episodes).items():
            self.logger.record(f"evaluation/return/{body}", of_body.mean)
        if success is not None:
            self.logger.record("evaluation/success", success.mean)
        self.logger.dump(self.num_timesteps)
        rank = (success.mean if success is not None else 0.0, score.mean)
        if rank > self.best:
            self.best = rank
            self.save_best(measured)
        self.evaluated()
        return True


class ShowProgress(BaseCallback):
    """A progress bar with return, success and steps/s; without a terminal, a plain line every 10% of the steps."""

    def __init__(self, total: int, evaluations: Evaluate):
        super().__init__()
        self.total, self.evaluations = total, evaluations
        self.bar: Progress | None = None
        self.begin, self.shown, self.lines, self.before = 0.0, 0.0, 0, 0

    def _on_training_start(self) -> None:
        self.begin, self.before = time.perf_counter(), self.num_timesteps
        self.lines = self.num_timesteps * 10 // self.total
        if sys.stdout.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}"), TimeRemainingColumn())
            self.bar = Progress(*columns)
            self.task = self.bar.add_task("", total=self.total, numbers="")
            self.bar.start()

    def _on_step(self) -> bool:
        if self.bar is None:
            if self.num_timesteps * 10 >= self.total * (self.lines + 1):
                self.lines = self.num_timesteps * 10 // self.total
                steps = min(self.num_timesteps, self.total)
                print(f"{steps:>12,}/{self.total:,} steps  {self.numbers()}", flush=True)
        elif (now := time.perf_counter()) - self.shown > 0.2:
            self.shown = now
            self.bar.update(self.task, completed=min(self.num_timesteps, self.total), numbers=self.numbers())
        return True

    def numbers(self) -> str:
        """Mean return and success of the latest training episodes, at most 100, and their number; steps per second.

        The seconds are those of learning, without evaluations.
        """
        text = []
        if self.model.ep_info_buffer:
            text.append(f"return {np.mean([episode['r'] for episode in self.model.ep_info_buffer]):.2f}")
        if self.model.ep_success_buffer:
            text.append(f"success {np.mean(self.model.ep_success_buffer):.2f}")
        if episodes := len(self.model.ep_info_buffer or ()):
            text.append(f"({episodes} episode{'s' * (episodes > 1)})")
        seconds = time.perf_counter() - self.begin - self.evaluations.seconds
        return "  ".join([*text, f"{(self.num_timesteps - self.before) / max(seconds, 1e-9):,.0f} steps/s"])

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was; an exception skips `_on_training_end`, so whoever catches it calls this."""
        if self.bar is not None:
            self.bar.update(self.task, completed=min(self.num_timesteps, self.total), numbers=self.numbers())
            self.bar.stop()
            self.bar = None
