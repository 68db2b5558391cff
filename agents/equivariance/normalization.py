"""What an agent checks and normalizes for a symmetry: its actions, and invariant statistics of observations."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd

from encoders.base import describe
from symmetry import Representation, Symmetry


def check_actions(symmetry: Symmetry, actions: spaces.Space) -> None:
    """Raise ValueError unless ψ maps the action space onto itself (`Symmetry.validate`)."""
    if isinstance(actions, spaces.Discrete):
        symmetry.validate(actions=int(actions.n))
    elif isinstance(actions, spaces.Box) and len(actions.shape) == 1:
        symmetry.validate(actions=(actions.low, actions.high))
    else:
        raise ValueError(f"a symmetry acts on Discrete actions or vectors, got {describe(actions)}")


class SymmetricStatistics(RunningMeanStd):
    """Running mean and variance of vector observations and all their transforms: φ(g) mean = mean, |φ(g)| var = var.

    Normalizing with them commutes with φ, s ↦ (s - mean) / √(variance + ε), so it breaks no symmetry.

    Raises:
        ValueError: the symmetry does not act on vectors of this size.
    """

    def __init__(self, symmetry: Symmetry, shape: tuple[int, ...]):
        super().__init__(shape=shape)
        symmetry.validate({"observation": shape})
        rep = symmetry.observation["observation"]
        if not isinstance(rep, Representation):
            raise ValueError("codes have no mean that could be subtracted; use normalize only with vectors")
        self.rep = rep

    def update(self, arr: np.ndarray) -> None:
        """Count a batch (n, size) and its transforms φ(g)s for all g."""
        vectors, elements = torch.as_tensor(arr).double(), range(self.rep.group.order)
        super().update(torch.cat([self.rep(g, vectors) for g in elements]).numpy())
        self.symmetrize()

    def symmetrize(self) -> None:
        """Average mean and variance over the group; those of `update` change by their rounding errors only."""
        elements = range(self.rep.group.order)
        mean, variance = torch.as_tensor(self.mean), torch.as_tensor(self.var)
        self.mean = torch.stack([self.rep(g, mean) for g in elements]).mean(0).numpy()
        self.var = torch.stack([self.rep.unsigned()(g, variance) for g in elements]).mean(0).numpy()
