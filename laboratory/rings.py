"""Networks that learn a function of signals on a ring of 8 places, which commutes with all its rotations.

What two claims are measured on: a group, networks that commute with a part of it, a target, and how they learn it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from symmetry import EquivariantLinear, Representation, cyclic

PLACES, FRESH = 8, 2000
RATE = 3e-3


def ring(order: int) -> Representation:
    """C_order on the places of the ring."""
    turn = [(place + PLACES // order) % PLACES for place in range(PLACES)]
    return Representation.permutation(cyclic(order), [turn])


def network(order: int, units: int) -> nn.Sequential:
    """Two hidden layers, from two signals to one, that commute with the rotations by PLACES / order places.

    Args:
        order: how many rotations; with 1 the network is free.
        units: of each hidden layer, for each place.
    """
    first, hidden, last = (ring(order) * copies for copies in (2, units, 1))
    return nn.Sequential(
        *(EquivariantLinear(first, hidden), nn.ReLU(), EquivariantLinear(hidden, hidden), nn.ReLU()),
        EquivariantLinear(hidden, last),
    )


def drawn(examples: int, units: int) -> tuple[Tensor, Tensor]:
    """Examples, and FRESH more, of a random network that commutes with all rotations; its outputs have variance 1."""
    target = network(PLACES, units)
    x = torch.randn(examples + FRESH, 2 * PLACES)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.mul_(1.5)
        y = target(x)
        return x, (y - y.mean()) / y.std()


def fit(learner: nn.Module, x: Tensor, y: Tensor, steps: int, batch: int | None = None) -> float:
    """Minimize the squared error with Adam, on minibatches if `batch` says of how many; returns the last error."""
    optimizer = torch.optim.Adam(learner.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = slice(None) if batch is None else torch.randint(len(x), (min(len(x), batch),))
        loss = (learner(x[rows]) - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss.detach())


def error(learner: nn.Module, x: Tensor, y: Tensor) -> float:
    """The mean squared error."""
    with torch.no_grad():
        return float((learner(x) - y).square().mean())
