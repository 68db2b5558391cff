"""A network that reads observations, as a function of one tensor with a gradient; everything else is held fixed.

cells of a grid      their one-hot codes, (batch, x, y, codes), in place of the codes, which have no gradient
vectors, pixels      as they are; a dict of vectors, concatenated
explicit graphs      the features of the nodes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from encoders.average import Average
from encoders.base import Flatten, kind_of
from encoders.layers.equivariant import EquivariantGrid
from encoders.layers.stem import CellEmbedding

Observations = Tensor | Mapping[str, Tensor]
Function = Callable[[Tensor], Tensor]

INPUTS = {
    "grid": "the cells in one-hot form, with direction, carried object and mission as they are",
    "window": "the whole window of observations, cells in one-hot form",
    "image": "pixels in [0, 1]",
    "graph": "the features of the nodes",
}


def input_of(space: spaces.Space) -> str:
    """What the input of the function is for observations of this space, in words."""
    return INPUTS.get(kind_of(space), "the observation, normalized if the policy normalizes it")


def as_function(network: nn.Module, observations: Observations) -> tuple[Function, Tensor]:
    """The network as a function f, and its input x at each observation: f(x) = network(observations).

    Args:
        network: reads batches of observations as an encoder does.
        observations: a batch.

    Raises:
        ValueError: the network turns the observations before it reads their codes.
    """
    for module in network.modules():
        if isinstance(module, CellEmbedding):
            if any(isinstance(part, Average) for part in network.modules()):
                raise ValueError("with symmetry=average the codes of a grid are turned before they are read")
            return _embedded(network, module, observations)
        if isinstance(module, EquivariantGrid):
            return _equivariant(network, module, observations)
    if isinstance(observations, Tensor):
        return network, observations
    key = next((key for key in ("image", "nodes") if key in observations), None)
    if key is not None:
        return lambda x: network({**observations, key: x}), observations[key]
    flatten = next(module for module in network.modules() if isinstance(module, Flatten))
    return (lambda x: _with(flatten.register_forward_hook(lambda *_: x), network, observations)), flatten(observations)


def _embedded(network: nn.Module, embedding: CellEmbedding, observations: Any) -> tuple[Function, Tensor]:
    """Encoders may reorder grids and read equal ones once, so each grid's codes are replaced by its number."""
    codes = observations["image"] if isinstance(observations, Mapping) else observations
    grids = codes.flatten(0, -4)
    numbers = torch.arange(len(grids)).to(codes)[:, None, None, None].expand_as(grids).reshape(codes.shape)
    held = {**observations, "image": numbers} if isinstance(observations, Mapping) else numbers

    def function(x: Tensor) -> Tensor:
        def embed(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            which = inputs[0][:, 0, 0, 0].long()
            return x.flatten(0, -4)[which] @ embedding.table

        return _with(embedding.register_forward_hook(embed), network, held)

    return function, (codes[..., None] == embedding.codes).to(embedding.table.dtype).flatten(-2)


def _equivariant(network: nn.Module, grid: EquivariantGrid, observations: Any) -> tuple[Function, Tensor]:
    codes = observations["image"] if isinstance(observations, Mapping) else observations

    def function(x: Tensor) -> Tensor:
        hook = grid.embed.register_forward_pre_hook(lambda module, inputs: (x.permute(0, 3, 1, 2),))
        return _with(hook, network, observations)

    return function, grid.codes.one_hot(codes).unflatten(1, grid.grid)


def _with(hook: Any, network: nn.Module, observations: Any) -> Tensor:
    try:
        return network(observations)
    finally:
        hook.remove()
