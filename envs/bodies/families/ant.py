"""Ants: four legs around a torso, some of them without motors (after Gymnasium's Ant-v5).

`Ant-4` is whole. `Ant-3` has lost the motors of its right hind leg, `Ant-2` those of both hind legs; their joints are
still there. A leg has a `hip`, which swings it about the vertical, and an `ankle`, which lowers its foot.

Reward in a step: (x' - x)/Δt of the torso - 0.5 · ‖a‖², and 1 where the episode goes on. Ant-v5's cost of contacts is
left out. End: the height of the torso leaves [0.2, 1]. Begin: noise of ±0.1.
The simulation: Runge-Kutta, Δt = 5 · 0.01 s. The model is that of Ant-v5, but there the ankles of two legs have the
opposite sign; here a positive angle lowers every foot.
"""

from __future__ import annotations

import re

import numpy as np

from envs.bodies.families.scene import model
from envs.bodies.task import State, Task

LEGS = {"left_1": (1, 1), "right_1": (1, -1), "left_2": (-1, 1), "right_2": (-1, -1)}  # where they point, along x and y
FEWEST = 2
NAMES = tuple(f"Ant-{n}" for n in range(FEWEST, len(LEGS) + 1))
NAMED = re.compile(r"Ant-(\d+)")
LOWEST, HIGHEST = 0.2, 1.0  # metres


def task(name: str) -> Task | None:
    """The ant of that name; None for other names.

    Raises:
        ValueError: more legs than 4, or fewer than 2.
    """
    found = NAMED.fullmatch(name)
    if found is None:
        return None
    legs = int(found[1])
    if not FEWEST <= legs <= len(LEGS):
        raise ValueError(f"an ant has motors in {FEWEST} to {len(LEGS)} legs; got {name}")
    return Task(
        name=name,
        xml=xml(legs),
        reward=lambda before, after, actions, seconds: (
            (after.qpos[:, 0] - before.qpos[:, 0]) / seconds - 0.5 * np.square(actions).sum(1) + stands(after)
        ),
        ends=lambda state: ~stands(state),
    )


def xml(legs: int) -> str:
    """The model: the front is +x, the left +y.

    Args:
        legs: how many have motors, the first ones of `LEGS`.
    """
    parts = "\n".join(leg(name, x, y) for name, (x, y) in LEGS.items())
    return model(
        name="ant",
        option='integrator="RK4" timestep="0.01"',
        joint='armature="1" damping="1" limited="true"',
        geom='density="5" friction="1 0.5 0.5" margin="0.01" conaffinity="0" rgba="0.8 0.6 0.4 1"',
        body=f"""<body name="torso" pos="0 0 0.75">
<joint name="root" type="free" armature="0" damping="0" limited="false"/>
<geom type="sphere" size="0.25"/>
{parts}
</body>""",
        gears={f"{joint}_{name}": 150 for name in [*LEGS][:legs] for joint in ("hip", "ankle")},
    )


def leg(name: str, x: int, y: int) -> str:
    """One leg that points along (x, y): a stump, which is part of the torso, and two limbs."""
    limb = f'<geom type="capsule" size="0.08" fromto="0 0 0 {0.2 * x} {0.2 * y} 0"/>'
    return f"""{limb}
<body pos="{0.2 * x} {0.2 * y} 0">
  <joint name="hip_{name}" axis="0 0 1" range="-30 30"/>
  {limb}
  <body pos="{0.2 * x} {0.2 * y} 0">
    <joint name="ankle_{name}" axis="{-y} {x} 0" range="30 70"/>
    <geom type="capsule" size="0.08" fromto="0 0 0 {0.4 * x} {0.4 * y} 0"/>
  </body>
</body>"""


def stands(state: State) -> np.ndarray:
    """Whether the torso is neither too low nor too high."""
    height = state.qpos[:, 2]
    return (height >= LOWEST) & (height <= HIGHEST)
