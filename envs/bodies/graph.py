"""A MuJoCo model as a graph: node 0 is its root, the others are its hinge and slide joints, in the order of the XML.

Edges lead from a joint's parent to the joint ("child"), back ("parent"), and from the root to every joint ("root"). The
parent of a joint is the joint before it on the same rigid body, else the last one of the nearest rigid body towards the
root that has joints, else the root.

A joint without a motor is a node that does not act: a lost leg is still felt. The joints of the root's own rigid body
that have no motor move the root, and are no nodes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

EDGES = ("child", "parent", "root")  # the types of edges
ROOT = "root"
FREE, BALL, SLIDE, HINGE = (
    int(getattr(mujoco.mjtJoint, f"mjJNT_{kind}")) for kind in ("FREE", "BALL", "SLIDE", "HINGE")
)
MOVING = (HINGE, SLIDE)
UNTOLD = {"left", "right", "joint"}  # words of a joint's name that its type leaves out


@dataclass(frozen=True)
class Body:
    """A body as a graph.

    Attributes:
        model: of MuJoCo.
        root: its rigid body that all others hang on.
        joints: (nodes - 1,) the joint of each node but the root.
        parents: (nodes - 1,) the node that each of them hangs on.
        types: the name of every node's type, that of the root first.
        motors: (nodes,) the actuator of each node, -1 where there is none.
        names: of every node.
    """

    model: Any
    root: int
    joints: np.ndarray
    parents: np.ndarray
    types: tuple[str, ...]
    motors: np.ndarray
    names: tuple[str, ...]

    @property
    def nodes(self) -> int:
        return len(self.types)

    @property
    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Sources and targets (2, edges) and types (edges,)."""
        own = np.arange(1, self.nodes)
        pairs = [(self.parents, own), (own, self.parents), (np.zeros_like(own), own)]
        ends = np.concatenate([np.stack(pair) for pair in pairs], axis=1)
        return ends, np.repeat(np.arange(len(EDGES)), len(own))


def compiled(xml: str, name: str) -> Any:
    """MuJoCo's model of an XML.

    Raises:
        ValueError: MuJoCo refuses it; the message is MuJoCo's.
    """
    try:
        return mujoco.MjModel.from_xml_string(xml)
    except ValueError as error:
        raise ValueError(f"MuJoCo cannot read {name}: {error}") from error


def body_of(model: Any, name: str) -> Body:
    """The graph of a model.

    Raises:
        ValueError: no motors, motors of something else than a hinge or a slide, several of one joint, tendons, or
            several bodies that move apart.
    """
    motors = motors_of(model, name)
    roots = [body for body in range(1, model.nbody) if model.body_parentid[body] == 0 and _moves(model, body)]
    if len(roots) != 1:
        raise ValueError(f"{name} has {len(roots)} bodies that move apart from one another; it needs one")
    nodes = [
        joint
        for joint in range(model.njnt)
        if model.jnt_type[joint] in MOVING and (joint in motors or model.jnt_bodyid[joint] != roots[0])
    ]
    unread = [joint for joint in range(model.njnt) if joint not in nodes and model.jnt_bodyid[joint] != roots[0]]
    if unread:
        raise ValueError(f"joint {_name(model, unread[0])} of {name} is neither a hinge nor a slide")
    names = [_name(model, joint) for joint in nodes]
    return Body(
        model=model,
        root=roots[0],
        joints=np.array(nodes),
        parents=np.array([_parent(model, nodes, place) for place in range(len(nodes))]),
        types=(ROOT, *(type_of(each) for each in names)),
        motors=np.array([-1, *(motors.get(joint, -1) for joint in nodes)]),
        names=(ROOT, *names),
    )


def motors_of(model: Any, name: str) -> dict[int, int]:
    """Joint -> its actuator.

    Raises:
        ValueError: as `body_of`.
    """
    if model.ntendon:
        raise ValueError(f"{name} has tendons, which belong to no single joint; a body here has motors at its joints")
    if not model.nu:
        raise ValueError(f"{name} has no actuators, so there is nothing that a policy could move")
    found: dict[int, int] = {}
    for motor in range(model.nu):
        joint = int(model.actuator_trnid[motor, 0])
        of_joint = model.actuator_trntype[motor] == int(mujoco.mjtTrn.mjTRN_JOINT)
        if not of_joint or model.jnt_type[joint] not in MOVING:
            raise ValueError(f"actuator {motor} of {name} moves something else than a hinge or a slide joint")
        if joint in found:
            raise ValueError(f"joint {_name(model, joint)} of {name} has several actuators; a node has one action")
        found[joint] = motor
    return found


def type_of(joint: str) -> str:
    """The type of a joint: its name without its side and its numbers, "hip_left_3" -> "hip"."""
    words = [word for word in re.split(r"[^A-Za-z]+", joint) if word and word.lower() not in UNTOLD]
    return "_".join(words).lower() or "joint"


def vocabulary(bodies: Sequence[Body]) -> tuple[str, ...]:
    """The types of several bodies' nodes: the root's, then the others by name."""
    return (ROOT, *sorted({kind for body in bodies for kind in body.types} - {ROOT}))


def _moves(model: Any, body: int) -> bool:
    """Whether a rigid body or one that hangs on it has joints."""
    return model.body_jntnum[body] > 0 or any(
        model.body_parentid[other] == body and _moves(model, other) for other in range(body + 1, model.nbody)
    )


def _parent(model: Any, nodes: Sequence[int], place: int) -> int:
    """The node that a joint hangs on."""
    body = int(model.jnt_bodyid[nodes[place]])
    if place and model.jnt_bodyid[nodes[place - 1]] == body:
        return place  # node numbers count the root
    while body:
        body = int(model.body_parentid[body])
        on_it = [other for other, joint in enumerate(nodes) if model.jnt_bodyid[joint] == body]
        if on_it:
            return on_it[-1] + 1
    return 0


def _name(model: Any, joint: int) -> str:
    return mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, joint) or f"joint_{joint}"
