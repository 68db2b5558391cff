"""Environments as the agents see them: observations, vectorisation and the symmetries they declare.

make_env(id, **options) -> gymnasium.Env
make_vec_env(id, n_envs=8, seed=0, **options) -> VecEnv
make_vector_env(id, n_envs=8, **options) -> gymnasium.vector.VectorEnv
symmetry_of(id) -> Symmetry | None
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.make import make_env, make_vec_env, make_vector_env
    from envs.symmetries import symmetric_ids, symmetry_of

__all__ = ["make_env", "make_vec_env", "make_vector_env", "symmetric_ids", "symmetry_of"]

# `python train.py --help` needs names only; what imports torch waits until it is used.
_PLACES = {
    "make_env": "envs.make",
    "make_vec_env": "envs.make",
    "make_vector_env": "envs.make",
    "symmetric_ids": "envs.symmetries",
    "symmetry_of": "envs.symmetries",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'envs' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
