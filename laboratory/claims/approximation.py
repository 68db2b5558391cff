"""One hidden layer approximates any continuous function, if it is wide enough; depth needs less for a folded target.

Three functions on [0, 1] with values in [-1, 1]: a smooth bump, an oscillating sine of 6 periods, and a folded one, the
tent map applied 4 times, which is the zigzag of 16 pieces (Telgarsky 2016). Errors are root mean squares.

    trained      the network as gradient descent leaves it: Adam, the same steps, rates and points for every network
    spread       one layer whose ReLUs turn on at equal distances, outputs by least squares: width is enough
    least        what no network of one hidden layer of that width can go below (`analysis.splines`)
    constructed  the network that folds the interval 4 times (`analysis.folding`)

The theorems say what exists, not what is found. `spread`, `least` and `constructed` measure that, without seeds. What
decides is the part of the claim that needs training: on the folded target, how many digits the error of a trained
network of 4 layers is below that of a trained layer with at least as many parameters, log₁₀ of the ratio over pairs of
seeds. The rate and the number of steps were chosen on seeds that are not reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.folding import as_large, folding, parameters
from analysis.regions import Rectifier
from analysis.splines import interpolation, least
from evaluation.scores import student_interval
from laboratory.claim import Claim, Measured, Row

FOLDS, PERIODS = 4, 6
DEEP = ((8,) * 4, (16,) * 4)  # hidden layers; the last decides
WIDTHS = (2, 4, 8, 16, 32, 64, 128)
RATE, STEPS, SAMPLES = 1e-2, 3000, 256
FINE = 1024  # points at which what needs no training is computed
ENOUGH = 0.01


def tents(x: Tensor) -> Tensor:
    for _ in range(FOLDS):
        x = 1 - (2 * x - 1).abs()
    return 2 * x - 1


TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "smooth": lambda x: 2 * torch.exp(-8 * (x - 0.5) ** 2) - 1,
    "oscillating": lambda x: torch.sin(2 * math.pi * PERIODS * x),
    "folded": tents,
}


def measure(quick: bool) -> Measured:
    seeds, steps = (2, 800) if quick else (10, STEPS)
    rows: list[Row] = []
    errors: dict[tuple[str, tuple[int, ...]], np.ndarray] = {}
    for target in TARGETS:
        for deep in DEEP[-1:] if quick else DEEP:
            for layers in (deep, (as_large(1, deep),)):
                errors[target, layers] = fit(target, layers, seeds, steps)
        for width in WIDTHS[1::2] if quick else WIDTHS:
            errors[target, (width,)] = fit(target, (width,), seeds, steps)
        ways = sorted((widths for about, widths in errors if about == target), key=lambda each: (len(each), each))
        rows += [_row(target, widths, errors[target, widths]) for widths in ways]
    rows.append(_constructed())
    folded, one = (errors["folded", widths] for widths in (DEEP[-1], (as_large(1, DEEP[-1]),)))
    digits = student_interval(np.log10(one / folded))
    return Measured(digits, rows, notes=[*_enough(), _existing(rows)])


def fit(target: str, widths: Sequence[int], seeds: int, steps: int) -> np.ndarray:
    """The error of trained networks with these hidden layers, (seeds,): all are trained at once, each by itself."""
    draws = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
    sizes = [1, *widths, 1]
    layers: list[Tensor] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        bound = 1 / math.sqrt(before)  # as PyTorch initializes
        for shape in ((before, after), (1, after)):
            drawn = torch.stack([torch.rand(shape, generator=draw) for draw in draws])
            layers.append((bound * (2 * drawn - 1)).requires_grad_())

    def network(x: Tensor) -> Tensor:
        values = (2 * x - 1).expand(seeds, -1, 1)
        for index in range(0, len(layers), 2):
            values = torch.baddbmm(layers[index + 1], torch.relu(values) if index else values, layers[index])
        return values

    x = torch.linspace(0, 1, SAMPLES)[:, None]
    y = TARGETS[target](x)
    optimizer = torch.optim.Adam(layers, RATE)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (network(x) - y).square().mean((1, 2)).sum().backward()
        optimizer.step()
        rate.step()
    unseen = torch.rand(FINE, 1, generator=torch.Generator().manual_seed(seeds))
    with torch.no_grad():
        return (network(unseen) - TARGETS[target](unseen)).square().mean((1, 2)).sqrt().double().numpy()


def _points(target: str) -> tuple[np.ndarray, np.ndarray]:
    x = (torch.arange(FINE, dtype=torch.float64) + 0.5) / FINE
    return x.numpy(), TARGETS[target](x).numpy()


def _row(target: str, widths: Sequence[int], errors: np.ndarray) -> Row:
    """Errors are geometric means over seeds."""
    shallow = len(widths) == 1
    return {
        "target": target,
        "network": "trained",
        "depth": len(widths),
        "width": widths[0],
        "parameters": parameters(1, widths),
        "error": _rounded(float(np.exp(np.log(errors).mean()))),
        "spread": _rounded(interpolation(*_points(target), widths[0])) if shallow else None,
        "least": _rounded(least(*_points(target), widths[0] + 1)) if shallow else None,
    }


def _constructed() -> Row:
    """The folded target, as the network that folds: two units a fold."""
    network = Rectifier(folding(1, [2] * (FOLDS + 1)).hidden[:-1], (np.array([[2.0, -2.0]]), np.array([-1.0])))
    x, y = _points("folded")
    error = float(np.sqrt(np.mean((network(x[:, None])[:, 0] - y) ** 2)))
    row = _row("folded", (2,) * FOLDS, np.array([1.0]))
    return {**row, "network": "constructed", "error": _rounded(error)}


def _rounded(error: float) -> float:
    return float(f"{error:.3g}")


def _enough() -> Iterator[str]:
    """The width from which on evenly spread units are good enough."""
    needed = {}
    for target in TARGETS:
        points = _points(target)
        needed[target] = next(units for units in range(1, FINE) if interpolation(*points, units) < ENOUGH)
    listed = ", ".join(f"{units} units on the {target} target" for target, units in needed.items())
    yield f"Evenly spread, one layer has an error below {ENOUGH} with {listed}."


def _existing(rows: Sequence[Row]) -> str:
    row = rows[-1]
    units = as_large(1, [row["width"]] * row["depth"])
    error = least(*_points("folded"), units + 1)
    layers = f"{row['depth']} layers of {row['width']}, {row['parameters']} parameters,"
    return (
        f"The folded target is computed by {layers} with an error of {row['error']:g}; no single layer of {units} "
        f"units, which has no fewer, goes below {error:.3g}."
    )


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots(1, len(TARGETS), sharey=True)
    for axis, target in zip(axes, TARGETS, strict=True):
        shown = [row for row in rows if row["target"] == target and row["network"] == "trained"]
        one, deep = ([row for row in shown if (row["depth"] == 1) == shallow] for shallow in (True, False))
        size = [row["parameters"] for row in one]
        axis.fill_between(size, 1e-4, [max(row["least"], 1e-4) for row in one], color="#e4e7eb", label="no one layer")
        axis.plot(size, [row["spread"] for row in one], ":", color="#667", label="one, spread evenly")
        axis.plot(size, [row["error"] for row in one], "o-", color="#0072b2", label="one, trained")
        deep_size, deep_error = [row["parameters"] for row in deep], [row["error"] for row in deep]
        axis.plot(deep_size, deep_error, "s-", color="#d55e00", label="4 layers, trained")
        axis.set(xscale="log", yscale="log", ylim=(1e-4, 1.5), title=target, xlabel="parameters")
    axes[0].set_ylabel("root mean squared error")
    axes[0].legend(fontsize=7, loc="lower left")


CLAIM = Claim(
    says="One wide hidden layer approximates any continuous function; depth does with less where the target is folded.",
    source="Funahashi 1989; Cybenko 1989; for ReLUs Leshno et al. 1993",
    number="digits by which 4 trained layers of 16 fit the folded target better than one layer of as many parameters",
    measure=measure,
    draw=draw,
    quick="2 seeds instead of 10, 800 steps instead of 3,000, fewer widths",
    size=(9.5, 3.2),
)
