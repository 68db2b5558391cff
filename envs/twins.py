"""The test of a declared symmetry: a state and its transformed twin, stepped in the real simulator.

(φ, ψ) is a symmetry when p(φ(g)s' | φ(g)s, ψ(g)a) = p(s' | s, a) and r(φ(g)s, ψ(g)a) = r(s, a). Where a step is a
function of state and action, this can be observed. For every step of a random play and every g, a copy of the
environment is put into φ(g)s and steps with ψ(g)a. It must then show φ(g)s', the same reward and the same end, and its
simulator must be in the state into which the twin of s' is put: observations are often rounded, states are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.utils import EzPickle
from minigrid.minigrid_env import MiniGridEnv

from envs.single import make_env
from envs.symmetries import declared_symmetry, tolerance_of
from envs.symmetries.registry import TOLERANCE, match_spaces
from symmetry import Symmetry


@dataclass
class Check:
    """The largest differences found, relative to max(1, |x|), for every element of the group.

    Attributes:
        observation, state, reward, termination: one number for each element, 0 for the identity.
        has_state: whether the simulator's own state could be compared; if not, `state` is 0.
        worst: the largest of all.
        where: a sentence about the worst: key and index, the two values, both states, action and element.
        draws: whether steps draw random numbers, so that twins may differ by chance.
    """

    env: str
    symmetry: Symmetry
    steps: int
    observation: list[float] = field(init=False)
    state: list[float] = field(init=False)
    reward: list[float] = field(init=False)
    termination: list[float] = field(init=False)
    has_state: bool = False
    worst: float = 0.0
    where: str = "no difference"
    draws: bool = False

    def __post_init__(self) -> None:
        order = self.symmetry.group.order
        self.observation, self.state, self.reward, self.termination = ([0.0] * order for _ in range(4))

    def compare(self, g: int, kind: str, expected: Any, got: Any, place: str, states: Callable[[], str]) -> None:
        """Record how far `got` is from `expected`."""
        expected, got = np.asarray(expected, np.float64), np.asarray(got, np.float64)
        error = np.abs(expected - got) / np.maximum(1, np.abs(expected))
        error = np.where(np.isnan(error), np.inf, error)
        if not error.size:
            return
        index = np.unravel_index(np.argmax(error), error.shape)
        largest = float(error[index])
        found = getattr(self, kind)
        found[g] = max(found[g], largest)
        if largest > self.worst:
            self.worst = largest
            at = f"{place}[{', '.join(str(int(i)) for i in index)}]" if index else place
            self.where = (
                f"{at} should be {expected[index]:.6g}, is {got[index]:.6g}: error {largest:.2g}, for the element "
                f"{list(self.symmetry.group.elements[g])} of {self.symmetry.group.name}; {states()}"
            )


def check_symmetry(
    env: gymnasium.Env | str,
    symmetry: Symmetry | None = None,
    steps: int = 1000,
    seed: int = 0,
    tolerance: float | None = None,
) -> Check:
    """Test a symmetry in the simulator, and raise where it does not hold.

    Args:
        env: made by `make_env` (or `gymnasium.make`), or an id.
        symmetry: what to test; default: what the environment declares.
        steps, seed: of the random play.
        tolerance: the largest difference that is accepted, relative to max(1, |x|); default: that of the declaration.

    Raises:
        ValueError: the environment does not obey (the message says where: key and index, error, both states), declares
            no symmetry, does not match the declaration's sizes, or draws random numbers in its steps.
    """
    if tolerance is None:
        tolerance = tolerance_of(env) if symmetry is None else TOLERANCE
    check = measure_symmetry(env, symmetry, steps, seed)
    if check.draws:
        raise ValueError(
            f"{check.env} draws random numbers in its steps: its symmetry can hold in distribution only, and stepping "
            "twins cannot test that"
        )
    if not check.worst <= tolerance:
        raise ValueError(f"{check.env} does not obey this symmetry: {check.where}")
    return check


def measure_symmetry(
    env: gymnasium.Env | str, symmetry: Symmetry | None = None, steps: int = 1000, seed: int = 0
) -> Check:
    """The differences between steps and those of their twins, however large; see `check_symmetry`."""
    env = make_env(env) if isinstance(env, str) else env
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    symmetry = symmetry or declared_symmetry(env)
    if symmetry is None:
        raise ValueError(f"{name} declares no symmetry; give one: check_symmetry(env, Symmetry(group, ...))")
    match_spaces(symmetry, env.observation_space, env.action_space)

    check = Check(name, symmetry, steps)
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    for step in range(steps):
        action = env.action_space.sample()
        # a simulator derives other quantities from the state; writing it brings them up to date, here as in the twins
        put_into_twin(env, symmetry, 0, observation)
        twins = [_copy(env) for _ in range(1, symmetry.group.order)]
        before = _random_state(env)
        following, reward, *ends, _ = env.step(action)
        check.draws |= _random_state(env) != before
        for g, twin in enumerate(twins, start=1):
            put_into_twin(twin, symmetry, g, observation)
            shown, twin_reward, *twin_ends, _ = twin.step(transformed_action(symmetry, g, action))
            states = partial(_told, symmetry, g, step, observation, action)
            expected = transformed(symmetry, g, following)
            for key in expected if isinstance(expected, Mapping) else [None]:
                wanted, got = (expected, shown) if key is None else (expected[key], shown[key])
                check.compare(g, "observation", wanted, got, key or "observation", states)
            check.has_state = _compare_states(check, g, env, twin, following, states)
            check.compare(g, "reward", reward, twin_reward, "the reward", states)
            check.compare(g, "termination", ends, twin_ends, "terminated, truncated", states)
        observation = following
        if any(ends):
            observation, _ = env.reset()
    return check


def _compare_states(
    check: Check, g: int, env: gymnasium.Env, twin: gymnasium.Env, observation: Any, states: Callable[[], str]
) -> bool:
    """Compare the states of a twin's simulator and of one put into the twin of what `env` shows; False without one."""
    state = simulator_state(twin)
    if state is None:
        return False
    wanted = _copy(env)
    put_into_twin(wanted, check.symmetry, g, observation)
    check.compare(g, "state", simulator_state(wanted), state, "the simulator's state", states)
    return True


def simulator_state(env: gymnasium.Env) -> np.ndarray | None:
    """The state of a simulator in full precision: `state` where it is numbers, MuJoCo's q and v, MiniGrid's grid."""
    core: Any = env.unwrapped
    if isinstance(core, MiniGridEnv):
        return np.concatenate([core.grid.encode().ravel(), core.agent_pos, [core.agent_dir]])
    if hasattr(getattr(core, "data", None), "qpos"):
        return np.concatenate([core.data.qpos, core.data.qvel])
    state = getattr(core, "state", None)
    try:
        return None if state is None else np.asarray(state, np.float64).ravel()
    except (TypeError, ValueError):  # it is not numbers
        return None


def transformed(symmetry: Symmetry, g: int, observation: Any) -> Any:
    """φ(g)s of one observation of the environment: an array, or a dict of them."""
    if isinstance(observation, Mapping):
        batch = {key: torch.as_tensor(np.asarray(part))[None] for key, part in observation.items()}
        return {key: part[0].numpy() for key, part in symmetry.observe(g, batch).items()}
    return symmetry.observe(g, torch.as_tensor(np.asarray(observation))[None])[0].numpy()


def transformed_action(symmetry: Symmetry, g: int, action: Any) -> Any:
    """ψ(g)a of one action of the environment."""
    moved = symmetry.act(g, torch.as_tensor(np.asarray(action))[None])[0].numpy()
    return moved if moved.ndim else type(action)(moved)


def put_into_twin(env: gymnasium.Env, symmetry: Symmetry, g: int, observation: Any) -> None:
    """Put the simulator, whose observation is `observation`, into the transformed state.

    Raises:
        ValueError: the symmetry has no `twin` and the observation is not the state.
    """
    if symmetry.twin is not None:
        symmetry.twin(env, g)
        return
    state = getattr(env.unwrapped, "state", None)
    held = None if state is None else np.asarray(state, np.float64).flatten()
    seen = None if isinstance(observation, Mapping) else np.asarray(observation, np.float64)
    if held is None or seen is None or held.shape != seen.shape or not np.allclose(held, seen, 1e-4, 1e-6):
        raise ValueError(
            f"the observation of {env.unwrapped} is not its state (env.unwrapped.state = {_short(state)}, "
            f"observation = {_short(observation)}); give the symmetry twin=..., a function of (env, g) that puts the "
            "simulator into the transformed state and does nothing for g = 0"
        )
    if g:
        moved = transformed(symmetry, g, held)
        kept = np.asarray(state)
        array = moved.reshape(kept.shape).astype(kept.dtype)
        env.unwrapped.state = array if isinstance(state, np.ndarray) else type(state)(array.tolist())  # type: ignore


def _told(symmetry: Symmetry, g: int, step: int, observation: Any, action: Any) -> str:
    return (
        f"step {step}: s = {_short(observation)}, a = {_short(action)} and "
        f"φ(g)s = {_short(transformed(symmetry, g, observation))}, "
        f"ψ(g)a = {_short(transformed_action(symmetry, g, action))}"
    )


def _copy(env: gymnasium.Env) -> gymnasium.Env:
    core = env.unwrapped
    fixed = [getattr(layer, name, None) for layer in (env, core) for name in ("spec", "symmetry", "model")]
    known: dict[int, Any] = {id(part): part for part in fixed}
    try:
        if isinstance(core, EzPickle):  # its own copies would be newly made environments
            copied = type(core).__new__(type(core))
            known[id(core)] = copied
            copied.__dict__.update(deepcopy(core.__dict__, known))
        return deepcopy(env, known)
    except TypeError as error:
        raise ValueError(f"{core} cannot be copied, so it can have no twin: {error}") from error


def _random_state(env: gymnasium.Env) -> Any:
    return str(env.unwrapped.np_random.bit_generator.state)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_short(part)}" for key, part in value.items()) + "}"
    return np.array2string(np.asarray(value), precision=5, threshold=32, separator=", ").replace("\n", "")
