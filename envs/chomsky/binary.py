"""Tasks of binary numbers, of any length: addition, multiplication and the square root.

A number is a row of bits, the lowest first; all rows of a batch are worked on at once. A row may have columns above 1
until `_carried` brings it back to bits. Rows of equal width w are added and multiplied modulo 2^w.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from envs.chomsky.task import Tokens

Generator = np.random.Generator
Drawn = tuple[Tokens, Tokens]
OPERATOR = END = 2


def binary_addition(generator: Generator, batch: int, length: int) -> Drawn:
    """The sum of two numbers with token 2 between them, then token 2, then zeros; the lowest bits come first.

    Lengths 1 and 2 leave no room for two numbers: the string is one, below 2^length - 1, and so is the answer.
    """
    if length < 3:
        string = _one_number(generator, batch, length)
        return string, _ended(string, length + 1)
    string, one, other = _two_numbers(generator, batch, length)
    return string, _ended(_carried(one + other), length + 1)


def binary_multiplication(generator: Generator, batch: int, length: int) -> Drawn:
    """The product of two numbers with token 2 between them, then token 2, then zeros; the lowest bits come first.

    Lengths 1 and 2 leave no room for two numbers: the string is one, below 2^length - 1, and the answers are 2 and 02.
    """
    if length < 3:
        answer = np.array([0] * (length - 1) + [END])
        return _one_number(generator, batch, length), np.tile(answer, (batch, 1))
    string, one, other = _two_numbers(generator, batch, length)
    return string, _ended(_carried(_product(one, other)), length)


def compute_sqrt(generator: Generator, batch: int, length: int) -> Drawn:
    """The integer part of the square root of a number of at least 1; in both, the highest bits come first.

    n = q² + r with 0 ≤ r ≤ 2q has exactly one solution for each n, and q is its root. So q and r are drawn, uniformly
    among all that give an n of this length, and n is computed from them: no root is ever extracted.
    """
    half = (length + 1) // 2

    def draw(count: int) -> Drawn:
        bits = generator.integers(0, 2, (count, half + half + 1))
        root, rest = bits[:, :half], bits[:, half:]
        valid = root.any(axis=1) & _at_most(rest, np.pad(root, ((0, 0), (1, 0))))
        root, rest = (np.pad(part[valid], ((0, 0), (0, 2 * half - part.shape[1]))) for part in (root, rest))
        number = _carried(_product(root, root) + rest)
        fits = ~number[:, length:].any(axis=1)
        return number[fits, length - 1 :: -1], root[fits, half - 1 :: -1]

    return _accepted(draw, batch)


def _accepted(draw: Callable[[int], Drawn], batch: int) -> Drawn:
    """The first `batch` pairs of those that `draw(count)` returns, which may be fewer than `count`."""
    string, answer = draw(4 * batch)
    while len(string) < batch:
        string, answer = (np.concatenate(both) for both in zip((string, answer), draw(4 * batch), strict=True))
    return string[:batch], answer[:batch]


def _one_number(generator: Generator, batch: int, length: int) -> Tokens:
    numbers = generator.integers(0, 2**length - 1, (batch, 1))
    return numbers >> np.arange(length) & 1


def _two_numbers(generator: Generator, batch: int, length: int) -> tuple[Tokens, Tokens, Tokens]:
    """Strings of two numbers of at least 1 with an operator between them, at every place as probable; the numbers."""
    middle = generator.integers(1, length - 1, (batch, 1))
    one = _positive(generator, middle, length)
    other = _positive(generator, length - 1 - middle, length)
    place = np.arange(length) - middle
    string = np.where(place < 0, one, np.take_along_axis(other, (place - 1) % length, axis=1))
    np.put_along_axis(string, middle, OPERATOR, axis=1)
    return string, one, other


def _positive(generator: Generator, sizes: Tokens, width: int) -> Tokens:
    """Numbers of at least 1 with at most `sizes` (batch, 1) bits, each as probable: zeros are drawn again."""
    bits = np.zeros((len(sizes), width), np.int64)
    while len(zero := np.flatnonzero(~bits.any(axis=1))):
        bits[zero] = generator.integers(0, 2, (len(zero), width)) * (np.arange(width) < sizes[zero])
    return bits


def _product(one: Tokens, other: Tokens) -> Tokens:
    """Long multiplication, without carrying."""
    width = one.shape[1]
    product = np.zeros_like(one)
    for place in range(width):
        product[:, place:] += one[:, place : place + 1] * other[:, : width - place]
    return product


def _carried(columns: Tokens) -> Tokens:
    """The bits of numbers whose columns may be above 1."""
    bits = np.empty_like(columns)
    carry = np.zeros(len(columns), np.int64)
    for place, column in enumerate(columns.T):
        total = column + carry
        bits[:, place] = total & 1
        carry = total >> 1
    return bits


def _at_most(one: Tokens, other: Tokens) -> NDArray[np.bool_]:
    """one ≤ other: the highest bit in which they differ decides."""
    difference = (one - other)[:, ::-1]
    highest = (difference != 0).argmax(axis=1)[:, None]
    return np.take_along_axis(difference, highest, axis=1)[:, 0] <= 0


def _ended(bits: Tokens, width: int) -> Tokens:
    """Numbers up to their highest one, then the end, then zeros up to a width; 0 keeps one bit."""
    size = (bits * np.arange(1, bits.shape[1] + 1)).max(axis=1, keepdims=True, initial=1)
    answer = np.pad(bits, ((0, 0), (0, width - bits.shape[1])))
    np.put_along_axis(answer, size, END, axis=1)
    return answer
