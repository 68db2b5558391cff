"""Environments as the agents see them: observations, vectorisation and the symmetries they declare.

make_env(id, **options) -> gymnasium.Env
make_vec_env(id, n_envs=8, seed=0, **options) -> VecEnv
make_vector_env(id, n_envs=8, **options) -> gymnasium.vector.VectorEnv
readable(env) -> gymnasium.Env, with spaces that agents can read; those of make_env are readable already
symmetry_of(id or env) -> Symmetry | None; register_symmetry(id, symmetry) declares one
oracle(id, seed, **options) -> Optimum, a shortest way to success in a level
check_symmetry(env, symmetry) tests it in the simulator, discover_symmetries(env) finds it there
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.discover import discover_symmetries
    from envs.make import make_vec_env, make_vector_env
    from envs.optimum import oracle
    from envs.single import make_env, symmetry_of
    from envs.spaces import readable
    from envs.symmetries import register_symmetry, symmetric_ids
    from envs.twins import check_symmetry

# `python train.py --help` needs names only: modules that import torch are imported when they are used. The module
# envs.check_symmetry is a command for `python -m`. The function of that name is in envs.twins, because importing the
# module would hide a function of this package.
_PLACES = {
    "check_symmetry": "envs.twins",
    "discover_symmetries": "envs.discover",
    "make_env": "envs.single",
    "make_vec_env": "envs.make",
    "make_vector_env": "envs.make",
    "oracle": "envs.optimum",
    "readable": "envs.spaces",
    "register_symmetry": "envs.symmetries",
    "symmetric_ids": "envs.symmetries",
    "symmetry_of": "envs.single",
}

__all__ = [
    "check_symmetry",
    "discover_symmetries",
    "make_env",
    "make_vec_env",
    "make_vector_env",
    "oracle",
    "readable",
    "register_symmetry",
    "symmetric_ids",
    "symmetry_of",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'envs' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
