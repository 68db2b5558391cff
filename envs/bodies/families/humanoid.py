"""Humanoids in the plane: a torso with two legs and two arms (Huang et al. 2020, Humanoid++).

`Humanoid-2d-n` has n rigid parts: a torso with a head, and n - 1 limbs, of those at the `hip`, `knee`, `shoulder` and
`elbow` of each side. Humanoid-2d-9 is whole. The others have lost limbs:

    Humanoid-2d-8, Humanoid-2d-8-right-knee         the left shin; the right one
    Humanoid-2d-7                                   both lower arms
    Humanoid-2d-7-left-leg, -right-leg, -left-arm, -right-arm      what their names say

Reward, begin and simulation: as `planar` says; Runge-Kutta, Δt = 4 · 0.002 s, noise of ±0.005.
End: the height, which begins at 1.25 m, leaves (0.4, 2.1), or the torso is turned by 1 radian.
In the paper the root turns about a point 1.1 m above the torso; here about the point whose height is measured, in the
torso. There the ranges, springs and inertias of left and right differ a little; here both sides have the right one's.
"""

from __future__ import annotations

from envs.bodies.families.planar import Limb, Plan, capsule, falls
from envs.bodies.task import Task

SIDES = {"right": -1, "left": 1}


def bar(x: float, z: float, half: float, size: float) -> str:
    """A capsule across the way."""
    return f'type="capsule" size="{size}" fromto="{x} {-half} {z} {x} {half} {z}"'


def limbs(side: str, y: int) -> dict[str, Limb]:
    """The limbs of one side, a leg before an arm."""
    thigh = f'type="capsule" size="0.06" fromto="0 0 0 0 {-0.01 * y} -0.34"'
    foot = 'type="sphere" size="0.075" pos="0 0 -0.35"'
    upper = f'type="capsule" size="0.04" fromto="0 0 0 0.16 {0.16 * y} -0.16"'
    lower = f'type="capsule" size="0.031" fromto="0.01 {-0.01 * y} 0.01 0.17 {-0.17 * y} 0.17"'
    hand = f'type="sphere" size="0.04" pos="0.18 {-0.18 * y} 0.18"'
    hip, shoulder = f"hip_{side}", f"shoulder_{side}"
    return {
        hip: Limb(
            *("", f"0 {0.1 * y} -0.315", "-110 20", 150, (thigh,)),
            joint='axis="0 1 0" armature="0.008" damping="5" stiffness="20"',
        ),
        f"knee_{side}": Limb(
            *(hip, f"0 {-0.01 * y} -0.403", "-160 -2", 100, (capsule("0 0", "0 -0.3", 0.049), foot)),
            joint='pos="0 0 0.02" armature="0.006"',
        ),
        shoulder: Limb(*("", f"0 {0.17 * y} 0.21", "-85 60", 12.5, (upper,)), joint='armature="0.006" stiffness="1"'),
        f"elbow_{side}": Limb(
            *(shoulder, f"0.18 {0.18 * y} -0.18", "-90 50", 12.5, (lower, hand)), joint='armature="0.0028"'
        ),
    }


WHOLE = Plan(
    name="humanoid",
    height=1.25,
    torso=(
        *(bar(0, 0.15, 0.07, 0.07), 'type="sphere" size="0.09" pos="0 0 0.34"'),
        *(bar(-0.01, 0.03, 0.06, 0.06), bar(-0.01, -0.11, 0.06, 0.06), bar(-0.02, -0.275, 0.07, 0.09)),
    ),
    limbs={name: limb for side, y in SIDES.items() for name, limb in limbs(side, y).items()},
    option='integrator="RK4" timestep="0.002"',
    joint='axis="0 -1 0" damping="1" limited="true"',
    geom='density="1000" friction="0.7 0.1 0.1" conaffinity="0" rgba="0.8 0.6 0.4 1"',
)
LOST = {
    "Humanoid-2d-9": (),
    "Humanoid-2d-8": ("knee_left",),
    "Humanoid-2d-8-right-knee": ("knee_right",),
    "Humanoid-2d-7": ("elbow_left", "elbow_right"),
    **{f"Humanoid-2d-7-{side}-leg": (f"hip_{side}", f"knee_{side}") for side in ("left", "right")},
    **{f"Humanoid-2d-7-{side}-arm": (f"shoulder_{side}", f"elbow_{side}") for side in ("left", "right")},
}
NAMES = tuple(LOST)


def task(name: str) -> Task | None:
    """The humanoid of that name; None for other names."""
    if name not in LOST:
        return None
    return WHOLE.task(name, [limb for limb in WHOLE.limbs if limb not in LOST[name]], falls(0.4, 2.1))
