"""Snakes: capsules in a row that swim in the plane, in a thick fluid (Wang et al. 2018, section 4.2).

`Snake-n` has n joints of the type `bend`, all with motors, hence n + 1 capsules of one metre each. The root is the
head, the foremost capsule; its frame is at its tip. Snake-2 is the swimmer of Gymnasium.

Reward in a step: (x' - x)/Δt of the tip of the head - 3e-4/(n + 1) · ‖a‖². An episode has no end but its time limit.
Begin: straight, with noise of ±0.1. The simulation: density 4000, viscosity 0.1, Runge-Kutta, Δt = 4 · 0.01 s.

The paper counts otherwise: its Snake-n has n capsules, hence one joint fewer, and is Snake-(n - 1) here. Its root turns
at another point, and its velocities begin with uniform noise, here Gaussian.
"""

from __future__ import annotations

import re

import numpy as np

from envs.bodies.families.scene import model
from envs.bodies.task import Task

NAMES = tuple(f"Snake-{n}" for n in range(3, 9))
NAMED = re.compile(r"Snake-(\d+)")
CAPSULE = '<geom type="capsule" size="0.1" fromto="0 0 0 -1 0 0"/>'
ROOT = """<joint name="root_x" type="slide" axis="1 0 0"/>
<joint name="root_y" type="slide" axis="0 1 0"/>
<joint name="root_turn" type="hinge" axis="0 0 1"/>"""


def task(name: str) -> Task | None:
    """The snake of that name; None for other names.

    Raises:
        ValueError: no joints.
    """
    found = NAMED.fullmatch(name)
    if found is None:
        return None
    joints = int(found[1])
    if not joints:
        raise ValueError(f"a snake has 1 joint or more; got {name}")
    return Task(
        name=name,
        xml=xml(joints),
        reward=lambda before, after, actions, seconds: (
            (after.qpos[:, 0] - before.qpos[:, 0]) / seconds - 3e-4 / (joints + 1) * np.square(actions).sum(1)
        ),
        ends=lambda state: np.zeros(len(state.qpos), bool),
        frame_skip=4,
    )


def xml(joints: int) -> str:
    """The model: `bend_1` is behind the head, and the head lies to the front (+x)."""
    body = ""
    for number in range(joints, -1, -1):
        moved = f'<joint name="bend_{number}" axis="0 0 1" limited="true" range="-100 100"/>' if number else ROOT
        place = "-1 0 0" if number else "0 0 0"
        body = f'<body name="capsule_{number}" pos="{place}">\n{moved}\n{CAPSULE}\n{body}</body>\n'
    return model(
        name="snake",
        option='integrator="RK4" timestep="0.01" density="4000" viscosity="0.1"',
        joint='armature="0.1"',
        geom='density="1000" contype="0" conaffinity="0" rgba="0.8 0.6 0.4 1"',
        body=body,
        gears={f"bend_{number}": 150 for number in range(1, joints + 1)},
        floor=-0.1,
    )
