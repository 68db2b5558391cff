"""Tasks about strings: of two symbols, of steps on a circle, of the instructions for a stack."""

from __future__ import annotations

import numpy as np

from envs.chomsky.task import Tokens

Generator = np.random.Generator
Drawn = tuple[Tokens, Tokens]
CIRCLE, SYMBOLS = 5, 5
PUSH = 3  # PUSH + s puts s onto the stack; 2 pops
STACK_END = 2
MISSING, PADDING = 2, 3


def even_pairs(generator: Generator, batch: int, length: int) -> Drawn:
    """0 where the pairs 01 and 10 are an even number, else 1: whether the first symbol is not the last."""
    string = generator.integers(0, 2, (batch, length))
    return string, string[:, :1] ^ string[:, -1:]


def parity_check(generator: Generator, batch: int, length: int) -> Drawn:
    """The number of ones, modulo 2."""
    string = generator.integers(0, 2, (batch, length))
    return string, string.sum(axis=1, keepdims=True) % 2


def cycle_navigation(generator: Generator, batch: int, length: int) -> Drawn:
    """Where a walk from place 0 on a circle of 5 ends; tokens 0, 1 and 2 step by -1, 0 and 1."""
    string = generator.integers(0, 3, (batch, length))
    return string, (string - 1).sum(axis=1, keepdims=True) % CIRCLE


def reverse_string(generator: Generator, batch: int, length: int) -> Drawn:
    """The string from its end to its beginning."""
    string = generator.integers(0, 2, (batch, length))
    return string, string[:, ::-1].copy()


def duplicate_string(generator: Generator, batch: int, length: int) -> Drawn:
    """The string twice."""
    string = generator.integers(0, 2, (batch, length))
    return string, np.tile(string, 2)


def odds_first(generator: Generator, batch: int, length: int) -> Drawn:
    """s₁ s₃ s₅ … s₂ s₄ s₆ …, as the paper and the text of the published code say; that code itself begins with s₂."""
    string = generator.integers(0, 2, (batch, length))
    return string, np.concatenate([string[:, ::2], string[:, 1::2]], axis=1)


def bucket_sort(generator: Generator, batch: int, length: int) -> Drawn:
    """The five symbols of the string in rising order."""
    string = generator.integers(0, SYMBOLS, (batch, length))
    return string, np.sort(string, axis=1)


def missing_duplicate(generator: Generator, batch: int, length: int) -> Drawn:
    """The symbol that is missing (token 2) in a string written twice; token 3 fills up an odd length.

    A single token leaves no room for that: it is 1, and so is the answer.
    """
    if length == 1:
        return np.ones((batch, 1), np.int64), np.ones((batch, 1), np.int64)
    string = np.tile(generator.integers(0, 2, (batch, length // 2)), 2)
    place = generator.integers(0, string.shape[1], (batch, 1))
    answer = np.take_along_axis(string, place, axis=1)
    np.put_along_axis(string, place, MISSING, axis=1)
    return np.pad(string, ((0, 0), (0, length % 2)), constant_values=PADDING), answer


def stack_manipulation(generator: Generator, batch: int, length: int) -> Drawn:
    """The stack, from its top, that instructions leave of the one before them, then token 2, then zeros.

    A string is a stack from its bottom (tokens 0, 1; at least one), and instructions: 2 pops, which does nothing to an
    empty stack, and 3 and 4 push 0 and 1. There is at least one instruction, unless there is one token in all.
    """
    given = generator.integers(1, max(length, 2), (batch, 1))
    symbols, instructions = generator.integers(0, 2, (batch, length)), generator.integers(2, 5, (batch, length))
    string = np.where(np.arange(length) < given, symbols, instructions)
    stack, height = np.zeros((batch, length), np.int64), np.zeros(batch, np.int64)
    rows = np.arange(batch)
    for tokens in string.T:
        pops = tokens == PUSH - 1
        # what lies above the top is overwritten by the next push, so a pop may leave it there, and may write there
        stack[rows, height] = tokens % PUSH
        height = np.maximum(height + np.where(pops, -1, 1), 0)
    depth = np.arange(length + 1) - height[:, None]  # < 0 inside the stack
    answer = np.where(depth < 0, np.take_along_axis(stack, np.maximum(-1 - depth, 0), axis=1), 0)
    return string, np.where(depth == 0, STACK_END, answer)
