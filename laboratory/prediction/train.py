"""Imitation by one policy with its own parameters, and by all variants with those that a hypernetwork predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from evaluation.rollout import rollout
from laboratory.prediction.graph import Graph, graph_of
from laboratory.prediction.lessons import Course, Lessons, environment, floats
from laboratory.prediction.network import GraphHypernetwork
from laboratory.prediction.variants import Imitator, Options, drawn

BATCH = 64  # states of a step
VARIANTS = 3  # of a step of the hypernetwork
RATE, CLIP = 3e-3, 1.0  # of Adam; norm of the gradient
ALONE = 2e-3  # Adam's rate of a policy that is trained alone
EPISODES, PATIENCE = 64, 500


def loss_of(policy: nn.Module, parameters: dict[str, Tensor], lessons: Lessons) -> Tensor:
    """Cross-entropy of a policy with these parameters to the expert."""
    logits = functional_call(policy, parameters, (lessons.observations,))
    return -(lessons.probabilities * logits.log_softmax(1)).sum(1).mean()


def pool(course: Course, count: int, seed: int, without: Sequence[Options] = ()) -> list[tuple[Imitator, Graph]]:
    """Policies of `count` different variants, none of them in `without`, and their graphs."""
    torch.manual_seed(seed)
    generator, chosen = np.random.default_rng(seed), [*without]
    while len(chosen) < len(without) + count:
        options = drawn(generator)
        chosen += [] if options in chosen else [options]
    policies = [Imitator(options, course.space, course.actions) for options in chosen[len(without) :]]
    shown = course.training[torch.arange(2)].observations
    return [(policy, graph_of(policy, shown)) for policy in policies]


def train(course: Course, variants: Sequence[tuple[Imitator, Graph]], seed: int, steps: int) -> GraphHypernetwork:
    """A hypernetwork trained on variants drawn at random, each on a minibatch of its own; the same for a seed."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = GraphHypernetwork([graph for _, graph in variants])
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = [variants[i] for i in torch.randint(len(variants), (VARIANTS,), generator=generator)]
        made = network([graph for _, graph in chosen])
        losses = [
            loss_of(policy, parameters, course.training[_minibatch(course, generator)])
            for (policy, _), parameters in zip(chosen, made, strict=True)
        ]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        schedule.step()
    return network


@torch.no_grad()
def predicted(network: GraphHypernetwork, graph: Graph) -> dict[str, Tensor]:
    """The parameters of a policy, by name."""
    return network([graph])[0]


def practise(
    policy: nn.Module, course: Course, seed: int, steps: int, after: Callable[[int], bool] = lambda step: False
) -> None:
    """Train a policy's own parameters; `after` is called before each step and at the end, and True ends it."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), ALONE)
    for step in range(steps):
        if after(step):
            return
        loss = loss_of(policy, dict(policy.named_parameters()), course.training[_minibatch(course, generator)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after(steps)


def _minibatch(course: Course, generator: torch.Generator) -> Tensor:
    return torch.randint(len(course.training), (BATCH,), generator=generator)


def success(policy: nn.Module, seed: int) -> float:
    """The share of episodes on levels of tests that succeed; actions are sampled."""
    episodes = rollout(_Player(policy), environment("test", EPISODES), EPISODES, seed=seed, patience=PATIENCE)
    assert episodes.successes is not None
    return float(episodes.successes.mean())


class _Player:
    def __init__(self, policy: nn.Module):
        self.policy = policy

    @torch.no_grad()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        probabilities = self.policy(floats(observation)).softmax(1)
        return torch.multinomial(probabilities, 1)[:, 0].numpy(), None
