"""Walkers: a torso on two legs (Huang et al. 2020, Walker++).

`Walker-n` has n rigid parts: a torso and n - 1 limbs, of hip_left, hip_right, knee_left, knee_right, ankle_left and
ankle_right the first ones: Walker-7 is whole, Walker-6 has lost its right foot, Walker-2 has one thigh.

Reward, begin and simulation: as `planar` says; Runge-Kutta, Δt = 4 · 0.002 s, noise of ±0.005.
End: the height of the torso leaves (0.8, 2), 0.136 m lower for Walker-4 and 0.26 m lower for Walker-2 and Walker-3, or
the torso is turned by 1 radian. The paper's "flipped" variants have the same models and are left out.
"""

from __future__ import annotations

from envs.bodies.families.planar import Limb, Plan, capsule, falls
from envs.bodies.task import Task

SIDES = ("left", "right")
ROUGH = 'friction="0.9"'  # all but the feet
LIMBS = {
    **{
        f"hip_{side}": Limb("", "0 0 -0.25", "-75 75", 100, (capsule("0 0", "0 -0.48", 0.056, ROUGH),))
        for side in SIDES
    },
    **{
        f"knee_{side}": Limb(f"hip_{side}", "0 0 -0.48", "-75 75", 100, (capsule("0 0", "0 -0.384", 0.0448, ROUGH),))
        for side in SIDES
    },
    **{
        f"ankle_{side}": Limb(f"knee_{side}", "0 0 -0.384", "-75 75", 100, (capsule("0 0", "0.2 0", 0.06),))
        for side in SIDES
    },
}
WHOLE = Plan(
    name="walker",
    height=1.25,
    torso=(capsule("0 0.35", "0 -0.25", 0.07, ROUGH),),
    limbs=LIMBS,
    option='integrator="RK4" timestep="0.002"',
    joint='axis="0 -1 0" armature="0.01" damping="0.1" limited="true"',
    geom='density="1000" friction="0.7 0.1 0.1" conaffinity="0" rgba="0.8 0.6 0.4 1"',
)
LOWER = {2: 0.26, 3: 0.26, 4: 0.136, 5: 0.0, 6: 0.0, 7: 0.0}  # metres, for each number of parts
NAMES = tuple(f"Walker-{parts}" for parts in LOWER)


def task(name: str) -> Task | None:
    """The walker of that name; None for other names."""
    if name not in NAMES:
        return None
    parts = int(name.rpartition("-")[2])
    return WHOLE.task(name, [*LIMBS][: parts - 1], falls(0.8 - LOWER[parts], 2 - LOWER[parts]))
