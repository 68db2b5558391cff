"""One body in MuJoCo: begin an episode, take a step, and what is read off afterwards.

A step ends with the kinematics of the state it has led to, so nothing that is shown or rewarded is a step of the
simulation behind it, as it would be with what `mj_step` leaves in MjData.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import mujoco
import numpy as np

from envs.bodies import families
from envs.bodies.features import Features
from envs.bodies.graph import Body, body_of, compiled
from envs.bodies.reflection import Reflection, reflection_of
from envs.bodies.task import State, Task
from envs.names import unknown

ATTEMPTS = 1000  # at a beginning from which an episode may go on


class Kind:
    """What all simulations of a body share: its model, graph and features.

    Attributes:
        seconds: of one step of the environment.
        low, high: of the controls, (motors,); actions from -1 to 1 are stretched to them.
    """

    def __init__(self, task: Task):
        self.task: Task = task
        self.model: Any = compiled(task.xml, task.name)
        self.body: Body = body_of(self.model, task.name)
        self.features = Features(self.body, task.name)
        self.seconds = float(self.model.opt.timestep * task.frame_skip)
        limited = self.model.actuator_ctrllimited.astype(bool)
        low, high = self.model.actuator_ctrlrange.T
        self.low, self.high = np.where(limited, low, -1.0), np.where(limited, high, 1.0)
        acting = np.flatnonzero(self.body.motors >= 0)
        self.node_of_motor = acting[np.argsort(self.body.motors[acting])]

    def __deepcopy__(self, memo: dict[int, Any]) -> Kind:
        """Itself: nothing of it changes."""
        return self

    @cached_property
    def reflection(self) -> Reflection | None:
        """The body's reflection; None if it has none."""
        return reflection_of(self.body)

    def simulation(self) -> Any:
        """A new MjData."""
        return mujoco.MjData(self.model)

    def begin(self, data: Any, random: np.random.Generator) -> None:
        """Begin an episode.

        Raises:
            RuntimeError: no beginning was found from which an episode may go on.
        """
        task, model = self.task, self.model
        for _ in range(ATTEMPTS):
            mujoco.mj_resetData(model, data)
            data.qpos[:] += random.uniform(-1, 1, model.nq) * task.position_noise
            data.qvel[:] = random.standard_normal(model.nv) * task.velocity_noise
            mujoco.mj_normalizeQuat(model, data.qpos)
            mujoco.mj_kinematics(model, data)
            if task.begins is None or task.begins(State(data.qpos[None], data.qvel[None], data.xpos[None]))[0]:
                return
        raise RuntimeError(f"{task.name} finds no beginning in {ATTEMPTS} attempts")

    def controls(self, actions: np.ndarray) -> np.ndarray:
        """(batch, nodes) -> (batch, motors): the entries of nodes that act, stretched to the range of their motors."""
        chosen = np.clip(actions[:, self.node_of_motor].astype(np.float64), -1, 1)
        return self.low + (chosen + 1) / 2 * (self.high - self.low)

    def advance(self, data: Any, controls: np.ndarray) -> None:
        """Take one step of the environment; MuJoCo lets other threads run meanwhile."""
        data.ctrl[:] = controls
        mujoco.mj_step(self.model, data, self.task.frame_skip)
        self.place(data)

    def place(self, data: Any) -> None:
        """Bring the places of all parts up to date with the positions."""
        mujoco.mj_kinematics(self.model, data)


@cache
def kind_named(name: str) -> Kind:
    """The kind of a generated body.

    Raises:
        ValueError: there is none of that name; the message lists those that are registered.
    """
    task = families.task(name)
    if task is None:
        raise ValueError(unknown("body", name, families.NAMES))
    return Kind(task)
