"""Cheetahs: a long torso on a hind leg and a front leg (Huang et al. 2020, Cheetah++).

`Cheetah-n` has n rigid parts: a torso and n - 1 limbs. A leg keeps its first limbs, of those at `hip`, `knee` and
`ankle`; the hind leg is number 1, the front leg number 2. Variants of one size differ in which leg keeps more:

    Cheetah-7                both legs are whole
    Cheetah-6, -4, -2        the hind leg has one limb more than the front leg; in `-front` the front leg has
    Cheetah-5, -3            both have as many; in `-back` and `-front` one leg has two more than the other
    Cheetah-4-allback        one leg is whole, and the other is lost; so in `-allfront`

Reward in a step: (x' - x)/Δt of the torso - 0.1 · ‖a‖². An episode has no end but its time limit.
Begin: as `planar` says, with noise of ±0.1. The simulation: Euler's method, Δt = 4 · 0.01 s.
The limbs are those of Gymnasium's HalfCheetah, rounded to millimetres and degrees; as in the paper, they are not made
lighter until the whole has 14 kg.
"""

from __future__ import annotations

import numpy as np

from envs.bodies.families.planar import Limb, Plan, capsule
from envs.bodies.task import Task

HIND = {
    "hip_1": Limb(
        *("", "-0.5 0 0", "-30 60", 120, (capsule("0.189 -0.245", "0.011 -0.015", 0.046),)),
        joint='damping="6" stiffness="240"',
    ),
    "knee_1": Limb(
        *("hip_1", "0.16 0 -0.25", "-45 45", 90, (capsule("-0.274 -0.136", "-0.006 -0.004", 0.046),)),
        joint='damping="4.5" stiffness="180"',
    ),
    "ankle_1": Limb(
        *("knee_1", "-0.28 0 -0.14", "-23 45", 60, (capsule("0.005 -0.006", "0.055 -0.188", 0.046),)),
        joint='damping="3" stiffness="120"',
    ),
}
FRONT = {
    "hip_2": Limb(
        *("", "0.5 0 0", "-57 40", 120, (capsule("-0.004 -0.005", "-0.136 -0.235", 0.046),)),
        joint='damping="4.5" stiffness="180"',
    ),
    "knee_2": Limb(
        *("hip_2", "-0.14 0 -0.24", "-69 50", 60, (capsule("0.005 -0.003", "0.125 -0.177", 0.046),)),
        joint='damping="3" stiffness="120"',
    ),
    "ankle_2": Limb(
        *("knee_2", "0.13 0 -0.18", "-29 29", 30, (capsule("0.005 -0.012", "0.085 -0.128", 0.046),)),
        joint='damping="1.5" stiffness="60"',
    ),
}
WHOLE = Plan(
    name="cheetah",
    height=0.7,
    torso=(capsule("-0.5 0", "0.5 0", 0.046), capsule("0.485 0.003", "0.715 0.197", 0.046)),
    limbs={**HIND, **FRONT},
    option='timestep="0.01"',
    joint='axis="0 1 0" armature="0.1" limited="true" solimplimit="0 0.8 0.03" solreflimit="0.02 1"',
    geom=(
        'density="1000" friction="0.4 0.1 0.1" solimp="0 0.8 0.01" solref="0.02 1" conaffinity="0" rgba="0.8 0.6 0.4 1"'
    ),
)
KEPT = {  # how many limbs the hind leg and the front leg keep
    **{"Cheetah-2": (1, 0), "Cheetah-2-front": (0, 1)},
    **{"Cheetah-3": (1, 1), "Cheetah-3-back": (2, 0), "Cheetah-3-front": (0, 2)},
    **{"Cheetah-4": (2, 1), "Cheetah-4-front": (1, 2), "Cheetah-4-allback": (3, 0), "Cheetah-4-allfront": (0, 3)},
    **{"Cheetah-5": (2, 2), "Cheetah-5-back": (3, 1), "Cheetah-5-front": (1, 3)},
    **{"Cheetah-6": (3, 2), "Cheetah-6-front": (2, 3)},
    "Cheetah-7": (3, 3),
}
NAMES = tuple(KEPT)


def task(name: str) -> Task | None:
    """The cheetah of that name; None for other names."""
    if name not in KEPT:
        return None
    hind, front = KEPT[name]
    kept = [*[*HIND][:hind], *[*FRONT][:front]]
    return WHOLE.task(name, kept, lambda state: np.zeros(len(state.qpos), bool), alive=0, cost=0.1, noise=0.1)
