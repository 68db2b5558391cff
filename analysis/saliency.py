"""What in its input an output of a network depends on: gradients, occlusion, relations and generated weights.

saliency     ∂f/∂x, and its norm over the numbers of each cell (Simonyan et al. 2014, section 3)
listening    the norm of ∂f_i/∂x_j, over the numbers that node j of a graph shows
occlusion    f(x) - f(x with a patch replaced) (Zeiler & Fergus 2014, section 4.2)
relations    f without the messages of one relation, W_r = 0 in every layer of an R-GCN
weights      the matrices that a hypernetwork generates from the context of each observation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from analysis.cells import Function, Observations
from encoders.hypernetwork import Hypernetwork
from encoders.layers.hyper import HyperLinear
from encoders.layers.relational import RGCN, GridRGCN


def gradient(function: Function, inputs: Tensor) -> Tensor:
    """∂f/∂x of a function from a batch to one number each."""
    x = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = function(x)
        if not output.requires_grad:
            return torch.zeros_like(inputs)  # constant
        return torch.autograd.grad(output.sum(), x, materialize_grads=True)[0]


def listening(
    function: Function, inputs: Float[Tensor, "batch nodes numbers"], outputs: Sequence[int]
) -> Float[Tensor, "outputs nodes"]:
    """S_ij = E ‖∂f_i/∂x_j‖₂: how far output i moves when what node j shows moves a little, mean over a batch.

    It is 0 where no path of the network leads from x_j to f_i.

    Args:
        function: from a batch to (batch, n); rows do not depend on each other.
        inputs: what each node shows.
        outputs: which of the n.
    """
    return torch.stack([gradient(lambda x, i=i: function(x)[:, i], inputs).norm(dim=2).mean(0) for i in outputs])


@torch.no_grad()
def occlusion(
    function: Function, inputs: Tensor, patches: Bool[Tensor, "patches *axes"], instead: Tensor
) -> Float[Tensor, "batch patches"]:
    """f(x) - f(x with a patch replaced): positive where what lies there raises f.

    Args:
        function: from a batch to one number each.
        inputs: (batch, ...).
        patches: the places that each patch covers; trailing axes of the inputs may be left out.
        instead: what they are replaced by; it fits the inputs' shape by broadcasting.
    """
    here = function(inputs)
    missing = inputs.dim() - patches.dim()
    covers = patches.reshape(*patches.shape, *[1] * missing)
    return torch.stack([here - function(torch.where(cover, instead, inputs)) for cover in covers], dim=1)


def squares(size: Sequence[int], side: int = 1) -> Bool[Tensor, "patches x y"]:
    """Squares that tile a plane; those at the end of an axis may be cut."""
    rows, columns = (torch.arange(length) // side for length in size)
    number = rows[:, None] * int(columns.max() + 1) + columns
    return number == torch.arange(int(number.max()) + 1)[:, None, None]


def relations_of(network: nn.Module) -> tuple[str, ...]:
    """The names of the relations of an R-GCN encoder; those of explicit graphs have numbers alone.

    Raises:
        ValueError: it has no such layers.
    """
    for module in network.modules():
        if isinstance(module, GridRGCN):
            return module.relations
        if isinstance(module, RGCN):
            return tuple(f"type {number}" for number in range(len(module.weights()) - 1))
    raise ValueError("there are no relations in this network; encoder=gnn with encoder.layer=rgcn has them")


@contextmanager
def without_relations(network: nn.Module, which: Sequence[int]) -> Iterator[None]:
    """Within this block no layer of the network gets messages of these relations, which are counted from 0."""
    layers: list[Any] = [module for module in network.modules() if isinstance(module, RGCN)]

    def silent(weights: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: weights().index_fill(0, torch.tensor([1 + number for number in which]), 0)

    for layer in layers:
        layer.weights = silent(layer.weights)
    try:
        yield
    finally:
        for layer in layers:
            del layer.weights  # which uncovers the method of the class


@torch.no_grad()
def relation_importances(
    network: nn.Module, observations: Observations, change: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, "relations batch"]:
    """How much the output changes when one relation's messages are removed from every layer.

    Args:
        network: with R-GCN layers.
        observations: a batch.
        change: from two batches of outputs, with and without, to a number for each observation.

    Raises:
        ValueError: there are no such layers.
    """
    names, output, found = relations_of(network), network(observations), []
    for number in range(len(names)):
        with without_relations(network, [number]):
            found.append(change(output, network(observations)))
    return torch.stack(found)


@torch.no_grad()
def generated_weights(network: nn.Module, observations: Observations) -> list[Float[Tensor, "batch outputs columns"]]:
    """[W(c), b(c)] of each layer of a hypernetwork, for the context of each observation.

    Raises:
        ValueError: no weights are generated in it.
    """
    for module in network.modules():
        if isinstance(module, Hypernetwork) and isinstance(module.layers[0], HyperLinear):
            if module.reader is None:
                assert module.own_context is not None
                contexts = module.own_context(module.flatten(observations))
            else:
                assert isinstance(observations, dict)
                contexts = module.reader({key: observations[key] for key in module.reader.keys})
            return [layer.generated(contexts) for layer in module.layers]  # type: ignore[operator]
    raise ValueError(
        "there are no generated weights in this network; encoder=hypernetwork with encoder.multiplicative=hyper or "
        "bilinear has them"
    )
