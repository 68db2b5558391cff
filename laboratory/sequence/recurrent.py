"""Recurrent networks without a memory beside their state: RNN, GRU, LSTM."""

from __future__ import annotations

from torch import Tensor, nn

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """One layer of a plain RNN (Elman 1990), a GRU (Cho et al. 2014) or an LSTM (Hochreiter & Schmidhuber 1997).

    Args:
        cell: "rnn", "gru" or "lstm".
        tokens: how many different ones there are.
        width: units.
    """

    def __init__(self, cell: str, tokens: int, width: int):
        super().__init__()
        self.layer = CELLS[cell](tokens, width)

    def forward(self, x: Tensor, inputs: int) -> Tensor:
        """States (steps, batch, width) after each of the one-hot tokens (steps, batch, tokens)."""
        return self.layer(x)[0]
