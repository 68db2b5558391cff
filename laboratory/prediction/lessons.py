"""Lessons: states of an environment, and the probabilities with which an expert acts there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agents import load_policy
from envs import make_vec_env

EXPERT = "pretrained/DoorKey-6x6-gnn"
ID, VIEW, LEVELS = "DoorKey-6x6", "full", 300  # of training; tests are on all others
ENVS = 64
NOISE = 0.2  # share of random actions, so that the expert is also asked where it would not go


@dataclass(frozen=True)
class Lessons:
    """Attributes:
    observations: (states, ...) of each key, every state once.
    probabilities: (states, actions) of the expert.
    """

    observations: dict[str, Tensor]
    probabilities: Tensor

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, chosen: Tensor) -> Lessons:
        return Lessons({key: part[chosen] for key, part in self.observations.items()}, self.probabilities[chosen])


@dataclass(frozen=True)
class Course:
    """Attributes:
    training: states of levels of training.
    space, actions: of the environment.
    """

    training: Lessons
    space: spaces.Space
    actions: int


def course(seed: int, steps: int) -> Course:
    """Collect lessons in `steps` steps of 64 environments on levels of training."""
    expert, env = load_policy(EXPERT, device="cpu"), environment("training")
    env.seed(seed)
    lessons = _asked(expert, _met(expert, env, seed, steps))
    return Course(lessons, env.observation_space, int(env.action_space.n))


def environment(part: str, count: int = ENVS) -> Any:
    """`count` environments on levels of "training" or "test"."""
    return make_vec_env(ID, n_envs=count, engine="batched", view=VIEW, levels=LEVELS, part=part)


def floats(observation: Any) -> dict[str, Tensor]:
    """As encoders read it."""
    return {key: torch.as_tensor(part).float() for key, part in observation.items()}


def _met(expert: Any, env: Any, seed: int, steps: int) -> dict[bytes, dict[str, np.ndarray]]:
    """The states that the expert, disturbed, meets: each once, in the order in which they were met."""
    generator = np.random.default_rng(seed)
    states: dict[bytes, dict[str, np.ndarray]] = {}
    observation = env.reset()
    for _ in range(steps):
        for i in range(ENVS):
            state = {key: part[i].copy() for key, part in observation.items()}
            states.setdefault(b"".join(state[key].tobytes() for key in sorted(state)), state)
        actions, _ = expert.predict(observation, deterministic=True)
        random = generator.integers(env.action_space.n, size=ENVS)
        observation, *_ = env.step(np.where(generator.random(ENVS) < NOISE, random, actions))
    return states


@torch.no_grad()
def _asked(expert: Any, states: dict[bytes, dict[str, np.ndarray]]) -> Lessons:
    batch = {key: np.stack([state[key] for state in states.values()]) for key in next(iter(states.values()))}
    probabilities = expert.module.get_distribution(expert.module.obs_to_tensor(batch)[0]).distribution.probs
    return Lessons(floats(batch), probabilities)
