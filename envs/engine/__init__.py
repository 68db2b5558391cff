"""The batched engines: thousands of MiniGrid or classic control environments at once, each exactly Farama's.

    kernel.py   Farama's step, reset and observations, compiled
    rules.py    which rule an environment's own `step` is; where you register yours
    levels.py   a freshly reset environment as arrays
    bank.py     many of them, kept in a file
    batch.py    the engine: levels, state and observations of n environments
    episodes.py what an engine shows, and the episodes that end
    vec.py      an engine as an SB3 VecEnv and a gymnasium.vector.VectorEnv

    classic.py  the engine of CartPole, Acrobot, Pendulum and the mountain cars; classic_kernel.py: their `step`s

`envs.make_vec_env(id, engine="batched")` and `envs.make_vector_env(id)` make one.
`python -m envs.engine` compiles it ahead.
"""

from __future__ import annotations

from envs.engine.batch import Batch
from envs.engine.classic import CLASSICS
from envs.engine.episodes import Engine
from envs.engine.levels import Unsupported
from envs.engine.rules import RULES, Rule, unsupported
from envs.engine.vec import BatchedVecEnv, BatchedVectorEnv

__all__ = [
    "CLASSICS",
    "RULES",
    "Batch",
    "BatchedVecEnv",
    "BatchedVectorEnv",
    "Engine",
    "Rule",
    "Unsupported",
    "unsupported",
]
