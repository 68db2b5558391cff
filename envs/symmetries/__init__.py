"""The symmetries that environments declare, all in one place. Nothing outside `envs` knows CartPole."""

from envs.symmetries.minigrid import minigrid_symmetry, minigrid_symmetry_of
from envs.symmetries.registry import register_symmetry, symmetric_ids, symmetry_of, tolerance_of

__all__ = [
    "minigrid_symmetry",
    "minigrid_symmetry_of",
    "register_symmetry",
    "symmetric_ids",
    "symmetry_of",
    "tolerance_of",
]
