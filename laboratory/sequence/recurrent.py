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
        if cell == "rnn":
            start(self.layer.weight_ih_l0, self.layer.weight_hh_l0)

    def forward(self, x: Tensor, inputs: int) -> Tensor:
        """States (steps, batch, width) after each of the one-hot tokens (steps, batch, tokens)."""
        return self.layer(x)[0]


def start(token: Tensor, state: Tensor) -> None:
    """Initialize the weights of a plain RNN: tokens move the state by as much as it keeps of itself.

    With torch's small weights for both, tanh is nearly linear and forgets within a few tokens. The matrix of the state
    is orthogonal (Le et al. 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units").
    """
    nn.init.normal_(token, std=token.shape[1] ** -0.5)
    nn.init.orthogonal_(state)
