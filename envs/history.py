"""A window of the last K observations, and a mask of those that belong to the episode."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class History(gymnasium.Wrapper):
    """Every key gets a leading axis K, oldest first; `valid` (K,) is 1 for observations of this episode, else 0.

    Observations from before the episode are zeros. A plain Box becomes the key "observation".

    Raises:
        ValueError: K < 1, or an observation that is neither a Box nor a Dict of them.
    """

    def __init__(self, env: gymnasium.Env, length: int):
        super().__init__(env)
        if length < 1:
            raise ValueError(f"env.history is the number of observations in a window, at least 1, got {length}")
        self.length = length
        self.is_dict = isinstance(env.observation_space, spaces.Dict)
        parts = dict(env.observation_space.items()) if self.is_dict else {"observation": env.observation_space}  # type: ignore[attr-defined]
        windows: dict[str, spaces.Space] = {}
        for key, box in parts.items():
            if not isinstance(box, spaces.Box):
                raise ValueError(f"env.history needs Box observations, got {box} for {key!r}")
            low, high = (np.repeat(bound[None], length, axis=0) for bound in (box.low, box.high))
            # the padding is zero, which must lie within the bounds
            windows[key] = spaces.Box(np.minimum(low, 0), np.maximum(high, 0), dtype=box.dtype.type)
        windows["valid"] = spaces.Box(0, 1, (length,), np.uint8)
        self.observation_space = spaces.Dict(windows)
        self.frames: deque[dict[str, np.ndarray]] = deque(maxlen=length)

    def reset(self, **kwargs: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        observation, info = self.env.reset(**kwargs)
        self.frames.clear()
        return self._window(observation), info

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._window(observation), reward, terminated, truncated, info

    def _window(self, observation: Any) -> dict[str, np.ndarray]:
        self.frames.append(observation if self.is_dict else {"observation": observation})
        missing = self.length - len(self.frames)
        window = {}
        for key, frame in self.frames[-1].items():
            past = [np.asarray(f[key]) for f in self.frames]
            window[key] = np.stack([np.zeros_like(np.asarray(frame))] * missing + past)
        window["valid"] = np.array([0] * missing + [1] * len(self.frames), np.uint8)
        return window
