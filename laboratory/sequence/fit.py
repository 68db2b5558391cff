"""Training on short sequences, and accuracy on long ones (Delétang et al. 2023, sections 4 and A.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laboratory.sequence.networks import Network, check_whole, network

LONGER = tuple(range(41, 501, 51))  # the lengths of tests: 41, 92, …, 500
TOKENS = 20_000  # that are read at once in tests


class Task(Protocol):
    """What there is to learn: sequences and their answers.

    Attributes:
        name: of the task.
        inputs, outputs: sizes of the two alphabets.
    """

    name: str
    inputs: int
    outputs: int

    def output_length(self, length: int) -> int:
        """How long the answer to a sequence of this length is."""

    def sample(self, generator: torch.Generator, batch: int, length: int) -> tuple[Tensor, Tensor]:
        """Sequences (batch, length) and answers (batch, output_length)."""


@dataclass(frozen=True)
class Budget:
    """How long, and on what, a network is trained.

    Attributes:
        steps: of Adam.
        batch: sequences in each, all of one length.
        rate: Adam's learning rate.
        longest: lengths are drawn uniformly from 1 to this.
        clip: the largest norm of a gradient.
    """

    steps: int
    batch: int = 128
    rate: float = 1e-3
    longest: int = 40
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps, batch=self.batch, longest=self.longest)


def fit(architecture: str, task: Task, seed: int, budget: Budget, **options: Any) -> Network:
    """Train a network; it is the same for the same arguments.

    Args:
        architecture, options: as in `network`.
        seed: of the weights and of the sequences.

    Raises:
        ValueError: as `network`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = network(architecture, task.inputs, task.outputs, seed=seed, **options)
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, budget.longest + 1, (budget.steps,), generator=generator).tolist()
    optimizer = torch.optim.Adam(made.parameters(), lr=budget.rate, fused=True)
    for length in lengths:
        step(made, optimizer, *task.sample(generator, budget.batch, length), budget.clip)
    return made.eval()


def step(made: Network, optimizer: torch.optim.Optimizer, tokens: Tensor, answers: Tensor, clip: float) -> None:
    """One step of training on a batch."""
    logits = made(tokens, answers.shape[1])
    loss = F.cross_entropy(logits.flatten(0, 1), answers.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(made.parameters(), clip)
    optimizer.step()


@torch.no_grad()
def accuracies(made: Network, task: Task, lengths: Sequence[int], sequences: int = 64, seed: int = 0) -> list[float]:
    """For each length, the share of answers' positions that are right, over fresh sequences.

    Raises:
        ValueError: a length below 1, or one that the network cannot read.
    """
    for length in lengths:
        check_whole(1, length=length)
    generator = torch.Generator().manual_seed(seed)
    return [_accuracy(made, *task.sample(generator, sequences, length)) for length in lengths]


def _accuracy(made: Network, tokens: Tensor, answers: Tensor) -> float:
    at_once = max(1, TOKENS // (tokens.shape[1] + answers.shape[1]))
    parts = zip(tokens.split(at_once), answers.split(at_once), strict=True)
    right = sum(int((made(some, theirs.shape[1]).argmax(2) == theirs).sum()) for some, theirs in parts)
    return right / answers.numel()
