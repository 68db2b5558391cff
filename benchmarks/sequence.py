"""A training step of the networks that read sequences, relative to that of a bare `torch.nn.LSTM` in the same run.

    python benchmarks/sequence.py [--width 64] [--rounds 15]

Each reads 40 tokens in a batch of 128 and answers once. A step is forward, backward, clipping and Adam; those of this
project also write tokens one-hot and compute the cross entropy of the answer. The bare layer gets its inputs ready made
and a loss that sums its outputs. Figures are CPU seconds on one thread, medians over rounds that time all in turn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, taking_turns

from laboratory.sequence import ARCHITECTURES, network
from laboratory.sequence.fit import step

LENGTH, BATCH, SYMBOLS = 40, 128, 2
BARE = "torch.nn.LSTM"


def bare(width: int) -> Callable[[], None]:
    layer, x = nn.LSTM(SYMBOLS + 1, width), torch.randn(LENGTH, BATCH, SYMBOLS + 1)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)

    def call() -> None:
        optimizer.zero_grad()
        layer(x)[0].sum().backward()
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()

    return call


def ours(architecture: str, width: int) -> Callable[[], None]:
    made = network(architecture, SYMBOLS, SYMBOLS, width=width)
    optimizer = torch.optim.Adam(made.parameters(), fused=True)
    tokens, answers = torch.randint(SYMBOLS, (BATCH, LENGTH - 1)), torch.randint(SYMBOLS, (BATCH, 1))
    return lambda: step(made, optimizer, tokens, answers, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine("torch")
    calls = {BARE: bare(options.width)} | {name: ours(name, options.width) for name in ARCHITECTURES}
    found = taking_turns(calls, options.rounds, each=0.05)
    peer = median(found[BARE])
    for name, each in found.items():
        print(f"{name:14} {1e3 * median(each):7.1f} ms   {median(each) / peer:5.2f} x {BARE}")


if __name__ == "__main__":
    main()
