"""Playing whole episodes with a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv


class Predicts(Protocol):
    """Whatever acts as SB3's policies do."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]: ...


@dataclass(frozen=True)
class Episodes:
    """What happened in each of n episodes.

    Attributes:
        returns: (n,) undiscounted sums of the environment's own rewards.
        lengths: (n,) steps.
        successes: (n,) 0 or 1 where the environment defines success (`info["is_success"]` at the end), else None.
    """

    returns: np.ndarray
    lengths: np.ndarray
    successes: np.ndarray | None


def rollout(policy: Predicts, env: VecEnv, episodes: int, *, seed: int, deterministic: bool = False) -> Episodes:
    """Play `episodes` fresh episodes; actions are sampled, or the greedy ones if `deterministic`.

    Every environment plays a fixed share of them, so that short episodes are not counted more often than long ones.
    Environment i is seeded with seed + i and sampling with `seed`; the global random state is left as it was.
    """
    env.seed(seed)
    share = np.array([(episodes + i) // env.num_envs for i in range(env.num_envs)])
    played = np.zeros(env.num_envs, int)
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
    finished: list[tuple[Any, ...]] = []
    state, start = None, np.ones(env.num_envs, bool)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        observation = env.reset()
        while (played < share).any():
            actions, state = policy.predict(observation, state, start, deterministic)
            observation, rewards, start, infos = env.step(actions)
            returns += rewards
            lengths += 1
            for i in np.flatnonzero(start):
                if played[i] < share[i]:
                    success = infos[i].get("is_success")
                    finished.append((played[i], i, returns[i], lengths[i], success))
                played[i] += 1
                returns[i], lengths[i] = 0.0, 0
    # rounds first, then environments: the order does not depend on which episode ended first
    finished.sort(key=lambda episode: episode[:2])
    successes = [episode[4] for episode in finished]
    return Episodes(
        np.array([episode[2] for episode in finished]),
        np.array([episode[3] for episode in finished]),
        None if any(success is None for success in successes) else np.array(successes, float),
    )
