"""Law of the Chomsky tasks: short strings are drawn as often as the published generators draw them.

Their probabilities are counted here string by string, as the algorithms are described.
"""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from envs.chomsky import TASKS

DRAWN = 30_000
LENGTHS = {name: 3 for name in TASKS} | {
    **dict.fromkeys(("modular_arithmetic_brackets", "binary_addition", "binary_multiplication"), 6),
    **dict.fromkeys(("solve_equation", "missing_duplicate"), 7),
    **dict.fromkeys(("stack_manipulation", "compute_sqrt"), 5),
}


def equally(strings):
    """String -> probability, for strings that are as probable as each other."""
    strings = [*strings]
    return Counter({string: 1 / len(strings) for string in strings})


def mixed(parts):
    """Probabilities where one of several mappings to probabilities is chosen first."""
    parts, total = [*parts], Counter()
    for part in parts:
        total.update({string: chance / len(parts) for string, chance in part.items()})
    return total


def expressions(length, operators):
    if length < 5:
        return equally(("", "{}", "-{}", "({})", "(-{})")[length].format(digit) for digit in range(5))
    return mixed(
        Counter(
            {
                f"({one}{operator}{other})": chance * another
                for one, chance in expressions(left, operators).items()
                for other, another in expressions(length - 3 - left, operators).items()
            }
        )
        for left in range(1, length - 3)
        for operator in operators
    )


def equations(length):
    """From a random place on, the first digit is replaced."""
    total = Counter()
    for text, chance in expressions(length - 2, "+-").items():
        for place in range(len(text)):
            while not text[place].isdigit():
                place = (place + 1) % len(text)
            total[f"{text[:place]}x{text[place + 1 :]}={eval(text) % 5}"] += chance / len(text)
    return total


def written(chances, alphabet):
    return Counter({tuple(map(alphabet.index, text)): chance for text, chance in chances.items()})


def two_numbers(length):
    return mixed(
        equally(
            (*one, 2, *other)
            for one in product((0, 1), repeat=size)
            for other in product((0, 1), repeat=length - 1 - size)
            if any(one) and any(other)
        )
        for size in range(1, length - 1)
    )


def chances_of(name, length):
    match name:
        case "modular_arithmetic":
            return equally(product(*((range(5), (5, 6, 7))[place % 2] for place in range(length))))
        case "modular_arithmetic_brackets":
            return written(expressions(length, "+-*"), "01234+-*()")
        case "solve_equation":
            return written(equations(length), "01234+-()x=")
        case "stack_manipulation":
            return mixed(
                equally(product(*[(0, 1)] * given, *[(2, 3, 4)] * (length - given))) for given in range(1, length)
            )
        case "missing_duplicate":
            halves = [half * 2 for half in product((0, 1), repeat=length // 2)]
            hidden = [(*string[:place], 2, *string[place + 1 :]) for string in halves for place in range(len(string))]
            return mixed(equally([(*string, *[3] * (length % 2))]) for string in hidden)
        case "binary_addition" | "binary_multiplication":
            return two_numbers(length)
        case "compute_sqrt":
            return equally(string for string in product((0, 1), repeat=length) if any(string))
        case _:
            return equally(product(range(TASKS[name].inputs), repeat=length))


@pytest.mark.parametrize("name", TASKS)
def test_strings_are_as_probable_as_published(name):
    chances = chances_of(name, LENGTHS[name])
    assert sum(chances.values()) == pytest.approx(1)
    strings, _ = TASKS[name].sample(np.random.default_rng(0), DRAWN, LENGTHS[name])
    found, times = np.unique(strings, axis=0, return_counts=True)
    drawn = {tuple(string): int(count) for string, count in zip(found.tolist(), times, strict=True)}
    assert drawn.keys() <= chances.keys()
    deviation = sum(
        (drawn.get(string, 0) - DRAWN * chance) ** 2 / (DRAWN * chance) for string, chance in chances.items()
    )
    free = len(chances) - 1  # the mean of the deviation, whose variance is twice that
    assert abs(deviation - free) < 5 * np.sqrt(2 * free)
