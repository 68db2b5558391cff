"""Layers on nodes as R-GCNs: they differ in who is a neighbour, and in who decides that.

GCN          one relation: edges and oneself, weighted by degrees        (Kipf & Welling 2017, equation 2)
Deep Sets    two relations: oneself, and everyone                        (Zaheer et al. 2017, section 3)
GridRGCN     fixed relations in the plane, and oneself                   (Jiang et al. 2021)
attention    one relation a head, its edge weights computed from h       (Vaswani et al. 2017, section 3.2)
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.relational import GridRGCN
from encoders.layers.relations import neighbours
from reductions.forms import DenseRGCN


def gcn_as_rgcn(layer: nn.Linear, edges: Float[Tensor, "nodes nodes"]) -> DenseRGCN:
    """H' = D^(−1/2) (A + I) D^(−1/2) H Wᵀ + b with D the degrees of A + I, as an R-GCN of one relation.

    Args:
        layer: W and b.
        edges: A, symmetric, without the nodes themselves.

    Raises:
        ValueError: edges that are not symmetric or have negative weights.
    """
    if not torch.equal(edges, edges.T) or (edges < 0).any():
        raise ValueError("a GCN is defined on undirected edges: edges must be symmetric and not negative")
    with_self = edges + torch.eye(len(edges)).to(edges)
    scale = with_self.sum(1).rsqrt()
    return DenseRGCN((scale[:, None] * with_self * scale)[None], layer.weight[None], layer.bias)


def deep_sets_as_rgcn(own: nn.Linear, pooled: nn.Linear, nodes: int, pooling: str = "sum") -> DenseRGCN:
    """h'_i = Λ h_i + Γ Σ_j h_j + b, the linear layers that commute with every permutation of the nodes.

    Args:
        own, pooled: Λ and Γ; their biases are added.
        nodes: how many.
        pooling: "sum", or "mean" for Γ (1/nodes) Σ_j h_j.

    Raises:
        ValueError: another pooling: a maximum is no sum over neighbours.
    """
    if pooling not in ("sum", "mean"):
        raise ValueError(f"pooling is sum or mean, got {pooling!r}; a maximum is no sum over neighbours")
    everyone = torch.ones(nodes, nodes) / (nodes if pooling == "mean" else 1)
    biases: list[Tensor] = [layer.bias for layer in (own, pooled) if layer.bias is not None]
    return DenseRGCN(
        torch.stack([torch.eye(nodes), everyone]).to(own.weight),
        torch.stack([own.weight, pooled.weight]),
        torch.stack(biases).sum(0) if biases else None,
    )


def grid_rgcn_as_rgcn(layer: GridRGCN) -> DenseRGCN:
    """The definition of the structured layer: W₀ through the identity, then every relation's mean over neighbours.

    Cells are numbered as `flatten` does: rgcn(h.flatten(1, 2)) = layer(h).flatten(1, 2).
    """
    if layer.aggregation == "max":
        raise ValueError(
            "this layer takes maxima over neighbours, which are no sums: encoder.aggregation is mean or sum"
        )
    edges = [neighbours(relation, *layer.grid).to(layer.weight) for relation in layer.relations]
    if layer.aggregation == "mean":
        edges = [each / each.sum(1, keepdim=True).clamp_min(1) for each in edges]
    return DenseRGCN(torch.stack([torch.eye(len(edges[0])).to(layer.weight), *edges]), layer.weights(), layer.bias)


def attention_as_rgcn(
    layer: nn.MultiheadAttention,
    h: Float[Tensor, "batch tokens width"],
    padding: Bool[Tensor, "batch tokens"] | None = None,
) -> DenseRGCN:
    """Self-attention at h: an R-GCN of one relation a head, A_k(h) = softmax(Q_k K_kᵀ/√d) and W_k = O_k V_k.

    The topologies are functions of h, so the R-GCN equals the layer at this h only; as each row of A_k sums to 1, the
    values' bias is a constant: b = O b_V + b_O.

    Args:
        layer: torch's; `batch_first` does not matter, h always begins with the batch.
        h: states of the tokens.
        padding: True for tokens that nobody attends to, torch's `key_padding_mask`.

    Raises:
        ValueError: a layer with dropout (in training), other sizes of keys or values, or tokens that it adds itself.
    """
    if layer.in_proj_weight is None or layer.bias_k is not None or layer.add_zero_attn:
        raise ValueError("this attention has kdim, vdim, add_bias_kv or add_zero_attn; self-attention has none of them")
    if layer.training and layer.dropout:
        raise ValueError("attention with dropout has other topologies at each call; call eval()")
    heads = layer.num_heads
    bias = layer.in_proj_bias if layer.in_proj_bias is not None else h.new_zeros(3 * layer.embed_dim)
    query, key = F.linear(h, layer.in_proj_weight, bias).chunk(3, dim=2)[:2]
    query, key = (each.unflatten(2, (heads, -1)).transpose(1, 2) for each in (query, key))
    scores = query @ key.mT / layer.head_dim**0.5
    if padding is not None:
        scores = scores.masked_fill(padding[:, None, None], -torch.inf)
    values = layer.in_proj_weight.chunk(3)[2].unflatten(0, (heads, -1))  # (heads, size, width)
    out = layer.out_proj.weight.unflatten(1, (heads, -1)).transpose(0, 1)  # (heads, width, size)
    return DenseRGCN(
        scores.softmax(-1), out @ values, F.linear(bias.chunk(3)[2], layer.out_proj.weight, layer.out_proj.bias)
    )
