"""MuJoCo's robots: mirrors, turns, and legs that can be exchanged. Declaring them does not need the simulator.

A symmetry acts on the simulator's positions q and velocities v. Observations leave out coordinates on which the physics
does not depend, such as x and y of a walker.

Humanoid-v5, HumanoidStandup-v5 and Walker2d-v4 have no mirror: in their models the right and the left leg differ (knee
stiffness 0 and 1, hip_y armature 0.008 and 0.010; foot friction 0.9 and 1.9).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import pi
from typing import Any

import torch
from torch import Tensor

from envs.symmetries.classic import MIRROR, flip, permute
from symmetry import Representation, Symmetry, dihedral

D4 = dihedral(4)  # on the directions 0°, 90°, 180° and 270°: a quarter turn, and y ↦ -y


def rewrite(env: Any, g: int, positions: Representation, velocities: Representation) -> None:
    """The twin with positions(g) q, velocities(g) v, and the constraint solver's starting point transformed like v."""
    simulator = env.unwrapped
    q, v, warm = (torch.tensor(part) for part in _state(simulator))
    _write(simulator, positions(g, q), velocities(g, v), velocities(g, warm))


def turn_reacher(env: Any, g: int, plane: Representation, turning: Representation) -> None:
    """The twin with arm and target turned about the shoulder: q = (shoulder, elbow, target x, target y).

    The shoulder's angle θ becomes ±θ plus the angle to which the direction 0° goes.
    """
    simulator = env.unwrapped
    q, v, warm = (torch.tensor(part) for part in _state(simulator))
    rates = turning * 2 + plane
    q = rates(g, q)
    q[0] += D4.elements[g][0] * pi / 2
    _write(simulator, q, rates(g, v), rates(g, warm))


def _state(simulator: Any) -> tuple[Any, Any, Any]:
    data = simulator.data
    return data.qpos.copy(), data.qvel.copy(), data.qacc_warmstart.copy()


def _write(simulator: Any, q: Tensor, v: Tensor, warm: Tensor) -> None:
    simulator.set_state(q.numpy(), v.numpy())
    simulator.data.qacc_warmstart[:] = warm.numpy()  # its result depends on where it starts


def spread(size: int, *parts: tuple[Representation, Sequence[int]]) -> Representation:
    """The direct sum of representations on a vector of `size` numbers; number i of a part is at indices[i]."""
    group = parts[0][0].group
    generators = []
    for k in range(len(group.generators)):
        images, signs = [0] * size, [0] * size
        for part, indices in parts:
            for i, (image, sign) in enumerate(zip(*part.generators[k], strict=True)):
                images[indices[i]], signs[indices[i]] = indices[image], sign
        generators.append((images, signs))
    return Representation(group, generators)


def planar(*signs: int) -> Representation:
    """D4 acting on one number: with one sign for the quarter turn and one for the reflection."""
    return Representation(D4, [([0], [sign]) for sign in signs])


def reacher() -> Symmetry:
    """The plane can be turned by quarter turns and reflected; torques change sign in a reflection."""
    plane = Representation(D4, [([1, 0], [1, -1]), ([0, 1], [1, -1])])
    turning = planar(1, -1)
    same = planar(1, 1)
    # cos of shoulder and elbow, sin of both, target, their velocities, fingertip minus target
    observation = spread(
        10, (plane, [0, 2]), (same, [1]), (turning, [3]), (plane, [4, 5]), (turning * 2, [6, 7]), (plane, [8, 9])
    )
    return Symmetry(D4, {"observation": observation}, turning * 2, partial(turn_reacher, plane=plane, turning=turning))


def swimmer() -> Symmetry:
    """Left <-> right: y and every angle change sign."""
    positions, velocities = flip(1, -1, -1, -1, -1), flip(1, -1, -1, -1, -1)
    observation = flip(-1, -1, -1) + velocities  # x and y are not observed
    return Symmetry(
        MIRROR, {"observation": observation}, flip(-1, -1), partial(rewrite, positions=positions, velocities=velocities)
    )


def walker() -> Symmetry:
    """The two legs are exchanged."""
    legs = permute(3, 4, 5, 0, 1, 2)
    positions = flip(1, 1, 1) + legs  # x, z, angle
    observation = flip(1, 1) + legs + positions  # x is not observed
    return Symmetry(
        MIRROR, {"observation": observation}, legs, partial(rewrite, positions=positions, velocities=positions)
    )


def ant() -> Symmetry:
    """Half turns of the body, which permute its legs, and the mirror y ↦ -y: a group of order 8.

    The half turn multiplies the orientation q by k⁻¹. Twice, it gives -q, which is the same orientation. (A quarter
    turn of the body is a symmetry too, but it mixes the numbers of q with factors √½: not a signed permutation.)
    Turning the world is not a symmetry: it changes the reward.
    """

    def acting(
        turned: tuple[Sequence[int], Sequence[int]], mirrored: tuple[Sequence[int], Sequence[int]]
    ) -> Representation:
        return Representation(D4, [turned, mirrored])

    def signs(turned: Sequence[int], mirrored: Sequence[int]) -> Representation:
        return acting((range(len(turned)), turned), (range(len(mirrored)), mirrored))

    height = signs([1], [1])
    place = signs([1, 1], [1, -1])
    orientation = acting(([3, 2, 1, 0], [-1, 1, -1, 1]), ([0, 1, 2, 3], [1, -1, 1, -1]))  # w, x, y, z
    # hip and ankle of legs 1 to 4: half turn 1 <-> 3 and 2 <-> 4, mirror 1 <-> 4 and 2 <-> 3
    legs = acting(([4, 5, 6, 7, 0, 1, 2, 3], [1, -1] * 4), ([6, 7, 4, 5, 2, 3, 0, 1], [-1, 1] * 4))
    motors = spread(8, (legs, [2, 3, 4, 5, 6, 7, 0, 1]))  # legs 4, 1, 2, 3
    velocity = signs([1, 1, 1], [1, -1, 1])  # of the torso, in the world
    spin = signs([-1, -1, 1], [-1, 1, -1])  # of the torso, in its own frame

    # torque and force, in the world, on the torso and on three bodies of each leg
    wrench = signs([1] * 6, [-1, 1, -1, 1, -1, 1])
    bodies = [
        [0, *(1 + 3 * leg + part for leg in order for part in range(3))] for order in ([2, 3, 0, 1], [3, 2, 1, 0])
    ]
    contacts = acting(
        *(
            ([6 * body + i for body in moved for i in range(6)], list(wrench.generators[k][1]) * 13)
            for k, moved in enumerate(bodies)
        )
    )
    positions, velocities = place + height + orientation + legs, velocity + spin + legs
    observation = height + orientation + legs + velocities + contacts  # x and y are not observed
    return Symmetry(
        D4, {"observation": observation}, motors, partial(rewrite, positions=positions, velocities=velocities)
    )


def inverted_double_pendulum() -> Symmetry:
    """Left <-> right, as in CartPole, but only approximately: the model's upper pole leans by a tenth of a degree.

    (The pole of InvertedPendulum-v5 leans too. It declares nothing, because its error of 7e-3 can end an episode.)
    """
    # position, sin of both angles, cos of both, velocities, the force of the rail's ends
    observation = flip(-1, -1, -1, 1, 1, -1, -1, -1, -1)
    both = flip(-1, -1, -1)
    return Symmetry(MIRROR, {"observation": observation}, flip(-1), partial(rewrite, positions=both, velocities=both))


MUJOCO = {"Reacher-v5": reacher(), "Swimmer-v5": swimmer(), "Walker2d-v5": walker(), "Ant-v5": ant()}
NEARLY = {"InvertedDoublePendulum-v5": (inverted_double_pendulum(), 1e-4)}  # with the largest error accepted
