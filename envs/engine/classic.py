"""Gymnasium's classic control: many environments stepped together, each exactly as Gymnasium steps it.

Environment i is seeded with seed + i and keeps drawing from its own `np_random`. Every observation, reward, end and
statistic equals that of a `DummyVecEnv` of the real environments bit for bit. Two things can change the last digit:
numba with Intel's SVML, in Pendulum, Acrobot and the mountain cars; and Python's `sum` since 3.12, in an episode's
return. Source: `gymnasium.envs.classic_control`, transcribed in classic_kernel.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control import AcrobotEnv, CartPoleEnv, MountainCarEnv, PendulumEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random
from gymnasium.wrappers import TimeLimit

from envs.engine import classic_kernel as kernel
from envs.engine.batch import NOBODY
from envs.engine.farama import Unsupported
from envs.engine.kernel import LAST, NOW
from envs.engine.rules import HARMLESS_WRAPPERS
from envs.saved import copied, refill

AHEAD = 32  # episodes whose starts are drawn together: one alone takes as long


class Classic:
    """`n` environments; `reset` and `step` write into the arrays `seen` and `result`, as `Batch` does.

    Args:
        env: an environment made by `gymnasium.make`, which gives the constants and the time limit.
        n: how many environments.

    Raises:
        Unsupported: they cannot be stepped exactly; the message says why.
    """

    constants: ClassVar[str]  # the attributes of an environment that its kernel reads
    size: ClassVar[int]  # of a state
    drawn: ClassVar[int]  # how many variables a start draws, uniformly; the others are zero
    low: ClassVar[Any]
    high: ClassVar[Any]
    start_type: ClassVar[type] = np.float64

    def __init__(self, env: gymnasium.Env, n: int):
        self.n = n
        self.limit = time_limit(env)
        self.law = law_of(env.unwrapped, self.constants.split())
        self.actions = env.action_space
        self.shape = (n, *(self.actions.shape or ()))
        discrete = isinstance(self.actions, spaces.Discrete)
        self.types = [np.dtype(name) for name in (["int64"] if discrete else ["float32", "float64"])]
        if not discrete and np.lib.NumpyVersion(np.__version__) < "2.0.0":
            raise Unsupported("NumPy 1 promotes single precision differently")
        width = (env.observation_space.shape or ())[0]
        self.state = np.zeros((self.size, n))
        self.view = self.state if width == self.size else np.zeros((width, n))  # observations before rounding
        self.starts: np.ndarray = np.zeros((n, AHEAD, self.size), self.start_type)
        self.first_seen = np.zeros((n, AHEAD, width), np.float32)
        self.random: list[np.random.Generator] = []
        self.episodes = np.zeros(n, kernel.EPISODE)
        seen = np.zeros((2, n, width), np.float32)
        self.play = (self.episodes, self.state, seen, self.starts, self.first_seen)
        self.seen, self.seen_last = {"observation": seen[NOW]}, {"observation": seen[LAST]}
        self.result = {name: self.episodes[name] for name in kernel.EPISODE.names or ()}
        self.began: dict[str, np.ndarray] = {}

    def reset(self, seed: int | None = None) -> None:
        """Begin the next episode of every environment; a seed, or the first reset, makes new random generators."""
        if seed is not None or not self.random:
            self.random = [np_random(None if seed is None else seed + i)[0] for i in range(self.n)]
            self.episodes["used"] = AHEAD
            self._draw()
        kernel.begin_all(*self.play)
        self._draw()

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step every environment -> the indices of those whose episode ended and whose next one began.

        Raises:
            ValueError: an action outside the action space.
            ResetNeeded: before the first reset.
        """
        if not self.random:
            raise ResetNeeded("call reset before step")
        actions = np.asarray(actions, order="C")
        if actions.dtype not in self.types and actions.dtype.kind in "iu":
            actions = actions.astype(self.types[-1])
        if actions.dtype not in self.types or actions.shape != self.shape or not self.advance(actions):
            raise ValueError(f"actions are {self.n} of {self.actions}, got {actions.dtype} {actions}")
        ended = kernel.finish(self.limit, self.view, *self.play)
        if not ended:
            return NOBODY
        self.spare -= 1
        if not self.spare:
            self._draw()
        return self.result["ended"][:ended]

    def ended(self, i: int) -> dict[str, Any]:
        """What the environment adds to the last info of an episode: nothing."""
        return {}

    def saved(self) -> dict[str, Any]:
        """The state of all environments."""
        random = [generator.bit_generator.state for generator in self.random]
        return {"random": random, "spare": self.spare, **copied(self._arrays())}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put all environments into a state of `saved`.

        Raises:
            ValueError: the state is one of other environments.
        """
        refill(self._arrays(), state)
        self.spare = state["spare"]
        self.random = [np_random(0)[0] for _ in range(self.n)]
        for generator, random in zip(self.random, state["random"], strict=True):
            generator.bit_generator.state = random

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "view": self.view,
            **dict(zip(("episodes", "state", "seen", "starts", "first_seen"), self.play, strict=True)),
        }

    def advance(self, actions: np.ndarray) -> bool:
        """Update state, view, reward and terminated of every environment; False if an action is outside the space."""
        raise NotImplementedError

    def show(self, starts: np.ndarray) -> np.ndarray:
        """The observations (..., width) of starts (..., size)."""
        return starts

    def _draw(self) -> None:
        """Draw new starts for the environments that have used all of theirs."""
        used = self.episodes["used"]
        which = np.flatnonzero(used == AHEAD)
        for i in which.tolist():
            self.starts[i, :, : self.drawn] = self.random[i].uniform(self.low, self.high, (AHEAD, self.drawn))
        used[which] = 0
        self.first_seen[which] = self.show(self.starts[which])
        self.spare = AHEAD - int(used.max())  # ends of episodes until some environment has no start left


class CartPole(Classic):
    """`CartPoleEnv`: a pole on a cart that is pushed left or right (Barto, Sutton & Anderson 1983)."""

    constants = "gravity masspole total_mass length polemass_length force_mag tau theta_threshold_radians x_threshold "
    constants += "_sutton_barto_reward"
    size, drawn, low, high = 4, 4, -0.05, 0.05

    def __init__(self, env: gymnasium.Env, n: int):
        super().__init__(env, n)
        self.angles, (self.cosines, self.sines) = self.state[2], np.zeros((2, n))

    def advance(self, actions: np.ndarray) -> bool:
        np.cos(self.angles, self.cosines)
        np.sin(self.angles, self.sines)
        return kernel.step_cartpole(actions, self.cosines, self.sines, self.law, self.state, self.episodes)


class Acrobot(Classic):
    """`AcrobotEnv`: two links with a torque between them; one Runge-Kutta step of four stages (Sutton 1996)."""

    constants = "LINK_MASS_1 LINK_MASS_2 LINK_LENGTH_1 LINK_COM_POS_1 LINK_COM_POS_2 LINK_MOI MAX_VEL_1 MAX_VEL_2 dt"
    size, drawn, low, high = 4, 4, -0.1, 0.1
    start_type = np.float32

    def __init__(self, env: gymnasium.Env, n: int):
        super().__init__(env, n)
        inner: Any = env.unwrapped
        if inner.book_or_nips != "book" or inner.torque_noise_max:
            raise Unsupported("its equations are not the book's, or its torques have noise")
        self.torques = np.array(inner.AVAIL_TORQUE, np.float64)
        self.at, self.slopes = np.zeros((4, n)), np.zeros((4, 4, n))
        self.angles, self.cosines, self.sines = np.zeros((3, n)), np.zeros((3, n)), np.zeros(n)

    def advance(self, actions: np.ndarray) -> bool:
        if not kernel.are_actions(actions, len(self.torques)):
            return False
        torques = self.torques[actions]
        self.at[:] = self.state
        for stage in range(4):
            kernel.angles_of_acrobot(self.at, self.angles)
            np.cos(self.angles, self.cosines)
            np.sin(self.angles[0], self.sines)
            kernel.step_acrobot(stage, torques, self.cosines, self.sines, self.law, self.state, self.at, self.slopes)
        np.cos(self.state[:2], self.view[0:4:2])
        np.sin(self.state[:2], self.view[1:4:2])
        self.view[4:] = self.state[2:]
        kernel.end_acrobot(self.view[0], np.cos(self.state[0] + self.state[1]), self.episodes)
        return True

    def show(self, starts: np.ndarray) -> np.ndarray:
        angles = [function(starts[..., i]) for i in (0, 1) for function in (np.cos, np.sin)]
        return np.stack([*angles, starts[..., 2], starts[..., 3]], -1)


class Pendulum(Classic):
    """`PendulumEnv`: a torque swings a pendulum up."""

    constants = "g m l dt max_speed max_torque"
    size, drawn, low, high = 2, 2, np.array([-np.pi, -1.0]), np.array([np.pi, 1.0])

    def advance(self, actions: np.ndarray) -> bool:
        cosines, sines, velocities = self.view
        np.sin(self.state[0], sines)
        kernel.step_pendulum(actions[:, 0], sines, self.law, self.state, self.episodes)
        np.cos(self.state[0], cosines)
        np.sin(self.state[0], sines)
        velocities[:] = self.state[1]
        return True

    def show(self, starts: np.ndarray) -> np.ndarray:
        return np.stack([np.cos(starts[..., 0]), np.sin(starts[..., 0]), starts[..., 1]], -1)


class MountainCar(Classic):
    """`MountainCarEnv`: a car too weak to drive straight up its hill (Moore 1990)."""

    constants = "min_position max_position max_speed goal_position goal_velocity force gravity"
    size, drawn, low, high = 2, 1, -0.6, -0.4

    def advance(self, actions: np.ndarray) -> bool:
        return kernel.step_mountain_car(actions, self.law, self.state, self.episodes)


class MountainCarContinuous(MountainCar):
    """`Continuous_MountainCarEnv`: the same car with a force as its action."""

    constants = "min_action max_action min_position max_position max_speed goal_position goal_velocity power"

    def advance(self, actions: np.ndarray) -> bool:
        kernel.step_continuous_mountain_car(actions[:, 0], self.law, self.state, self.episodes)
        return True


CLASSICS: dict[type, type[Classic]] = {
    CartPoleEnv: CartPole,
    AcrobotEnv: Acrobot,
    PendulumEnv: Pendulum,
    MountainCarEnv: MountainCar,
    Continuous_MountainCarEnv: MountainCarContinuous,
}


def time_limit(env: gymnasium.Env) -> int:
    """After how many steps an episode is truncated.

    Raises:
        Unsupported: there are wrappers that `gymnasium.make` does not add.
    """
    limit = 2**62
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            limit = min(limit, env._max_episode_steps)
        elif not isinstance(env, HARMLESS_WRAPPERS):
            raise Unsupported(f"it is wrapped in {type(env).__name__}")
        env = env.env
    return limit


def law_of(env: Any, names: list[str]) -> np.ndarray:
    """The constants of an environment as a record for its kernel.

    Raises:
        Unsupported: one of them is not a plain number.
    """
    law = np.zeros(1, [(name, np.float64) for name in (*names, "two")])
    law["two"] = 2
    for name in names:
        value = getattr(env, name)
        if type(value) not in (bool, int, float):
            raise Unsupported(f"its {name} is a {type(value).__name__}, {value}")
        law[name] = value
    return law
