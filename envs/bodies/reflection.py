"""The left and right of a body: its reflection y ↦ -y, found in the MuJoCo model.

Where the model stands at its reference position, every rigid body has a partner, perhaps itself, that looks and weighs
as its mirror image does, hangs on the partner of what it hangs on, and moves and is moved alike. Of two candidates the
partner is not the body itself: legs at one place in the plane are exchanged.

Under the reflection, positions, velocities and other polar vectors go from (x, y, z) to (x, -y, z), axes of rotation
and other axial vectors to (-x, y, -z). A joint goes to its partner with the sign +1 if its axis goes to the partner's
axis, and -1 if it goes to the opposite one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from envs.bodies.features import AXIS, FEATURES, OF_ROOT, PLACE, ROOT_REFLECTED
from envs.bodies.graph import BALL, FREE, HINGE, Body

POLAR, AXIAL = np.array([1.0, -1.0, 1.0]), np.array([-1.0, 1.0, -1.0])
POSE_REFLECTED, TWIST_REFLECTED = (1, -1, 1, 1, -1, 1, -1), (1, -1, 1, -1, 1, -1)  # of a free joint
NEARLY = 1e-8
SPHERE, CAPSULE, CYLINDER, ELLIPSOID, BOX, PLANE = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"))
    for kind in ("SPHERE", "CAPSULE", "CYLINDER", "ELLIPSOID", "BOX", "PLANE")
)
NOT_READ = ("neq", "npair", "nexclude", "ntendon", "na", "nflex", "nplugin")  # parts of models that are not compared

# what partners have in common, by the beginning of the names in MuJoCo's model
SAME = {
    "body": ("mass", "gravcomp", "jntnum", "geomnum"),
    "jnt": ("type", "limited", "actfrclimited", "actgravcomp", "stiffness", "margin", "solref", "solimp"),
    "dof": ("armature", "damping", "frictionloss", "solref", "solimp"),
    "geom": (
        *("type", "contype", "conaffinity", "condim", "priority", "size", "friction", "margin", "gap"),
        *("solref", "solimp", "solmix", "fluid"),
    ),
    "actuator": (
        *("dyntype", "gaintype", "biastype", "dynprm", "gainprm", "biasprm", "gear", "cranklength"),
        *("ctrllimited", "forcelimited"),
    ),
}

SignedPermutation = tuple[tuple[int, ...], tuple[int, ...]]  # number j goes to permutation[j], times signs[j]


@dataclass(frozen=True)
class Reflection:
    """How the numbers of a body go over into those of its mirror image.

    Attributes:
        nodes: of its nodes; a joint's angle, velocity and torque change sign with it.
        axes: (nodes, 3) signs of the axis of each of them, which goes over into that of its partner.
        positions, velocities: of MuJoCo's qpos and qvel.
    """

    nodes: SignedPermutation
    axes: tuple[tuple[int, ...], ...]
    positions: SignedPermutation
    velocities: SignedPermutation

    def features(self, nodes: int) -> SignedPermutation:
        """Of the numbers that `nodes` nodes show (`envs.bodies.features`), node after node."""
        places, signs = (np.array(part) for part in self.actions(nodes))
        spread = np.repeat(signs[:, None], FEATURES, axis=1)
        spread[0, :OF_ROOT] = ROOT_REFLECTED
        spread[1 : len(self.axes), PLACE], spread[: len(self.axes), AXIS] = POLAR, self.axes
        return _pair(places[:, None] * FEATURES + np.arange(FEATURES), spread)

    def actions(self, nodes: int) -> SignedPermutation:
        """Of the actions of `nodes` nodes; padding stays."""
        more = nodes - len(self.nodes[0])
        return (*self.nodes[0], *range(len(self.nodes[0]), nodes)), (*self.nodes[1], *[1] * more)


def reflection_of(body: Body) -> Reflection | None:
    """The reflection of a body; None if it is not its own mirror image, or nothing that acts tells it from it.

    What is not compared counts as different: meshes, contacts between named pairs, constraints, activations.
    """
    mirror = Mirror(body.model)
    joints = mirror.joints()
    if joints is None or not mirror.faces_forward(body.root):
        return None
    node = {-1: 0, **{int(joint): place for place, joint in enumerate(body.joints, start=1)}}
    places = [0, *(node[joints[int(joint)][0]] for joint in body.joints)]
    signs = [1, *(joints[int(joint)][1] for joint in body.joints)]
    if places == [*range(body.nodes)] and min(signs) > 0:
        return None
    model = body.model
    positions, velocities = np.zeros((2, model.nq), int), np.zeros((2, model.nv), int)
    for joint, (other, sign) in joints.items():
        free = model.jnt_type[joint] == FREE
        for numbers, address, of_free in (
            (positions, model.jnt_qposadr, POSE_REFLECTED),
            (velocities, model.jnt_dofadr, TWIST_REFLECTED),
        ):
            count = len(of_free) if free else 1
            here, there = int(address[joint]), int(address[other])
            numbers[0, here : here + count] = np.arange(there, there + count)
            numbers[1, here : here + count] = of_free if free else sign
    kinds = [AXIAL, *(mirror.vector(joint) for joint in body.joints)]
    axes = tuple(tuple((sign * kind).astype(int).tolist()) for sign, kind in zip(signs, kinds, strict=True))
    return Reflection(_pair(places, signs), axes, _pair(*positions), _pair(*velocities))


def shared(reflections: Sequence[Reflection | None]) -> Reflection | None:
    """The reflection of the largest of several bodies, if it is that of all of them on their nodes; else None."""
    found = [each for each in reflections if each is not None]
    if not found or len(found) < len(reflections):
        return None
    largest = max(found, key=lambda each: len(each.nodes[0]))
    if all(each.nodes == tuple(part[: len(each.nodes[0])] for part in largest.nodes) for each in found):
        return largest
    return None


class Mirror:
    """Compares a model with its mirror image."""

    def __init__(self, model: Any):
        self.model, self.data = model, mujoco.MjData(model)
        mujoco.mj_kinematics(model, self.data)
        self.motors: dict[int, list[int]] = {}
        for motor, joint in enumerate(model.actuator_trnid[:, 0].tolist()):
            self.motors.setdefault(joint, []).append(motor)
        parents = model.body_parentid.tolist()
        self.children = [[b for b in range(1, model.nbody) if parents[b] == body] for body in range(model.nbody)]

    def joints(self) -> dict[int, tuple[int, int]] | None:
        """Each joint's partner and sign; None if the model is not its own mirror image."""
        model = self.model
        if any(getattr(model, name, 0) for name in NOT_READ) or model.opt.gravity[1] or model.opt.wind[1]:
            return None
        partners = self.partners(0, 0)
        if partners is None:
            return None
        pairs = [
            (self.joints_on(body)[place], joint)
            for body, other in partners.items()
            for place, joint in enumerate(self.joints_on(other))
        ]
        return {joint: (other, self.sign(joint, other)) for joint, other in pairs}

    def partners(self, body: int, other: int) -> dict[int, int] | None:
        """The partner of `body` and of all that hangs on it, if `other` can be that of `body`; else None."""
        mine, free = self.children[body], [*self.children[other]]
        if len(mine) != len(free) or not self.alike(body, other):
            return None
        found = {body: other}
        for child in mine:
            if body == other and child not in free:  # it is the partner of an earlier one
                continue
            candidates = ((self.partners(child, each), each) for each in sorted(free, key=lambda each: each == child))
            below, partner = next(((below, each) for below, each in candidates if below is not None), (None, -1))
            if below is None:
                return None
            found |= below
            free.remove(partner)
            if body == other and partner != child:
                found |= {there: here for here, there in below.items()}
                free.remove(child)
        return found

    def alike(self, body: int, other: int) -> bool:
        """Whether a rigid body is the mirror image of another one, with its joints, motors and shapes."""
        data = self.data
        if not (
            self.same("body", body, other)
            and close(POLAR * data.xpos[body], data.xpos[other])
            and close(POLAR * data.xipos[body], data.xipos[other])
            and close(reflected(self.inertia(body)), self.inertia(other))
        ):
            return False
        pairs = zip(self.joints_on(body), self.joints_on(other), strict=True)
        if not all(self.alike_joints(joint, partner) for joint, partner in pairs):
            return False
        shapes = self.shapes_on(other)
        for shape in self.shapes_on(body):
            partner = next((each for each in shapes if self.alike_shapes(shape, each)), None)
            if partner is None:
                return False
            shapes.remove(partner)
        return True

    def alike_joints(self, joint: int, other: int) -> bool:
        """Whether a joint and its motors are the mirror image of another joint and its motors."""
        model, data = self.model, self.data
        if not self.same("jnt", joint, other) or model.jnt_type[joint] == BALL:
            return False
        if model.jnt_type[joint] == FREE:
            return joint == other and joint not in self.motors
        sign, here, there = self.sign(joint, other), model.jnt_qposadr[joint], model.jnt_qposadr[other]
        mine, theirs = self.motors.get(joint, []), self.motors.get(other, [])
        return bool(
            sign
            and close(POLAR * data.xanchor[joint], data.xanchor[other])
            and self.same("dof", model.jnt_dofadr[joint], model.jnt_dofadr[other])
            and close(sign * model.qpos0[here], model.qpos0[there])
            and close(sign * model.qpos_spring[here], model.qpos_spring[there])
            and all(turned(part[joint], part[other], sign) for part in (model.jnt_range, model.jnt_actfrcrange))
            and len(mine) == len(theirs)
            and all(self.alike_motors(*pair, sign) for pair in zip(mine, theirs, strict=True))
        )

    def alike_motors(self, motor: int, other: int, sign: int) -> bool:
        """Whether a motor does on one side, times the sign, what another does on the other side."""
        model = self.model
        limits = (
            (model.actuator_ctrllimited, model.actuator_ctrlrange),
            (model.actuator_forcelimited, model.actuator_forcerange),
        )
        return (
            self.same("actuator", motor, other)
            and (sign > 0 or not model.actuator_biasprm[motor, 0])
            and all(turned(part[motor], part[other], sign) for limited, part in limits if limited[motor])
        )

    def alike_shapes(self, geom: int, other: int) -> bool:
        """Whether a shape is the mirror image of another one."""
        data, kind = self.data, self.model.geom_type[geom]
        if not self.same("geom", geom, other) or not close(POLAR * data.geom_xpos[geom], data.geom_xpos[other]):
            return False
        mine, theirs = (data.geom_xmat[each].reshape(3, 3) for each in (geom, other))
        between = theirs.T @ reflected(mine)  # the identity where both frames agree
        if kind == PLANE:
            return close(between[2, 2], 1)
        if kind in (CAPSULE, CYLINDER):
            return close(abs(between[2, 2]), 1)
        return kind == SPHERE or (kind in (ELLIPSOID, BOX) and close(abs(between), np.eye(3)))

    def sign(self, joint: int, other: int) -> int:
        """How the axis of a joint goes over into that of another one: 1, -1 if into the opposite one, 0 if neither."""
        if self.model.jnt_type[joint] == FREE:
            return 1
        axis = self.vector(joint) * self.data.xaxis[joint]
        return next((sign for sign in (1, -1) if close(sign * axis, self.data.xaxis[other])), 0)

    def vector(self, joint: int) -> np.ndarray:
        """How the axis of a joint is reflected: of a hinge it is an axial vector, of a slide a polar one."""
        return AXIAL if self.model.jnt_type[joint] == HINGE else POLAR

    def faces_forward(self, body: int) -> bool:
        """Whether the mirror image of a rigid body's frame, with its y axis turned back, is that frame."""
        frame = self.data.xmat[body].reshape(3, 3)
        return close(reflected(frame), frame)

    def same(self, part: str, one: int, other: int) -> bool:
        """Whether two parts of the model have the same numbers where partners have."""
        arrays = (getattr(self.model, f"{part}_{name}", None) for name in SAME[part])
        return all(close(array[one], array[other]) for array in arrays if array is not None)

    def inertia(self, body: int) -> np.ndarray:
        """The tensor of inertia along the world's axes."""
        frame = self.data.ximat[body].reshape(3, 3)
        return frame * self.model.body_inertia[body] @ frame.T

    def joints_on(self, body: int) -> range:
        return _part(self.model.body_jntadr[body], self.model.body_jntnum[body])

    def shapes_on(self, body: int) -> list[int]:
        return [*_part(self.model.body_geomadr[body], self.model.body_geomnum[body])]


def reflected(matrix: np.ndarray) -> np.ndarray:
    """R M R with R = diag(1, -1, 1): a tensor in the mirror, or a frame there whose y axis is turned back."""
    return POLAR[:, None] * matrix * POLAR


def turned(bounds: np.ndarray, others: np.ndarray, sign: int) -> bool:
    """Whether bounds, times the sign, are the others."""
    return close(np.sort(sign * bounds), others)


def close(one: Any, other: Any) -> bool:
    return bool(np.allclose(one, other, rtol=NEARLY, atol=NEARLY))


def _part(first: int, count: int) -> range:
    return range(int(first), int(first) + int(count))


def _pair(places: Any, signs: Any) -> SignedPermutation:
    flat = (tuple(int(number) for number in np.ravel(part)) for part in (places, signs))
    permutation, found = flat
    return permutation, found
