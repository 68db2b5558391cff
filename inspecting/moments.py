"""Moments of an episode: what the policy is given in each, and what that looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from minigrid.minigrid_env import MiniGridEnv

from envs.minigrid import picture
from playing.film import TILE, NoFilm, picture_of
from playing.show import episode

if TYPE_CHECKING:
    from agents import Policy

MOST = 12  # moments
ACTIONS = {  # of environments whose actions have no names of their own
    "CartPole": ("push left", "push right"),
    "Acrobot": ("torque -1", "no torque", "torque +1"),
    "MountainCar": ("push left", "no push", "push right"),
}
NUMBERS = {  # what the numbers of a vector are
    "CartPole": ("cart position", "cart velocity", "pole angle", "pole angular velocity"),
    "Acrobot": ("cos of angle 1", "sin of angle 1", "cos of angle 2", "sin of angle 2", "velocity 1", "velocity 2"),
    "MountainCar": ("position", "velocity"),
    "Pendulum": ("cos of angle", "sin of angle", "angular velocity"),
}

Pixels = np.ndarray  # uint8 (height, width, 3)


@dataclass(frozen=True)
class Episode:
    """Some moments of an episode.

    Attributes:
        states: (raw) observations of the moments, stacked.
        steps: of the moments, of `length` in all.
        total: the return of the episode.
        levels: what the environment draws at each moment; empty if it draws nothing.
        seen: what the cells or pixels of each observation look like; empty for observations that are no picture.
        actions: names of the actions, if it has names.
        numbers: names of the numbers of a vector, if it has names.
    """

    states: Any
    steps: Sequence[int]
    length: int
    total: float
    levels: Sequence[Pixels]
    seen: Sequence[Pixels]
    actions: Sequence[str]
    numbers: Sequence[str]


def played(policy: Policy, options: dict[str, Any], seed: int) -> Episode:
    """Moments of one episode with sampled actions; it is played twice, since only some moments are drawn."""
    length, total = 0, 0.0
    for _, total, _ in episode(policy, options, seed):  # noqa: B007
        length += 1
    steps = np.unique(np.linspace(0, length - 1, min(MOST, length)).round().astype(int)).tolist()
    view = options.get("view", "partial")
    met, levels, seen = [], [], []
    for step, (observation, _, env) in enumerate(episode(policy, options, seed)):
        if step not in steps:
            continue
        core: Any = env.unwrapped
        met.append(observation)
        with suppress(NoFilm):
            if isinstance(core, MiniGridEnv):
                core.tile_size = TILE
            levels.append(picture_of(env))
        if isinstance(core, MiniGridEnv) and view in ("partial", "full"):
            seen.append(picture(env, view))
        elif view == "rgb" and isinstance(observation, Mapping):
            seen.append(newest(observation["image"], 3))
    states = (
        {key: np.stack([each[key] for each in met]) for key in met[0]} if isinstance(met[0], Mapping) else np.stack(met)
    )
    name = core.spec.name if core.spec else ""
    actions = [each.name for each in core.actions] if isinstance(core, MiniGridEnv) else ACTIONS.get(name, ())
    numbers = () if seen else NUMBERS.get(name, ())
    return Episode(states, steps, length - 1, total, levels, seen, actions, numbers)


def newest(image: np.ndarray, axes: int) -> np.ndarray:
    """The last of a window of images, or the image."""
    return image[-1] if image.ndim > axes else image
