"""Deconvolution: what in the input a unit of a convolutional stack stands for (Zeiler & Fergus 2014, section 2.1).

A stack is run forwards, and a signal at one of its layers is brought back through the transpose of each layer below:

    convolution        the transposed convolution with the same weights, without the bias (Zeiler et al. 2010)
    ReLU               a ReLU of the signal
    max-pooling        each value goes to the place of its maximum, which the way forwards recorded: the switch
    average pooling    its transpose
    normalization      γ/σ, with the σ of the way forwards
    residual block     x + f(x): the signal, and the signal through f

Without ReLUs this is the adjoint of the stack, linear where switches and σ are held fixed. Where windows overlap and
chose the same maximum, their values are added. With ReLUs it is not the gradient: that is zero where the *input* of a
ReLU was negative, and this where the *signal* is (Springenberg et al. 2015, figure 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.convolution import Residual
from encoders.layers.dropout import Dropout
from encoders.layers.normalization import EPSILON, BatchNorm

Maps = Float[Tensor, "batch channels x y"]
Back = Callable[[Tensor], Tensor]  # from a signal at a layer's output to one at its input
WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


class Deconvolution:
    """A stack of layers that was run on a batch of inputs, and can be run back from any of them.

    Args:
        layers: each one module, or several in sequence.
        inputs: maps.

    Attributes:
        maps: the output of each layer.

    Raises:
        ValueError: a module without a way back.
    """

    @torch.no_grad()
    def __init__(self, layers: Sequence[nn.Module], inputs: Maps):
        self.maps: list[Maps] = []
        self._back: list[Back] = []
        x = inputs
        for layer in layers:
            x, back = forward(layer, x)
            self.maps.append(x)
            self._back.append(back)

    @torch.no_grad()
    def back(self, layer: int, signal: Maps) -> Maps:
        """A signal at the output of a layer, brought back to the input of the stack."""
        for each in reversed(self._back[: layer + 1]):
            signal = each(signal)
        return signal

    def of_units(self, layer: int, channels: Int[Tensor, " batch"], cells: Int[Tensor, "batch 2"]) -> Maps:
        """Of one unit for each input: its own activation is the signal, and that of every other unit is zero."""
        maps = self.maps[layer]
        units = torch.arange(len(maps)), channels, cells[:, 0], cells[:, 1]
        signal = torch.zeros_like(maps)
        signal[units] = maps[units]
        return self.back(layer, signal)


def strongest(maps: Maps) -> tuple[Float[Tensor, "batch channels"], Int[Tensor, "batch channels 2"]]:
    """The largest activation of each channel, and its cell."""
    values, places = maps.flatten(2).max(2)
    return values, torch.stack([places // maps.shape[3], places % maps.shape[3]], dim=2)


def receptive_field(
    layers: Sequence[nn.Module], cell: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The cells of the input that reach a cell of the output: (first, last) along x and along y.

    Normalization over cells lets all of them in by its statistics, which are left out here.

    Args:
        layers: from the input to that output.
        cell: of the output.
        size: of the input, along x and y.
    """
    modules = [part for layer in layers for part in layer.modules() if isinstance(part, WINDOWS)]
    ends: list[tuple[int, int]] = []
    for axis, place in enumerate(cell):
        first = last = place
        for module in reversed(modules):
            kernel, stride, padding, dilation = (values[axis] for values in _window(module))
            first = first * stride - padding
            last = last * stride - padding + dilation * (kernel - 1)
        ends.append((max(first, 0), min(last, size[axis] - 1)))
    return ends[0], ends[1]


@singledispatch
def forward(layer: nn.Module, x: Maps) -> tuple[Maps, Back]:
    """The output of a layer, and the way back through it at this input.

    Raises:
        ValueError: it has none.
    """
    known = "convolutions, ReLU, max and average pooling, normalization, dropout and residual blocks"
    raise ValueError(f"there is no deconvolution through {layer}; there is through {known}")


@forward.register(nn.Sequential)
def _sequence(layers: nn.Sequential, x: Maps) -> tuple[Maps, Back]:
    steps: list[Back] = []
    for layer in layers:
        x, back = forward(layer, x)
        steps.append(back)

    def backwards(signal: Tensor) -> Tensor:
        for step in reversed(steps):
            signal = step(signal)
        return signal

    return x, backwards


@forward.register
def _residual(block: Residual, x: Maps) -> tuple[Maps, Back]:
    y, back = forward(block.layers, x)
    return x + y, lambda signal: signal + back(signal)


@forward.register
def _convolution(layer: nn.Conv2d, x: Maps) -> tuple[Maps, Back]:
    if layer.padding_mode != "zeros":
        raise ValueError(f"there is no deconvolution through {layer}; padding_mode=zeros has one")

    def back(signal: Tensor) -> Tensor:
        _, stride, padding, dilation = _window(layer)
        extra = _left_over(layer, x.shape[2:], signal.shape[2:])
        return F.conv_transpose2d(signal, layer.weight, None, stride, padding, extra, layer.groups, dilation)

    return layer(x), back


@forward.register
def _rectifier(layer: nn.ReLU, x: Maps) -> tuple[Maps, Back]:
    return F.relu(x), F.relu


@forward.register
def _maxima(pool: nn.MaxPool2d, x: Maps) -> tuple[Maps, Back]:
    y, switches = F.max_pool2d(
        x, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, return_indices=True
    )

    def back(signal: Tensor) -> Tensor:
        cells = x.new_zeros(x.shape).flatten(2)
        return cells.scatter_add(2, switches.flatten(2), signal.flatten(2)).view_as(x)

    return y, back


@forward.register
def _averages(pool: nn.AvgPool2d, x: Maps) -> tuple[Maps, Back]:
    if pool.ceil_mode or pool.padding not in (0, (0, 0)) or pool.divisor_override:
        raise ValueError(f"there is no deconvolution through {pool}; without padding, ceil_mode and divisor there is")
    kernel, stride, _, _ = _window(pool)
    share = x.new_full((x.shape[1], 1, *kernel), 1 / (kernel[0] * kernel[1]))

    def back(signal: Tensor) -> Tensor:
        extra = _left_over(pool, x.shape[2:], signal.shape[2:])
        return F.conv_transpose2d(signal, share, None, stride, 0, extra, x.shape[1])

    return pool(x), back


@forward.register
def _stored(norm: BatchNorm, x: Maps) -> tuple[Maps, Back]:
    scale = (norm.weight / (norm.running_var + EPSILON).sqrt())[:, None, None]
    return norm(x), lambda signal: signal * scale


@forward.register
def _grouped(norm: nn.GroupNorm, x: Maps) -> tuple[Maps, Back]:
    variance = x.flatten(1).unflatten(1, (norm.num_groups, -1)).var(2, correction=0)
    scale = (variance + norm.eps).rsqrt().repeat_interleave(norm.num_channels // norm.num_groups, dim=1)
    scale = (scale * norm.weight)[:, :, None, None]
    return norm(x), lambda signal: signal * scale


@forward.register
def _dropout(layer: Dropout, x: Maps) -> tuple[Maps, Back]:
    """Nothing is dropped when a policy is looked at."""
    return x, lambda signal: signal


def _window(layer: Any) -> tuple[tuple[int, ...], ...]:
    """Kernel, stride, padding and dilation along both axes."""
    values = layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1)
    kernel, stride, padding, dilation = ((each,) * 2 if isinstance(each, int) else each for each in values)
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    return kernel, stride, padding, dilation


def _left_over(layer: Any, size: Sequence[int], windows: Sequence[int]) -> tuple[int, ...]:
    """How many cells at the end of each axis no window reached, with a stride above 1."""
    along = zip(size, windows, *_window(layer), strict=True)
    return tuple(n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, m, k, s, p, d in along)
