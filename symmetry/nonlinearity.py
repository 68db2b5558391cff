"""Nonlinearities that commute with a representation, f(ρ(g)x) = ρ(g) f(x).

Pointwise functions commute with unsigned permutations, and odd ones, f(-x) = -f(x), with signed permutations. With a
rotation that mixes coordinates only linear functions commute.
"""

from __future__ import annotations

import torch
from torch import nn

from symmetry.representation import Representation
from symmetry.tied import AnyRepresentation

POINTS = 64


def nonlinearity(rep: AnyRepresentation, function: nn.Module) -> nn.Module:
    """`function` itself, if it commutes with `rep`: found by applying both, in both orders, to random vectors.

    Raises:
        ValueError: it does not; the message says why, and what would.
    """
    x = torch.randn(POINTS, rep.size, generator=torch.Generator().manual_seed(0))
    for k in range(len(rep.group.generators)):
        g = rep.group.generator(k)
        with torch.no_grad():
            error = float((function(rep(g, x)) - rep(g, function(x))).abs().max())
        if not error <= 1e-5:
            raise ValueError(f"{type(function).__name__} does not commute with {rep}, {_reason(rep)}")
    return function


def _reason(rep: AnyRepresentation) -> str:
    if not isinstance(rep, Representation):
        return "which mixes coordinates; nonlinear layers go between copies of Representation.regular(group)"
    if rep.is_permutation:
        return "which permutes coordinates; pointwise functions do (ReLU, Tanh, GELU)"
    return "which changes signs; odd pointwise functions do (Tanh, Softsign), or use Representation.regular(group)"
