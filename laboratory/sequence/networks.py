"""A network that reads a sequence, then one empty token for each answer, where it gives that answer.

What it reads: t₁ … tₙ ∅ … ∅, one-hot. The tape network also gets `computation` · n tokens of another kind before the
empty ones, in which it may move its tape (Delétang et al. 2023, sections 4 and A.4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.names import unknown
from laboratory.sequence.attention import Transformer
from laboratory.sequence.memory import StackRNN, TapeRNN
from laboratory.sequence.positions import POSITIONS
from laboratory.sequence.recurrent import CELLS, Recurrent

ARCHITECTURES = ("rnn", "gru", "lstm", "stack_rnn", "tape_rnn", "transformer")


class Network(nn.Module):
    """States after each token, and a linear layer that reads the answers off the last ones.

    Args:
        core: tokens (steps, batch, alphabet), and how many are inputs -> states (steps, batch, width).
        inputs, outputs: sizes of the two alphabets.
        width: of states.
        computation: tokens for each input in which the network may compute before it must answer.
    """

    def __init__(self, core: nn.Module, inputs: int, outputs: int, width: int, computation: int = 0):
        super().__init__()
        self.core, self.inputs, self.computation = core, inputs, computation
        self.read_out = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor, answers: int) -> Tensor:
        """Logits (batch, answers, outputs) for token ids (batch, length).

        Raises:
            ValueError: a length below 1, or more tokens than the network has positions for.
        """
        return self.read_out(self.states(tokens, answers)[-answers:]).transpose(0, 1)

    def states(self, tokens: Tensor, answers: int) -> Tensor:
        """The state (steps, batch, width) after each token, input or empty."""
        return self.core(self.written(tokens, answers), tokens.shape[1])

    def written(self, tokens: Tensor, answers: int) -> Tensor:
        """The one-hot sequence (steps, batch, alphabet) that is read."""
        length = tokens.shape[1]
        if min(length, answers) < 1:
            raise ValueError(f"a sequence and its answer have 1 token or more; got {length} and {answers}")
        ids = F.pad(tokens, (0, answers), value=self.inputs)
        if self.computation:
            thinking = tokens.new_full((len(tokens), self.computation * length), self.inputs + 1)
            ids = torch.cat([tokens, thinking, ids[:, length:]], dim=1)
        alphabet = self.inputs + 1 + (self.computation > 0)
        return F.one_hot(ids.T, alphabet).to(self.read_out.weight.dtype)


def network(
    architecture: str,
    inputs: int,
    outputs: int,
    width: int = 64,
    positions: str = "none",
    layers: int = 5,
    heads: int = 8,
    longest: int = 2_000,
    computation: int = 0,
    seed: int = 0,
) -> Network:
    """A network of ARCHITECTURES.

    Args:
        architecture: one of ARCHITECTURES.
        inputs, outputs: sizes of the alphabets.
        width: units, or size of a transformer's tokens. Delétang et al. have 256, and 64 in transformers.
        positions, layers, heads, longest: of the transformer; `longest` is how many tokens positions=learned can read.
        computation: of the tape network.
        seed: of positions=randomized.

    Raises:
        ValueError: an unknown architecture or position, a size below 1, or heads that do not divide the width.
    """
    for what, name, known in (("architecture", architecture, ARCHITECTURES), ("position", positions, POSITIONS)):
        if name not in known:
            raise ValueError(unknown(what, name, known))
    check_whole(1, inputs=inputs, outputs=outputs, width=width, layers=layers, heads=heads, longest=longest)
    check_whole(0, computation=computation)
    if architecture != "transformer" and positions != "none":
        raise ValueError(f"architecture={architecture} reads in order and takes no positions; got {positions}")
    if architecture == "transformer" and width % (2 * heads):
        raise ValueError(f"the transformer's width is a multiple of twice its heads; got {width} and {heads} heads")
    if architecture != "tape_rnn" and computation:
        raise ValueError(f"computation= is of architecture=tape_rnn; got architecture={architecture}")
    alphabet = inputs + 1 + (computation > 0)
    if architecture in CELLS:
        core: nn.Module = Recurrent(architecture, alphabet, width)
    elif architecture == "transformer":
        core = Transformer(alphabet, width, layers, heads, positions, longest, seed)
    else:
        core = {"stack_rnn": StackRNN, "tape_rnn": TapeRNN}[architecture](alphabet, width)
    return Network(core, inputs, outputs, width, computation)


def check_whole(least: int, **options: int) -> None:
    """Raise ValueError for an option that is not a whole number of at least `least`."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is a whole number, at least {least}; got {value!r}")
