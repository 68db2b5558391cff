"""Build encoders with options of strange values and print, as JSON, what neither works nor is refused by its name.

A program of its own: under pytest, annotations are checked before a constructor sees a value; for users they are not.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import pytest
import torch
from encoder_cases import ENCODERS, case, needs_symmetry
from stable_baselines3.common.preprocessing import preprocess_obs

from agents.make import encoder_named
from envs import make_vec_env

STRANGE = (-1, 0, 1, 1.5, float("nan"), True, None, "", "max", [], [1], {}, {"a": 1}, 10**9)


def defaults(function: Any) -> dict[str, Any]:
    """The options of a constructor and their defaults."""
    given = inspect.signature(function).parameters
    return {name: each.default for name, each in given.items() if name not in ("observation_space", "symmetry")}


def problems(name: str) -> list[str]:
    """What an encoder does with strange options besides working and refusing them."""
    try:
        env_id, options = case(name)
    except pytest.skip.Exception:
        return []
    env = make_vec_env(env_id, n_envs=2, seed=0, **options)
    raw: Any = env.reset()
    raw = {k: torch.as_tensor(v) for k, v in raw.items()} if isinstance(raw, dict) else torch.as_tensor(raw)
    observation: Any = preprocess_obs(raw, env.observation_space)
    symmetry = {"symmetry": getattr(env, "symmetry", None)} if needs_symmetry(name) else {}
    found = []
    for option in defaults(encoder_named(name)):
        for value in STRANGE:
            try:
                encoder: Any = encoder_named(name)(env.observation_space, **symmetry, **{option: value})
                features = encoder(observation)
                fine = features.shape == (2, encoder.features_dim) and bool(features.isfinite().all())
                trouble = "" if fine else f"features {tuple(features.shape)}"
            except ValueError as error:
                trouble = "" if f"encoder.{option}" in str(error) else f"says {error}"
            except Exception as error:
                trouble = repr(error)
            if trouble:
                found.append(f"{name}.{option}={value!r}: {trouble}")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump([each for name in sys.argv[1:] or ENCODERS for each in problems(name)], sys.stdout)
