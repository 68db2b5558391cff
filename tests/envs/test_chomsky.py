"""Laws of the Chomsky tasks: every answer is what the task's definition says, spelled out here string by string."""

import copy
import math
import re

import numpy as np
import pytest
from conftest import PROJECT
from gymnasium.utils.env_checker import check_env

from configs.compose import compose
from envs import make_env
from envs.chomsky import LEVELS, TASKS
from envs.chomsky.environment import ChomskyEnv
from learning.build import env_options

LENGTHS = (*range(1, 20), 40, 41, 90)
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def even_pairs(string):
    return [sum(left != right for left, right in zip(string, string[1:], strict=False)) % 2]


def parity_check(string):
    return [string.count(1) % 2]


def cycle_navigation(string):
    place = 0
    for step in string:
        place = (place + (-1, 0, 1)[step]) % 5
    return [place]


def modular_arithmetic(string):
    return [value("".join("01234+-*"[token] for token in string))]


def modular_arithmetic_brackets(string):
    return [value("".join("01234+-*()"[token] for token in string))]


def value(text):
    """Of an expression, modulo 5, as Python reads it."""
    return eval(text) % 5


def solve_equation(string):
    if len(string) < 3:
        assert set(string) == {0}
        return [0]
    text, right = "".join("01234+-()x="[token] for token in string).split("=")
    (x,) = (digit for digit in "01234" if value(text.replace("x", digit)) == int(right))
    assert text.count("x") == 1
    return [int(x)]


def reverse_string(string):
    return [*reversed(string)]


def stack_manipulation(string):
    stack = []
    for token in string:
        if token != 2:
            stack.append({0: 0, 1: 1, 3: 0, 4: 1}[token])
        elif stack:
            stack.pop()
    answer = [*reversed(stack), 2]
    return answer + [0] * (len(string) + 1 - len(answer))


def duplicate_string(string):
    return string + string


def missing_duplicate(string):
    if string == [1]:
        return [1]
    half = len(string) // 2
    first, second = string[:half], string[half : 2 * half]
    assert string[2 * half :] == [3] * (len(string) % 2)
    assert sum(one != other for one, other in zip(first, second, strict=True)) == string.count(2) == 1
    return [min(pair) for pair in zip(first, second, strict=True) if 2 in pair]


def odds_first(string):
    return [symbol for number, symbol in enumerate(string, start=1) if number % 2 == 1] + [
        symbol for number, symbol in enumerate(string, start=1) if number % 2 == 0
    ]


def bucket_sort(string):
    return sorted(string)


def binary_addition(string):
    numbers = operands(string)
    assert all(numbers) or len(string) < 3
    return ended(sum(numbers), len(string) + 1)


def binary_multiplication(string):
    if len(string) < 3:
        return ended(0, 2)[2 - len(string) :]
    one, other = operands(string)
    assert one * other > 0
    return ended(one * other, len(string))


def operands(string):
    """The numbers of a string, whose lowest bits come first; one below 2^length - 1 for lengths 1 and 2."""
    parts = "".join(map(str, string)).split("2")
    assert len(parts) == 2 or (len(parts) == 1 and len(string) < 3 and not all(string))
    return [int(part[::-1], 2) for part in parts]


def ended(number, length):
    return [int(token) for token in (f"{number:b}"[::-1] + "2").ljust(length, "0")]


def compute_sqrt(string):
    number = int("".join(map(str, string)), 2)
    assert number > 0
    return [int(bit) for bit in f"{math.isqrt(number):b}".zfill((len(string) + 1) // 2)]


@every_task
@pytest.mark.parametrize("seed", range(3))
def test_every_answer_is_what_the_definition_says(task, seed):
    generator = np.random.default_rng(seed)
    for length in LENGTHS:
        for string, answer in zip(*task.sample(generator, 20, length), strict=True):
            assert answer.tolist() == globals()[task.name](string.tolist())


def test_the_page_lists_the_tasks_as_they_are():
    rows = [
        row.strip("| ").split(" | ") for row in (PROJECT / "docs/laboratory.md").read_text().splitlines() if "→" in row
    ]
    listed = {name.strip("`"): row for name, *row in rows if name.strip("`") in TASKS}
    assert listed.keys() == TASKS.keys()
    for name, (level, alphabets, example, _) in listed.items():
        task = TASKS[name]
        string, answer = ([int(token) for token in part.split()] for part in example.split("→"))
        assert (level, alphabets) == (task.level, f"{task.inputs}, {task.outputs}")
        assert answer == globals()[name](string) and len(answer) == task.output_length(len(string))


@every_task
def test_strings_and_answers_have_the_lengths_and_alphabets_stated(task):
    generator = np.random.default_rng(0)
    strings, answers = set(), set()
    for length in LENGTHS:
        string, answer = task.sample(generator, 60, length)
        assert string.shape == (60, task.input_length(length))
        assert answer.shape == (60, task.output_length(length))
        assert string.dtype == answer.dtype == np.int64
        strings |= set(string.ravel().tolist())
        answers |= set(answer.ravel().tolist())
    assert answers == set(range(task.outputs))
    assert strings <= set(range(task.inputs))
    assert task.level in LEVELS


@every_task
def test_a_seed_decides_the_data(task):
    one, same, other = (task.sample(np.random.default_rng(seed), 8, 20) for seed in (1, 1, 2))
    assert all((left == right).all() for left, right in zip(one, same, strict=True))
    assert (one[0] != other[0]).any()


@every_task
def test_what_follows_the_end_of_an_answer_is_not_counted(task):
    _, answers = task.sample(np.random.default_rng(0), 50, 12)
    for answer, counted in zip(answers.tolist(), task.counted(answers), strict=True):
        last = answer.index(task.outputs - 1) if task.ends else len(answer) - 1
        assert counted.tolist() == [place <= last for place in range(len(answer))]


@every_task
def test_lengths_and_batches_below_1_are_refused(task):
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match=f"a string of {task.name} has at least 1 token, got length=0"):
        task.sample(generator, 4, 0)
    with pytest.raises(ValueError, match="at least 1 string, got batch=0"):
        task.sample(generator, 0, 4)


def played(env, seed, answer_of):
    """(tokens seen, rewards, last info) of an episode in which `answer_of(number of empty tokens seen)` acts."""
    observation, info = env.reset(seed=seed)
    seen, rewards, ended = [observation], [], False
    while not ended:
        action = answer_of(seen.count(env.observation_space.n - 1) - 1)
        observation, reward, ended, truncated, info = env.step(action)
        assert not truncated
        rewards.append(reward)
        seen += [observation] * (not ended)
    return seen, rewards, info


@every_task
def test_the_environment_plays_what_the_task_samples(task):
    env = ChomskyEnv(task.name, lengths=[1, 12])
    for seed in range(5):
        env.reset(seed=seed)
        generator = copy.deepcopy(env.np_random)
        length = int(generator.integers(1, 13))
        (string,), answers = task.sample(generator, 1, length)
        answer = answers[task.counted(answers)].tolist()
        empty = [task.inputs] * len(answer)

        seen, rewards, info = played(env, None, lambda place, answer=answer: answer[max(place, 0)])
        assert seen == [*string.tolist(), *empty]
        assert rewards == [0] * len(string) + [1 / len(answer)] * len(answer) and info["is_success"]


@every_task
def test_one_wrong_token_costs_its_share_and_the_success(task):
    env = ChomskyEnv(task.name, lengths=[9, 9])
    env.reset(seed=0)
    generator = copy.deepcopy(env.np_random)
    generator.integers(9, 10)
    _, answers = task.sample(generator, 1, 9)
    answer = answers[task.counted(answers)].tolist()
    answer[-1] = (answer[-1] + 1) % task.outputs
    _, rewards, info = played(env, None, lambda place: answer[max(place, 0)])
    assert sum(rewards) == pytest.approx(1 - 1 / len(answer)) and rewards[-1] == 0 and not info["is_success"]


@every_task
def test_gymnasium_accepts_the_environment(task):
    check_env(make_env("chomsky", kwargs={"task": task.name, "lengths": [1, 6]}).unwrapped, skip_render_check=True)


def test_every_length_asked_for_is_played():
    env = ChomskyEnv("even_pairs", lengths=[3, 5])
    env.reset(seed=0)
    lengths = {len(played(env, None, lambda place: 0)[0]) - 1 for _ in range(50)}
    assert lengths == {3, 4, 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "parity"}, "no task is called 'parity'; did you mean parity_check. There are: binary_addition, .*"),
        ({"lengths": [0, 4]}, "env.lengths is .shortest, longest., whole numbers from 1 on, .*; got .0, 4."),
        ({"lengths": [5, 4]}, ".*; got .5, 4."),
        ({"lengths": [4]}, ".*; got .4."),
        ({"lengths": [1, 2.5]}, ".*; got .1, 2.5."),
        ({"lengths": 4}, ".*; got 4"),
    ],
)
def test_what_an_environment_cannot_be_is_said_in_one_line(options, message):
    with pytest.raises(ValueError) as refused:
        make_env("chomsky", kwargs=options)
    assert re.fullmatch(message, str(refused.value))


def test_the_command_line_chooses_task_and_lengths():
    config = compose("train", ["env=chomsky", "env.task=bucket_sort", "env.lengths=[2,3]"])
    env = make_env(**env_options(config)).unwrapped
    assert env.task == TASKS["bucket_sort"] and env.lengths == (2, 3)
