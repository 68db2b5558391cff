"""Equivariance is a constraint on a network's weights, and what is constrained need not be learned from data.

A linear map W between representations of a group G is equivariant if it is its own projection,

    W = 1/|G| Σ_g ρ_out(g)⁻¹ W ρ_in(g),    on CartPole ½W + ½P⁻¹WΦ,

and these W form a space of dimension 1/|G| Σ_g tr ρ_out(g) tr ρ_in(g). The first rows count it for the map from
observations to actions of each environment that declares a symmetry. The last ones are of an experiment: the target is
a random network that commutes with the 8 rotations of a ring of 8 places, and each student, of equally many units,
commutes with 1, 2, 4 or 8 of them. What decides is how fast the examples that a student needs fall with the number n of
its rotations: the exponent a of examples ∝ n^(-a), over targets. It would be 0 if constraints did not generalize.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.error import DependencyNotInstalled

from comparing.figures import COLOURS
from envs import make_env
from envs.symmetries import declared_symmetry, symmetric_ids
from evaluation.scores import student_interval
from laboratory.claim import Claim, Measured, Row
from laboratory.rings import PLACES, drawn, error, fit, network, ring
from symmetry import EquivariantLinear, Representation, Symmetry, symmetrize

ORDERS = (1, 2, 4, 8)
EXAMPLES = (16, 32, 64, 128, 256, 512, 1024, 2048)
ERROR = 0.3  # of a target's variance: the examples that a student needs are those with which it comes below this
STEPS, BATCH = 600, 128


def measure(quick: bool) -> Measured:
    seeds = range(3 if quick else 10)
    curves = {order: [[learned(order, n, seed) for n in EXAMPLES] for seed in seeds] for order in ORDERS}
    needed = {order: [examples_needed(curve) for curve in curves[order]] for order in ORDERS}
    exponents = [
        -np.polyfit(np.log2(ORDERS), np.log2([needed[order][seed] for order in ORDERS]), 1)[0] for seed in seeds
    ]
    rings = [_row(f"ring of {PLACES} places", ring(n), ring(n), float(np.median(needed[n]))) for n in ORDERS]
    rows = [*declared(), *rings]
    shown = {"examples": EXAMPLES, "errors": {str(order): np.mean(curves[order], 0).tolist() for order in ORDERS}}
    return Measured(student_interval(np.array(exponents)), rows, shown, [cartpole()])


def learned(order: int, examples: int, seed: int) -> float:
    """The error of a student on fresh inputs, as a share of the variance of the target, after training on examples."""
    torch.manual_seed(seed)
    x, y = drawn(examples, units=4)
    student = network(order, units=8)
    fit(student, x[:examples], y[:examples], STEPS, BATCH)
    return error(student, x[examples:], y[examples:])


def examples_needed(errors: Sequence[float]) -> float:
    """With how many examples the error comes below ERROR: between two of the grid's numbers on logarithmic axes."""
    below = next((index for index, each in enumerate(errors) if each < ERROR), None)
    if below is None or below == 0:
        return float(EXAMPLES[-1] if below is None else EXAMPLES[0])
    before, after = np.log(errors[below - 1]), np.log(errors[below])
    share = (before - np.log(ERROR)) / (before - after)
    return float(EXAMPLES[below - 1] * (EXAMPLES[below] / EXAMPLES[below - 1]) ** share)


def declared() -> list[Row]:
    """The map from observations to actions in every installed environment that declares a symmetry of vectors."""
    rows = []
    for name in symmetric_ids():
        try:
            env = make_env(name)
        except ValueError as error:
            if isinstance(error.__cause__, DependencyNotInstalled):  # MuJoCo is an extra
                continue
            raise
        rows.append(_row(name, *representations(declared_symmetry(env))))
        env.close()
    return rows


def representations(symmetry: Symmetry | None) -> tuple[Representation, Representation]:
    """On observations and on actions."""
    assert symmetry is not None
    return symmetry.observation["observation"], symmetry.action  # type: ignore[return-value]


def cartpole() -> str:
    """How far ½W + ½P⁻¹WΦ is from the projection onto equivariant maps, in a sentence."""
    on_states, on_actions = representations(declared_symmetry(make_env("CartPole")))
    phi, p = on_states.matrix(1), on_actions.matrix(1)
    weight = torch.randn(2, 4, dtype=torch.float64)
    formula = weight / 2 + torch.linalg.inv(p) @ weight @ phi / 2
    difference = float((formula - symmetrize(weight, on_states, on_actions)).abs().max())
    return f"On CartPole ½W + ½P⁻¹WΦ differs from the projection by at most {difference:.1g}."


def _row(name: str, rep_in: Representation, rep_out: Representation, needed: float | None = None) -> Row:
    order, free = rep_in.group.order, rep_in.size * rep_out.size
    constrained = EquivariantLinear(rep_in, rep_out, bias=False).free_weight.numel()
    about = {"map": name, "group": rep_in.group.name, "elements": order, "free": free, "constrained": constrained}
    return {**about, "share": constrained / free, "examples needed": needed}


def draw(rows: Sequence[Row], drawn: Mapping[str, Any], figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for colour, (order, errors) in zip(COLOURS, drawn["errors"].items(), strict=False):
        left.plot(drawn["examples"], errors, "o-", markersize=3, color=colour, label=f"{order} of 8 rotations")
    left.axhline(ERROR, color="#5c6670", linewidth=0.8, linestyle="--")
    left.set(xscale="log", yscale="log", xlabel="examples", ylabel="error on fresh inputs (share of variance)")
    left.legend(fontsize=8)
    students = [row for row in rows if row["examples needed"] is not None]
    orders, needed = ([row[key] for row in students] for key in ("elements", "examples needed"))
    right.plot(orders, needed, "o-", color=COLOURS[0], label="measured, median")
    right.plot(orders, [needed[0] / order for order in orders], ":", color="#5c6670", label="halved by each doubling")
    right.set(xscale="log", yscale="log", xlabel="elements of the group", ylabel=f"examples for an error of {ERROR}")
    right.set_xticks(orders, map(str, orders))
    right.legend(fontsize=8)


CLAIM = Claim(
    says="Equivariance constrains weights linearly, and a group of n elements makes a target n times cheaper to learn.",
    source="van der Pol et al. 2020, section 4",
    number="exponent a of the examples needed, n^(-a), for a group of n rotations",
    measure=measure,
    draw=draw,
    quick="3 targets instead of 10",
    least=0.5,
)
