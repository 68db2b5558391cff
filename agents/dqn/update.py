"""One minibatch of DQN or QR-DQN, operation by operation: SB3's parameters, bit for bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from agents.dqn.laws import DQN, QRDQN
from agents.off_policy.networks import Trained
from agents.ppo.flat_adam import PartNorms

Observations = Any  # a tensor, or a dict of them


class Minibatch(NamedTuple):
    """What is learned from.

    Attributes:
        observations: one row for each sample; with distinct observations, one for each that occurs.
        rows: which of these rows each sample has; None if its own.
        actions: (batch, 1) integers.
        wanted: the targets y, (batch, 1) or (batch, quantiles).
    """

    observations: Observations
    rows: Tensor | None
    actions: Tensor
    wanted: Tensor


class Update:
    """The network, its target, and what a minibatch does.

    Args:
        policy: SB3's, with its optimizer.
        network, target: its Q or quantile networks.
        law: targets and losses.
    """

    def __init__(self, policy: Any, network: nn.Module, target: nn.Module, law: DQN | QRDQN):
        self.policy, self.network, self.target, self.law = policy, network, target, law
        self.learner = Trained(network, policy.optimizer)
        self.parts = PartNorms(policy, [self.learner.adam])

    def holds(self) -> bool:
        """Whether the parameters are still where they were; `load` and `to` move them."""
        return self.learner.holds()

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The one."""
        return [self.learner.optimizer]

    def begin(self) -> None:
        """Called before minibatches, after actions."""
        self.policy.set_training_mode(True)

    @torch.no_grad()
    def act(self, observations: Observations) -> Tensor:
        """The best actions for a batch of observations."""
        return self.law.greedy(self.network(observations))

    @torch.no_grad()
    def next_values(self, observations: Observations) -> Tensor:
        """What the target network says that these observations are worth."""
        return self.law.next_values(self.target(observations))

    def __call__(self, batch: Minibatch, eagerly: bool = True) -> Tensor:
        """Learn from a minibatch -> its loss, (1,); `eagerly`: not as a graph, which keeps no gradient for `parts`."""
        outputs = self.network(batch.observations)
        loss = self.law.loss(outputs if batch.rows is None else outputs[batch.rows], batch.actions, batch.wanted)
        self.learner.learn(loss, self.law.max_grad_norm)
        return loss.detach()[None]
