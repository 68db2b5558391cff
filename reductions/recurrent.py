"""An RNN (Elman 1990), unrolled, as one feed-forward layer repeated.

Every step and level applies the same blocks, so over a whole sequence z = (H, X, H⁰) of states, inputs and initial
states an RNN is the fixed point of one layer, z = σ(Θ z + β). With S the shift by one step, e the first step and ⊗ the
Kronecker product, Θ of one level and direction is

              H           X           H⁰
        H  │ S ⊗ W_hh   I ⊗ W_ih   e ⊗ W_hh │    σ = tanh or ReLU
        X  │ 0          I          0        │    identity
        H⁰ │ 0          0          I        │    identity

so among the matrices of that size it is one whose blocks are zero off two diagonals and equal along them: the sharing
over time. S is nilpotent, so repeating the layer once for every step (and level) reaches the fixed point exactly: after
t layers the states of the first t steps are right.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {"RNN_TANH": torch.tanh, "RNN_RELU": torch.relu}
Block = tuple[object, ...]  # of z: ("H", level, direction), ("X",) or ("H0", level, direction)


def rnn_as_chain(layer: nn.RNNBase, steps: int) -> UnrolledRNN:
    """The chain of steps × levels equal layers that reads sequences of `steps` as the RNN does.

    Raises:
        ValueError: an LSTM or GRU, whose states are multiplied by gates, so no layer of this form computes them; a
            layer with dropout in training.
    """
    if layer.mode not in ACTIVATIONS:
        raise ValueError(f"{layer.mode} multiplies states by gates, which no σ(Θz + β) does; give an nn.RNN")
    if layer.training and layer.dropout:
        raise ValueError("an RNN with dropout is a different function at each call; call eval()")
    like: Tensor = layer.all_weights[0][0]
    units = layer.hidden_size
    directions = 2 if layer.bidirectional else 1
    every, later = torch.eye(steps).to(like), torch.ones(steps - 1).to(like)
    cells = [(level, direction) for level in range(layer.num_layers) for direction in range(directions)]
    sizes: dict[Block, int] = {("H", *cell): steps * units for cell in cells}
    sizes |= {("X",): steps * layer.input_size} | {("H0", *cell): units for cell in cells}
    blocks: dict[tuple[Block, Block], Tensor] = {
        (row, row): torch.eye(size).to(like) for row, size in sizes.items() if row[0] != "H"
    }
    biases: dict[Block, Tensor] = {}
    for level, direction in cells:
        row: Block = ("H", level, direction)
        suffix = f"l{level}" + direction * "_reverse"
        inputs, recurrent = (getattr(layer, f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
        shift, start = (later.diag(1), every[:, -1:]) if direction else (later.diag(-1), every[:, :1])
        below: list[Block] = [("X",)] if level == 0 else [("H", level - 1, other) for other in range(directions)]
        for source, part in zip(below, inputs.chunk(len(below), dim=1), strict=True):
            blocks[row, source] = torch.kron(every, part)
        blocks[row, row] = torch.kron(shift, recurrent)
        blocks[row, ("H0", level, direction)] = torch.kron(start, recurrent)
        if layer.bias:
            both = getattr(layer, f"bias_ih_{suffix}") + getattr(layer, f"bias_hh_{suffix}")
            biases[row] = both.repeat(steps)
    rows = [[blocks.get((row, column), like.new_zeros(sizes[row], sizes[column])) for column in sizes] for row in sizes]
    weight = torch.cat([torch.cat(row, dim=1) for row in rows])
    bias = torch.cat([biases.get(row, like.new_zeros(size)) for row, size in sizes.items()])
    shape = (layer.num_layers, directions, steps, units)
    return UnrolledRNN(weight, bias, shape, ACTIVATIONS[layer.mode])


class UnrolledRNN(nn.Module):
    """z ← σ(Θ z + β), once for every step of every level, from z = (0, X, H⁰); returns the last level's part of H.

    Args:
        weight: Θ.
        bias: β.
        shape: levels, directions, steps and units of H, with which z begins.
        activation: σ on H; on the rest it is the identity.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "size size"],
        bias: Float[Tensor, " size"],
        shape: tuple[int, int, int, int],
        activation: Callable[[Tensor], Tensor],
    ):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.shape, self.activation = shape, activation

    def forward(
        self,
        x: Float[Tensor, "batch steps inputs"],
        initial: Float[Tensor, "cells batch units"] | None = None,
    ) -> Float[Tensor, "batch steps features"]:
        """The last level's states at all steps, both directions side by side, as nn.RNN does (`initial`: zeros)."""
        levels, directions, steps, units = self.shape
        if initial is None:
            initial = x.new_zeros(levels * directions, len(x), units)
        states = x.new_zeros(len(x), levels * directions * steps * units)
        z = torch.cat([states, x.flatten(1), initial.transpose(0, 1).flatten(1)], dim=1)
        for _ in range(levels * steps):
            z = F.linear(z, self.weight, self.bias)
            z = torch.cat([self.activation(z[:, : states.shape[1]]), z[:, states.shape[1] :]], dim=1)
        last = z[:, : states.shape[1]].unflatten(1, self.shape)[:, -1]
        return last.transpose(1, 2).flatten(2)
