"""The updates of DQN and QR-DQN as compiled graphs: acting, targets, and a minibatch with its step of Adam.

Results equal those of `update.Update` to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agents.dqn.update import Minibatch, Observations, Update
from agents.off_policy.traced import Traced, call, named, refuse_untraceable
from agents.ppo.compiled import Replayed, compiled, observations_of, parts_of


class CompiledUpdate(Update):
    """`Update` in graphs, for minibatches and observations of the sizes it was prepared with; others run eagerly."""

    def prepare(self, batch: Minibatch, seen: Observations) -> None:
        """Trace and compile.

        Args:
            batch: one of the sizes of all later ones, save the number of distinct observations.
            seen: observations, of which all environments together give as many.

        Raises:
            Exception: the network cannot be traced (the message says why), or compiling failed.
        """
        refuse_untraceable(self.network)
        self.keys = list(seen) if isinstance(seen, dict) else None
        self.size, self.types = len(batch.actions), [part.dtype for part in parts_of(seen)]
        self.environments = len(parts_of(seen)[0])
        self.repeats = batch.rows is not None
        self.policy.set_training_mode(True)
        self.learning = self._learning(batch)
        self.policy.set_training_mode(False)
        self.acting = self._reading(self.network, self.law.greedy, seen)
        self.valuing = None
        if not self.repeats:  # where observations are distinct, few are to be valued at a time
            self.valuing = self._reading(self.target, self.law.next_values, batch.observations)

    def begin(self) -> None:  # the mode is part of the graphs
        pass

    def act(self, observations: Observations) -> Tensor:
        parts = self._parts(observations)
        count = len(parts[0])
        if count > self.environments:
            return super().act(observations)
        if count < self.environments:  # the others' actions are known: the last observation stands in for theirs
            parts = [torch.cat([part, part[-1:].expand(self.environments - count, *part.shape[1:])]) for part in parts]
        return self.acting(*self._parameters(self.network), *parts)[:count]

    def next_values(self, observations: Observations) -> Tensor:
        parts = self._parts(observations)
        if self.valuing is None or len(parts[0]) != self.size:
            return super().next_values(observations)
        return self.valuing(*self._parameters(self.target), *parts)

    def __call__(self, batch: Minibatch, eagerly: bool = False) -> Tensor:
        if eagerly or len(batch.actions) != self.size:
            super().begin()
            loss = super().__call__(batch)
            self.policy.set_training_mode(False)
            return loss
        loss = self.learning(*self._inputs(batch))
        self.learner.adam.steps += 1
        return loss

    def _parts(self, observations: Observations) -> list[Tensor]:
        """Observations as the graphs read them: environments may give keys in another order, or wider numbers."""
        parts = parts_of(observations if self.keys is None else {key: observations[key] for key in self.keys})
        return [part.to(declared).contiguous() for part, declared in zip(parts, self.types, strict=True)]

    @staticmethod
    def _parameters(network: nn.Module) -> list[Tensor]:
        """What a graph reads of a network."""
        return [parameter.detach() for parameter in network.parameters()]

    def _inputs(self, batch: Minibatch) -> list[Tensor]:
        """What the graph of learning reads. Numbers that change from call to call are data, not part of it."""
        adam, parts = self.learner.adam, self._parts(batch.observations)
        if self.repeats and len(parts[0]) == 1:  # a graph for any length is one for any length from 2 on
            parts = [torch.cat([part, part]) for part in parts]
        numbers = torch.tensor(adam.numbers(), pin_memory=adam.flat.is_cuda).to(adam.flat.device, non_blocking=True)
        rows = [] if batch.rows is None else [batch.rows]
        return [adam.flat, *adam.moments, numbers, batch.actions, batch.wanted.contiguous(), *rows, *parts]

    def _learning(self, batch: Minibatch) -> Any:
        def learn(*inputs: Tensor) -> Tensor:
            vectors, (numbers, actions, wanted, *rest) = inputs[:3], inputs[3:]
            rows, parts = (rest[0], rest[1:]) if self.repeats else (None, rest)
            traced = Traced(self.learner, vectors, numbers.unbind())
            with torch.enable_grad():
                outputs = traced(observations_of(parts, self.keys))
                loss = self.law.loss(outputs if rows is None else outputs[rows], actions, wanted)
                traced.learn(loss, self.law.max_grad_norm)
            for old, new in zip(vectors, traced.vectors, strict=True):
                old.copy_(new)
            return loss.detach()[None]

        inputs = self._inputs(batch)
        fixed = 3 + 1 + 2 + self.repeats  # all before the observations
        varying = [False] * fixed + [True] * (len(inputs) - fixed) if self.repeats else ()
        graph = compiled(learn, inputs, varying)
        return Replayed(graph, inputs, shared=3) if inputs[0].is_cuda and not self.repeats else graph

    def _reading(self, network: nn.Module, read: Any, observations: Observations) -> Any:
        """The graph of what is read from a network's outputs."""
        names, parameters = named(network, [*network.parameters()]), self._parameters(network)

        def output(*inputs: Tensor) -> Tensor:
            seen = observations_of(inputs[len(parameters) :], self.keys)
            return read(call(network, names, inputs[: len(parameters)], (seen,)))

        inputs = [*parameters, *self._parts(observations)]
        graph = compiled(output, inputs)
        return Replayed(graph, inputs, shared=len(parameters)) if inputs[0].is_cuda else graph
