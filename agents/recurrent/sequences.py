"""Sequences of different lengths, read by an LSTM in few calls and with few steps of padding.

Sequences are sorted, longest first, so that those which still go on at any time are the first ones. The LSTM is called
for one stretch of time after another, each with the sequences that have not ended when it begins; within a stretch,
those that end are padded. A stretch ends where its end saves `WORTH` steps of padding or more.

    length 9  |=========|==========         one call for the first stretch, with three sequences,
    length 5  |=====    |                   one for the second, with one
    length 4  |====     |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

WORTH = 32  # steps of padding that take an LSTM as long as another call of it (0.8 ms each on one CPU core, width 256)


@dataclass
class Sequences:
    """Where each sample of a minibatch stands. Samples are sequence after sequence, each in the order of time.

    A cell is a sequence at a time: real, or padding.

    Attributes:
        stretches: (steps, sequences) of each call of the LSTM.
        cells: which sample each cell reads (padding any): stretch after stretch, time after time.
        places: the cell of each sample.
        states: what each LSTM remembers before each sequence: (LSTMs, 2, layers, sequences, width).
    """

    stretches: list[tuple[int, int]]
    cells: Tensor
    places: Tensor
    states: Tensor


def arranged(lengths: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]], np.ndarray, np.ndarray]:
    """-> the order of sequences of these lengths, longest first; `stretches`, `cells`, `places` of `Sequences`."""
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
    """The ends of stretches, and how many sequences each has, for falling lengths."""
    active = len(sizes)
    for left in range(len(sizes) - 1, 0, -1):  # sequences that go on after the shortest of the others has ended
        if (active - left) * (sizes[left - 1] - sizes[left]) >= WORTH:
            yield int(sizes[left]), active
            active = left
    yield int(sizes[0]), active


def recurrent(
    lstm: nn.LSTM, features: Float[Tensor, "samples features"], sequences: Sequences, number: int
) -> Float[Tensor, "samples width"]:
    """The outputs of LSTM number `number` for each sample of a minibatch."""
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

    A call of the LSTM itself arranges its weights anew, which takes longer than the step.
    """
    states = []
    for layer, (hidden, memory) in enumerate(state.unbind(1)):
        weights = lstm.all_weights[layer]
        features, memory = torch.lstm_cell(features, (hidden, memory), *weights)
        states.append(torch.stack([features, memory]))
    return features, torch.stack(states, dim=1)
