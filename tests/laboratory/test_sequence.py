"""Networks that read a sequence: their memories, their positions, what they may see, and how they are trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from envs.chomsky import LEVELS, Task
from laboratory.sequence import ARCHITECTURES, Budget, accuracies, fit, network
from laboratory.sequence.memory import CELL, StackRNN, TapeRNN
from laboratory.sequence.positions import HIGHEST, POSITIONS, Randomized, within

WIDTH, HEADS, TOKENS = 16, 2, 11


def last(generator, batch, length):
    tokens = generator.integers(0, 3, (batch, length))
    return tokens, tokens[:, -1:]


def coin(generator, batch, length):
    return generator.integers(0, 3, (batch, length)), generator.integers(0, 3, (batch, 1))


LAST = Task("last", LEVELS[0], 3, 3, last)
COIN = Task("coin", LEVELS[0], 3, 3, coin)


def one_hot(move, moves):
    return F.one_hot(torch.tensor([move]), moves)[..., None].double()


@pytest.mark.parametrize("steps", [2, 3, 12, 13])
def test_the_stack_that_pushes_and_pops_is_a_list(steps):
    generator = torch.Generator().manual_seed(steps)
    stack = StackRNN(2, WIDTH)
    for likely in ([1.0, 0, 0], [1.0, 1.0, 1.0], [2.0, 1.0, 0.2]):
        memory, plain = torch.zeros(1, stack.cells(steps, 1), CELL).double(), []
        moves = torch.tensor(likely).multinomial(steps, replacement=True, generator=generator).tolist()
        for move in moves[: steps // 2] + ([1] * steps if likely[0] == 1 else moves)[: steps - steps // 2]:
            torch.testing.assert_close(memory[0, 0], plain[0] if plain else torch.zeros(CELL).double())
            value = torch.randn(1, CELL, generator=generator).double()
            plain = [[value[0], *plain], plain[1:], plain][move]
            memory = stack.moved(memory, one_hot(move, 3), value, 1)


@pytest.mark.parametrize("inputs", [1, 2, 5])
def test_the_tape_is_a_ring_of_cells_with_a_head(inputs):
    generator = torch.Generator().manual_seed(inputs)
    tape = TapeRNN(2, WIDTH)
    cells = tape.cells(4 * inputs, inputs)
    memory, plain, head = torch.zeros(1, cells, CELL).double(), torch.zeros(cells, CELL).double(), 0
    for _ in range(60):
        torch.testing.assert_close(memory[0, 0], plain[head])
        move = int(torch.randint(5, (), generator=generator))
        value = torch.randn(1, CELL, generator=generator).double()
        if move < 3:  # a jump does not write
            plain[head] = value[0]
        head = (head + [0, 1, -1, inputs, -inputs][move]) % cells
        memory = tape.moved(memory, one_hot(move, 5), value, inputs)


@pytest.mark.parametrize("kind", [StackRNN, TapeRNN])
def test_a_soft_move_is_the_mixture_of_the_hard_ones(kind):
    made = kind(2, WIDTH)
    memory, value = torch.randn(1, 8, CELL).double(), torch.randn(1, CELL).double()
    weights = torch.rand(1, made.moves, 1).double().softmax(1)
    mixed = sum(
        weights[:, move] * made.moved(memory, one_hot(move, made.moves), value, 2) for move in range(made.moves)
    )
    torch.testing.assert_close(made.moved(memory, weights, value, 2), mixed)


@pytest.mark.parametrize("positions", POSITIONS)
def test_only_without_positions_states_permute_as_the_tokens_do(positions):
    torch.manual_seed(0)
    made = network("transformer", 5, 2, width=WIDTH, positions=positions, layers=2, heads=HEADS, longest=TOKENS)
    tokens, order = torch.randint(5, (3, TOKENS - 1)), torch.randperm(TOKENS - 1)
    with torch.no_grad():
        states, permuted = made.states(tokens, 1), made.states(tokens[:, order], 1)
    error = (states[:-1][order] - permuted[:-1]).abs().max()
    assert (error < 1e-5) == (positions == "none"), error


def scores(made, query, key, at):
    query, key, bias = made(query, key, at)
    return query @ key.mT / query.shape[3] ** 0.5 + (0 if bias is None else bias)


@pytest.mark.parametrize("positions", ["relative", "alibi", "rope"])
def test_attention_depends_on_differences_of_positions_only(positions):
    torch.manual_seed(0)
    made, at = within(positions, WIDTH, HEADS).double(), torch.arange(TOKENS)
    # every token the same: only positions differ
    query, key = (torch.randn(1, HEADS, 1, WIDTH // HEADS).double().expand(-1, -1, TOKENS, -1) for _ in range(2))
    with torch.no_grad():
        found = scores(made, query, key, at)
        torch.testing.assert_close(scores(made, query, key, at + 70), found)
    for apart in range(1 - TOKENS, TOKENS):
        line = found.diagonal(apart, 2, 3)
        torch.testing.assert_close(line, line[..., :1].expand_as(line))
    assert found[0, 0, 0].unique().numel() == TOKENS, "distances differ"


def test_relative_scores_are_those_of_the_paper():
    torch.manual_seed(0)
    made, at = within("relative", WIDTH, HEADS).double(), torch.arange(4)
    torch.nn.init.normal_(made.content), torch.nn.init.normal_(made.place)
    query, key = torch.randn(2, 1, HEADS, 4, WIDTH // HEADS).double()
    with torch.no_grad():
        found = scores(made, query, key, at)
        for i in range(4):
            for j in range(4):
                angles = (i - j) / 10_000 ** (torch.arange(0, WIDTH, 2) / WIDTH).double()
                r = made.distance(torch.stack([angles.sin(), angles.cos()], dim=1).flatten()).view(HEADS, -1)
                content = ((query[0, :, i] + made.content[:, 0]) * key[0, :, j]).sum(1)
                place = ((query[0, :, i] + made.place[:, 0]) * r).sum(1)
                torch.testing.assert_close(
                    found[0, :, i, j], (content + place) / (WIDTH // HEADS) ** 0.5, rtol=1e-5, atol=1e-6
                )


def test_randomized_positions_are_in_order_below_their_maximum_and_new_each_time():
    made = Randomized(WIDTH, seed=0)
    first, second = made.drawn(300), made.drawn(300)
    for drawn in (first, second):
        assert (drawn.diff() > 0).all() and drawn[0] >= 0 and drawn[-1] < HIGHEST
    assert not torch.equal(first, second)
    assert torch.equal(made.drawn(HIGHEST), torch.arange(HIGHEST))
    with pytest.raises(ValueError, match="draws from 2,048 positions and cannot read 2,049 tokens"):
        made.drawn(HIGHEST + 1)


@pytest.mark.parametrize("computation", [0, 2])
def test_behind_the_sequence_a_network_reads_empty_tokens_only(computation):
    made = network("tape_rnn", 3, 2, width=WIDTH, computation=computation)
    tokens = torch.randint(3, (4, 5))
    read = made.written(tokens, 2).argmax(2).T
    assert torch.equal(read[:, :5], tokens)
    assert read[:, 5:].tolist() == [[4] * (5 * computation) + [3, 3]] * 4


@pytest.mark.parametrize("architecture", ["gru", "transformer"])
def test_an_answer_is_learned_only_if_it_follows_from_the_sequence(architecture):
    budget = Budget(steps=40, batch=64, rate=2e-2, longest=3)
    options = {"layers": 1, "heads": HEADS, "positions": "sine"} if architecture == "transformer" else {}
    for task, least, most in ((LAST, 0.9, 1.0), (COIN, 0.2, 0.45)):
        made = fit(architecture, task, 0, budget, width=WIDTH, **options)
        assert least <= accuracies(made, task, [3], sequences=512)[0] <= most


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_seed_gives_one_network_and_another_seed_another(architecture):
    options = {"positions": "randomized", "layers": 1, "heads": HEADS} if architecture == "transformer" else {}
    budget, found = Budget(steps=3, batch=4), []
    for seed in (0, 0, 1):
        torch.rand(1)  # what went before does not matter
        found.append([*fit(architecture, LAST, seed, budget, width=WIDTH, **options).parameters()])
    once, again, other = found
    assert all(map(torch.equal, once, again))
    assert not any(map(torch.equal, once, other))


def test_training_leaves_the_generator_of_torch_as_it_was():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fit("rnn", LAST, 0, Budget(steps=1, batch=2), width=4)
    assert torch.equal(before, torch.get_rng_state())


def test_accuracy_is_the_share_of_positions_that_are_right():
    class Zero:
        def __call__(self, tokens, answers):
            return F.one_hot(torch.zeros(len(tokens), answers, dtype=torch.long), 2)

    def halves(generator, batch, length):
        return np.zeros((batch, length), int), np.arange(length).repeat(batch).reshape(-1, batch).T % 2

    task = Task("halves", LEVELS[0], 1, 2, halves, lambda length: length)
    assert accuracies(Zero(), task, [4, 5, 30_000], sequences=3) == [1 / 2, 3 / 5, 1 / 2]
    ending = replace(task, outputs=3, ends=True, draw=lambda *_: (np.zeros((1, 4), int), np.array([[1, 0, 2, 0]])))
    assert accuracies(Zero(), ending, [4]) == [1 / 3], "what fills up after the end does not count"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "lst"}, "no architecture is called 'lst'; did you mean lstm?"),
        ({"architecture": "transformer", "positions": "sines"}, "no position is called 'sines'; did you mean sine?"),
        ({"architecture": "rnn", "positions": "sine"}, "architecture=rnn reads in order and takes no positions"),
        ({"architecture": "rnn", "width": 0}, "width is a whole number, at least 1; got 0"),
        ({"architecture": "transformer", "heads": 7}, "a multiple of twice its heads; got 64 and 7 heads"),
        ({"architecture": "rnn", "computation": 1}, "computation= is of architecture=tape_rnn"),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError) as refusal:
        network(inputs=2, outputs=2, **options)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_lengths_below_one_and_beyond_the_learned_positions_are_refused():
    made = network("transformer", 3, 3, width=WIDTH, positions="learned", layers=1, heads=HEADS, longest=5)
    assert accuracies(made, LAST, [4], sequences=2)
    with pytest.raises(ValueError, match="has vectors for 5 tokens and cannot read 6; make it with longest=6"):
        accuracies(made, LAST, [5])
    with pytest.raises(ValueError, match="length is a whole number, at least 1; got 0"):
        accuracies(made, LAST, [0])
    with pytest.raises(ValueError, match="have 1 token or more; got 0 and 1"):
        made(torch.zeros(2, 0, dtype=torch.long), 1)
    with pytest.raises(ValueError, match="longest is a whole number, at least 1; got 0"):
        Budget(steps=1, longest=0)


def test_lengths_are_uniform_and_the_greatest_one_may_grow():
    uniform = Budget(steps=4_000, longest=5).lengths(np.random.default_rng(0))
    assert np.bincount(uniform).tolist()[1:] == pytest.approx([800] * 5, abs=100)
    growing = np.array(Budget(steps=4_000, longest=5, growing=0.5).lengths(np.random.default_rng(0)))
    assert [growing[k * 400 : (k + 1) * 400].max() for k in range(5)] == [1, 2, 3, 4, 5]
    assert np.bincount(growing[2_000:])[1:].tolist() == pytest.approx([400] * 5, abs=80)
    with pytest.raises(ValueError, match="growing is a share of the steps, from 0 to 1; got 2"):
        Budget(steps=1, growing=2)
