"""Layers that multiply x by a context c (Jayakumar et al. 2020): FiLM ⊂ hypernetwork layers = bilinear forms."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.hyper import HyperLinear
from reductions.forms import written


def hyper_as_bilinear(layer: HyperLinear, context: int) -> nn.Bilinear:
    """y_o = (c, 1)ᵀ B_o (x, 1): what W(c) x + b(c) is as a function of both, linear in either (see `with_one`).

    What is generated is affine in c, so the layer is known from the matrices of c = 0 and of the unit vectors.

    Args:
        layer: which generates [W(c), b(c)].
        context: size of c.
    """
    corners = torch.eye(context + 1)[:, :context].to(next(iter(layer.state_dict().values())))
    *differences, constant = layer.generated(corners)
    weight = torch.stack([*(each - constant for each in differences), constant], dim=1)
    outputs, contexts, inputs = weight.shape
    return written(nn.Bilinear(contexts, inputs, outputs, bias=False, device="meta"), weight=weight)


def film_as_hyper(film: nn.Linear, before: nn.Linear | None = None) -> HyperLinear:
    """x ⊙ (1 + γ(c)) + β(c), with (γ, β) = film(c), as a generated layer: W(c) = diag(1 + γ(c)), b(c) = β(c).

    FiLM (Perez et al. 2018) as `encoders.layers.stem` uses it: a hypernetwork that leaves all but the diagonal zero.

    Args:
        film: from the context to γ and β.
        before: a layer V x + v that x goes through first; then W(c) = diag(1 + γ(c)) V, b(c) = (1 + γ(c)) v + β(c).

    Raises:
        ValueError: a number of outputs that is not twice that of x, for γ and β.
    """
    width = film.out_features // 2 if before is None else before.out_features
    if film.out_features != 2 * width:
        raise ValueError(f"film gives γ and β, of {width} numbers each; it has {film.out_features} outputs")
    bias = film.bias if film.bias is not None else film.weight.new_zeros(2 * width)
    scaled = torch.eye(width, width + 1).to(film.weight) if before is None else columns(before)  # [V, v]
    gamma, beta = torch.cat([film.weight.T, bias[None]]).chunk(2, dim=1)  # of each k, and the constant
    matrices = gamma[..., None] * scaled + F.pad(beta[..., None], (scaled.shape[1] - 1, 0))
    layer = HyperLinear(scaled.shape[1] - 1, width, film.in_features)
    return written(layer, constant=matrices[-1] + scaled, generator=matrices[:-1])


def columns(layer: nn.Linear) -> Float[Tensor, "outputs columns"]:
    """[V, v] of V x + v."""
    bias = layer.bias if layer.bias is not None else layer.weight.new_zeros(layer.out_features)
    return torch.cat([layer.weight, bias[:, None]], dim=1)
