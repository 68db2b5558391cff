"""The numbers that a node shows, read off MuJoCo's positions and velocities after a step.

    root     its height; the x axis and the z axis of its frame, in the world's; its velocities, linear in the world's
             frame and angular in its own, in units of 10
    joints   the angle, from -1 to 1 over its range (of a joint without limits in units of π, of a slide in metres), and
             the velocity in units of 10; and two constants in the frame of the root, where the model stands at its
             reference position: the way from the parent's anchor to its own in metres, and its axis

A node has 21 numbers, of which those of the other kind are 0. All lie within ±5. Nothing shows where the body is. The
constants tell a left limb from a right one, whose type and weights are the same, and do not grow with the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from envs.bodies.graph import BALL, FREE, HINGE, SLIDE, Body

FEATURES = 21
OF_ROOT = 13
PLACE, AXIS = slice(15, 18), slice(18, 21)  # the constants of a joint
# the signs of the root's numbers under y ↦ -y: height, two axes, linear velocity, and angular velocity, an axial vector
ROOT_REFLECTED = (1, *[1, -1, 1] * 3, -1, 1, -1)
VELOCITY = 0.1
MOST = 5.0


class Features:
    """Reads the features of one body off arrays over a batch.

    Raises:
        ValueError: the root is moved by a ball joint or several hinges.
    """

    def __init__(self, body: Body, name: str):
        model = body.model
        self.root = body.root
        joints = body.joints
        self.angles, self.rates = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        low, high = model.jnt_range[joints].T
        limited = model.jnt_limited[joints].astype(bool) & (high > low)
        hinge = model.jnt_type[joints] == HINGE
        self.middle = np.where(limited, (low + high) / 2, 0.0)
        self.half = np.where(limited, (high - low) / 2, np.where(hinge, np.pi, 1.0))
        self.places, self.axes = _built(body)
        self.linear, self.angular = _motion(model, self.root, set(joints.tolist()), name)

    def __call__(self, qpos: np.ndarray, qvel: np.ndarray, data: Mapping[str, np.ndarray]) -> np.ndarray:
        """(batch, nodes, FEATURES), where `data` has xpos (batch, bodies, 3) and xmat (batch, bodies, 9)."""
        seen = np.zeros((len(qpos), 1 + len(self.angles), FEATURES), np.float32)
        axes = data["xmat"][:, self.root].reshape(-1, 3, 3)
        seen[:, 0, 0] = data["xpos"][:, self.root, 2]
        seen[:, 0, 1:4], seen[:, 0, 4:7] = axes[..., 0], axes[..., 2]
        seen[:, 0, 7:10], seen[:, 0, 10:13] = VELOCITY * qvel @ self.linear, VELOCITY * qvel @ self.angular
        seen[:, 1:, OF_ROOT] = (qpos[:, self.angles] - self.middle) / self.half
        seen[:, 1:, OF_ROOT + 1] = VELOCITY * qvel[:, self.rates]
        seen[:, 1:, PLACE], seen[:, 1:, AXIS] = self.places, self.axes
        return np.clip(seen, -MOST, MOST, out=seen)


def _built(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Of each joint (joints, 3): the way from its parent's anchor to its own, and its axis."""
    data = mujoco.MjData(body.model)
    mujoco.mj_kinematics(body.model, data)
    anchors = np.concatenate([data.xpos[[body.root]], data.xanchor[body.joints]])
    frame = data.xmat[body.root].reshape(3, 3)
    return (anchors[1:] - anchors[body.parents]) @ frame, data.xaxis[body.joints] @ frame


def _motion(model: Any, root: int, nodes: set[int], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices (nv, 3): the root's linear and angular velocity are the products of qvel with them.

    Raises:
        ValueError: as `Features`.
    """
    linear, angular = np.zeros((2, model.nv, 3))
    first, hinges = int(model.body_jntadr[root]), 0
    for joint in range(first, first + int(model.body_jntnum[root])):
        kind, at = model.jnt_type[joint], int(model.jnt_dofadr[joint])
        if joint in nodes:
            continue
        if kind == FREE:
            linear[at : at + 3], angular[at + 3 : at + 6] = np.eye(3), np.eye(3)
        elif kind == SLIDE:
            linear[at] = model.jnt_axis[joint]
        elif kind == HINGE:
            angular[at] = model.jnt_axis[joint]
            hinges += 1
        if kind == BALL or hinges > 1:
            raise ValueError(
                f"the root of {name} turns by a ball joint or several hinges; a free joint is what it needs"
            )
    return linear, angular
