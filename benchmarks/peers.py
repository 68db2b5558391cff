"""What the transformer and the hypernetwork cost beside the plainest form of the same, in the same run, one thread.

    python benchmarks/peers.py [--batches 64 512 4096] [--rounds 7] [--json PATH]

    transformer    the whole encoder, reading MiniGrid's partial view, against a bare stack of as many layers (one
                   linear map for queries, keys and values, scaled_dot_product_attention, a linear map, two more with
                   GELU, residuals; neither normalization nor masks) of the same width on as many ready tokens
    hypernetwork   one generated layer, 128 -> 64 from a context of 32, against a matrix for every sample, where
                   contexts are 4 directions, or 4 directions and one of 10 carried objects

Forward and backward; each figure is a ratio of medians over rounds that time all forms in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from encoders.layers.hyper import HyperLinear
from encoders.transformer import Transformer

VIEW = spaces.Dict({"image": spaces.Box(0, 10, (7, 7, 3), np.uint8), "direction": spaces.Box(0, 3, (1,), np.uint8)})
WIDTH, LAYERS, HEADS = 64, 2, 4
CONTEXTS = {"4 directions": 4, "4 directions, 10 carried": 40}


class BareStack(nn.Module):
    """Attention and linear layers, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.Linear(WIDTH, 3 * WIDTH),
                    nn.Linear(WIDTH, WIDTH),
                    nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)),
                ]
            )
            for _ in range(LAYERS)
        )

    def forward(self, h: Tensor) -> Tensor:
        for qkv, out, mlp in self.layers:  # type: ignore[misc]
            query, key, value = qkv(h).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            h = h + out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
            h = h + mlp(h)
        return h[:, 0]


def one_matrix_each(layer: HyperLinear, x: Tensor, c: Tensor) -> Tensor:
    """W(c) x + b(c) as it is written: a generated matrix for every sample."""
    return (layer.generated(c) @ F.pad(x, (0, 1), value=1.0)[:, :, None])[:, :, 0]


def learning(forward: Callable[..., Tensor], *inputs: Any) -> None:
    forward(*inputs).square().mean().backward()


def medians(forms: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Milliseconds of each form, timed in turn after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds + 1):
        for name, form in forms.items():
            begin = time.process_time()
            form()
            times[name].append(1000 * (time.process_time() - begin))
    return {name: float(np.median(taken[1:])) for name, taken in times.items()}


def transformer(batch: int, rounds: int) -> dict[str, float]:
    observations = {
        "image": torch.randint(0, 11, (batch, 7, 7, 3)).float(),
        "direction": torch.randint(0, 4, (batch, 1)).float(),
    }
    tokens = torch.randn(batch, 1 + 49 + 1, WIDTH, requires_grad=True)
    forms = {"bare stack": partial(learning, BareStack(), tokens)}
    for pooling in ("class", "mean"):
        encoder = Transformer(VIEW, WIDTH, LAYERS, HEADS, pooling=pooling)
        forms[f"transformer, {pooling}"] = partial(learning, encoder, observations)
    return medians(forms, rounds)


def hypernetwork(batch: int, rounds: int, contexts: int) -> dict[str, float]:
    free, low = HyperLinear(128, WIDTH, 32), HyperLinear(128, WIDTH, 32, rank=21)
    c, group = torch.randn(contexts, 32, requires_grad=True), torch.randint(0, contexts, (batch,))
    x = torch.randn(batch, 128, requires_grad=True)
    forms = {
        "a matrix each": partial(learning, lambda: one_matrix_each(free, x, c[group])),
        "grouped": partial(learning, lambda: free.grouped(x, c, group)),
        "paired": partial(learning, lambda: free.paired(x, c, group)),
        "bilinear": partial(learning, lambda: free.bilinear(x, c[group])),
        "rank 21": partial(learning, lambda: low.bilinear(x, c[group])),
    }
    return medians(forms, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 512, 4096])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results: dict[str, Any] = {"torch": version("torch")}
    for batch in options.batches:
        measured = {"transformer": transformer(batch, options.rounds)}
        for name, contexts in CONTEXTS.items():
            measured[f"hypernetwork, {name}"] = hypernetwork(batch, options.rounds, contexts)
        for kind, forms in measured.items():
            peer, *_ = forms.values()
            shown = ", ".join(f"{name} {taken / peer:.3f}" for name, taken in forms.items())
            print(f"batch {batch}, {kind}: {shown} ({peer:.1f} ms)", flush=True)
            results[f"{kind}, batch {batch}"] = forms
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
