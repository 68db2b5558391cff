"""Many bodies stepped at once: an MjData for each, advanced by threads, and everything else in arrays.

MuJoCo lets other Python threads run while it steps, and what a body does depends on its own MjData alone: the results
are those of single stepping bit for bit, whatever the number of threads. Environment i plays body i, counted around.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random

from envs.bodies.environment import BodyEnv
from envs.bodies.simulation import Kind
from envs.bodies.task import State
from envs.saved import copied, refill

WHOLE = int(mujoco.mjtState.mjSTATE_INTEGRATION)  # what a simulation goes on from, bit for bit
SHARES = 4  # of a thread: some bodies take longer than others
RESULT = {"reward": float, "terminated": bool, "truncated": bool, "done": bool, "episode_return": float}


class Group:
    """The environments of one kind of body: where they are among all, and their state as arrays."""

    def __init__(self, kind: Kind, which: np.ndarray):
        self.kind, self.which = kind, which
        self.data = [kind.simulation() for _ in which]
        self.nodes = kind.body.nodes
        self.state = self.read()

    def read(self) -> State:
        """The state of all of them."""
        return State(*(np.stack([getattr(data, name) for data in self.data]) for name in State._fields))

    def features(self, rows: Any = slice(None)) -> np.ndarray:
        """What the nodes of some of them show."""
        placed = {
            "xpos": self.state.xpos[rows],
            "xmat": np.stack([data.xmat for data in np.array(self.data, object)[rows]]),
        }
        return self.kind.features(self.state.qpos[rows], self.state.qvel[rows], placed)


class Bodies:
    """`n` environments; `reset` and `step` write into the arrays `seen` and `result`, as `envs.engine.Batch` does.

    Args:
        env: an environment made by `gymnasium.make`.
        n: how many.
        threads: that step them; None: as many as there are CPUs for this process.
    """

    def __init__(self, env: Any, n: int, threads: int | None = None):
        core = env.unwrapped
        assert isinstance(core, BodyEnv)
        self.n, self.limit, self.layout = n, env.spec.max_episode_steps, core.layout
        count = len(core.kinds)
        self.groups = [Group(kind, np.arange(i, n, count)) for i, kind in enumerate(core.kinds) if i < n]
        self.place = [(self.groups[i % count], i // count) for i in range(n)]
        threads = min(n, threads or len(os.sched_getaffinity(0)))
        self.shares = np.array_split(np.arange(n), min(n, SHARES * threads))
        self.pool = ThreadPoolExecutor(threads, "bodies")
        still = [self.layout.still(group.kind.body) for group, _ in self.place]
        self.seen = {key: np.stack([each[key] for each in still]) for key in self.layout.space.spaces}
        self.seen_last = copied(self.seen)
        self.result = {name: np.zeros(n, kind) for name, kind in RESULT.items()}
        self.result["episode_length"] = np.zeros(n, np.int64)
        self.length, self.returns = np.zeros(n, np.int64), np.zeros(n)
        self.began: dict[str, np.ndarray] = {}
        self.random: list[np.random.Generator] = []

    def reset(self, seed: int | None = None) -> None:
        """Begin the next episode of every environment; a seed, or the first reset, makes new random generators."""
        if seed is not None or not self.random:
            self.random = [np_random(None if seed is None else seed + i)[0] for i in range(self.n)]
        self._begin(range(self.n))
        for group in self.groups:
            group.state = group.read()
            self.seen["nodes"][group.which, : group.nodes] = group.features()

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step every environment -> the indices of those whose episode ended and whose next one began.

        Raises:
            ResetNeeded: before the first reset.
        """
        if not self.random:
            raise ResetNeeded("call reset before step")
        for group, taken in zip(self.groups, self.advance(actions), strict=True):
            before, after = group.state, group.read()
            task = group.kind.task
            self.result["reward"][group.which] = task.reward(before, after, taken, group.kind.seconds)
            self.result["terminated"][group.which] = task.ends(after)
            group.state = after
            self.seen["nodes"][group.which, : group.nodes] = group.features()
        return self._finish()

    def advance(self, actions: np.ndarray) -> list[np.ndarray]:
        """Take a step of every simulation -> the controls (environments, motors) of each group."""
        controls = [group.kind.controls(actions[group.which]) for group in self.groups]
        chosen = [controls[i % len(controls)][i // len(controls)] for i in range(self.n)]

        def advance(share: np.ndarray) -> None:
            for i in share.tolist():
                group, row = self.place[i]
                group.kind.advance(group.data[row], chosen[i])

        for _ in self.pool.map(advance, self.shares):
            pass
        return controls

    def _finish(self) -> np.ndarray:
        """Count the step, and begin anew where an episode ended -> there."""
        result = self.result
        self.returns += result["reward"]
        self.length += 1
        result["truncated"][:] = self.length >= self.limit
        np.logical_or(result["terminated"], result["truncated"], out=result["done"])
        ended = np.flatnonzero(result["done"])
        if len(ended):
            for key, array in self.seen.items():
                self.seen_last[key][ended] = array[ended]
            result["episode_return"][ended], result["episode_length"][ended] = self.returns[ended], self.length[ended]
            self._begin(ended.tolist())
            for i in ended.tolist():
                group, row = self.place[i]
                data = group.data[row]
                for array, name in zip(group.state, State._fields, strict=True):
                    array[row] = getattr(data, name)
                self.seen["nodes"][i, : group.nodes] = group.features(slice(row, row + 1))[0]
        return ended

    def ended(self, i: int) -> dict[str, Any]:
        """What the environment adds to the last info of an episode: its body."""
        return {"body": self.place[i][0].kind.task.name}

    def saved(self) -> dict[str, Any]:
        """The state of all environments."""
        states = []
        for group, row in self.place:
            state = np.zeros(mujoco.mj_stateSize(group.kind.model, WHOLE))
            mujoco.mj_getState(group.kind.model, group.data[row], state, WHOLE)
            states.append(state)
        random = [generator.bit_generator.state for generator in self.random]
        return {"random": random, "states": states, **copied(self._arrays())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put all environments into a state of `saved`.

        Raises:
            ValueError: the state is one of other environments.
        """
        refill(self._arrays(), state)
        for (group, row), saved in zip(self.place, state["states"], strict=True):
            mujoco.mj_setState(group.kind.model, group.data[row], np.asarray(saved), WHOLE)
            mujoco.mj_kinematics(group.kind.model, group.data[row])
        for group in self.groups:
            group.state = group.read()
        self.random = [np_random(0)[0] for _ in range(self.n)]
        for generator, random in zip(self.random, state["random"], strict=True):
            generator.bit_generator.state = random

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"nodes": self.seen["nodes"], "length": self.length, "returns": self.returns}

    def _begin(self, which: Any) -> None:
        for i in which:
            group, row = self.place[i]
            group.kind.begin(group.data[row], self.random[i])
            self.returns[i] = self.length[i] = 0
