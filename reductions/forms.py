"""The forms that modules are reduced to: torch's own layers, and the R-GCN by its definition."""

from __future__ import annotations

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Layer = TypeVar("Layer", bound=nn.Module)


def written(layer: Layer, **tensors: Tensor) -> Layer:
    """`layer` with these tensors as its parameters; they may be functions of other parameters."""
    for name, tensor in tensors.items():
        delattr(layer, name)
        layer.register_buffer(name, tensor)
    return layer


def linear(weight: Float[Tensor, "outputs inputs"], bias: Float[Tensor, " outputs"] | None) -> nn.Linear:
    """The nn.Linear that computes `weight` x + `bias`."""
    outputs, inputs = weight.shape
    if bias is None:
        return written(nn.Linear(inputs, outputs, bias=False, device="meta"), weight=weight)
    return written(nn.Linear(inputs, outputs, device="meta"), weight=weight, bias=bias)


def with_one(x: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size+1"]:
    """(x, 1): a constant beside x, which makes an affine function of x linear."""
    return F.pad(x, (0, 1), value=1.0)


class DenseRGCN(nn.Module):
    """H' = Σ_r A_r H W_rᵀ + 1bᵀ, by its definition (Schlichtkrull et al. 2018, equation 2, over any weighted edges).

    Entry (i, j) of A_r is the weight of the edge of type r from node j to node i: 1/|N_r(i)| where neighbours are
    averaged. A node's own state is one more relation, A_r = I. Sources and targets may be different nodes. This form is
    for comparison: its cost is quadratic in nodes, that of `encoders.layers.relational` linear.

    Args:
        adjacency: A_r, or with a leading axis one topology for each sample.
        weight: W_r.
        bias: b.
    """

    adjacency: Tensor
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        adjacency: Float[Tensor, "*batch relations targets sources"],
        weight: Float[Tensor, "relations outputs inputs"],
        bias: Float[Tensor, " outputs"] | None = None,
    ):
        super().__init__()
        for name, tensor in (("adjacency", adjacency), ("weight", weight), ("bias", bias)):
            self.register_buffer(name, tensor)

    def forward(self, h: Float[Tensor, "batch sources inputs"]) -> Float[Tensor, "batch targets outputs"]:
        out = (self.adjacency @ (h[:, None] @ self.weight.mT)).sum(1)
        return out if self.bias is None else out + self.bias


def rgcn_as_linear(rgcn: DenseRGCN) -> nn.Linear:
    """Θ = Σ_r A_r ⊗ W_r on the states of all nodes, flattened: h'.flatten(1) = Θ h.flatten(1) + 1 ⊗ b.

    Raises:
        ValueError: the topology depends on the sample.
    """
    if rgcn.adjacency.dim() != 3:
        raise ValueError("this R-GCN has one topology for each sample, so no single matrix computes it")
    weight = torch.einsum("rts,roi->tosi", rgcn.adjacency, rgcn.weight)
    targets, outputs, sources, inputs = weight.shape
    bias = None if rgcn.bias is None else rgcn.bias.repeat(targets)
    return linear(weight.reshape(targets * outputs, sources * inputs), bias)
