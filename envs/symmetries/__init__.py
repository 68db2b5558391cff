"""The symmetries that environments declare, all in one place. Nothing outside `envs` knows CartPole."""

from envs.symmetries.minigrid import minigrid_symmetry, minigrid_symmetry_of
from envs.symmetries.registry import declaration_of, declared_symmetry, register_symmetry, symmetric_ids, tolerance_of

__all__ = [
    "declaration_of",
    "declared_symmetry",
    "minigrid_symmetry",
    "minigrid_symmetry_of",
    "register_symmetry",
    "symmetric_ids",
    "tolerance_of",
]
