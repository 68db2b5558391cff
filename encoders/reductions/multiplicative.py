"""Layers that multiply x by a context c (Jayakumar et al. 2020): FiLM ⊂ hypernetwork layers = bilinear forms."""

from __future__ import annotations

import torch
from torch import nn

from encoders.layers.hyper import HyperLinear
from encoders.reductions.forms import written


def hyper_as_bilinear(layer: HyperLinear) -> nn.Bilinear:
    """y_o = (c, 1)ᵀ B_o (x, 1): what W(c) x + b(c) is as a function of both, linear in either (see `with_one`)."""
    weight = torch.cat([layer.generator, layer.constant[None]]).transpose(0, 1)
    outputs, contexts, inputs = weight.shape
    return written(nn.Bilinear(contexts, inputs, outputs, bias=False, device="meta"), weight=weight)


def film_as_hyper(film: nn.Linear) -> HyperLinear:
    """x ⊙ (1 + γ(c)) + β(c), with (γ, β) = film(c), as a generated layer: W(c) = diag(1 + γ(c)), b(c) = β(c).

    FiLM (Perez et al. 2018) as `encoders.layers.stem` uses it: a hypernetwork that leaves all but the diagonal zero.

    Raises:
        ValueError: an odd number of outputs, which are not γ and β.
    """
    width, odd = divmod(film.out_features, 2)
    if odd:
        raise ValueError(f"film gives γ and β of equal size, so an even number of outputs; got {film.out_features}")
    bias = film.bias if film.bias is not None else film.weight.new_zeros(2 * width)
    gamma, beta = film.weight.T.chunk(2, dim=1)  # (context, width) each
    constant = torch.cat([(1 + bias[:width]).diag(), bias[width:, None]], dim=1)
    generator = torch.cat([gamma.diag_embed(), beta[..., None]], dim=2)
    layer = HyperLinear(width, width, film.in_features)
    return written(layer, constant=constant, generator=generator)
