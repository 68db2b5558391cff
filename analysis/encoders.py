"""Lipschitz constants of this project's encoders and layers. Importing this module registers them.

The input is what the encoder reads: a vector, pixels, or the cells of a grid in one-hot form, (x, y, codes), so that a
cell that changes its type, colour or state moves by √2. Direction, carried object and mission are held fixed: they
modulate the cells by FiLM, x ⊙ (1 + γ) + β, whose constant is max |1 + γ| over every context there can be. Each code
is one row of a table, and a mission is read by a GRU whose state lies in (-1, 1), so γ lies in a known interval.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from analysis.constants import REFUSED, Shape, affine, constant, constant_of, film, linear, product, unchanged
from encoders.average import Average
from encoders.base import Flatten
from encoders.cnn import CNN
from encoders.gnn import GNN
from encoders.heads import Dueling, PointwiseTanh
from encoders.homomorphic import Homomorphic
from encoders.hypernetwork import Hypernetwork
from encoders.layers.convolution import Residual
from encoders.layers.dropout import Dropout, Layers
from encoders.layers.equivariant import EquivariantContext, EquivariantGrid
from encoders.layers.normalization import EPSILON, BatchNorm
from encoders.layers.relational import GridRGCN
from encoders.layers.stem import CellEmbedding, Context, Mission, Stem
from encoders.lstm import LSTM
from encoders.mlp import MLP
from encoders.transformer import Transformer
from symmetry import Codes, EquivariantConv2d, EquivariantLinear, EquivariantPool2d

REFUSED |= {
    Transformer: REFUSED[nn.MultiheadAttention],
    LSTM: "it multiplies its state by gates that depend on the input too",
    Hypernetwork: "it multiplies its input by weights that are generated from another",
}

constant(Dropout)(unchanged)
constant(EquivariantConv2d, Dueling)(affine)
constant(EquivariantLinear)(linear)


@constant(Layers)
def layers(modules: Layers, shape: Shape) -> tuple[float, Shape]:
    return product([*modules], shape)


@constant(BatchNorm)
def stored_norm(layer: BatchNorm, shape: Shape) -> tuple[float, Shape]:
    return float((layer.weight.abs() / (layer.running_var + EPSILON).sqrt()).max()), shape


@constant(EquivariantPool2d)
def windows(layer: EquivariantPool2d, shape: Shape) -> tuple[float, Shape]:
    return constant_of(layer.to_plain(), shape)


@constant(Residual)
def residual(block: Residual, shape: Shape) -> tuple[float, Shape]:
    """‖x + f(x) - y - f(y)‖ ≤ (1 + L) ‖x - y‖."""
    return 1 + constant_of(block.layers, shape)[0], shape


@constant(PointwiseTanh)
def pointwise_tanh(head: PointwiseTanh, shape: Shape) -> tuple[float, Shape]:
    return constant_of(head.linear, shape)


@constant(Flatten)
def flattened(layer: Flatten, shape: Shape) -> tuple[float, Shape]:
    return max(layer.scale.values()), (math.prod(shape),)


@constant(CellEmbedding)
def cells(layer: CellEmbedding, shape: Shape) -> tuple[float, Shape]:
    """A product of each cell's one-hot codes with the table."""
    return float(torch.linalg.matrix_norm(layer.table, 2)), (*shape[:-1], layer.table.shape[1])


@constant(Stem)
def stem(layer: Stem, shape: Shape) -> tuple[float, Shape]:
    scale, shape = cells(layer.cells, shape)
    if layer.context is not None:
        scale *= film(*_gammas(layer.film.weight, layer.film.bias, *_read(layer.context)))
    return scale, shape


@constant(MLP)
def mlp(encoder: MLP, shape: Shape) -> tuple[float, Shape]:
    return product((encoder.flatten, encoder.trunk), shape)


@constant(CNN)
def cnn(encoder: CNN, shape: Shape) -> tuple[float, Shape]:
    total = 1.0
    if encoder.is_grid:
        total, (x, y, channels) = constant_of(encoder.stem, shape)
        shape = channels, x, y
    elif not encoder.channels_first:
        shape = shape[2], shape[0], shape[1]
    maps, shape = constant_of(encoder.trunk, shape)
    pooled: dict[str, nn.Module] = {
        "flatten": nn.Flatten(),
        "adaptive": nn.AdaptiveAvgPool2d(encoder.pooled),
        "max": nn.MaxPool2d(shape[1:], shape[1:]),  # one window
        "avg": nn.AvgPool2d((shape[1], shape[2])),
    }
    read, shape = product([pooled[encoder.pooling], nn.Flatten()], shape)
    out: Any = encoder.out[0]
    weight = out.weight[:, : shape[0]]  # the other columns read the context, which is held fixed
    return total * maps * read * float(torch.linalg.matrix_norm(weight, 2)), (len(weight),)


@constant(GridRGCN)
def grid_rgcn(layer: GridRGCN, shape: Shape) -> tuple[float, Shape]:
    if layer.aggregation == "max":
        raise ValueError(
            "no upper bound of the Lipschitz constant: GridRGCN with aggregation=max; mean and sum have one"
        )
    return affine(layer, shape)


@constant(GNN)
def gnn(encoder: GNN, shape: Shape) -> tuple[float, Shape]:
    """R-GCN layers on a grid: linear maps of the cells."""
    if not encoder.on_grid:
        raise ValueError("no upper bound of the Lipschitz constant: explicit graphs, whose edges are inputs too")
    total, (x, y, channels) = constant_of(encoder.stem, shape)
    for layer, after in zip(encoder.layers, encoder.after, strict=True):
        total *= constant_of(layer, (x, y, channels))[0] * constant_of(after, (channels, x * y))[0]
    if encoder.pooling.how == "attention":
        raise ValueError(f"no upper bound of the Lipschitz constant: Pooling, {REFUSED[nn.MultiheadAttention]}")
    pooled = 1 / math.sqrt(x * y) if encoder.pooling.how == "mean" else 1.0
    out, shape = constant_of(encoder.out, (channels,))
    return total * pooled * out, shape


@constant(Homomorphic)
def homomorphic(encoder: Homomorphic, shape: Shape) -> tuple[float, Shape]:
    return constant_of(encoder.trunk, shape)


@constant(EquivariantGrid)
def equivariant_grid(encoder: EquivariantGrid, shape: Shape) -> tuple[float, Shape]:
    x, y, codes = shape
    total, shape = constant_of(encoder.embed, (codes, x, y))
    if encoder.context is not None:
        weight, bias = encoder.film.weight, encoder.film.bias
        bias = torch.zeros(len(weight)).to(weight) if bias is None else bias
        total *= film(*_gammas(weight, bias, *_read_equivariantly(encoder.context)))
    trunk, shape = constant_of(encoder.trunk, shape)
    return total * trunk, shape


@constant(Average)
def average(encoder: Average, shape: Shape) -> tuple[float, Shape]:
    """The features of |G| twins of the input, each as far from its neighbour as the input is."""
    each, (features,) = constant_of(encoder.encoder, shape)
    order = encoder.symmetry.group.order
    return math.sqrt(order) * each, (order * features,)


Table = Float[Tensor, "choices context"]  # one row is added to the context


def _read(context: Context) -> tuple[list[Table], Mission | None, int]:
    tables: list[Table] = []
    if "direction" in context.keys:
        tables.append(context.direction.weight)
    if "carrying" in context.keys:
        tables += [*context.carrying.weight.chunk(2)]
    return tables, context.mission if "mission" in context.keys else None, 1


def _read_equivariantly(context: EquivariantContext) -> tuple[list[Table], Mission | None, int]:
    tables, mission = [], None
    for key, codes in context.codes.items():
        assert isinstance(codes, Codes)
        layer: Any = context.read[key]
        if isinstance(layer, Mission):
            mission = layer
        else:  # every observation there can be
            every = torch.cartesian_prod(*[torch.arange(codes.values.size)] * codes.size).reshape(-1, *codes.shape)
            tables.append(layer(codes.one_hot(every).to(layer.weight).flatten(1)))
    return tables, mission, context.group.order


def _gammas(
    weight: Float[Tensor, "two_width context"],
    bias: Float[Tensor, " two_width"],
    tables: list[Table],
    mission: Mission | None,
    copies: int,
) -> tuple[Float[Tensor, " width"], Float[Tensor, " width"]]:
    """The interval of each γ: the first half of a linear map of the context, which is a sum of parts.

    Args:
        weight, bias: of that map.
        tables: of each code a table, of which one row is added.
        mission: the reader of missions, whose last layer has inputs in (-1, 1).
        copies: how often it reads: context[k · copies + g] is entry k of reading g.
    """
    width = len(weight) // 2
    weight, low, high = weight[:width], bias[:width].clone(), bias[:width].clone()
    for table in tables:
        added = table @ weight.mT
        low, high = low + added.amin(0), high + added.amax(0)
    if mission is not None:
        reading = weight.unflatten(1, (-1, copies)).permute(2, 0, 1)  # (copies, width, entries)
        middle = (reading @ mission.out.bias).sum(0)
        reach = (reading @ mission.out.weight).abs().sum((0, 2))
        low, high = low + middle - reach, high + middle + reach
    return low, high
