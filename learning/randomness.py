"""The states of all global random generators, and of those of action spaces, as plain data."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm


def saved(model: BaseAlgorithm) -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's random numbers, and of the action spaces of a model."""
    version, numbers, gauss = random.getstate()
    return {
        "python": [version, np.array(numbers, np.uint64), gauss],
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state().numpy(),
        "cuda": torch.cuda.get_rng_state().numpy() if model.device.type == "cuda" else None,
        "actions": [generator.bit_generator.state for generator in _generators(model)],
    }


def restore(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put all of them into a state of `saved`."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    np.random.set_state(state["numpy"])
    torch.set_rng_state(torch.from_numpy(state["torch"]))
    if state["cuda"] is not None and model.device.type == "cuda":
        torch.cuda.set_rng_state(torch.from_numpy(state["cuda"]))
    for generator, given in zip(_generators(model), state["actions"], strict=True):
        generator.bit_generator.state = given


def renew(model: BaseAlgorithm, *words: int) -> None:
    """Seed all of them anew, as a function of whole numbers."""
    generators = [*_generators(model)]
    python, numpy, pytorch, *actions = np.random.SeedSequence(words).generate_state(3 + len(generators)).tolist()
    random.seed(python)
    np.random.seed(numpy)
    torch.manual_seed(pytorch)
    for generator, seed in zip(generators, actions, strict=True):
        generator.bit_generator.state = type(generator.bit_generator)(seed).state


def _generators(model: BaseAlgorithm) -> Iterator[np.random.Generator]:
    assert model.env is not None
    found: dict[int, spaces.Space] = {id(space): space for space in (model.action_space, model.env.action_space)}
    return (space.np_random for space in found.values())
