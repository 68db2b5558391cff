"""Ties against averages: two ways to make a network equivariant, at equal cost, through the peak of double descent.

    tied       every layer is equivariant (symmetry=hard): W = 1/|G| Σ_g ρ_out(g)⁻¹ W ρ_in(g)
    averaged   a free network f, averaged over the group (symmetry=average): 1/|G| Σ_g ρ_out(g)⁻¹ f(ρ_in(g)x)
    free       f alone

All three learn the same 48 examples, whose targets are those of a random equivariant network with noise added, by
minimizing the squared error until it no longer falls. Past the width at which a network can fit the noise, its error on
fresh inputs peaks and falls again (Belkin et al. 2019). An averaged network computes f |G| times, so the tied one of
equal cost is wider, by about √|G|. What decides is by how much the averaged one's error on fresh inputs, as a share of
the target's variance, is greater at equal cost: the mean over costs, of each of several targets.

With one hidden layer the two are the same functions, and only the numbers of parameters differ: the average of a unit
over the group is the sum of an orbit of tied units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from comparing.figures import COLOURS
from evaluation.scores import student_interval
from laboratory.claim import Claim, Measured, Row
from laboratory.rings import PLACES, drawn, error, fit, network, ring
from symmetry import EquivariantLinear

EXAMPLES, NOISE = 48, 0.5  # the noise's standard deviation; the target's is 1
STEPS = 3000
WIDTHS = {1: 4, 2: 8, 3: 11, 4: 14, 6: 19, 8: 25, 12: 36}  # of averaged networks -> of tied ones of the same cost
NARROW = (2, 3, 6)  # further tied ones, on both sides of the peak
QUICK = (1, 4)  # of the averaged ones


def measure(quick: bool) -> Measured:
    seeds = range(2 if quick else 10)
    widths = {width: WIDTHS[width] for width in (QUICK if quick else WIDTHS)}
    networks = [("averaged", width) for width in widths] + [("tied", width) for width in widths.values()]
    if not quick:
        networks += [("tied", width) for width in NARROW] + [("free", width) for width in widths.values()]
        networks.sort()
    errors = {each: np.array([trained(*each, seed) for seed in seeds]) for each in networks}
    worse = [errors["averaged", width][:, 1] - errors["tied", tied][:, 1] for width, tied in widths.items()]
    rows = [_row(*each, *found.mean(0)) for each, found in errors.items()]
    return Measured(student_interval(np.mean(worse, axis=0)), rows)


class Network(nn.Module):
    """A network of two hidden layers on signals on a ring, of one of the three kinds.

    Args:
        kind: free, averaged or tied.
        width: units of each hidden layer, for each place.
    """

    def __init__(self, kind: str, width: int):
        super().__init__()
        self.layers = network(PLACES if kind == "tied" else 1, width)
        self.over = range(PLACES if kind == "averaged" else 1)
        self.on_inputs, self.on_outputs = ring(PLACES) * 2, ring(PLACES)
        weights = sum(layer.weight.numel() for layer in self.layers if isinstance(layer, EquivariantLinear))
        self.cost = weights * len(self.over)  # multiplications for one input

    def forward(self, x: Tensor) -> Tensor:
        turned = self.layers(torch.cat([self.on_inputs(g, x) for g in self.over])).chunk(len(self.over))
        back = [self.on_outputs(self.on_outputs.group.inverse(g), turned[g]) for g in self.over]
        return torch.stack(back).mean(0)


def trained(kind: str, width: int, seed: int) -> tuple[float, float]:
    """The error on the examples, noise included, and on fresh inputs without noise, after training."""
    torch.manual_seed(seed)
    x, y = drawn(EXAMPLES, units=2)
    noisy = y[:EXAMPLES] + NOISE * torch.randn(EXAMPLES, PLACES)
    learner = Network(kind, width)
    last = fit(learner, x[:EXAMPLES], noisy, STEPS)
    return last, error(learner, x[EXAMPLES:], y[EXAMPLES:])


def _row(kind: str, width: int, training: float, fresh: float) -> Row:
    learner = Network(kind, width)
    parameters = sum(parameter.numel() for parameter in learner.parameters())
    about = {"network": kind, "width": width, "parameters": parameters, "cost": learner.cost}
    return {**about, "error on examples": float(training), "error on fresh inputs": float(fresh)}


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots(1, 2, sharey=True)
    for axis, over in zip(axes, ("parameters", "cost"), strict=True):
        for colour, kind in zip(COLOURS, ("tied", "averaged", "free"), strict=False):
            own = [row for row in rows if row["network"] == kind]
            fresh = [row["error on fresh inputs"] for row in own]
            axis.plot([row[over] for row in own], fresh, "o-", markersize=3, color=colour, label=kind if own else None)
        axis.set(xscale="log", yscale="log", xlabel=over)
    axes[0].axvline(EXAMPLES * PLACES, color="#5c6670", linewidth=0.8, linestyle="--")
    beside = axes[0].get_xaxis_transform()  # x of the data, y of the axis
    axes[0].text(EXAMPLES * PLACES, 0.03, " numbers to fit", fontsize=8, color="#5c6670", transform=beside)
    axes[0].set_ylabel("error on fresh inputs (share of variance)")
    axes[1].set_xlabel("cost: multiplications for one input")
    axes[1].legend()


CLAIM = Claim(
    says="At equal cost, weights that are tied by a symmetry generalize better than outputs averaged over it.",
    source="van der Pol et al. 2020, section 4; Puny et al. 2022; Belkin et al. 2019",
    number="error of averaged networks less that of tied ones of equal cost, as a share of the target's variance",
    measure=measure,
    draw=draw,
    quick="2 targets instead of 10, fewer widths, no free networks",
)
