"""A convolution is a linear layer that is restricted, and so is every other layer that shares parameters.

Each row is a layer, made at random, and a module of a wider class that computes the same, made by `reductions` from the
layer's own parameters. What decides is the number of digits to which the worst pair agrees in float64: -log10 of the
largest difference over the largest output. Costs are multiplications for one input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import reductions as r
from encoders.layers.hyper import HyperLinear
from encoders.layers.relational import GridRGCN
from evaluation.scores import Interval
from laboratory.claim import Claim, Measured, Row

GRID, NODES, BATCH = (7, 7), 12, 16
CELLS = math.prod(GRID)
DIGITS = 10.0  # of 15.9 in float64


@dataclass(frozen=True)
class Pair:
    """A layer, and what it is written as.

    Attributes:
        layer, wider: their names.
        restriction: of the wider one.
        parameters, entries: how many numbers the layer learns, and how many the wider one would.
        cost, wider_cost: multiplications for one input.
        outputs: what each computes from the same inputs.
    """

    layer: str
    wider: str
    restriction: str
    parameters: int
    entries: int
    cost: int
    wider_cost: int
    outputs: tuple[Tensor, Tensor]


def measure(quick: bool) -> Measured:
    repeats = []
    for seed in range(2 if quick else 20):
        torch.manual_seed(seed)
        with in_float64(), torch.no_grad():
            repeats.append([*_spatial(), *_relational(), *_others()])
    rows = [
        {
            "layer": first.layer,
            "is": first.wider,
            "restricted by": first.restriction,
            "parameters": first.parameters,
            "wider": first.entries,
            "cost": first.cost,
            "wider cost": first.wider_cost,
            "digits": min(digits(*each.outputs) for each in same),
        }
        for same in zip(*repeats, strict=True)
        for first in same[:1]
    ]
    worst = min(row["digits"] for row in rows)
    return Measured(Interval(worst, worst, worst), rows)


def digits(y: Tensor, again: Tensor) -> float:
    """To which two tensors agree."""
    difference = float((y - again).abs().max() / y.abs().max())
    return -math.log10(max(difference, torch.finfo(y.dtype).eps))


@contextmanager
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def _spatial() -> Iterator[Pair]:
    convolution, transposed = nn.Conv2d(3, 8, 3, padding=1), nn.ConvTranspose2d(3, 8, 3, padding=1)
    for name, layer in (("convolution 3x3", convolution), ("transposed convolution 3x3", transposed)):
        x = torch.randn(BATCH, 3, *GRID)
        y, own = layer(x), layer.weight.numel()
        theta, rgcn = r.convolution_as_linear(layer, GRID), r.convolution_as_rgcn(layer, GRID)
        size, cost = theta.weight.numel(), own * CELLS
        outputs = y.flatten(1), theta(x.flatten(1))
        yield Pair(name, "a linear layer", "one weight a pixel, at all cells", own, size, cost, size, outputs)
        nodes = rgcn(x.flatten(2).mT).mT
        dense = rgcn.adjacency.numel() * 8 + cost
        yield Pair(name, "an R-GCN", "relations are pixels", own, own, cost, dense, (y.flatten(2), nodes))
    pool, x = nn.AvgPool2d(2), torch.randn(BATCH, 3, 8, 8)
    averaging = r.average_pooling_as_convolution(pool, 3)
    weights = averaging.weight.numel()
    outputs = pool(x), averaging(x)
    yield Pair("average pooling", "a convolution", "a constant kernel", 0, weights, 48, weights * 16, outputs)
    norm = nn.BatchNorm1d(6).eval()
    norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), norm.weight.normal_(), norm.bias.normal_()  # type: ignore[union-attr]
    x, diagonal = torch.randn(BATCH, 6), r.batch_norm_as_linear(norm)
    outputs = norm(x), diagonal(x)
    yield Pair("batch norm, in evaluation", "a linear layer", "a diagonal matrix", 12, 36 + 6, 6, 36, outputs)


def _relational() -> Iterator[Pair]:
    width = 8
    h = torch.randn(BATCH, NODES, width)
    edges = torch.bernoulli(torch.full((NODES, NODES), 0.3)).triu(1)
    edges = edges + edges.mT
    layer, degrees = nn.Linear(width, width), edges.sum(1) + 1
    y = ((edges + torch.eye(NODES)) / (degrees[:, None] * degrees).sqrt()) @ h @ layer.weight.mT + layer.bias
    own, cost = numbers(layer), int(edges.sum() + NODES) * width + NODES * width**2
    rgcn = r.gcn_as_rgcn(layer, edges)
    dense = NODES**2 * width + NODES * width**2
    yield Pair("GCN", "an R-GCN", "one relation, weighted by degrees", own, own, cost, dense, (y, rgcn(h)))
    theta = r.rgcn_as_linear(rgcn)
    size = theta.weight.numel()
    outputs = y.flatten(1), theta(h.flatten(1))
    yield Pair("GCN", "a linear layer", "the graph's A ⊗ W", own, size, cost, size, outputs)
    first, second = nn.Linear(width, width), nn.Linear(width, width, bias=False)
    sets = r.deep_sets_as_rgcn(first, second, NODES)
    y, own = first(h) + second(h.sum(1, keepdim=True)), numbers(first) + numbers(second)
    cost = (NODES + 1) * width**2
    dense = 2 * dense
    yield Pair("Deep Sets", "an R-GCN", "relations: oneself, all", own, own, cost, dense, (y, sets(h)))
    grid, cells = GridRGCN(width, width, GRID, "all"), torch.randn(BATCH, *GRID, width)
    definition, own = r.grid_rgcn_as_rgcn(grid), numbers(grid)
    relations = len(definition.adjacency)
    outputs = grid(cells).flatten(1, 2), definition(cells.flatten(1, 2))
    each = CELLS * width**2
    dense = relations * (CELLS**2 * width + each)
    yield Pair("R-GCN on a grid", "an R-GCN", "relations of the grid", own, own, relations * each, dense, outputs)
    attention = nn.MultiheadAttention(width, 2, batch_first=True)
    learned, own = r.attention_as_rgcn(attention, h), numbers(attention)
    cost = 4 * NODES * width**2 + 2 * NODES**2 * width
    dense = 2 * NODES**2 * width + cost
    outputs = attention(h, h, h)[0], learned(h)
    yield Pair("attention, at one input", "an R-GCN", "one learned topology a head", own, own, cost, dense, outputs)


def _others() -> Iterator[Pair]:
    steps, inputs, units = 6, 4, 8
    rnn, x = nn.RNN(inputs, units, batch_first=True), torch.randn(BATCH, steps, inputs)
    chain, own = r.rnn_as_chain(rnn, steps), numbers(rnn)
    size = chain.weight.numel()
    cost = steps * units * (inputs + units)
    outputs = rnn(x)[0], chain(x)
    yield Pair("RNN of 6 steps", "one layer, 6 times", "the same blocks each step", own, size, cost, 6 * size, outputs)
    layer, x, c = HyperLinear(5, 4, 3), torch.randn(BATCH, 5), torch.randn(BATCH, 3)
    form, own = r.hyper_as_bilinear(layer, 3), numbers(layer)
    size = form.weight.numel()
    y = torch.einsum("boi,bi->bo", layer.generated(c), r.with_one(x))
    outputs = y, form(r.with_one(c), r.with_one(x))
    yield Pair("hypernetwork's layer", "a bilinear form", "nothing", own, size, size, size, outputs)
    film = nn.Linear(3, 2 * 5)
    scale, shift = film(c).chunk(2, dim=1)
    hyper, own = r.film_as_hyper(film), numbers(film)
    outputs = x * (1 + scale) + shift, hyper.bilinear(x, c)
    size = r.hyper_as_bilinear(hyper, 3).weight.numel()
    yield Pair("FiLM", "a hypernetwork's layer", "diagonal matrices", own, size, 35, size, outputs)


def numbers(module: nn.Module) -> int:
    """How many parameters it has."""
    return sum(parameter.numel() for parameter in module.parameters())


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    axis = figure.subplots()
    names = [f"{row['layer']} as {row['is']}" for row in rows]
    axis.barh(names, [row["wider"] for row in rows], color="#e4e7eb", label="the wider layer's")
    axis.barh(names, [row["parameters"] for row in rows], color="#0072b2", height=0.4, label="the layer's own")
    axis.set(xscale="log", xlabel="numbers that are learned")
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend(loc="lower right")


CLAIM = Claim(
    says="Convolutions, pooling, graph layers, attention, recurrence and FiLM are linear layers under restrictions.",
    source="Schlichtkrull et al. 2018; Jiang et al. 2021; Ha et al. 2017; Jayakumar et al. 2020",
    number="digits to which the worst pair agrees, of 15 in float64",
    measure=measure,
    draw=draw,
    quick="2 seeds instead of 20",
    least=DIGITS,
    size=(8.0, 4.6),
)
