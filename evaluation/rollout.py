"""Playing whole episodes with a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

STATES = 200  # observations that a rollout keeps
PATIENCE = 30_000  # steps of each environment; the longest time limit of Gymnasium and ALE is 27,000


class Predicts(Protocol):
    """A policy with the `predict` method of SB3's policies."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]: ...


class Interrupted(Exception):
    """The caller stopped a rollout before its last episode ended."""


class EndlessEpisode(ValueError):
    """No episode ended for `patience` steps."""


@dataclass(frozen=True)
class Episodes:
    """The measurements of n episodes.

    Attributes:
        returns: (n,) undiscounted sums of the environment's own rewards.
        lengths: (n,) steps.
        successes: (n,) 0 or 1 where the environment defines success (`info["is_success"]` at the end), else None.
        states: a batch of observations, one from each of the first steps, taken from the environments in turn.
        levels: int64 (n,), the `level_seed` of each episode, where the environment has levels, else None.
        bodies: (n,) the name of each episode's body (`info["body"]` at the end), where there are several, else None.
        actions: of the first episode, which is environment 0's: it can be played again from the seed of the rollout.
    """

    returns: np.ndarray
    lengths: np.ndarray
    successes: np.ndarray | None
    states: Any = None
    levels: np.ndarray | None = None
    bodies: np.ndarray | None = None
    actions: np.ndarray | None = None


def rollout(
    policy: Predicts,
    env: VecEnv,
    episodes: int,
    *,
    seed: int,
    deterministic: bool = False,
    keep: int = STATES,
    patience: int = PATIENCE,
    stop: Callable[[], bool] = lambda: False,
) -> Episodes:
    """Play `episodes` fresh episodes; actions are sampled, or greedy if `deterministic`.

    Every environment plays a fixed share of the episodes, so that short episodes are not counted more often than long.
    Environment i is seeded with seed + i, and sampling with `seed`. PyTorch's global random state is restored.

    Args:
        keep: number of steps from which one observation is kept.
        patience: the most steps of each environment between two ends of episodes.
        stop: called before every step; True stops the rollout.

    Raises:
        EndlessEpisode: none of the episodes that count has ended for `patience` steps.
        FloatingPointError: the return of an episode is NaN or infinite.
        Interrupted: `stop` returned True.
    """
    env.seed(seed)
    share = np.array([(episodes + i) // env.num_envs for i in range(env.num_envs)])
    played = np.zeros(env.num_envs, int)
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
    finished: list[tuple[Any, ...]] = []
    states: list[Any] = []
    acted: list[np.ndarray] = []
    state, start = None, np.ones(env.num_envs, bool)
    waited = 0
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        observation = env.reset()
        levels = [info.get("level_seed") for info in env.reset_infos]
        while len(finished) < episodes:
            if stop():
                raise Interrupted
            if waited == patience:
                raise EndlessEpisode(
                    f"an evaluation has waited {patience:,} steps for an episode to end; give the environment a time "
                    "limit, env.kwargs.max_episode_steps=<steps>, or wait longer (train.py: "
                    "evaluation.patience=<steps>, evaluate.py: patience=<steps>)"
                )
            waited += 1
            if len(states) < keep:
                states.append(_row(observation, len(states) % env.num_envs))
            actions, state = policy.predict(observation, state, start, deterministic)
            if not played[0]:
                acted.append(np.copy(actions[0]))
            observation, rewards, start, infos = env.step(actions)
            returns += rewards
            lengths += 1
            for i in start.nonzero()[0]:
                if played[i] < share[i]:
                    if not np.isfinite(returns[i]):
                        raise FloatingPointError(
                            f"the rewards of an episode add up to {returns[i]}; rewards are finite, and not too large"
                        )
                    success = infos[i].get("is_success")
                    body = infos[i].get("body")
                    finished.append((played[i], i, returns[i], lengths[i], success, levels[i], body))
                    waited = 0
                played[i] += 1
                levels[i] = infos[i].get("level_seed")  # of the episode that begins
                returns[i], lengths[i] = 0.0, 0
    # rounds first, then environments: the order does not depend on which episode ended first
    finished.sort(key=lambda episode: episode[:2])
    successes, seeds, bodies = ([episode[part] for episode in finished] for part in (4, 5, 6))
    return Episodes(
        np.array([episode[2] for episode in finished]),
        np.array([episode[3] for episode in finished]),
        None if any(success is None for success in successes) else np.array(successes, float),
        _batch(states),
        None if any(seed is None for seed in seeds) else np.array(seeds, np.int64),
        np.array(bodies) if None not in bodies and len({*bodies}) > 1 else None,
        np.stack(acted),
    )


def _row(observation: Any, i: int) -> Any:
    """A copy of the i-th observation of a batch."""
    return (
        {key: np.copy(part[i]) for key, part in observation.items()}
        if isinstance(observation, dict)
        else np.copy(observation[i])
    )


def _batch(rows: list[Any]) -> Any:
    if isinstance(rows[0], dict):
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return np.stack(rows)
