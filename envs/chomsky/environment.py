"""A Chomsky task as a Gymnasium environment: read a string token by token, then write its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
from gymnasium import spaces

from envs.chomsky import TASKS
from envs.names import unknown


class ChomskyEnv(gymnasium.Env):
    """An episode is a string of random length: its tokens are observed, then empty tokens while it is answered.

    Observation: Discrete(inputs + 1), a token of the string, or `inputs`, the empty token.
    Action: Discrete(outputs), a token of the answer; before the first empty token it changes nothing.
    Reward: 1/n for each right token of an answer of n, so a return is the accuracy of the paper.
    End: with the last token of the answer that counts (`Task.counted`); `info["is_success"]`: all of them were right.

    Args:
        task: the name of a task in `TASKS`.
        lengths: the shortest and the longest string; each length between them is as probable.

    Raises:
        ValueError: no such task, or no such lengths.
    """

    def __init__(self, task: str = "parity_check", lengths: Sequence[int] = (1, 40)):
        if task not in TASKS:
            raise ValueError(unknown("task", str(task), TASKS))
        whole = isinstance(lengths, Sequence) and all(type(length) is int for length in lengths)
        if not whole or len(lengths) != 2 or not 1 <= lengths[0] <= lengths[1]:
            raise ValueError(f"env.lengths is [shortest, longest], whole numbers from 1 on, like [1,40]; got {lengths}")
        self.task = TASKS[task]
        self.lengths = tuple(lengths)
        self.observation_space = spaces.Discrete(self.task.inputs + 1)
        self.action_space = spaces.Discrete(self.task.outputs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        length = int(self.np_random.integers(self.lengths[0], self.lengths[1] + 1))
        (string,), answers = self.task.sample(self.np_random, 1, length)
        self.answer = answers[self.task.counted(answers)].tolist()
        self.shown = [*string.tolist(), *[self.task.inputs] * len(self.answer)]
        self.steps = self.right = 0
        return self.shown[0], {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        place = self.steps - (len(self.shown) - len(self.answer))  # in the answer, < 0 before it
        correct = place >= 0 and int(action) == self.answer[place]
        self.steps += 1
        self.right += correct
        ended = self.steps == len(self.shown)
        info = {"is_success": self.right == len(self.answer)} if ended else {}
        return self.shown[min(self.steps, len(self.shown) - 1)], correct / len(self.answer), ended, False, info
