"""Walkers in the plane: a torso that slides along x and z and turns about y, and limbs at hinges (Huang et al. 2020).

A family is one whole body, described by a table of its limbs, and variants of it that keep some of them. Every joint of
a variant has a motor. A variant begins where the whole body would stand, as in the paper: without feet it drops first.

Reward in a step: (x' - x)/Δt of the torso + alive - cost · ‖a‖². End: the torso's height or angle leaves a range.
Unlike the paper's, velocities begin with Gaussian noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from envs.bodies.families.scene import model
from envs.bodies.task import State, Task

SKIP = 4  # steps of the simulation in one of the environment
ROOT = """<joint name="root_x" type="slide" axis="1 0 0" {free}/>
<joint name="root_z" type="slide" axis="0 0 1" ref="{height}" {free}/>
<joint name="root_turn" type="hinge" axis="0 1 0" {free}/>"""
FREE = 'armature="0" damping="0" stiffness="0" limited="false"'


@dataclass(frozen=True)
class Limb:
    """A limb and the joint that it hangs on, which gives it its name.

    Attributes:
        on: the limb that it hangs on; "" for the torso.
        at: where, in that limb's frame, whose origin is its joint: "x y z".
        bends: the range of the joint in degrees: "low high".
        gear: the torque of its motor at the action 1.
        geoms: what it is made of: attributes of each geom.
        joint: more attributes of the joint.
    """

    on: str
    at: str
    bends: str
    gear: float
    geoms: tuple[str, ...]
    joint: str = ""


@dataclass(frozen=True)
class Plan:
    """A whole body.

    Attributes:
        name: of the family.
        height: of the torso's frame at the beginning.
        torso: attributes of each of its geoms.
        limbs: joint -> the limb that hangs on it, parents before children.
        option, joint, geom: attributes of the simulation, of all joints and of all geoms.
    """

    name: str
    height: float
    torso: tuple[str, ...]
    limbs: Mapping[str, Limb]
    option: str
    joint: str
    geom: str

    def xml(self, kept: Iterable[str]) -> str:
        """The model of the variant that keeps these limbs."""
        names = [name for name in self.limbs if name in {*kept}]

        def on(parent: str) -> str:
            return "".join(part(name) for name in names if self.limbs[name].on == parent)

        def part(name: str) -> str:
            limb = self.limbs[name]
            joint = f'<joint name="{name}" range="{limb.bends}" {limb.joint}/>\n'
            return f'<body pos="{limb.at}">\n{joint}{geoms(limb.geoms)}{on(name)}</body>\n'

        root = ROOT.format(height=self.height, free=FREE)
        return model(
            name=self.name,
            option=self.option,
            joint=self.joint,
            geom=self.geom,
            body=f'<body name="torso" pos="0 0 {self.height}">\n{root}\n{geoms(self.torso)}{on("")}</body>',
            gears={name: self.limbs[name].gear for name in names},
        )

    def task(
        self,
        name: str,
        kept: Iterable[str],
        ends: Callable[[State], np.ndarray],
        alive: float = 1.0,
        cost: float = 1e-3,
        noise: float = 0.005,
    ) -> Task:
        """What a variant has to do; an episode begins with noise of ±`noise`."""
        return Task(
            name=name,
            xml=self.xml(kept),
            reward=lambda before, after, actions, seconds: (
                (after.qpos[:, 0] - before.qpos[:, 0]) / seconds + alive - cost * np.square(actions).sum(1)
            ),
            ends=ends,
            frame_skip=SKIP,
            position_noise=noise,
            velocity_noise=noise,
        )


def geoms(shapes: Iterable[str]) -> str:
    """The geoms of a part."""
    return "".join(f"<geom {shape}/>\n" for shape in shapes)


def capsule(start: str, end: str, size: float, more: str = "") -> str:
    """The attributes of a capsule between two points of the plane, "x z"."""
    (x, z), (to_x, to_z) = start.split(), end.split()
    return f'type="capsule" size="{size}" fromto="{x} 0 {z} {to_x} 0 {to_z}" {more}'.rstrip()


def falls(lowest: float, highest: float = np.inf, angle: float = 1.0) -> Callable[[State], np.ndarray]:
    """The end of an episode: the torso is not between two heights, or is turned by `angle` (radians) or more."""

    def fallen(state: State) -> np.ndarray:
        height, turned = state.qpos[:, 1], np.abs(state.qpos[:, 2])
        return ~((height > lowest) & (height < highest) & (turned < angle))

    return fallen
