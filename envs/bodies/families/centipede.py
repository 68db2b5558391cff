"""Centipedes: segments in a row, each with two legs (Wang et al. 2018, section 4.2 and appendix).

`Centipede-n` has n legs, hence n/2 segments. Two motors join neighbouring segments: one turns (`turn`), the other lifts
(`lift`). A leg has a `hip`, which swings it to the front and back, and an `ankle`, which lowers its foot. In
`Centipede-n-crippled` both legs of the hindmost segment have lost their motors; their joints are still there.

Reward in a step: (x' - x)/Δt of the head - 2/n · ‖a‖² + 1. The paper's cost of contacts, at most 0.03, is left out.
End: the height of a segment leaves (0.35, 1.15), or neighbouring segments lie 0.45 or more apart across the way.
Begin: noise of ±0.1, shared among the joints between segments. The paper's simulation: Runge-Kutta, Δt = 5 · 0.01 s.
"""

from __future__ import annotations

import re

import numpy as np

from envs.bodies.families.scene import model
from envs.bodies.task import State, Task

NAMES = (*(f"Centipede-{n}" for n in (4, 6, 8, 10, 12, 20)), *(f"Centipede-{n}-crippled" for n in (4, 6, 8, 10, 12)))
NAMED = re.compile(r"Centipede-(\d+)(-crippled)?")
LOWEST, HIGHEST, APART = 0.35, 1.15, 0.45  # metres
SIDES = {"left": -1, "right": 1}


def task(name: str) -> Task | None:
    """The centipede of that name; None for other names.

    Raises:
        ValueError: an odd number of legs, or fewer than 4.
    """
    found = NAMED.fullmatch(name)
    if found is None:
        return None
    legs = int(found[1])
    if legs < 4 or legs % 2:
        raise ValueError(f"a centipede has 4 legs or more, two for each segment; got {name}")
    segments = legs // 2
    return Task(
        name=name,
        xml=xml(segments, {0} if found[2] else set()),
        reward=lambda before, after, actions, seconds: (
            (head(after, segments) - head(before, segments)) / seconds - 2 / legs * np.square(actions).sum(1) + 1
        ),
        ends=lambda state: ~walks(state, segments),
        begins=lambda state: walks(state, segments),
        position_noise=noise(segments),
    )


def xml(segments: int, crippled: set[int]) -> str:
    """The model: segment 0 is the root, and the last one, which lies to the front (+x), the head.

    Args:
        segments: how many there are.
        crippled: those whose legs have no motors.
    """
    body, gears = "", dict[str, float]()
    for segment in reversed(range(segments)):
        parts = ['<geom type="sphere" size="0.25" density="100" rgba="0.8 0.6 0.4 1"/>']
        if segment:
            parts += [
                f'<joint name="turn_{segment}" axis="0 0 1" pos="-0.25 0 0" range="-20 20"/>',
                f'<joint name="lift_{segment}" axis="0 1 0" pos="-0.25 0 0" range="-10 30"/>',
            ]
            gears |= {f"{joint}_{segment}": 100 for joint in ("turn", "lift")}
        else:
            parts.append('<joint name="root" type="free" armature="0" damping="0" limited="false"/>')
        for side, sign in SIDES.items():
            parts.append(leg(segment, side, sign))
            if segment not in crippled:
                gears |= {f"{joint}_{side}_{segment}": 150 for joint in ("hip", "ankle")}
        place = "0.5 0 0" if segment else "0 0 0.75"
        body = f'<body name="segment_{segment}" pos="{place}">\n' + "\n".join([*parts, body]) + "\n</body>"
    return model(
        name="centipede",
        option='integrator="RK4" timestep="0.01"',
        joint='type="hinge" armature="1" damping="1" limited="true"',
        geom='type="capsule" size="0.08" density="25" friction="1.5 0.1 0.1" margin="0.01" conaffinity="0"',
        body=body,
        gears=gears,
    )


def leg(segment: int, side: str, sign: int) -> str:
    """One leg: the hip turns it about the vertical, the ankle lowers its foot."""
    return f"""<body pos="0 {0.28 * sign} 0">
  <joint name="hip_{side}_{segment}" axis="0 0 1" range="-40 40"/>
  <geom fromto="0 0 0 0 {0.28 * sign} 0"/>
  <body pos="0 {0.28 * sign} 0">
    <joint name="ankle_{side}_{segment}" axis="{-sign} 0 0" range="30 100"/>
    <geom fromto="0 0 0 0 {0.6 * sign} 0"/>
  </body>
</body>"""


def noise(segments: int) -> np.ndarray:
    """The noise of every position at the beginning: less in `lift`, so that long ones do not begin with a hump."""
    root_and_legs, legs = [0.1] * (7 + 4), [0.1] * 4
    return np.array(root_and_legs + [0.1, 0.1 / (segments - 1), *legs] * (segments - 1))


def head(state: State, segments: int) -> np.ndarray:
    """The x of the head."""
    return segment_positions(state, segments)[:, -1, 0]


def walks(state: State, segments: int) -> np.ndarray:
    """Whether every segment is neither too low nor too high, and none lies far beside its neighbour."""
    positions = segment_positions(state, segments)
    heights, across = positions[..., 2], positions[..., 1]
    inside = ((heights > LOWEST) & (heights < HIGHEST)).all(1)
    return np.logical_and(inside, (np.abs(np.diff(across, axis=1)) < APART).all(1))


def segment_positions(state: State, segments: int) -> np.ndarray:
    """(batch, segments, 3): the world is rigid body 0, a segment is followed by the four parts of its two legs."""
    return state.xpos[:, 1 : 1 + 5 * segments : 5]
