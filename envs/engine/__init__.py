"""The batched engines: thousands of MiniGrid or classic control environments at once, each exactly as Farama steps it.

    kernel.py          MiniGrid's step, reset and observations, compiled
    rules.py           which rule equals an environment's `step`; where to register your own
    tables.py          what the compiled code looks up: occlusion, pictures of cells
    levels.py          levels from seeds: made by compiled code, or by Farama's Python
    makers/            the compiled code: what Farama's `_gen_grid`s draw, family by family
    farama.py          a freshly reset environment as arrays
    hashes.py          a number for what a level is, by which levels are told apart
    compiled.py        numba's decorators for code in several files
    bank.py            many levels
    batch.py           the engine: levels, state and observations of n environments
    search.py          the fewest steps to a success, compiled (see envs/optimum.py)
    classic.py         the engine of CartPole, Acrobot, Pendulum and the mountain cars
    classic_kernel.py  their `step`s, compiled
    episodes.py        observations, windows and ended episodes, for both adapters
    vec.py             an engine as an SB3 VecEnv and a gymnasium.vector.VectorEnv

`envs.make_vec_env(id, engine="batched")` and `envs.make_vector_env(id)` make one. `python -m envs.engine` compiles the
code in advance.
"""

from __future__ import annotations

from envs.engine.batch import VIEWS, Batch
from envs.engine.classic import CLASSICS
from envs.engine.episodes import Engine
from envs.engine.farama import Unsupported
from envs.engine.rules import RULES, Rule, unsupported
from envs.engine.vec import BatchedVecEnv, BatchedVectorEnv

__all__ = [
    "CLASSICS",
    "RULES",
    "VIEWS",
    "Batch",
    "BatchedVecEnv",
    "BatchedVectorEnv",
    "Engine",
    "Rule",
    "Unsupported",
    "unsupported",
]
