"""Deep networks fold their input space, and so have more linear regions than shallow ones of as many parameters.

Three kinds of network are counted, exactly (`analysis.regions`), on an interval, in a square, on random segments across
it, or in a plane of states:

    folding    the construction of Montúfar et al. (`analysis.folding`), whose regions must be as many as their bound
    at random  as PyTorch initializes them, and after they were trained on a folded target: a chequerboard
    policies   of CartPole, trained, in the plane of the pole's angle and angular velocity

What decides is the ratio of the folding network's regions, 2 inputs and 4 layers of 8 units, to the most that any
network of one hidden layer with at least as many parameters can have, which Zaslavsky's formula gives. The claim is one
of existence: the deepest network that is counted decides, since the ratio grows by a factor with every layer, and the
rows say from which depth on it is above 1. What networks have on average is another question (Hanin & Rolnick 2019), so
the networks at random and the trained ones have rows, and decide nothing.

The policies are trained here, with ReLUs: those of the zoo's CartPole have tanh, which has no linear regions. Half of
the picture is the other half, mirrored: a homomorphic policy obeys π(left | s) = π(right | -s), so its regions are
point-symmetric about the upright pole at rest.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from agents import load_policy
from analysis.folding import as_large, bound, folding, most_of_one_layer, parameters
from analysis.regions import Plane, Rectifier, line, plane
from encoders.base import mlp
from evaluation.scores import Interval
from laboratory.claim import Claim, Measured, Row
from playing.lipschitz import actor_of
from train import train

ORIGIN, ALONG, ACROSS = np.array([0.0, 0]), np.array([1.0, 0]), np.array([0, 1.0])
DECIDES = ("folding", 2, 8)  # with the largest depth
USUAL = (16, 16, 16)  # hidden layers of the networks at random
CHEQUERS, POINTS, STEPS = 4, 1024, 1500
SEGMENTS = 50
UNITS = 32  # of each of a policy's two layers
CORNER, ANGLES, VELOCITIES = np.array([0, 0, -0.21, -2.0]), np.array([0, 0, 0.42, 0]), np.array([0, 0, 0, 4.0])


def measure(quick: bool) -> Measured:
    rows = [*_folded(3 if quick else 4), *_usual(2 if quick else 10)]
    policies = {encoder: _policy(encoder, 4_000 if quick else 30_000) for encoder in ("homomorphic", "mlp")}
    drawn = {}
    for encoder, network in policies.items():
        regions = plane(network, CORNER, ANGLES, VELOCITIES)
        rows.append(_row(f"CartPole, {encoder}", 4, [UNITS, UNITS], len(regions), None, None, None))
        drawn[encoder] = _drawn(regions)
    ratios = {row["depth"]: row["regions"] / row["one layer"] for row in rows if _key(row) == DECIDES}
    effect = ratios[max(ratios)]
    attained = all(row["regions"] == row["bound"] for row in rows if row["network"] == "folding")
    usual = {row["network"]: row["regions"] / row["one layer"] for row in rows if row["width"] == USUAL[0]}
    notes = [
        f"Every folding network has {'exactly' if attained else 'NOT'} as many regions as Montúfar's bound says.",
        "'One layer' is the most regions that one layer of as many parameters can have; in the rows at random and "
        "trained, those that it has.",
        f"On average depth does not buy regions: networks of {len(USUAL)} layers have {usual['at random']:.2f} times "
        f"those of one layer at random, and {usual['trained']:.2f} times after training.",
        f"{drawn['homomorphic']['mirrored']:.0%} of the homomorphic policy's regions have a mirror image among them, "
        f"and {drawn['mlp']['mirrored']:.0%} of the mlp's.",
    ]
    return Measured(Interval(effect, effect, effect), rows, drawn, notes)


def _key(row: Row) -> tuple[str, int, int]:
    return row["network"], row["inputs"], row["width"]


def _row(network: str, inputs: int, widths: Sequence[int], regions: float, lines: Any, least: Any, one: Any) -> Row:
    return {
        "network": network,
        "inputs": inputs,
        "depth": len(widths),
        "width": widths[0],
        "parameters": parameters(inputs, widths),
        "regions": regions,
        "on a segment": lines,
        "bound": least,
        "one layer": one,
    }


def _folded(deepest: int) -> Iterator[Row]:
    for inputs, width in ((1, 4), (1, 8), (2, 4), (2, 8)):
        for depth in range(1, deepest + 1):
            widths = [width] * depth
            network = folding(inputs, widths)
            found = line(network, np.zeros(1), np.ones(1)) if inputs == 1 else plane(network, ORIGIN, ALONG, ACROSS)
            most = most_of_one_layer(inputs, as_large(inputs, widths))
            across = _on_segments(network) if inputs == 2 else None
            yield _row("folding", inputs, widths, len(found), across, bound(inputs, widths), most)


def _usual(seeds: int) -> Iterator[Row]:
    """Deep and shallow networks with as many parameters, at random and trained: means over seeds."""
    shallow = [as_large(2, USUAL)]
    for kind, trained in (("at random", False), ("trained", True)):
        counts = {
            len(widths): np.mean([_regions(widths, seed, trained) for seed in range(seeds)], axis=0).round(1).tolist()
            for widths in ([*USUAL], shallow)
        }
        regions, lines = counts[len(USUAL)]
        yield _row(kind, 2, USUAL, regions, lines, None, counts[1][0])


def _regions(widths: Sequence[int], seed: int, trained: bool) -> tuple[int, float]:
    """How many a network has in the square, and on segments across it."""
    torch.manual_seed(seed)
    network = nn.Sequential(mlp(2, *widths), nn.Linear(widths[-1], 1))
    x = torch.rand(POINTS, 2)
    y = torch.sin(np.pi * CHEQUERS * x).prod(1, keepdim=True)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(STEPS if trained else 0):
        optimizer.zero_grad()
        (network(x) - y).square().mean().backward()
        optimizer.step()
    rectifier = Rectifier.of(network)
    return len(plane(rectifier, ORIGIN, ALONG, ACROSS)), _on_segments(rectifier)


def _on_segments(network: Rectifier) -> float:
    """The mean number of regions on segments from the left side of the square to the right one."""
    heights = np.random.default_rng(0).uniform(size=(SEGMENTS, 2))
    return float(np.mean([len(line(network, np.array([0, a]), np.array([1, b]))) for a, b in heights]))


def _policy(encoder: str, steps: int) -> Rectifier:
    """The logits of a CartPole policy that is trained for so many steps."""
    size = {"homomorphic": f"encoder.channels={UNITS // 2}", "mlp": f"encoder.width={UNITS}"}[encoder]
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        options = ["env=CartPole", f"encoder={encoder}", size, "encoder.activation=relu", f"total_timesteps={steps}"]
        result = train([*options, "progress=false", f"run_dir={Path(folder, 'run')}", "evaluation.final_episodes=2"])
        return Rectifier.of(actor_of(load_policy(result.folder, device="cpu"))[1])


def _drawn(found: Plane) -> dict[str, Any]:
    """Polygons in coordinates from -1 to 1, one after another, and in each the difference of the two logits."""
    polygons = [2 * polygon - 1 for polygon in found.polygons]
    centres = np.array([polygon.mean(0) for polygon in polygons])
    logits = np.einsum("rok,rk->ro", found.maps, np.column_stack([(centres + 1) / 2, np.ones(len(centres))]))
    mirrored = [np.abs(centres + centre).max(1).min() < 1e-6 for centre in centres]
    return {
        "corners": [len(polygon) for polygon in polygons],
        "points": [round(float(each), 4) for each in itertools.chain(*(polygon.flatten() for polygon in polygons))],
        "right": [round(float(each), 3) for each in logits[:, 1] - logits[:, 0]],
        "mirrored": float(np.mean(mirrored)),
    }


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Rectangle

    counts, *planes = figure.subplots(1, 1 + len(drawn), width_ratios=[1.1, *[1] * len(drawn)])
    for (inputs, width), colour in zip(((1, 8), (2, 8)), ("#0072b2", "#d55e00"), strict=True):
        shown = [row for row in rows if _key(row) == ("folding", inputs, width)]
        depth = [row["depth"] for row in shown]
        name = f"{inputs} input{'s' * (inputs > 1)}"
        counts.plot(depth, [row["regions"] for row in shown], "o-", color=colour, label=f"folding, {name}")
        counts.plot(
            depth, [row["one layer"] for row in shown], "s--", color=colour, alpha=0.5, label=f"1 layer, {name}"
        )
    counts.set(yscale="log", xlabel="layers of 8 units", ylabel="regions", title="at equal parameters")
    counts.set_xticks(depth)
    counts.legend(fontsize=7)
    for axis, (encoder, found) in zip(planes, drawn.items(), strict=True):
        points = np.array(found["points"]).reshape(-1, 2) * [0.21, 2.0]
        polygons = np.split(points, np.cumsum(found["corners"])[:-1])
        values = np.array(found["right"])
        collection = PolyCollection(polygons, array=values, cmap="RdBu", edgecolor="black", linewidth=0.25)
        collection.set_clim(-np.abs(values).max(), np.abs(values).max())
        axis.add_collection(collection)
        if encoder == "homomorphic":  # the left half once more, from the right one
            mirrored = PolyCollection(
                [-each for each in polygons], facecolor="none", edgecolor="#009e73", linewidth=0.8
            )
            axis.add_collection(mirrored)
            mirrored.set_clip_path(Rectangle((-0.21, -2), 0.21, 4, transform=axis.transData))
            axis.axvline(0, color="black", linewidth=0.8)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axis.text(-0.2, -1.9, "the right half, mirrored", color="#009e73", fontsize=7, bbox=box)
        axis.set(xlim=(-0.21, 0.21), ylim=(-2, 2), xlabel="pole angle", title=f"{encoder}: {len(polygons):,} regions")
        axis.grid(visible=False)
    planes[0].set_ylabel("angular velocity")


CLAIM = Claim(
    says="Deep networks fold their inputs, and have more linear regions than shallow ones of as many parameters.",
    source="Montúfar et al. 2014, theorem 4",
    number="regions of the deepest folding network over the most of one layer with as many parameters",
    measure=measure,
    draw=draw,
    quick="3 layers instead of 4, 2 seeds instead of 10, policies of 4,000 steps instead of 30,000",
    least=1.0,
    size=(9.5, 3.4),
)
