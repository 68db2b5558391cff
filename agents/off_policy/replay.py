"""Minibatches from SB3's replay buffers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor


class Batch(NamedTuple):
    """Transitions (s, a, s', d, r) and their discounts, as SB3's replay buffers sample them."""

    observations: Any
    actions: Float[Tensor, "batch actions"]
    next_observations: Any
    dones: Float[Tensor, "batch 1"]
    rewards: Float[Tensor, "batch 1"]
    discounts: Float[Tensor, "batch 1"] | float


def sample(buffer: ReplayBuffer, size: int, gamma: float, normalizer: Any = None) -> Batch:
    """The minibatch that `buffer.sample(size, normalizer)` would draw.

    From the plain buffer, entries are taken by one index in place of two, which is what sampling costs.
    """
    if type(buffer) is not ReplayBuffer or buffer.optimize_memory_usage or normalizer is not None:
        samples: Any = buffer.sample(size, env=normalizer)
        discounts = gamma if samples.discounts is None else samples.discounts
        return Batch(**{**samples._asdict(), "discounts": discounts})
    steps = np.random.randint(0, buffer.buffer_size if buffer.full else buffer.pos, size=size)
    places = steps * buffer.n_envs + np.random.randint(0, high=buffer.n_envs, size=(size,))

    def taken(stored: np.ndarray) -> Tensor:
        values = stored.reshape(-1, *stored.shape[2:]).take(places, axis=0)
        return torch.from_numpy(values).to(buffer.device)

    ends = taken(buffer.dones) * (1 - taken(buffer.timeouts))  # time limits are no ends
    seen, acted, after = map(taken, (buffer.observations, buffer.actions, buffer.next_observations))
    return Batch(seen, acted, after, ends[:, None], taken(buffer.rewards)[:, None], gamma)
