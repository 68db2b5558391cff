"""Playing whole episodes with a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

KEPT = 200  # states of a rollout that are kept


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
        states: some of the observations met, as a batch: one of every step, of each environment in turn.
    """

    returns: np.ndarray
    lengths: np.ndarray
    successes: np.ndarray | None
    states: Any = None


def rollout(
    policy: Predicts, env: VecEnv, episodes: int, *, seed: int, deterministic: bool = False, keep: int = KEPT
) -> Episodes:
    """Play `episodes` fresh episodes; actions are sampled, or the greedy ones if `deterministic`.

    Every environment plays a fixed share of them, so that short episodes are not counted more often than long ones.
    Of the observations the first `keep` steps' are kept, one of each. Environment i is seeded with seed + i and
    sampling with `seed`; the global random state is left as it was.
    """
    env.seed(seed)
    share = np.array([(episodes + i) // env.num_envs for i in range(env.num_envs)])
    played = np.zeros(env.num_envs, int)
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
    finished: list[tuple[Any, ...]] = []
    states: list[Any] = []
    state, start = None, np.ones(env.num_envs, bool)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        observation = env.reset()
        while (played < share).any():
            if len(states) < keep:
                states.append(_row(observation, len(states) % env.num_envs))
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
        _batch(states),
    )


def _row(observation: Any, i: int) -> Any:
    """A copy of the i-th of a batch of observations."""
    return (
        {key: np.copy(part[i]) for key, part in observation.items()}
        if isinstance(observation, dict)
        else np.copy(observation[i])
    )


def _batch(rows: list[Any]) -> Any:
    if isinstance(rows[0], dict):
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return np.stack(rows)
