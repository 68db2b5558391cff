"""Training on short sequences, and accuracy on long ones (Delétang et al. 2023, sections 4 and A.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.chomsky import Task
from laboratory.sequence.networks import Network, check_whole, network

TRAINED = (1, *range(5, 41, 5))  # lengths of training at which accuracy is measured
LONGER = tuple(range(41, 501, 51))  # the lengths of tests: 41, 92, …, 500
TOKENS = 20_000  # that are read at once in tests


@dataclass(frozen=True)
class Budget:
    """How long, and on what, a network is trained.

    Attributes:
        steps: of Adam.
        batch: sequences in each, all of one length.
        rate: Adam's learning rate.
        longest: lengths are drawn uniformly from 1 to this.
        growing: the share of the steps in which the greatest length grows from 1 to `longest`; none in the paper. A
            network learns in fewer steps if short strings come first.
        clip: the largest norm of a gradient.
    """

    steps: int
    batch: int = 128
    rate: float = 1e-3
    longest: int = 40
    growing: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps, batch=self.batch, longest=self.longest)
        if not 0 <= self.growing <= 1:
            raise ValueError(f"growing is a share of the steps, from 0 to 1; got {self.growing!r}")

    def lengths(self, generator: np.random.Generator) -> list[int]:
        """The length of each step's strings."""
        grown = np.arange(1, self.steps + 1) / max(1.0, self.growing * self.steps)
        greatest = np.ceil(self.longest * np.minimum(1, grown)).astype(int)
        return generator.integers(1, greatest, endpoint=True).tolist()


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
    generator = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(made.parameters(), lr=budget.rate, fused=True)
    for length in budget.lengths(generator):
        tokens, answers = map(torch.from_numpy, task.sample(generator, budget.batch, length))
        step(made, optimizer, tokens, answers, budget.clip)
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
    """For each length, the share of the answers' tokens that are right, over fresh strings.

    Raises:
        ValueError: a length below 1, or one that the network cannot read.
    """
    for length in lengths:
        check_whole(1, length=length)
    generator = np.random.default_rng(seed)
    return [_accuracy(made, task, *task.sample(generator, sequences, length)) for length in lengths]


def _accuracy(made: Network, task: Task, strings: np.ndarray, answers: np.ndarray) -> float:
    at_once = max(1, TOKENS // (strings.shape[1] + answers.shape[1]))
    parts = torch.from_numpy(strings).split(at_once)
    said = torch.cat([made(some, answers.shape[1]).argmax(2) for some in parts]).numpy()
    return float((said == answers)[task.counted(answers)].mean())
