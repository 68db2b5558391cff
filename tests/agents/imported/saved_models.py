"""Models of Stable-Baselines3, saved by it; and what versions before 1.8 and files from elsewhere look like."""

from __future__ import annotations

import io
import json
import os
import resource
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents import import_sb3

CANARY = "canary"


class Canary:
    """Unpickling it makes a folder."""

    def __reduce__(self):
        return os.mkdir, (CANARY,)


class Pictures(gymnasium.Env):
    """Images at random, with channels last."""

    observation_space = spaces.Box(0, 255, (40, 36, 3), np.uint8)

    def __init__(self, actions: spaces.Space):
        self.action_space = actions

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, (40, 36, 3), np.uint8), {}

    def step(self, action):
        return self.np_random.integers(0, 256, (40, 36, 3), np.uint8), 0.0, False, True, {}


class Acts(gymnasium.Env):
    """Takes any actions, shows any observations."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, True, {}


def saved(folder: Path, algorithm: Any, env: gymnasium.Env, policy: str = "MlpPolicy", **options: Any) -> Path:
    """The zip of an untrained model whose parameters are moved at random, so that actions differ."""
    if issubclass(algorithm, OffPolicyAlgorithm):
        options["buffer_size"] = 10
    model = algorithm(policy, env, seed=0, device="cpu", **options)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    file = folder / "model.zip"
    model.save(file)
    return file


def observations(env: gymnasium.Env, count: int = 16) -> np.ndarray:
    env.observation_space.seed(0)
    return np.stack([env.observation_space.sample() for _ in range(count)])


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed(file: Path, **parts: Callable[[bytes], bytes]) -> Path:
    """The zip with `data` or `policy` (its policy.pth) changed by functions of their bytes."""
    names = {"data": "data", "policy": "policy.pth"}
    return written(file, {**(before := members(file)), **{names[k]: f(before[names[k]]) for k, f in parts.items()}})


def written(file: Path, content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return file


def saying(**fields: Any) -> Callable[[bytes], bytes]:
    """Changes fields of `data`; a mapping is merged into the one that is there."""

    def change(content: bytes) -> bytes:
        data = json.loads(content)
        for key, value in fields.items():
            data[key] = {**data[key], **value} if isinstance(value, dict) else value
        return json.dumps(data).encode()

    return change


def weighing(change: Callable[[dict[str, torch.Tensor]], Any], **options: Any) -> Callable[[bytes], bytes]:
    """Changes the tensors of `policy.pth`; `options` are those of torch.save."""

    def write(content: bytes) -> bytes:
        tensors = torch.load(io.BytesIO(content), weights_only=True)
        replaced = change(tensors)
        buffer = io.BytesIO()
        torch.save(tensors if replaced is None else replaced, buffer, **options)
        return buffer.getvalue()

    return write


def of_gym(content: bytes) -> bytes:
    """`data` as versions before 2.0 wrote it: spaces of Gym, with a shape instead of a _shape."""
    return content.replace(b"'gymnasium.spaces", b"'gym.spaces").replace(b'"_shape"', b'"shape"')


def refused(*files: Path, **options) -> str:
    """The message with which files are refused, in bounded time and memory."""
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        import_sb3(*files, device="cpu", **options)
    assert time.process_time() - begin < 2
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200_000_000
    message = str(error.value)
    assert "\n" not in message and len(message) < 500
    assert any(str(file) in message for file in files)
    return message
