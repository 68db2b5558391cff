"""One body, or several in turn, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np

from envs.bodies.observation import Layout
from envs.bodies.reflection import shared
from envs.bodies.simulation import Kind, kind_named
from envs.bodies.task import State

SIZE = (480, 480)  # of a picture, pixels


class BodyEnv(gymnasium.Env):
    """An episode is one body that moves as its family's task wants; `info["body"]` is its name.

    Observation: its graph, padded to the largest body of `train` and `test` (`envs.bodies.observation`).
    Action: (nodes,) from -1 to 1, what the motor of each node does; entries of nodes without one are not read.

    Args:
        train: the bodies that are played: each episode draws one, unless `play_nth` says which.
        test: others that policies will be asked to play: observations are large enough for them, and have their types.
        types: the names of types of nodes that a policy knows; None: those of all these bodies.
        render_mode: None or "rgb_array".

    Attributes:
        bodies: the names of those of `train` and of `test`.
        types: the names of the types of nodes.
        reflection: that of all these bodies; None if they do not share one.

    Raises:
        ValueError: no such body, none at all, or one with a type of node that is not among `types`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        train: Sequence[str] = ("Centipede-4", "Centipede-6"),
        test: Sequence[str] = (),
        types: Sequence[str] | None = None,
        render_mode: str | None = None,
    ):
        self.kinds = [kind_named(name) for name in listed("train", train)]
        if not self.kinds:
            raise ValueError("env.train names the bodies to play, like [Centipede-4,Centipede-6]; it is empty")
        shown = [*self.kinds, *(kind_named(name) for name in listed("test", test))]
        self.layout = Layout([kind.body for kind in shown], [kind.task.name for kind in shown], types)
        self.bodies, self.types = [kind.task.name for kind in shown], self.layout.types
        self.reflection = shared([kind.reflection for kind in shown])
        self.observation_space, self.action_space = self.layout.space, self.layout.actions
        self.render_mode = render_mode
        self.index: int | None = None
        self.simulations: dict[str, Any] = {}
        self.renderer: Any = None

    def play_nth(self, index: int) -> None:
        """Play body `index`, counted around, in every episode from the next one on."""
        self.index = index

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        count = len(self.kinds)
        number = int(self.np_random.integers(count)) if self.index is None and count > 1 else (self.index or 0) % count
        self.kind: Kind = self.kinds[number]
        name = self.kind.task.name
        if name not in self.simulations:
            self.simulations[name] = self.kind.simulation()
        self.data = self.simulations[name]
        self.kind.begin(self.data, self.np_random)
        self.still = self.layout.still(self.kind.body)
        return self._seen(), {"body": name}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        kind, before = self.kind, self._state()
        controls = kind.controls(np.asarray(action)[None])
        kind.advance(self.data, controls[0])
        after = self._state()
        reward = float(kind.task.reward(before, after, controls, kind.seconds)[0])
        return self._seen(), reward, bool(kind.task.ends(after)[0]), False, {"body": kind.task.name}

    def render(self) -> np.ndarray:
        """A picture from the side, whose camera follows the root.

        Raises:
            RuntimeError: MuJoCo finds no way to draw without a screen.
        """
        if self.renderer is None or self.renderer.model is not self.kind.model:
            self.close()
            self.renderer = Renderer(self.kind.model, self.kind.features.root)
        return self.renderer(self.data)

    def close(self) -> None:
        if self.renderer is not None:
            self.renderer.close()
            self.renderer = None

    def _state(self) -> State:
        return State(*(array[None].copy() for array in (self.data.qpos, self.data.qvel, self.data.xpos)))

    def _seen(self) -> dict[str, np.ndarray]:
        data = self.data
        placed = {"xpos": data.xpos[None], "xmat": data.xmat[None]}
        nodes = self.still["nodes"].copy()
        nodes[: self.kind.body.nodes] = self.kind.features(data.qpos[None], data.qvel[None], placed)[0]
        return {key: nodes if key == "nodes" else array.copy() for key, array in self.still.items()}


class Renderer:
    """Draws a model from the side; the camera follows the rigid body `root`.

    Raises:
        RuntimeError: as `BodyEnv.render`.
    """

    def __init__(self, model: Any, root: int):
        self.model = model
        try:
            self.renderer = mujoco.Renderer(model, *SIZE)
        except Exception as error:  # of the graphics library, whichever there is
            raise RuntimeError(
                f"MuJoCo cannot draw without a screen here ({error}); set MUJOCO_GL=egl or MUJOCO_GL=osmesa, whose "
                "library has to be installed"
            ) from error
        self.camera = mujoco.MjvCamera()
        self.camera.distance = 0  # chosen at the first picture
        self.camera.type, self.camera.trackbodyid = mujoco.mjtCamera.mjCAMERA_TRACKING, root
        self.camera.elevation, self.camera.azimuth = -20, 120

    def __call__(self, data: Any) -> np.ndarray:
        if not self.camera.distance:
            self.camera.distance = 1.5 + 1.5 * float(np.ptp(data.xpos[1:], axis=0).max())
        mujoco.mj_comPos(self.model, data)  # where the camera looks
        mujoco.mj_camlight(self.model, data)  # after a reset there is no light yet
        self.renderer.update_scene(data, self.camera)
        return self.renderer.render()

    def close(self) -> None:
        self.renderer.close()


def listed(option: str, names: Any) -> list[str]:
    """The names of bodies that an option gives.

    Raises:
        ValueError: it is no list of names.
    """
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"env.{option} is a list of bodies, like [Centipede-4,Centipede-6]; got {names!r}")
    return list(names)
