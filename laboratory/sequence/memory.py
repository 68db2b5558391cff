"""Recurrent networks with a memory: a stack (Joulin & Mikolov 2015) or a tape (Suzgun et al. 2019).

In each step an RNN reads its token and the memory's top, or the cell under the head. From its new state it chooses
weights of the moves, which sum to 1, and a vector to write. The new memory is the mixture of those after each move.
As in Delétang et al. 2023, section A.2, memories start at zero, and what is written is linear in the state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from laboratory.sequence.recurrent import start

CELL = 8  # numbers in a cell of memory


class Memory(nn.Module):
    """An RNN that reads and writes a memory.

    Args:
        tokens: how many different ones there are.
        width: units of the RNN.
        moves: between which it chooses.
    """

    def __init__(self, tokens: int, width: int, moves: int):
        super().__init__()
        self.token = nn.Linear(tokens, width)
        self.state = nn.Linear(width + CELL, width, bias=False)
        start(self.token.weight, self.state.weight[:, :width])
        self.control = nn.Linear(width, moves + CELL)
        self.moves = moves

    def forward(self, x: Tensor, inputs: int) -> Tensor:
        """States (steps, batch, width) after each of the one-hot tokens (steps, batch, tokens).

        Args:
            inputs: how many of the steps come before the empty tokens.
        """
        memory = x.new_zeros(x.shape[1], self.cells(len(x), inputs), CELL)
        state = x.new_zeros(x.shape[1], self.control.in_features)
        states = []
        for token in self.token(x):
            state = torch.tanh(token + self.state(torch.cat([state, memory[:, 0]], dim=1)))
            states.append(state)
            control = self.control(state)
            weights = control[:, : self.moves].softmax(1)[..., None]
            memory = self.moved(memory, weights, control[:, self.moves :], inputs)
        return torch.stack(states)

    def cells(self, steps: int, inputs: int) -> int:
        """How many cells the memory needs."""
        raise NotImplementedError

    def moved(self, memory: Tensor, weights: Tensor, value: Tensor, inputs: int) -> Tensor:
        """The next memory (batch, cells, CELL), from the weights of the moves (batch, moves, 1)."""
        raise NotImplementedError


class StackRNN(Memory):
    """s[0] ← a₀ v + a₁ s[1] + a₂ s[0] and s[i] ← a₀ s[i-1] + a₁ s[i+1] + a₂ s[i]: push, pop, nothing (section 3.2).

    Joulin & Mikolov, "Inferring Algorithmic Patterns with Stack-Augmented Recurrent Nets", 2015.
    """

    def __init__(self, tokens: int, width: int):
        super().__init__(tokens, width, moves=3)

    def cells(self, steps: int, inputs: int) -> int:
        return steps // 2  # what lies deeper was pushed too late to come up again

    def moved(self, memory: Tensor, weights: Tensor, value: Tensor, inputs: int) -> Tensor:
        above = torch.cat([value[:, None], memory, torch.zeros_like(memory[:, :1])], dim=1)
        push, pop, nothing = weights.split(1, dim=1)
        return torch.addcmul(torch.addcmul(push * above[:, :-2], nothing, memory), pop, above[:, 2:])


class TapeRNN(Memory):
    """Write and stay, write and go one cell right or left, go as many cells as there are inputs right or left.

    The head stays at cell 0, and the tape, a ring of three times the inputs, moves below it. Delétang et al. 2023,
    section A.2, after the Baby-NTM of Suzgun et al. 2019, "Memory-Augmented Recurrent Neural Networks Can Learn
    Generalized Dyck Languages".
    """

    def __init__(self, tokens: int, width: int):
        super().__init__(tokens, width, moves=5)

    def cells(self, steps: int, inputs: int) -> int:
        return 3 * inputs + 2

    def moved(self, memory: Tensor, weights: Tensor, value: Tensor, inputs: int) -> Tensor:
        cells = memory.shape[1]
        stay, right, left, far_right, far_left = weights.split(1, dim=1)
        written = torch.cat([value[:, None], memory[:, 1:]], dim=1)
        # [cells - 1, 0, ..., cells - 1, 0]: the ring from its last cell once round and on to its first
        ring = torch.cat([written[:, -1:], written, written[:, :1]], dim=1)
        near = torch.addcmul(torch.addcmul(stay * written, right, ring[:, 2:]), left, ring[:, :cells])
        rolled = torch.cat([memory, memory], dim=1)
        far = torch.addcmul(near, far_right, rolled[:, inputs : inputs + cells])
        return torch.addcmul(far, far_left, rolled[:, cells - inputs : 2 * cells - inputs])
