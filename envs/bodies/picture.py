"""Where the nodes of a body are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from envs.bodies.graph import Body

APART = 0.6  # of the least distance of nodes: how far those that would hide each other are moved apart
SAME = 0.02  # of the longer side: nodes that are nearer hide each other
NARROW = 0.3  # of the longer side: the least that the shorter side is
SEEN = {"xy": "from above", "xz": "from the side", "yz": "from the front"}


def places(body: Body) -> tuple[Float[np.ndarray, "nodes 2"], str]:
    """Each node where it is at rest, seen along the axis in which the body is thinnest; from where that is, in words.

    Nodes that would hide each other are moved apart.
    """
    import mujoco

    data = mujoco.MjData(body.model)
    mujoco.mj_forward(body.model, data)
    points = np.concatenate([data.xpos[body.root][None], data.xanchor[body.joints]])
    sizes = np.ptp(points, axis=0).round(6)
    first, second = sorted(np.argsort(-sizes, kind="stable")[:2])
    placed = points[:, [first, second]]
    distances, same = np.linalg.norm(placed[:, None] - placed[None], axis=2), SAME * sizes.max()
    apart = APART * distances[distances > same].min()
    for node in range(1, body.nodes):
        while np.linalg.norm(placed[:node] - placed[node], axis=1).min() <= same:
            placed[node, int(sizes[second] < sizes[first])] += apart
    names = "xyz"[first] + "xyz"[second]
    return placed, f"{names[0]} and {names[1]} in metres, {SEEN[names]}"


def frame(axis: Any, placed: Float[np.ndarray, "nodes 2"]) -> None:
    """Give the axes of a picture one scale, room for nodes at the border, and some width where the body has none."""
    middle, size = (placed.max(0) + placed.min(0)) / 2, np.ptp(placed, axis=0)
    half = np.maximum(size, NARROW * size.max()) / 2 + 0.08 * size.max()
    axis.set(xlim=middle[0] + half[0] * np.array([-1, 1]), ylim=middle[1] + half[1] * np.array([-1, 1]), aspect="equal")
