"""Lipschitz constants of layers, in the Euclidean norm and in evaluation mode.

    linear, convolutions, transposed ones, average pooling, padding    ‖A‖₂, by `analysis.spectral`
    embedding                                      ‖W‖₂: a linear map of one-hot vectors
    batch norm                                     max |γ| / √(σ² + ε)
    layer, group and instance norm                 max |γ| / √ε, which inputs of equal numbers come close to
    max pooling                                    √(windows that share a cell)
    ReLU, tanh, SiLU, GELU and others              the largest slope
    in sequence                                    the product

What is not in `CONSTANTS` is refused: a subclass may compute something else than its parent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from analysis.spectral import spectral_norm

Shape = tuple[int, ...]
Constant = Callable[[Any, Shape], tuple[float, Shape]]

CONSTANTS: dict[type[nn.Module], Constant] = {}
REFUSED: dict[type[nn.Module], str] = {
    nn.MultiheadAttention: "attention is not Lipschitz on an unbounded domain (Kim et al. 2021, theorem 3.1)",
    **dict.fromkeys((nn.LSTM, nn.GRU), "it multiplies its state by gates that depend on the input too"),
}


def constant_of(module: nn.Module, shape: Shape) -> tuple[float, Shape]:
    """The constant of a module in float64 and evaluation mode, and the shape of one of its outputs.

    Raises:
        ValueError: no constant is known.
    """
    known = CONSTANTS.get(type(module))
    if known is not None:
        return known(module, shape)
    why = next((REFUSED[kind] for kind in type(module).__mro__ if kind in REFUSED), "it is not known here")
    raise ValueError(f"no upper bound of the Lipschitz constant: {type(module).__name__}, {why}")


def constant(*kinds: type[nn.Module]) -> Callable[[Constant], Constant]:
    """Register the function below as the constant of these modules: (module, shape) -> (constant, output's shape)."""

    def register(function: Constant) -> Constant:
        CONSTANTS.update(dict.fromkeys(kinds, function))
        return function

    return register


def product(modules: Sequence[nn.Module], shape: Shape) -> tuple[float, Shape]:
    """The constant of modules in sequence."""
    total = 1.0
    for module in modules:
        each, shape = constant_of(module, shape)
        total *= each
    return total, shape


def output_shape(module: nn.Module, shape: Shape) -> Shape:
    return tuple(module(torch.zeros(1, *shape, dtype=torch.float64)).shape[1:])


@constant(nn.Sequential)
def sequence(modules: nn.Sequential, shape: Shape) -> tuple[float, Shape]:
    return product([*modules], shape)


@constant(
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.Upsample),
)
def affine(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    """The constant of a module that computes y = Ax + b."""
    return spectral_norm(layer, shape), output_shape(layer, shape)


@constant(nn.Linear)
def linear(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    """Every position of the axes before the last is mapped by the same matrix, so one has the norm of all."""
    return spectral_norm(layer, shape[-1:]), output_shape(layer, shape)


@constant(nn.Embedding)
def embedding(layer: nn.Embedding, shape: Shape) -> tuple[float, Shape]:
    return float(torch.linalg.matrix_norm(layer.weight, 2)), (*shape[:-1], layer.embedding_dim)


@constant(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
def batch_norm(layer: Any, shape: Shape) -> tuple[float, Shape]:
    if layer.running_var is None:
        raise ValueError("no upper bound of the Lipschitz constant: a batch norm without stored statistics")
    scale = 1.0 if layer.weight is None else layer.weight.abs()
    return float((scale / (layer.running_var + layer.eps).sqrt()).max()), shape


@constant(nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
def normalization(layer: Any, shape: Shape) -> tuple[float, Shape]:
    """x ↦ γ (x - μ) / √(σ² + ε) has the Jacobian γ/√(σ² + ε) (I - 11ᵀ/n - zzᵀ/n), z normalized: at most γ/√ε."""
    scale = 1.0 if layer.weight is None else float(layer.weight.abs().max())
    return scale / math.sqrt(layer.eps), shape


@constant(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
def max_pooling(layer: Any, shape: Shape) -> tuple[float, Shape]:
    """Each window selects one cell, so ‖pool(x) - pool(y)‖² counts a cell's change once for each window it is in."""
    shared = 1
    for axis in range(len(shape) - 1):
        kernel, stride, dilation = (_along(each, axis) for each in (layer.kernel_size, layer.stride, layer.dilation))
        shared *= -(-kernel // (stride // math.gcd(stride, dilation)))
    return math.sqrt(shared), output_shape(layer, shape)


def _along(size: Any, axis: int) -> int:
    return size[axis] if isinstance(size, tuple) else size


@constant(nn.Flatten, nn.Unflatten)
def rearranged(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    return 1.0, output_shape(layer, shape)


@constant(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Identity)
@constant(nn.ReLU, nn.ReLU6, nn.Tanh, nn.Softsign, nn.Hardtanh, nn.Softplus)
def unchanged(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    """Dropout is the identity in evaluation, and the slopes of these activations are at most 1."""
    return 1.0, shape


@constant(nn.Sigmoid)
def sigmoid(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    return 0.25, shape


@constant(nn.Softmax)
def softmax(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    """The Jacobian diag(p) - ppᵀ is a covariance of one-hot vectors, at most 1/2 (Gao & Pavel 2017)."""
    return 0.5, shape


@constant(nn.LeakyReLU)
def leaky_relu(layer: nn.LeakyReLU, shape: Shape) -> tuple[float, Shape]:
    return max(1.0, abs(layer.negative_slope)), shape


@constant(nn.PReLU)
def prelu(layer: nn.PReLU, shape: Shape) -> tuple[float, Shape]:
    return max(1.0, float(layer.weight.abs().max())), shape


@constant(nn.ELU)
def elu(layer: nn.ELU, shape: Shape) -> tuple[float, Shape]:
    return max(1.0, abs(layer.alpha)), shape


@constant(nn.SiLU, nn.GELU)
def bumped(layer: nn.Module, shape: Shape) -> tuple[float, Shape]:
    """The largest slope of x σ(x), 1.0998, at 2.40, and of x Φ(x), 1.1289, at √2: found on a grid, and rounded up."""
    x = torch.linspace(1, 3, 20_001, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        (slopes,) = torch.autograd.grad(layer(x).sum(), x)
    return float(slopes.max()) * (1 + 1e-7), shape


def film(low: torch.Tensor, high: torch.Tensor) -> float:
    """The constant of x ↦ x ⊙ (1 + γ) + β, β and γ fixed, for γ in [low, high]."""
    return float(F.relu(torch.maximum(1 + high, -1 - low)).max())
