"""Hoppers: a torso on one leg (Huang et al. 2020, Hopper++).

`Hopper-n` has n rigid parts: a torso and, from top to bottom, the limbs at `hip`, `knee_1`, `knee_2` and `ankle`.
Hopper-5 has all, Hopper-4 has lost the lower knee and is the hopper of Gymnasium, Hopper-3 has lost both. The foot
takes the place of what is lost. Hopper-5 begins at 1.75 m, the others at 1.25 m.

Reward, begin and simulation: as `planar` says; Runge-Kutta, Δt = 4 · 0.002 s, noise of ±0.005.
End: the torso is at or below 0.45, 0.6 or 0.95 m (of 3, 4 or 5 parts), or turned by 1 radian. The paper's bound of 100
on all angles and velocities is left out.
"""

from __future__ import annotations

from dataclasses import replace

from envs.bodies.families.planar import Limb, Plan, capsule, falls
from envs.bodies.task import Task

FOOT = Limb("knee_2", "0 0 -0.5", "-45 45", 200, (capsule("-0.13 0", "0.26 0", 0.06, 'friction="2"'),))
LIMBS = {
    "hip": Limb("", "0 0 -0.2", "-150 0", 200, (capsule("0 0", "0 -0.45", 0.05),)),
    "knee_1": Limb("hip", "0 0 -0.45", "-150 0", 200, (capsule("0 0", "0 -0.5", 0.04),)),
    "knee_2": Limb("knee_1", "0 0 -0.5", "-150 0", 200, (capsule("0 0", "0 -0.5", 0.04),)),
    "ankle": FOOT,
}
WHOLE = Plan(
    name="hopper",
    height=1.75,
    torso=(capsule("0 0.2", "0 -0.2", 0.05),),
    limbs=LIMBS,
    option='integrator="RK4" timestep="0.002"',
    joint='axis="0 -1 0" armature="1" damping="1" limited="true"',
    geom=('density="1000" condim="1" margin="0.001" solimp="0.8 0.8 0.01" solref="0.02 1" rgba="0.8 0.6 0.4 1"'),
)
LOST = {"Hopper-3": ("knee_1", "knee_2"), "Hopper-4": ("knee_2",), "Hopper-5": ()}
LOWEST = {"Hopper-3": 0.45, "Hopper-4": 0.6, "Hopper-5": 0.95}  # metres
NAMES = tuple(LOST)


def task(name: str) -> Task | None:
    """The hopper of that name; None for other names."""
    if name not in LOST:
        return None
    kept = [joint for joint in LIMBS if joint not in LOST[name]]
    last = kept[-2]  # what the foot hangs on
    foot = replace(FOOT, on=last, at="0 0 -0.45" if last == "hip" else FOOT.at)
    height = WHOLE.height if last == "knee_2" else WHOLE.height - 0.5
    plan = replace(WHOLE, height=height, limbs={**LIMBS, "ankle": foot})
    return plan.task(name, kept, falls(LOWEST[name]))
