"""A hypernetwork that reads a computation graph predicts parameters for encoders that it never saw.

Several hypernetworks, each of its own seed, are trained to imitate an expert with variants of `mlp` and `cnn` drawn at
random. Then they predict, in one pass and without any training, the parameters of variants that none of them met. What
decides is the success of these policies on levels of tests, less that of the same policies at random initialization.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from evaluation.scores import student_interval
from laboratory.claim import Claim, Measured, Row
from laboratory.prediction.graph import Graph
from laboratory.prediction.lessons import EXPERT, ID, LEVELS, Course, course
from laboratory.prediction.network import GraphHypernetwork
from laboratory.prediction.train import BATCH, EPISODES, VARIANTS, pool, practise, predicted, success, train
from laboratory.prediction.variants import Imitator, named

SOLVED = 0.9  # success at which a policy has learned the task
EVERY = 100  # steps of imitation between two evaluations
UNSEEN_SEED, POOL_SEED, COURSE_SEED, FIRST_SEED = 71, 72, 73, 74


@dataclass(frozen=True)
class Size:
    """Attributes:
    networks, steps: hypernetworks, and the steps of each one's training.
    variants, unseen: that are trained on, and that are predicted.
    collected: steps of 64 environments from which the lessons come.
    alone: the most steps of a policy's own training.
    """

    networks: int
    steps: int
    variants: int
    unseen: int
    collected: int
    alone: int


FULL, QUICK = Size(3, 600, 300, 6, 200, 300), Size(2, 100, 40, 2, 50, 200)


def measure(quick: bool) -> Measured:
    size = QUICK if quick else FULL
    lessons = course(COURSE_SEED, size.collected)
    unseen = pool(lessons, size.unseen, UNSEEN_SEED)
    seen = pool(lessons, size.variants, POOL_SEED, without=[policy.options for policy, _ in unseen])
    seeds = range(FIRST_SEED, FIRST_SEED + size.networks)
    networks = [train(lessons, seen, seed, size.steps) for seed in seeds]
    found = [
        [list(_compared(policy, graph, network, lessons, seed, size)) for policy, graph in unseen]
        for seed, network in zip(seeds, networks, strict=True)
    ]
    gains = [np.mean([policy[0].success - policy[1].success for policy in each]) for each in found]
    rows = [_row(unseen[i][0], [each[i] for each in found], size) for i in range(len(unseen))]
    return Measured(student_interval(np.array(gains), (-1.0, 1.0)), rows, notes=_notes(networks, lessons, size))


@dataclass(frozen=True)
class Start:
    """Attributes:
    success: of the parameters as they are.
    steps: of imitation after which success is `SOLVED`; as many as were made where it never is.
    end: the success then.
    """

    success: float
    steps: int
    end: float


def _compared(
    policy: Imitator, graph: Graph, network: GraphHypernetwork, lessons: Course, seed: int, size: Size
) -> Iterator[Start]:
    """A policy that begins with predicted parameters, and one that begins at random."""
    for parameters in (predicted(network, graph), None):
        torch.manual_seed(seed)
        begun = policy.anew() if parameters is None else copy.deepcopy(policy)
        if parameters is not None:
            begun.load_state_dict(parameters, strict=False)
        yield _practised(begun, lessons, seed, size.alone)


def _practised(policy: nn.Module, lessons: Course, seed: int, steps: int) -> Start:
    met: dict[int, float] = {}

    def solved(step: int) -> bool:
        if step % EVERY == 0:
            met[step] = success(policy, seed)
        return step % EVERY == 0 and met[step] >= SOLVED

    practise(policy, lessons, seed, steps, solved)
    return Start(met[0], max(met), met[max(met)])


def _row(policy: Imitator, found: Sequence[Sequence[Start]], size: Size) -> Row:
    """One unseen variant, means over the hypernetworks."""
    first, second = zip(*found, strict=True)
    return {
        "variant": named(policy.options),
        "parameters": sum(parameter.numel() for parameter in policy.parameters()),
        "random": _mean(start.success for start in second),
        "predicted": _mean(start.success for start in first),
        "trained": _mean(start.end for start in second),
        "steps from predicted": _mean(start.steps for start in first),
        "steps from random": _mean(start.steps for start in second),
    }


def _mean(values: Any) -> float:
    return round(float(np.mean([*values])), 4)


def _notes(networks: Sequence[nn.Module], lessons: Course, size: Size) -> list[str]:
    numbers = sum(parameter.numel() for parameter in networks[0].parameters())
    return [
        f"{size.networks} hypernetworks of {numbers:,} parameters, one seed each, over which the interval is taken; "
        f"each had {size.steps:,} steps of {VARIANTS} variants, out of {size.variants}, with {BATCH} states each.",
        f"The {size.unseen} variants of the table are none of those.",
        f"They imitate {EXPERT} in {len(lessons.training):,} states of {LEVELS} levels of {ID}; success is that of "
        f"{EPISODES} episodes with sampled actions on other levels.",
        f"Trained: the policy that began at random, at the first of its evaluations, one in {EVERY} steps, with a "
        f"success of {SOLVED} or more, else after {size.alone} steps. The steps are of minibatches of {BATCH} states; "
        f"where a policy did not come to {SOLVED}, they count as {size.alone}.",
    ]


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    places = np.arange(len(rows))
    for axis, title, columns in (
        (left, "success", ("random", "predicted", "trained")),
        (right, f"steps of imitation to a success of {SOLVED}", ("steps from random", "steps from predicted")),
    ):
        for number, column in enumerate(columns):
            color = {"random": "#9aa5b1", "predicted": "#0072b2", "trained": "#d55e00"}[column.split()[-1]]
            axis.barh(places + number * 0.27, [row[column] for row in rows], 0.25, color=color, label=column)
        axis.set(title=title, yticks=places + 0.27, yticklabels=[_short(row["variant"]) for row in rows])
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.legend(fontsize=7)
    right.set_yticklabels([])


def _short(variant: str) -> str:
    """The encoder, its width and its number of layers."""
    return " ".join(part.split("=")[-1] for part in variant.split()[:3])


CLAIM = Claim(
    says="A graph hypernetwork predicts parameters, without training, for encoders that it never saw.",
    source="Knyazev et al. 2021, GHN-2; Zhang et al. 2019, GHN-1",
    number="success of predicted less that of random parameters, on test levels, over unseen encoders",
    measure=measure,
    draw=draw,
    quick="2 hypernetworks of 100 steps instead of 3 of 600, and 2 unseen encoders instead of 6",
    size=(9.0, 4.6),
)
