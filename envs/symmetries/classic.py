"""Classic control: left and right can be exchanged."""

from __future__ import annotations

from typing import Any

import numpy as np

from symmetry import Representation, Symmetry, cyclic

MIRROR = cyclic(2)


def flip(*signs: int) -> Representation:
    """The mirror acting on a vector with one sign for each number."""
    return Representation(MIRROR, [(range(len(signs)), signs)])


def permute(*images: int) -> Representation:
    """The mirror moving number (or discrete action) j to images[j]."""
    return Representation(MIRROR, [(images, [1] * len(images))])


def negate_state(env: Any, g: int) -> None:
    """The twin with the opposite sign of every number of the state (angles and velocities)."""
    if g:
        env.unwrapped.state = -np.asarray(env.unwrapped.state)


# Acrobot subtracts π/2 from angles, which rounds θ and -θ differently: within 2e-15 in 200,000 steps of random play.
ROUNDED = {"Acrobot-v1": 1e-8}

CLASSIC = {
    # left <-> right: position, velocity, angle, angular velocity; push left <-> push right
    "CartPole-v1": Symmetry(MIRROR, {"observation": flip(-1, -1, -1, -1)}, permute(1, 0)),
    # cos and sin of both joint angles, their velocities; torque -1 <-> +1
    "Acrobot-v1": Symmetry(MIRROR, {"observation": flip(1, -1, 1, -1, -1, -1)}, permute(2, 1, 0), negate_state),
    # cos and sin of the angle, its velocity; the torque changes sign
    "Pendulum-v1": Symmetry(MIRROR, {"observation": flip(1, -1, -1)}, flip(-1), negate_state),
}
