"""Pooling and normalization as the linear maps that they are, or are at one input."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from reductions.forms import linear, written

AveragePooling = nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
MaxPooling = nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
CONVOLUTIONS: dict[type[nn.Module], Any] = {nn.AvgPool1d: nn.Conv1d, nn.AvgPool2d: nn.Conv2d, nn.AvgPool3d: nn.Conv3d}


def average_pooling_as_convolution(pool: AveragePooling, channels: int) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
    """The convolution of each channel by itself with a constant kernel, 1/pixels; zeros of the padding are counted.

    Raises:
        ValueError: pooling that divides by fewer pixels at the border (count_include_pad=False with padding, or
            ceil_mode), which no convolution does.
    """
    kind = CONVOLUTIONS[type(pool)]
    dimension = len(kind(1, 1, 1).kernel_size)

    def each(value: int | tuple[int, ...]) -> tuple[int, ...]:
        return (value,) * dimension if isinstance(value, int) else tuple(value)

    kernel, stride, padding = each(pool.kernel_size), each(pool.stride), each(pool.padding)
    if pool.ceil_mode or (any(padding) and not pool.count_include_pad):
        raise ValueError(
            f"{pool} divides by fewer pixels at the border, which no convolution does: it needs ceil_mode=False and, "
            f"with padding, count_include_pad=True"
        )
    divisor = getattr(pool, "divisor_override", None) or math.prod(kernel)
    layer = kind(channels, channels, kernel, stride, padding, groups=channels, bias=False, device="meta")
    return written(layer, weight=torch.full((channels, 1, *kernel), 1 / divisor))


def max_pooling_as_selection(
    pool: MaxPooling, x: Float[Tensor, "batch channels *cells"]
) -> Float[Tensor, "batch channels windows positions"]:
    """S(x), one 1 in each row, with pool(x) = S(x) x in every channel: linear wherever S(x) does not change."""
    options = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    _, indices = type(pool)(*options, return_indices=True, ceil_mode=pool.ceil_mode)(x)
    return F.one_hot(indices.flatten(2), math.prod(x.shape[2:])).to(x)


def max_unpooling_as_adjoint(
    indices: Int[Tensor, "batch channels *windows"], size: tuple[int, ...]
) -> Float[Tensor, "batch channels positions windows"]:
    """Sᵀ, the adjoint of the selection that max-pooling with return_indices made: unpool(y, indices) = Sᵀ y.

    Args:
        indices: of the maxima, as that pooling returns them.
        size: cells along each axis of what was pooled.

    Raises:
        ValueError: overlapping windows chose the same cell: unpooling keeps one of their values, the adjoint adds them.
    """
    adjoint = F.one_hot(indices.flatten(2), math.prod(size)).mT.to(torch.get_default_dtype())
    if (adjoint.sum(-1) > 1).any():
        raise ValueError(
            "windows that overlap chose the same cell: max-unpooling keeps one of their values, the adjoint adds them; "
            "use a stride of at least the kernel's size"
        )
    return adjoint


def batch_norm_as_linear(norm: BatchNorm) -> nn.Linear:
    """diag(γ/√(σ² + ε)) x + β − γμ/√(σ² + ε) on the channels of every cell: batch norm with its running statistics.

    Raises:
        ValueError: it uses the statistics of the batch.
    """
    if norm.training or norm.running_mean is None or norm.running_var is None:
        raise ValueError(f"{norm} uses the statistics of its batch; call eval(), with track_running_stats=True")
    scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
    return linear(scale.diag(), (0 if norm.bias is None else norm.bias) - norm.running_mean * scale)
