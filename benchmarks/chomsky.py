"""Tokens per CPU-second of the generators of the Chomsky tasks, beside the published algorithm string by string.

    python benchmarks/chomsky.py [--tasks parity_check ...] [--length 40] [--batch 128] [--rounds 7]

Tokens are those of the strings to read. The peer draws each string of a batch for itself as the published generators
are described (Delétang et al. 2023), in Python and NumPy, and stacks the batch. For the tasks marked * the published
code does that too; it draws the others in one compiled call for a batch, which the peer here does not.
Figures are medians over rounds that time all in turn, on one thread.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, taking_turns

from envs.chomsky import TASKS

Generator = np.random.Generator
String = tuple[list[int], list[int]]  # and its answer
BY_STRING = {
    *("modular_arithmetic_brackets", "solve_equation", "stack_manipulation"),
    *("binary_addition", "binary_multiplication", "compute_sqrt"),
}


def of(symbols: int, answer: Callable[[np.ndarray], np.ndarray | list[int]]) -> Callable[[Generator, int], String]:
    """The peer of a task whose strings are of symbols that are drawn one like the other."""

    def peer(generator: Generator, length: int) -> String:
        string = generator.integers(0, symbols, length)
        return string, answer(string)

    return peer


def whole(generator: Generator, bits: int) -> int:
    """A number of at least 1 and at most this many bits."""
    while not (number := int.from_bytes(generator.bytes(-(-bits // 8)), "little") % 2**bits):
        pass
    return number


def little(number: int, width: int = 0) -> list[int]:
    return [int(bit) for bit in f"{number:b}".zfill(width)[::-1]]


def modular_arithmetic(generator: Generator, length: int) -> String:
    digits, operators = generator.integers(0, 5, length // 2 + 1), generator.integers(5, 8, length // 2)
    string = [digits[0]]
    total, term = 0, digits[0]
    for operator, digit in zip(operators, digits[1:], strict=True):
        string += [operator, digit]
        if operator == 7:
            term = term * digit
        else:
            total, term = total + term, digit if operator == 5 else -digit
    return string, [(total + term) % 5]


def expression(generator: Generator, length: int, operators: str) -> tuple[str, int]:
    if length < 5:
        digit = int(generator.integers(0, 5))
        text = ("", "{}", "-{}", "({})", "(-{})")[length].format(digit)
        return text, digit if length % 2 else -digit % 5
    left = int(generator.integers(1, length - 3))
    one, value = expression(generator, left, operators)
    other, right = expression(generator, length - left - 3, operators)
    operator = operators[generator.integers(0, len(operators))]
    return f"({one}{operator}{other})", {"+": value + right, "-": value - right, "*": value * right}[operator] % 5


def modular_arithmetic_brackets(generator: Generator, length: int) -> String:
    text, value = expression(generator, length, "+-*")
    return ["01234+-*()".index(symbol) for symbol in text], [value]


def solve_equation(generator: Generator, length: int) -> String:
    text, value = expression(generator, length - 2, "+-")
    place = int(generator.integers(0, len(text)))
    while not text[place].isdigit():
        place = (place + 1) % len(text)
    equation = f"{text[:place]}x{text[place + 1 :]}={value}"
    return ["01234+-()x=".index(symbol) for symbol in equation], [int(text[place])]


def stack_manipulation(generator: Generator, length: int) -> String:
    given = int(generator.integers(1, length))
    stack, actions = generator.integers(0, 2, given), generator.integers(2, 5, length - given)
    left = list(stack)
    for action in actions:
        if action > 2:
            left.append(action - 3)
        elif left:
            left.pop()
    return np.concatenate([stack, actions]), [*left[::-1], 2, *[0] * (length - len(left))]


def missing_duplicate(generator: Generator, length: int) -> String:
    string = np.tile(generator.integers(0, 2, length // 2), 2)
    place = generator.integers(0, len(string))
    answer = [string[place]]
    string[place] = 2
    return [*string, *[3] * (length % 2)], answer


def binary(combine: Callable[[int, int], int], longer: int) -> Callable[[Generator, int], String]:
    def peer(generator: Generator, length: int) -> String:
        size = int(generator.integers(1, length - 1))
        one, other = whole(generator, size), whole(generator, length - 1 - size)
        result = [*little(combine(one, other)), 2]
        return [*little(one, size), 2, *little(other, length - 1 - size)], result + [0] * (
            length + longer - len(result)
        )

    return peer


def compute_sqrt(generator: Generator, length: int) -> String:
    number = whole(generator, length)
    return little(number, length)[::-1], little(math.isqrt(number), (length + 1) // 2)[::-1]


PEERS: dict[str, Callable[[Generator, int], String]] = {
    "even_pairs": of(2, lambda string: [np.sum(string[:-1] != string[1:]) % 2]),
    "parity_check": of(2, lambda string: [np.sum(string) % 2]),
    "cycle_navigation": of(3, lambda string: [np.sum(string - 1) % 5]),
    "modular_arithmetic": modular_arithmetic,
    "modular_arithmetic_brackets": modular_arithmetic_brackets,
    "reverse_string": of(2, lambda string: string[::-1]),
    "stack_manipulation": stack_manipulation,
    "solve_equation": solve_equation,
    "duplicate_string": of(2, lambda string: np.concatenate([string, string])),
    "missing_duplicate": missing_duplicate,
    "odds_first": of(2, lambda string: np.concatenate([string[::2], string[1::2]])),
    "binary_addition": binary(int.__add__, 1),
    "binary_multiplication": binary(int.__mul__, 0),
    "compute_sqrt": compute_sqrt,
    "bucket_sort": of(5, np.sort),
}


def stacked(peer: Callable[[Generator, int], String], generator: Generator, batch: int, length: int) -> None:
    drawn = [peer(generator, length) for _ in range(batch)]
    for part in zip(*drawn, strict=True):
        np.array(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS], metavar="task")
    parser.add_argument("--length", type=int, default=40)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.length < 3 or options.batch < 1:
        parser.error("--length is at least 3, --batch at least 1")
    machine("numpy")
    generator = np.random.default_rng(0)
    print(f"{'million tokens per CPU-second':30} {'ours':>8} {'peer':>8} {'ratio':>8}")
    for name in options.tasks:
        task, length = TASKS[name], TASKS[name].input_length(options.length)
        calls = {
            "ours": lambda task=task: task.sample(generator, options.batch, options.length),
            "peer": lambda name=name, length=length: stacked(PEERS[name], generator, options.batch, length),
        }
        taken = taking_turns(calls, options.rounds, each=0.1)
        ours, peer = (options.batch * length / median(taken[each]) / 1e6 for each in ("ours", "peer"))
        print(f"{name + ' *' * (name in BY_STRING):30} {ours:8.2f} {peer:8.2f} {ours / peer:8.1f}", flush=True)


if __name__ == "__main__":
    main()
