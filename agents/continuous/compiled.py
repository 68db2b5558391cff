"""The laws of SAC and TD3 as compiled graphs: a minibatch, all its steps of Adam and its targets in one call.

The law is traced with networks that are functions of their vectors; what has been learned is written back at the end.
Results equal those of `networks.Update` to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agents.continuous.laws import Networks
from agents.continuous.networks import Update
from agents.off_policy.networks import Trained
from agents.off_policy.replay import Batch
from agents.off_policy.traced import Traced, TracedFollowing, refuse_untraceable
from agents.ppo.compiled import Replayed, compiled, observations_of, parts_of


def narrow(graph: torch.fx.Graph) -> None:
    """(A B + …)[:, i:j] becomes A (B[:, i:j]) + …: the actor's gradient needs the critics' by the actions alone."""
    multiply, add, part = torch.ops.aten.mm.default, torch.ops.aten.add.Tensor, torch.ops.aten.slice.Tensor

    def cut(node: Any, where: tuple[Any, ...]) -> Any:
        if len(node.users) == 1 and node.target is multiply:
            return graph.call_function(multiply, (node.args[0], graph.call_function(part, (node.args[1], *where))))
        if len(node.users) == 1 and node.target is add:
            return graph.call_function(add, tuple(cut(term, where) for term in node.args))
        return graph.call_function(part, (node, *where))

    graph.eliminate_dead_code()
    for node in graph.find_nodes(op="call_function", target=part):
        if node.args[1] == 1 and node.args[0].target in (multiply, add):
            with graph.inserting_before(node):
                node.replace_all_uses_with(cut(node.args[0], node.args[1:]))
    graph.eliminate_dead_code()


class CompiledUpdate(Update):
    """`Update` in graphs, for minibatches of the size of the one it was prepared with; others are run eagerly."""

    def prepare(self, batch: Batch, kinds: Sequence[bool]) -> None:
        """Trace and compile.

        Args:
            batch: one of the size of all later ones.
            kinds: of `follows`, that will be asked for.

        Raises:
            Exception: a network cannot be traced (the message says why), or compiling failed.
        """
        refuse_untraceable(nn.ModuleList(part.module for part in self.all))
        self.size = len(batch.actions)
        self.keys = list(batch.observations) if isinstance(batch.observations, dict) else None
        # drawing would advance the random stream; and one tensor given twice would be one input of the graph
        noises = [torch.zeros_like(batch.actions) for _ in range(self.law.draws)]
        self.policy.set_training_mode(True)
        self.graphs = {follows: self._graph(batch, noises, follows) for follows in kinds}

    def __call__(self, batch: Batch, follows: bool, eagerly: bool = False) -> Tensor:
        if eagerly or len(batch.actions) != self.size or follows not in self.graphs:
            super().begin()
            return super().__call__(batch, follows)
        graph, learned = self.graphs[follows]
        statistics = graph(*self._inputs(batch, self.law.noises(batch.actions)))
        for part in learned:
            part.adam.steps += 1
        return statistics

    def begin(self) -> None:  # the mode is part of the graphs
        pass

    def _state(self) -> list[Tensor]:
        """What a graph reads and changes."""
        learned = [vector for part in self.learners for vector in (part.adam.flat, *part.adam.moments)]
        return [*learned, *(part.flat for part in self.followers)]

    def _inputs(self, batch: Batch, noises: Sequence[Tensor]) -> list[Tensor]:
        """What a graph is called with. Numbers that change from call to call are data, or they would be compiled in."""
        numbers = torch.tensor([part.adam.numbers() for part in self.learners], pin_memory=batch.actions.is_cuda)
        discounts = [batch.discounts] if isinstance(batch.discounts, Tensor) else []
        return [
            *self._state(),
            numbers.to(batch.actions.device, non_blocking=True),
            *noises,
            *(batch.actions, batch.dones, batch.rewards),
            *parts_of(batch.observations),
            *parts_of(batch.next_observations),
            *discounts,
        ]

    def _graph(self, batch: Batch, noises: Sequence[Tensor], follows: bool) -> tuple[Any, list[Trained]]:
        """The law as a graph, and which networks learn by it."""
        size, learned = len(self._state()), set[int]()

        def step(*tensors: Tensor) -> Tensor:
            vectors, numbers, rest = tensors[:size], tensors[size].unbind(), tensors[size + 1 :]
            drawn, (actions, dones, rewards), rest = (
                rest[: len(noises)],
                rest[len(noises) :][:3],
                rest[len(noises) + 3 :],
            )
            count = len(self.keys or [None])
            discounts = rest[-1] if isinstance(batch.discounts, Tensor) else batch.discounts
            here, there = (observations_of(part, self.keys) for part in (rest[:count], rest[count : 2 * count]))
            samples = Batch(here, actions, there, dones, rewards, discounts)
            nets, traced = self._traced(vectors, numbers)
            with torch.enable_grad():
                statistics = self.law(nets, samples, drawn, follows)
            after = [vector for each in traced for vector in each.vectors]
            for index, (old, new) in enumerate(zip(vectors, after, strict=True)):
                if new is not old:
                    old.copy_(new)
                    learned.add(index // 3)
            return torch.stack([each.detach() for each in statistics])

        inputs = self._inputs(batch, noises)
        graph = compiled(step, inputs, simplify=narrow)
        if batch.actions.is_cuda:
            graph = Replayed(graph, inputs, shared=size)
        return graph, [part for index, part in enumerate(self.learners) if index in learned]

    def _traced(self, vectors: Sequence[Tensor], numbers: Sequence[Tensor]) -> tuple[Networks, list[Any]]:
        """The networks as functions of these vectors; and all of them, in the order of the vectors."""
        learners, followers = self.learners, self.followers
        begins = range(0, 3 * len(learners), 3)
        traced: dict[int, Any] = {
            id(part): Traced(part, vectors[begin : begin + 3], each.unbind())
            for part, begin, each in zip(learners, begins, numbers, strict=True)
        }
        for part, flat in zip(followers, vectors[3 * len(learners) :], strict=True):
            traced[id(part)] = TracedFollowing(part, traced[id(part.leader)], flat)
        nets = Networks(*(net and traced[id(net)] for net in self.nets))
        return nets, list(traced.values())
