"""Time and memory of each encoder, relative to 3×3 convolutions of equal width, in one run on one thread.

    python benchmarks/encoders.py [--encoders NAME ...] [--grids 7 13 25] [--batches 1 64 512 4096] [--width 64]
                                  [--rounds 5] [--memory GIGABYTES] [--json PATH] [--picture PATH]
    python benchmarks/encoders.py --encoders cnn gnn "gnn relations=local" --grids 7 --batches 64   (half a minute)

The reference is the stem that grid encoders share, followed by two 3×3 convolutions and the maximum over cells. All
encoders are built from `configs/encoder/` for DoorKey's full view of the given size, with their widths (channels,
embedding, ...) set to `--width`; only the trunk inside lstm keeps its own. A name may be followed by options, as in
"gnn relations=local". Cells are random, so that no two observations are equal (lstm reads 4 for each sample);
directions and carried objects are MiniGrid's.

    forward     CPU time without gradients, relative to the reference
    learning    CPU time of forward and backward, relative to the reference
    memory      peak during forward and backward, beyond parameters and observations

Ratios are medians over rounds in which each encoder takes its turn. An encoder that would need more than `--memory` (2)
GB, extrapolated from 128 samples, is skipped, and a line says so. Two more parts follow: how forward and backward grow
with the number of cells, and single layers beside those of other libraries (benchmarks/layers.py).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # the profiler logs every start

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from layers import BareTransformer, Contestant, Inner, RGCNConv, layers
from timing import forward, learning, machine, output, peak_bytes, taking_turns

from agents.equivariance.method import decided, encoding
from configs.compose import compose, existing
from encoders.layers.stem import Stem
from encoders.resolve import resolve
from envs import make_vec_env
from learning.build import encoder_options, env_options

Rows = dict[str, dict[str, float]]  # for each encoder

BATCHES, GRIDS, WIDTH = (1, 64, 512, 4096), (7, 13, 25), 64
WIDTHS = ("width", "channels", "filters", "embedding")  # options that set a number of features
CODES = (11, 6, 3)  # types, colours and states
HELD = torch.tensor([[1, 0], *([5, colour] for colour in range(6))])  # nothing, or a key
TRUNK, PROBE, GROWS_AT = "3x3 convolutions", 128, 64  # and the batches for extrapolating memory and for growth
SECONDS = 0.02  # for each measurement in a round


class Trunk(nn.Module):
    """The reference: the stem, two 3×3 convolutions and the maximum over cells."""

    def __init__(self, space: spaces.Space, width: int):
        super().__init__()
        self.stem = Stem(space, width)
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(2)]
        self.layers = nn.Sequential(*(layer for each in convolutions for layer in (each, nn.ReLU())))

    def forward(self, obs: Any) -> Tensor:
        return self.layers(self.stem(obs).permute(0, 3, 1, 2)).amax((2, 3))


def configured(name: str, grid: int, width: int) -> dict[str, Any]:
    """The configuration of `train.py` for an encoder, "gnn" or "gnn relations=local"."""
    encoder, *options = name.split()
    overrides = ["env=DoorKey-8x8", "env.view=full", f"env.kwargs.size={grid}", f"encoder={encoder}"]
    has = compose("train", overrides)["encoder"]
    widths = [f"encoder.{key}={width}" for key in WIDTHS if key in has]
    return compose("train", [*overrides, *widths, *(f"encoder.{option}" for option in options)])


def built(name: str, grid: int, width: int) -> Contestant:
    """An encoder for grids of this size, or the reference.

    Raises:
        ValueError: no such encoder or option, or one that does not fit.
    """
    config = configured("cnn" if name == TRUNK else name, grid, width)
    env = make_vec_env(**env_options(config), engine="gymnasium", n_envs=1, seed=0)
    space = env.observation_space
    if name == TRUNK:
        return Contestant(Trunk(space, width), lambda batch: observed(space, batch))
    encoder = resolve(config["encoder"]["class"])
    options = encoder_options(config)
    policy = encoding(encoder, options, env.symmetry, decided("auto", encoder, "ppo", None))
    network = policy["features_extractor_class"](space, **policy["features_extractor_kwargs"])
    return Contestant(network, lambda batch: observed(space, batch))


def observed(space: Any, batch: int) -> dict[str, Tensor]:
    """Random observations, as SB3 hands them to an encoder."""
    found = {}
    for key, part in space.spaces.items():
        shape = (batch, *part.shape)
        if key == "image":
            found[key] = torch.stack([torch.randint(most, shape[:-1]) for most in CODES], dim=-1)
        elif key == "carrying":
            found[key] = HELD[torch.randint(len(HELD), shape[:-1])]
        else:
            found[key] = torch.ones(shape) if key == "valid" else torch.randint(4, shape)
    return {key: value.float() for key, value in found.items()}


def compare(title: str, contestants: dict[str, Contestant], batch: int, rounds: int, limit: float) -> Rows:
    """Prints and returns CPU milliseconds and megabytes of each, and their ratios to those of the first."""
    if any(batch < each.smallest for each in contestants.values()):
        return {}
    print(f"\n{title}, batch {batch:,}\n")
    fitting = {}
    for name, each in contestants.items():
        gigabytes = would_hold(each, batch)
        if gigabytes > limit:
            print(f"{name}: skipped, about {gigabytes:.2g} GB are more than --memory {limit:g}")
        else:
            fitting[name] = (each.network, each.given(batch))
    first = next(iter(contestants))
    if first not in fitting:
        return {}
    rows: Rows = {name: {"memory_mb": peak_bytes(*each) / 1e6} for name, each in fitting.items()}
    for kind, make in {"forward": forward, "learning": learning}.items():
        taken = taking_turns({name: make(*each) for name, each in fitting.items()}, rounds, SECONDS)
        for name, times in taken.items():
            ratio = np.median([ours / base for ours, base in zip(times, taken[first], strict=True)])
            rows[name] |= {f"{kind}_ms": 1000 * float(np.median(times)), kind: float(ratio)}
        for network, _ in fitting.values():
            network.zero_grad()
    print(f"{'':<34}{'forward':>20}{'learning':>22}{'memory':>22}")
    for name, row in rows.items():
        row["memory"] = row["memory_mb"] / rows[first]["memory_mb"]
        print(
            f"{name:<34}{row['forward_ms']:>9,.2f} ms{row['forward']:>8.2f}{row['learning_ms']:>11,.2f} ms"
            f"{row['learning']:>8.2f}{row['memory_mb']:>11,.1f} MB{row['memory']:>8.2f}",
            flush=True,
        )
    return rows


def would_hold(contestant: Contestant, batch: int) -> float:
    """Peak memory of this batch in gigabytes, extrapolated from a smaller one."""
    smaller = min(batch, PROBE)
    return peak_bytes(contestant.network, contestant.given(smaller)) * batch / smaller / 1e9


def growth(name: str, grids: list[int], width: int, rounds: int, limit: float) -> dict[str, float]:
    """Prints and returns the time of forward and backward on each grid, relative to the smallest."""
    calls = {}
    for grid in sorted(grids):
        each = built(name, grid, width)
        if would_hold(each, GROWS_AT) <= limit:
            calls[str(grid)] = learning(each.network, each.given(GROWS_AT))
    taken = taking_turns(calls, rounds, SECONDS)
    first = next(iter(taken.values()), [])
    ratios = {
        grid: float(np.median([larger / base for larger, base in zip(times, first, strict=True)]))
        for grid, times in taken.items()
    }
    columns = [f"{ratios[str(grid)]:>10.1f}" if str(grid) in ratios else f"{'skipped':>10}" for grid in sorted(grids)]
    print(f"{name:<34}" + "".join(columns), flush=True)
    return ratios


def draw(results: dict[str, Rows], grids: list[int], file: Path) -> None:
    """A panel for each grid: the ratio of forward and backward by batch size, a line for each encoder."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, NullLocator

    names = list(dict.fromkeys(name for rows in results.values() for name in rows if name != TRUNK))
    colours = dict(zip(names, plt.get_cmap("tab10").colors * 3, strict=False))  # type: ignore[attr-defined]
    figure, axes = plt.subplots(1, len(grids), figsize=(2 + 3 * len(grids), 4.2), sharey=True, squeeze=False)
    batches = sorted({int(key.split()[1]) for key in results})
    for axis, grid in zip(axes[0], grids, strict=True):
        axis.axhline(1, color="black", linewidth=1, linestyle=":")
        for name in names:
            points = [(b, rows[name]["learning"]) for b in batches if name in (rows := results[f"{grid} {b}"])]
            axis.plot(*zip(*points, strict=True), marker="o", color=colours[name]) if points else None
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(FixedLocator(batches))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticklabels([f"{batch:,}" for batch in batches])
        axis.set_xlim(min(batches) / 2, 2 * max(batches))
        axis.set_title(f"{grid}x{grid} cells")
        axis.set_xlabel("batch")
        axis.grid(alpha=0.3)
    low, high = axes[0][0].get_ylim()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high]
    axes[0][0].yaxis.set_major_locator(FixedLocator(ticks))
    axes[0][0].yaxis.set_minor_locator(NullLocator())
    axes[0][0].set_yticklabels([f"{tick:g}" for tick in ticks])
    axes[0][0].set_ylabel("forward and backward,\nrelative to 3×3 convolutions")
    handles = [plt.Line2D([], [], marker="o", color=colours[name], label=name) for name in names]
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.tight_layout()
    figure.savefig(file, dpi=110, bbox_inches="tight")


def attention(grid: int, width: int) -> dict[str, Contestant]:
    """A transformer, and the bare arithmetic of one on as many tokens: cells, class, direction, carried object."""
    config = configured("transformer", grid, width)["encoder"]
    bare = Inner(BareTransformer(width, config["heads"], config["layers"]))
    tokens = grid**2 + 3
    return {
        "bare attention stack": Contestant(bare, lambda batch: (torch.randn(batch, tokens, width),)),
        "encoder=transformer": built("transformer", grid, width),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--encoders", nargs="+", default=[name for name in existing("encoder") if name != "custom"])
    add("--grids", nargs="+", type=int, default=list(GRIDS), help="cells along each side, at least 5")
    add("--batches", nargs="+", type=int, default=list(BATCHES))
    add("--width", type=int, default=WIDTH, help="features of a cell, of a layer, and of what encoders return")
    add("--rounds", type=int, default=5)
    add("--memory", type=float, default=2.0, help="GB; encoders that need more are skipped")
    add("--json", type=output, help="write the numbers there")
    add("--picture", type=output, help="draw the ratios there")
    options = parser.parse_args()
    if min(options.grids) < 5:
        parser.error("--grids: DoorKey has at least 5 cells along each side")
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    about = machine("torch", "sb3-contrib", *(["torch_geometric"] if RGCNConv is not None else []))
    if RGCNConv is None:
        print("PyTorch Geometric is not installed (pip install torch_geometric)")
    limits = (options.rounds, options.memory)
    names = [TRUNK, *options.encoders]
    results: dict[str, Rows] = {}
    try:
        smallest = min(options.grids)
        singles = layers(options.width, smallest) | {"attention": attention(smallest, options.width)}
        for grid in options.grids:
            encoders = {name: built(name, grid, options.width) for name in names}
            for batch in options.batches:
                results[f"{grid} {batch}"] = compare(f"{grid}x{grid} cells", encoders, batch, *limits)
    except ValueError as error:
        parser.error(str(error))
    sides = sorted(options.grids)
    grows: dict[str, dict[str, float]] = {}
    if len(sides) > 1:
        print(f"\nforward and backward by the number of cells, batch {GROWS_AT}\n")
        print(f"{'':<34}" + "".join(f"{f'{side}x{side}':>10}" for side in sides))
        print(f"{'cells':<34}" + "".join(f"{side**2 / sides[0] ** 2:>10.1f}" for side in sides))
        grows = {name: growth(name, sides, options.width, *limits) for name in names}
    single = {
        f"{title} {batch}": compare(f"{title}, width {options.width}", contestants, batch, *limits)
        for title, contestants in singles.items()
        for batch in options.batches
    }
    if options.json:
        written = {"machine": about, "encoders": results, "growth": grows, "layers": single}
        options.json.write_text(json.dumps(written, indent=2) + "\n")
    if options.picture:
        draw(results, options.grids, options.picture)


if __name__ == "__main__":
    main()
