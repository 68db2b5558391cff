"""Linear regions along a line: breakpoints traced, and the dense sampling that finds the same regions.

    python benchmarks/regions.py

For each random network and segment, regions are traced; then the segment is sampled at 2^k equal steps, k = 6, 7, ...,
until as many activation patterns follow each other as there are regions. The sampling's time is that of its last pass
alone. Both are in NumPy, on one thread, in CPU seconds; traced is the least of several repeats.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from analysis.regions import Rectifier, line
from encoders.base import mlp

INPUTS, NETWORKS, REPEATS = 4, 10, 5
SHAPES = ((32, 32), (128, 128), (64, 64, 64, 64), (256, 256))  # the second: of encoder=mlp
MOST = 24  # the finest sampling has 2^24 steps
AT_ONCE = 2**14  # samples


def sampled(network: Rectifier, start: np.ndarray, end: np.ndarray, steps: int) -> int:
    """How many activation patterns follow each other at the middles of equal steps along a segment."""
    changes, last = 1, None
    for first in range(0, steps, AT_ONCE):
        t = (np.arange(first, min(first + AT_ONCE, steps)) + 0.5)[:, None] / steps
        patterns = network.patterns((1 - t) * start + t * end)
        joined = patterns if last is None else np.concatenate([last, patterns])
        changes += int((joined[1:] != joined[:-1]).any(1).sum())
        last = patterns[-1:]
    return changes


def measured(widths: Sequence[int], seed: int) -> tuple[int, int | None, float, float]:
    """(regions, log₂ of the steps that find them, None if 2^24 do not, seconds of sampling, seconds of tracing)"""
    torch.manual_seed(seed)
    network = Rectifier.of(nn.Sequential(mlp(INPUTS, *widths), nn.Linear(widths[-1], 1)))
    start, end = np.random.default_rng(seed).normal(size=(2, INPUTS)) * 3
    traced = np.inf
    for _ in range(REPEATS):
        began = time.process_time()
        regions = len(line(network, start, end))
        traced = min(traced, time.process_time() - began)
    for power in range(6, MOST + 1):
        began = time.process_time()
        found = sampled(network, start, end, 2**power)
        seconds = time.process_time() - began
        if found == regions:
            return regions, power, seconds, traced
    return regions, None, seconds, traced


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=NETWORKS, help="random networks of each shape")
    networks = parser.parse_args().networks
    torch.set_num_threads(1)
    machine("numpy")
    print(f"{'hidden layers':16}{'regions':>9}{'steps':>9}{'sampled/traced':>16}   (medians over {networks} networks)")
    for widths in SHAPES:
        found = [measured(widths, seed) for seed in range(networks)]
        regions, ratio = np.median([each[0] for each in found]), np.median([each[2] / each[3] for each in found])
        powers = np.array([MOST if each[1] is None else each[1] for each in found])
        missed = sum(each[1] is None for each in found)
        note = f"   {missed} of them not found by 2^{MOST} steps" if missed else ""
        shape = "x".join(map(str, widths))
        print(f"{shape:16}{regions:9.0f}{f'2^{np.median(powers):.0f}':>9}{ratio:15.0f}x{note}", flush=True)


if __name__ == "__main__":
    main()
