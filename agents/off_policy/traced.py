"""The networks of agents/off_policy/networks.py inside a graph: functions of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agents.off_policy.networks import Following, Trained
from agents.ppo.update import depends_on_more
from encoders.layers.dropout import dropouts
from encoders.layers.normalization import counts_samples


class Traced:
    """What `Trained` is in a graph: a function of vectors, which `learn` replaces by others.

    Args:
        trained: the network and its Adam.
        vectors: parameters, first and second moments.
        numbers: as of `FlatAdam.numbers`.
    """

    def __init__(self, trained: Trained, vectors: Sequence[Tensor], numbers: Sequence[Tensor]):
        self.trained, self.adam, self.numbers = trained, trained.adam, numbers
        self.names = named(trained.module, trained.adam.parameters)
        self._become(vectors)

    def __call__(self, *inputs: Any) -> Any:
        return call(self.trained.module, self.names, self.leaves, inputs)

    def learn(self, loss: Tensor, max_norm: float | None = None) -> None:
        gradients = torch.autograd.grad(loss, self.leaves, allow_unused=True, materialize_grads=True)
        gradient = self.adam.joined(gradients)
        if max_norm is not None:
            gradient = gradient * torch.clamp(max_norm / (torch.linalg.vector_norm(gradient) + 1e-6), max=1.0)
        self._become(self.adam.stepped(gradient, self.vectors, self.numbers))

    def _become(self, vectors: Sequence[Tensor]) -> None:
        self.vectors = vectors
        self.leaves = [view.detach().requires_grad_() for view in self.adam.views(vectors[0])]


class TracedFollowing:
    """What `Following` is in a graph.

    Args:
        following: the network.
        leader: the one it follows.
        flat: its parameters.
    """

    def __init__(self, following: Following, leader: Traced, flat: Tensor):
        self.module, self.leader, self.vectors = following.module, leader, [flat]
        self.names = named(following.module, following.parameters)

    def __call__(self, *inputs: Any) -> Any:
        return call(self.module, self.names, self.leader.adam.views(self.vectors[0]), inputs)

    def follow(self, tau: float) -> None:
        self.vectors = [self.vectors[0] * (1 - tau) + self.leader.vectors[0] * tau]


def named(module: nn.Module, tensors: Sequence[Tensor]) -> list[str]:
    """The names that a module has for parameters or buffers of its own."""
    names = {id(tensor): name for name, tensor in [*module.named_buffers(), *module.named_parameters()]}
    return [names[id(tensor)] for tensor in tensors]


def call(module: nn.Module, names: Sequence[str], tensors: Sequence[Tensor], inputs: tuple[Any, ...]) -> Any:
    """The module's output with these tensors in place of its own."""
    return torch.func.functional_call(module, dict(zip(names, tensors, strict=True)), inputs, tie_weights=False)


def refuse_untraceable(network: nn.Module) -> None:
    """Raise a ValueError if a graph of the network would compute something else than the network."""
    if depends_on_more(network):
        raise ValueError("its output depends on more than the observation")
    if counts_samples(network):
        raise ValueError("batch normalization keeps statistics, which a graph does not")
    if dropouts(network):
        raise ValueError("the masks of dropout change from update to update, which a graph does not")
