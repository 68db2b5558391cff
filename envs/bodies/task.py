"""What a body has to do: its reward and its end, as functions of arrays over a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """Where the bodies of a batch are.

    Attributes:
        qpos, qvel: (batch, nq), (batch, nv), MuJoCo's generalized positions and velocities.
        xpos: (batch, bodies, 3), the positions of its rigid bodies, that of the world first.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    xpos: np.ndarray


@dataclass(frozen=True)
class Task:
    """A body and what it has to do.

    Attributes:
        name: of the body.
        xml: its MuJoCo model.
        reward: (before, after, actions (batch, motors), seconds of a step) -> (batch,).
        ends: (state) -> (batch,), where an episode ends for another reason than its time limit.
        frame_skip: steps of the simulation in one step of the environment.
        position_noise: an episode begins at the model's position with uniform noise in ± this,
        velocity_noise: and at rest with Gaussian noise of this standard deviation.
        begins: (state) -> (batch,), whether an episode may begin there; None: anywhere.
        steps: of an episode, at most.
    """

    name: str
    xml: str
    reward: Callable[[State, State, np.ndarray, float], np.ndarray]
    ends: Callable[[State], np.ndarray]
    frame_skip: int = 5
    position_noise: float | np.ndarray = 0.1
    velocity_noise: float = 0.1
    begins: Callable[[State], np.ndarray] | None = None
    steps: int = 1000
