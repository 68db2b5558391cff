"""Reductions: one module written as another that computes the same, which shows what each ties or adds.

    from torch import nn
    from reductions import convolution_as_linear
    linear = convolution_as_linear(nn.Conv2d(3, 8, 3, padding=1), (7, 7))  # Θ, 392 × 147, made of 216 numbers

    function                          from                              to
    convolution_as_linear             a convolution, transposed or not  nn.Linear: Θ, and Θᵀ where transposed
    convolution_as_rgcn               a convolution, transposed or not  DenseRGCN, its relations the kernel's pixels
    average_pooling_as_convolution    average pooling                   a convolution
    max_pooling_as_selection          max-pooling, at one input         S, a 1 where each window finds its maximum
    max_unpooling_as_adjoint          max-unpooling                     Sᵀ
    batch_norm_as_linear              batch norm, in evaluation         a diagonal nn.Linear
    rgcn_as_linear                    DenseRGCN of a fixed topology     nn.Linear: Σ_r A_r ⊗ W_r
    grid_rgcn_as_rgcn                 GridRGCN, the structured form     DenseRGCN
    gcn_as_rgcn                       a GCN layer                       DenseRGCN of one relation, weighted by degrees
    deep_sets_as_rgcn                 a Deep Sets layer                 DenseRGCN of two relations: oneself, and all
    attention_as_rgcn                 attention, at one input           DenseRGCN of one relation a head
    rnn_as_chain                      an RNN                            one structured layer, repeated
    hyper_as_bilinear                 HyperLinear                       nn.Bilinear in the context and x
    film_as_hyper                     FiLM                              HyperLinear that generates diagonal matrices

An equivariant layer as a linear one, W ↦ 1/|G| Σ_g ρ_out(g)⁻¹ W ρ_in(g), is `symmetry.symmetrize`.

A reduction computes with functions of the original's parameters, so gradients reach them; make it again after they
change. Layer norm is missing because it divides by a statistic of its input, which no affine layer does.
"""

from reductions.convolution import convolution_as_linear, convolution_as_rgcn
from reductions.forms import DenseRGCN, rgcn_as_linear, with_one
from reductions.multiplicative import film_as_hyper, hyper_as_bilinear
from reductions.pointwise import (
    average_pooling_as_convolution,
    batch_norm_as_linear,
    max_pooling_as_selection,
    max_unpooling_as_adjoint,
)
from reductions.recurrent import UnrolledRNN, rnn_as_chain
from reductions.relational import attention_as_rgcn, deep_sets_as_rgcn, gcn_as_rgcn, grid_rgcn_as_rgcn

__all__ = [
    "DenseRGCN",
    "UnrolledRNN",
    "attention_as_rgcn",
    "average_pooling_as_convolution",
    "batch_norm_as_linear",
    "convolution_as_linear",
    "convolution_as_rgcn",
    "deep_sets_as_rgcn",
    "film_as_hyper",
    "gcn_as_rgcn",
    "grid_rgcn_as_rgcn",
    "hyper_as_bilinear",
    "max_pooling_as_selection",
    "max_unpooling_as_adjoint",
    "rgcn_as_linear",
    "rnn_as_chain",
    "with_one",
]
