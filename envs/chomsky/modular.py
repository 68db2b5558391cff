"""Tasks of arithmetic modulo 5: expressions with and without brackets, and equations.

Tokens 0 to 4 are the digits; `Symbols` says what the others are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.chomsky.task import Tokens

Generator = np.random.Generator
Drawn = tuple[Tokens, Tokens]
MODULUS = 5
PLUS, MINUS, TIMES = range(MODULUS, MODULUS + 3)


@dataclass(frozen=True)
class Symbols:
    """The tokens of brackets, and how many operators an expression has: plus and minus, and times as a third."""

    opening: int
    closing: int
    operators: int


EXPRESSION = Symbols(opening=MODULUS + 3, closing=MODULUS + 4, operators=3)
EQUATION = Symbols(opening=MODULUS + 2, closing=MODULUS + 3, operators=2)
UNKNOWN, EQUALS = MODULUS + 4, MODULUS + 5  # of equations


def modular_arithmetic(generator: Generator, batch: int, length: int) -> Drawn:
    """The value of digits with +, - and × between them, × before + and -."""
    string = np.empty((batch, length), np.int64)
    string[:, ::2] = generator.integers(0, MODULUS, (batch, length // 2 + 1))
    string[:, 1::2] = generator.integers(PLUS, TIMES + 1, (batch, length // 2))
    total, term = np.zeros(batch, np.int64), string[:, 0]
    for operator, digit in zip(string.T[1::2], string.T[2::2], strict=True):
        times = operator == TIMES
        total = np.where(times, total, total + term)
        term = np.where(times, term * digit % MODULUS, np.where(operator == MINUS, -digit, digit))
    return string, ((total + term) % MODULUS)[:, None]


def modular_arithmetic_brackets(generator: Generator, batch: int, length: int) -> Drawn:
    """The value of an expression in brackets, with +, - and ×; `_expressions` draws them."""
    string, value = _expressions(generator, batch, length, EXPRESSION)
    return string, value[:, None]


def solve_equation(generator: Generator, batch: int, length: int) -> Drawn:
    """The digit that x stands for in `expression = digit`, in which x occurs once; there is no ×, so it is unique.

    x replaces the first digit from a random place on, the end being followed by the beginning. Lengths 1 and 2 leave no
    room for an equation: all their tokens, and the answers, are 0.
    """
    if length < 3:
        return np.zeros((batch, length), np.int64), np.zeros((batch, 1), np.int64)
    expression, value = _expressions(generator, batch, length - 2, EQUATION)
    place = generator.integers(0, length - 2, (batch, 1))
    ahead = (np.arange(length - 2) - place) % (length - 2)  # how far from the random place on
    x = np.where(expression < MODULUS, ahead, length).argmin(axis=1, keepdims=True)
    answer = np.take_along_axis(expression, x, axis=1)
    np.put_along_axis(expression, x, UNKNOWN, axis=1)
    return np.column_stack([expression, np.full(batch, EQUALS), value]), answer


def _expressions(generator: Generator, batch: int, length: int, symbols: Symbols) -> tuple[Tokens, Tokens]:
    """Random expressions (batch, length), and their values (batch,).

    Fewer than 5 tokens are d, -d, (d) or (-d) for a random digit d. Otherwise the expression is (L∘R) for a random
    operator ∘, and expressions L and R, where every way to share out the length between them is as probable.
    """
    tokens = np.empty((batch, length), np.int64)
    starts = np.arange(batch) * length
    values = _write(generator, tokens.ravel(), starts, np.full(batch, length), symbols)
    return tokens, values


def _write(generator: Generator, tokens: Tokens, starts: Tokens, lengths: Tokens, symbols: Symbols) -> Tokens:
    """Write an expression into each of the spans of `tokens`, and return their values.

    All expressions of one depth, in the whole batch, are written at once; the next call writes what is inside them.
    """
    values = np.empty(len(starts), np.int64)
    short = lengths < 5
    values[short] = _write_digits(generator, tokens, starts[short], lengths[short], symbols)
    if short.all():
        return values

    start, length = starts[~short], lengths[~short]
    left = generator.integers(1, length - 3)
    operator = generator.integers(PLUS, PLUS + symbols.operators, len(start))
    tokens[start] = symbols.opening
    tokens[start + 1 + left] = operator
    tokens[start + length - 1] = symbols.closing
    inner = np.concatenate([start + 1, start + 2 + left]), np.concatenate([left, length - 3 - left])
    one, other = _write(generator, tokens, *inner, symbols).reshape(2, -1)
    values[~short] = np.choose(operator - PLUS, [one + other, one - other, one * other]) % MODULUS
    return values


def _write_digits(generator: Generator, tokens: Tokens, starts: Tokens, lengths: Tokens, symbols: Symbols) -> Tokens:
    """Write d, -d, (d) or (-d) into spans of 1 to 4 tokens, and return their values."""
    digits = generator.integers(0, MODULUS, len(starts))
    bracketed, negative = lengths > 2, lengths % 2 == 0
    tokens[starts[bracketed]] = symbols.opening
    tokens[(starts + lengths - 1)[bracketed]] = symbols.closing
    places = starts + bracketed
    tokens[places[negative]] = MINUS
    tokens[places + negative] = digits
    return np.where(negative, -digits, digits) % MODULUS
