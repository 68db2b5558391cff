"""Environments as the agents see them: observations, vectorisation and the symmetries they declare."""

from envs.make import make_env, make_vec_env
from envs.names import resolve_id
from envs.symmetries import symmetric_ids, symmetry_of

__all__ = ["make_env", "make_vec_env", "resolve_id", "symmetric_ids", "symmetry_of"]
