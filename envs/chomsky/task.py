"""What a task of the Chomsky hierarchy is: strings to read, of any length, and the answer to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]  # (batch, length), counted from 0
Draw = Callable[[np.random.Generator, int, int], tuple[Tokens, Tokens]]

REGULAR, CONTEXT_FREE, CONTEXT_SENSITIVE = LEVELS = ("regular", "deterministic context-free", "context-sensitive")


@dataclass(frozen=True)
class Task:
    """One of the 15 tasks of Delétang et al. (2023, appendix A.1): a string of tokens has one answer, also a string.

    Attributes:
        name: as in the published code; "missing_duplicate" is its missing_duplicate_string.
        level: the lowest of `LEVELS` in which the task lies.
        inputs, outputs: sizes of the two alphabets; a token is a number from 0 to size - 1.
        draw: (generator, batch, length) -> the strings and their answers.
        answered: length of a string -> length of its answer.
        chance: the accuracy of guessing that the paper states (table 2): 0.5, or 0.2 for five answers.
        ends: answers end with the token `outputs` - 1, and zeros fill them up.
        odd: strings have odd lengths only; for an even length they are one token shorter.
    """

    name: str
    level: str
    inputs: int
    outputs: int
    draw: Draw
    answered: Callable[[int], int] = lambda length: 1
    chance: float = 0.5
    ends: bool = False
    odd: bool = False

    def input_length(self, length: int) -> int:
        """The number of tokens that strings of a length asked for have.

        Raises:
            ValueError: the length is below 1.
        """
        if length < 1:
            raise ValueError(f"a string of {self.name} has at least 1 token, got length={length}")
        return length - 1 if self.odd and length % 2 == 0 else length

    def output_length(self, length: int) -> int:
        """The number of tokens of every answer to strings of a length.

        Raises:
            ValueError: the length is below 1.
        """
        return self.answered(self.input_length(length))

    def sample(self, generator: np.random.Generator, batch: int, length: int) -> tuple[Tokens, Tokens]:
        """Random strings (batch, `input_length(length)`) and their answers (batch, `output_length(length)`).

        Raises:
            ValueError: batch or length is below 1.
        """
        if batch < 1:
            raise ValueError(f"a batch has at least 1 string, got batch={batch}")
        return self.draw(generator, batch, self.input_length(length))

    def counted(self, answers: Tokens) -> NDArray[np.bool_]:
        """Which tokens of answers (batch, length) the accuracy counts: all but the zeros after the end."""
        if not self.ends:
            return np.ones(answers.shape, bool)
        ended = answers == self.outputs - 1
        return np.cumsum(ended, axis=1) - ended == 0
