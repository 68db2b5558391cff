"""What an agent needs of a symmetry besides encoder and heads: that it fits the actions, invariant statistics."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd

from symmetry import Representation, Symmetry


def check_actions(symmetry: Symmetry, actions: spaces.Space) -> None:
    """Raise ValueError unless ψ maps the action space onto itself."""
    psi = symmetry.action
    if isinstance(actions, spaces.Discrete):
        if psi.size != actions.n or not psi.is_permutation:
            kind = "permutes" if psi.is_permutation else "changes signs of"
            raise ValueError(f"the symmetry {kind} {psi.size} actions, but they are {actions.n} to be permuted")
        return
    if not isinstance(actions, spaces.Box) or actions.shape != (psi.size,):
        raise ValueError(f"the symmetry acts on {psi.size} actions, but they are {actions}")
    corners = torch.as_tensor(np.stack([actions.low, actions.high])).double()
    for g in range(psi.group.order):
        moved = psi(g, corners)
        if not torch.equal(moved.amin(0), corners[0]) or not torch.equal(moved.amax(0), corners[1]):
            raise ValueError(f"the symmetry maps actions in {actions} to others outside; are the bounds symmetric?")


class SymmetricStatistics(RunningMeanStd):
    """Running mean and variance of vector observations and all their twins: φ(g) mean = mean, |φ(g)| var = var.

    Normalizing with them commutes with φ, s ↦ (s - mean) / √(variance + ε), so it breaks no symmetry.

    Raises:
        ValueError: the symmetry does not act on vectors of this size.
    """

    def __init__(self, symmetry: Symmetry, shape: tuple[int, ...]):
        super().__init__(shape=shape)
        rep = symmetry.observation.get("observation")
        if not isinstance(rep, Representation) or shape != (rep.size,):
            raise ValueError(f"the symmetry does not say how observations of shape {shape} transform")
        self.rep = rep

    def update(self, arr: np.ndarray) -> None:
        """Count a batch (n, size) and its twins."""
        vectors, elements = torch.as_tensor(arr).double(), range(self.rep.group.order)
        super().update(torch.cat([self.rep(g, vectors) for g in elements]).numpy())
        # the same but for rounding, which depends on the order of the sums
        mean, variance = torch.as_tensor(self.mean), torch.as_tensor(self.var)
        self.mean = torch.stack([self.rep(g, mean) for g in elements]).mean(0).numpy()
        self.var = torch.stack([self.rep.unsigned()(g, variance) for g in elements]).mean(0).numpy()
