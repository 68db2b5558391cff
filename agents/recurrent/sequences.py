"""Sequences of different lengths, run through an LSTM in few calls and with little padding.

Sequences are sorted, longest first. Time is divided into stretches, and the LSTM is called once for each stretch, with
the sequences that have not ended when it begins. Sequences that end within a stretch are padded to its end. A new
stretch begins wherever it saves at least `WORTH` steps of padding.

    length 30  |=====|=========================    one call for the first stretch, with three sequences,
    length 5   |=====|                             and one for the second, with one sequence
    length 4   |==== |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

WORTH = 32  # steps of padding that cost as much as one more call of the LSTM: 0.8 ms on one CPU core, width 256


@dataclass
class Sequences:
    """The layout of the sequences of a minibatch, whose samples are ordered by sequence and then by time.

    A cell is one time step of one sequence in a call of the LSTM. It holds a sample or padding.

    Attributes:
        stretches: (time steps, sequences) of each call of the LSTM.
        cells: the sample in each cell, ordered by stretch, time and sequence; padding holds an arbitrary sample.
        places: the cell of each sample.
        states: the state of each LSTM before each sequence, (LSTMs, 2, layers, sequences, width).
    """

    stretches: list[tuple[int, int]]
    cells: Tensor
    places: Tensor
    states: Tensor


def arranged(lengths: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]], np.ndarray, np.ndarray]:
    """-> the indices that sort these lengths, longest first; `stretches`, `cells` and `places` of `Sequences`."""
    order = np.argsort(-lengths, kind="stable")
    first = (np.cumsum(lengths) - lengths)[order]  # the first sample of each sequence
    sizes = lengths[order]
    cells, stretches, places = [], [], np.empty(lengths.sum(), np.int64)
    begin = done = 0
    for end, active in cuts(sizes):
        times = np.arange(begin, end)[:, None]
        real = times < sizes[:active]
        samples = np.where(real, first[:active] + times, first[0])
        places[samples[real]] = done + np.flatnonzero(real)
        cells.append(samples.ravel())
        stretches.append((end - begin, active))
        begin, done = end, done + samples.size
    return order, stretches, np.concatenate(cells), places


def cuts(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """The end of each stretch and its number of sequences, from lengths in descending order."""
    active = len(sizes)
    for left in range(len(sizes) - 1, 0, -1):  # the number of sequences that would go on after the cut
        if (active - left) * (sizes[left - 1] - sizes[left]) >= WORTH:
            yield int(sizes[left]), active
            active = left
    yield int(sizes[0]), active


def recurrent(
    lstm: nn.LSTM, features: Float[Tensor, "samples features"], sequences: Sequences, number: int
) -> Float[Tensor, "samples width"]:
    """The output of LSTM `number` for each sample of a minibatch."""
    cells = features[sequences.cells]
    (hidden, memory), outputs, done = sequences.states[number], [], 0
    for steps, active in sequences.stretches:
        inputs = cells[done : done + steps * active].view(steps, active, -1)
        state = hidden[:, :active].contiguous(), memory[:, :active].contiguous()
        output, (hidden, memory) = lstm(inputs, state)
        outputs.append(output.flatten(end_dim=1))
        done += steps * active
    return torch.cat(outputs)[sequences.places]


def step(lstm: nn.LSTM, features: Float[Tensor, "batch features"], state: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: -> outputs (batch, width), state after it (2, layers, batch, width).

    Calling the module would rearrange its weights each time, which takes longer than the step itself.
    """
    states = []
    for layer, (hidden, memory) in enumerate(state.unbind(1)):
        weights = lstm.all_weights[layer]
        features, memory = torch.lstm_cell(features, (hidden, memory), *weights)
        states.append(torch.stack([features, memory]))
    return features, torch.stack(states, dim=1)
