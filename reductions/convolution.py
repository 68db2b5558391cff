"""Convolutions as linear layers, and as R-GCNs whose relations are the pixels of the kernel.

A convolution is y[p] = Σ_k W_k x[q_k(p)] + b: output cell p reads, through pixel k of the kernel, the input cell
q_k(p) = p·stride + k·dilation − padding. With the matrices A_k[p, q] = 1 where q = q_k(p), else 0, this is an R-GCN
over the cells, and one matrix Θ = Σ_k W_k ⊗ A_k over the index set channels × cells: what the convolution ties and what
it sets to zero in a linear layer of its size. The transposed convolution of the same kernel is Θᵀ.
"""

from __future__ import annotations

from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reductions.forms import DenseRGCN, linear

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def convolution_as_linear(layer: Convolution, size: tuple[int, ...]) -> nn.Linear:
    """Θ with layer(x).flatten(1) = Θ x.flatten(1) + b ⊗ 1, for inputs of `size` cells along each axis.

    Any dimension, stride, padding and its mode, dilation, groups; transposed ones with their output padding.

    Raises:
        ValueError: a size with another number of axes, or too small for the kernel.
    """
    rgcn = convolution_as_rgcn(layer, size)
    weight = torch.einsum("kts,koi->otis", rgcn.adjacency, rgcn.weight)
    outputs, targets, inputs, sources = weight.shape
    bias = None if rgcn.bias is None else rgcn.bias.repeat_interleave(targets)
    return linear(weight.reshape(outputs * targets, inputs * sources), bias)


def convolution_as_rgcn(layer: Convolution, size: tuple[int, ...]) -> DenseRGCN:
    """The R-GCN whose nodes are cells and whose relations are the kernel's pixels, numbered as `flatten` does.

    With h = x.flatten(2).mT, (batch, cells, channels), rgcn(h).mT = layer(x).flatten(2).

    Raises:
        ValueError: a size with another number of axes, or too small for the kernel.
    """
    if len(size) != len(layer.kernel_size):
        raise ValueError(f"{layer} takes {len(layer.kernel_size)} axes of cells, got size={size}")
    transposed = isinstance(layer, TRANSPOSED)
    axes = [(transposed_axis if transposed else axis)(layer, number, cells) for number, cells in enumerate(size)]
    adjacency = reduce(torch.kron, axes).to(layer.weight)  # pixels, outputs and inputs of all axes together
    weight = pixel_weights(layer.weight, layer.groups)
    if transposed:
        adjacency, weight = adjacency.mT, weight.mT
    return DenseRGCN(adjacency, weight, layer.bias)


def pixel_weights(weight: Float[Tensor, "..."], groups: int) -> Float[Tensor, "pixels outputs inputs"]:
    """W_k for each pixel k, zero between channels of different groups."""
    grouped = weight.flatten(2).unflatten(0, (groups, -1))
    blocks = torch.einsum("goik,gh->kgohi", grouped, torch.eye(groups).to(weight))
    return blocks.flatten(3, 4).flatten(1, 2)


def axis(layer: Convolution, number: int, cells: int) -> Float[Tensor, "pixels outputs inputs"]:
    """A_k of one axis."""
    kernel, stride, dilation = layer.kernel_size[number], layer.stride[number], layer.dilation[number]
    reach = dilation * (kernel - 1)
    if isinstance(layer.padding, str):
        padded = reach if layer.padding == "same" else 0
        before = padded // 2
    else:
        before = int(layer.padding[number])
        padded = 2 * before
    after = padded - before
    outputs = (cells + padded - reach - 1) // stride + 1
    largest = {"zeros": after, "replicate": after, "circular": cells, "reflect": cells - 1}[layer.padding_mode]
    if outputs < 1 or after > largest:
        raise ValueError(f"{cells} cells along axis {number} are too few for {layer}")
    return incidence(cells, outputs, kernel, stride, dilation, before, layer.padding_mode)


def transposed_axis(layer: Convolution, number: int, cells: int) -> Float[Tensor, "pixels inputs outputs"]:
    """A_k of the convolution along one axis that this one transposes: it reads this one's outputs."""
    assert isinstance(layer, TRANSPOSED) and not isinstance(layer.padding, str)
    kernel, stride, dilation = layer.kernel_size[number], layer.stride[number], layer.dilation[number]
    before = int(layer.padding[number])
    outputs = (cells - 1) * stride - 2 * before + dilation * (kernel - 1) + layer.output_padding[number] + 1
    if outputs < 1:
        raise ValueError(f"{cells} cells along axis {number} are too few for {layer}")
    return incidence(outputs, cells, kernel, stride, dilation, before)


def incidence(
    inputs: int, outputs: int, kernel: int, stride: int, dilation: int, before: int, mode: str = "zeros"
) -> Float[Tensor, "kernel outputs inputs"]:
    """1 where output p reads input q through pixel k. Beyond the border each mode reads what torch's does."""
    read = torch.arange(outputs) * stride + torch.arange(kernel)[:, None] * dilation - before
    last = inputs - 1
    if mode == "circular":
        read = read % inputs
    elif mode == "replicate":
        read = read.clamp(0, last)
    elif mode == "reflect":
        read = last - (last - read.abs()).abs()
    return (read[:, :, None] == torch.arange(inputs)).to(torch.get_default_dtype())
