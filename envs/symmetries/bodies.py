"""Bodies that have a left and a right: the reflection y ↦ -y, which their environment finds in their model.

It exchanges the nodes of left and right limbs, with signs, and their actions. What else an observation shows stays: the
mirrored body has the same edges, types and motors under the exchanged numbers.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import torch

from envs.symmetries.classic import MIRROR
from symmetry import Arrays, Representation, Symmetry


def body_symmetry_of(env: gymnasium.Env) -> Symmetry | None:
    """The reflection of all bodies of a `BodyEnv`, those of `test` included; None if they do not share one."""
    core: Any = env.unwrapped
    if core.reflection is None:
        return None
    space, nodes = core.observation_space, core.layout.nodes
    observation = {key: Arrays(MIRROR, part.shape) for key, part in space.spaces.items()}
    features = Representation(MIRROR, [core.reflection.features(nodes)])
    observation["nodes"] = Arrays(MIRROR, space["nodes"].shape, features)
    return Symmetry(MIRROR, observation, Representation(MIRROR, [core.reflection.actions(nodes)]), reflect)


def reflect(env: Any, g: int) -> None:
    """The twin: the body that is played, where its mirror image is, and the solver's starting point."""
    core = env.unwrapped
    reflection, data = core.kind.reflection, core.data
    for numbers, image in (
        (data.qpos, reflection.positions),
        (data.qvel, reflection.velocities),
        (data.qacc_warmstart, reflection.velocities),
    ):
        numbers[:] = Representation(MIRROR, [image])(g, torch.tensor(numbers)).numpy()
    core.kind.place(data)
