"""Single layers beside what other libraries offer; benchmarks/encoders.py measures them after the encoders.

convolution   3×3, and R-GCN layers in structured form with each set of relations; PyTorch Geometric's RGCNConv with
              the same weights and relations, where it is installed, after a check that both outputs are equal
generated     HyperLinear for samples that share 28 contexts (MiniGrid's 4 directions × 7 carried objects), and the
              naive form that generates a matrix for every sample
recurrence    the LSTM of recurrent PPO over sequences of 128 steps: one call, and sb3-contrib's loop over steps
attention     encoder=transformer, and a bare stack of linear layers and torch's scaled_dot_product_attention on the
              same number of tokens
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from torch import Tensor, nn
from torch.nn import functional as F

from agents.recurrent_policy import HeadedRecurrentPolicy
from encoders.layers.hyper import HyperLinear
from encoders.layers.relational import GridRGCN
from encoders.layers.relations import RELATION_SETS, neighbours

try:
    from torch_geometric.nn import RGCNConv
except ImportError:
    RGCNConv = None

CONTEXTS, CONTEXT = 4 * 7, 32  # how many differ, and the size of each
STEPS = 128


@dataclass(frozen=True)
class Contestant:
    """A network, its inputs for a batch of the given size, and the smallest batch it can take."""

    network: nn.Module
    given: Callable[[int], Any]
    smallest: int = 1


class Inner(nn.Module):
    """A layer as it is used inside a network: its first input, x, needs a gradient.

    Args:
        layer: holds the parameters.
        function: called with the layer and all inputs; default: the layer itself, called with them.
    """

    def __init__(self, layer: nn.Module, function: Callable[..., Tensor] | None = None):
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, given: tuple[Tensor, ...]) -> Tensor:
        x, *others = given
        x = x.detach().requires_grad_()
        return self.layer(x, *others) if self.function is None else self.function(self.layer, x, *others)


def layers(width: int, grid: int) -> dict[str, dict[str, Contestant]]:
    """The comparisons, by title; the first entry of each is the reference."""
    return {
        f"an R-GCN layer on {grid}x{grid} cells": relational(width, grid),
        f"a generated layer, {CONTEXTS} contexts": generated(width),
        f"an LSTM over {STEPS} steps": recurrent(width),
    }


def relational(width: int, grid: int) -> dict[str, Contestant]:
    def cells(batch: int) -> tuple[Tensor]:
        return (torch.randn(batch, grid, grid, width),)

    convolution = Inner(nn.Conv2d(width, width, 3, padding=1))
    found = {"3x3 convolution": Contestant(convolution, lambda batch: (torch.randn(batch, width, grid, grid),))}
    for name in RELATION_SETS:
        layer = GridRGCN(width, width, (grid, grid), name)
        found[f"GridRGCN {name}"] = Contestant(Inner(layer), cells)
        if RGCNConv is not None:
            theirs = Contestant(Inner(theirs_like(layer)), graphs(layer, grid))
            found[f"PyTorch Geometric {name}"] = theirs
            check_same(layer, theirs)
    return found


def theirs_like(layer: GridRGCN) -> nn.Module:
    """RGCNConv with a layer's weights."""
    _, outputs, inputs = layer.weight.shape
    conv = RGCNConv(inputs, outputs, len(layer.relations), aggr="mean")
    matrices = layer.weight.detach().mT
    conv.load_state_dict({"weight": matrices[1:].clone(), "root": matrices[0].clone(), "bias": layer.bias.detach()})
    return conv


def graphs(layer: GridRGCN, grid: int) -> Callable[[int], tuple[Tensor, ...]]:
    """A batch as PyTorch Geometric takes it: one graph of all cells, edges from j to i and their types."""
    pairs = [neighbours(relation, grid, grid).nonzero().T.flip(0) for relation in layer.relations]
    types = torch.cat([torch.full((each.shape[1],), number) for number, each in enumerate(pairs)])
    edges = torch.cat(pairs, dim=1)

    def given(batch: int) -> tuple[Tensor, ...]:
        offsets = torch.arange(batch)[None, :, None] * grid**2
        x = torch.randn(batch * grid**2, layer.weight.shape[2])
        return x, (edges[:, None] + offsets).flatten(1), types.repeat(batch)

    return given


@torch.no_grad()
def check_same(layer: GridRGCN, theirs: Contestant) -> None:
    """Raise unless both layers compute the same."""
    given = theirs.given(2)
    grid = math.isqrt(len(given[0]) // 2)
    ours = layer(given[0].view(2, grid, grid, -1)).flatten(0, 2)
    torch.testing.assert_close(theirs.network(given), ours, rtol=1e-4, atol=1e-4)


def generated(width: int) -> dict[str, Contestant]:
    contexts = torch.randn(CONTEXTS, CONTEXT)

    def given(batch: int) -> tuple[Tensor, ...]:
        return torch.randn(batch, width), contexts, torch.arange(batch) % CONTEXTS

    def naive(layer: Any, x: Tensor, contexts: Tensor, which: Tensor) -> Tensor:
        matrices = layer.generated(contexts[which])
        return (matrices[..., :-1] @ x[..., None])[..., 0] + matrices[..., -1]

    layer = HyperLinear(width, width, CONTEXT)
    forms: dict[str, Callable[..., Tensor]] = {
        "one linear layer": lambda linear, x, *_: linear(x),
        "HyperLinear, grouped": lambda layer, *given: layer.grouped(*given),
        "HyperLinear, bilinear": lambda layer, x, contexts, which: layer.bilinear(x, contexts[which]),
        "a matrix a sample": naive,
    }
    plain = nn.Linear(width, width)
    return {
        name: Contestant(Inner(plain if name.startswith("one") else layer, form), given) for name, form in forms.items()
    }


def recurrent(width: int) -> dict[str, Contestant]:
    def given(batch: int) -> tuple[Tensor, ...]:
        sequences = batch // STEPS
        starts = torch.zeros(sequences, STEPS)
        starts[:, 0] = 1  # as the recurrent rollout buffer cuts
        return torch.randn(sequences * STEPS, width), torch.zeros(1, sequences, width), starts.flatten()

    def applied(policy: type[RecurrentActorCriticPolicy]) -> Callable[..., Tensor]:
        return lambda lstm, x, state, starts: policy._process_sequence(x, (state, state), starts, lstm)[0]

    layer = nn.LSTM(width, width)
    return {
        "one call": Contestant(Inner(layer, applied(HeadedRecurrentPolicy)), given, STEPS),
        "sb3-contrib": Contestant(Inner(layer, applied(RecurrentActorCriticPolicy)), given, STEPS),
    }


class BareTransformer(nn.Module):
    """Pre-norm attention over given tokens: the least arithmetic that a transformer needs."""

    def __init__(self, width: int, heads: int, layers: int):
        super().__init__()
        self.heads = heads
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.LayerNorm(width),
                    nn.Linear(width, 3 * width),
                    nn.Linear(width, width),
                    nn.Sequential(
                        nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
                    ),
                ]
            )
            for _ in range(layers)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        for norm, into, out, mlp in self.layers:  # type: ignore[misc]
            parts = into(norm(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            tokens = tokens + out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))
            tokens = tokens + mlp(tokens)
        return tokens[:, 0]
