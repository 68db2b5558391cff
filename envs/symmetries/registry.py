"""The registry of declared symmetries."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
from gymnasium import spaces

from envs.history import History
from envs.names import id_of, is_body, is_minigrid, resolve_id, short_name_of
from envs.shuffle import ShuffledCells
from envs.symmetries.bodies import body_symmetry_of
from envs.symmetries.classic import CLASSIC, ROUNDED
from envs.symmetries.minigrid import minigrid_symmetry_of
from envs.symmetries.mujoco import MUJOCO, NEARLY
from symmetry import Symmetry

Declaration = Symmetry | Callable[[gymnasium.Env], Symmetry | None]

TOLERANCE = 1e-6  # how far rounding may carry a simulator from an exact symmetry

_declared: dict[str, Declaration] = {}
_tolerances: dict[str, float] = {}


def register_symmetry(id: str, symmetry: Declaration, tolerance: float = TOLERANCE) -> None:
    """Declare the symmetry of an environment id, for every environment made from now on.

    Args:
        id: a short name or Gymnasium id; the id may be registered later.
        symmetry: the symmetry or, if it depends on options, a function of the environment that `make_env` made.
        tolerance: the largest error that `check_symmetry` accepts, relative to max(1, |x|). More than the default says
            that the symmetry is only approximate.

    Raises:
        ValueError: `symmetry` is neither.
    """
    if not isinstance(symmetry, Symmetry) and not callable(symmetry):
        raise ValueError(f"register_symmetry({id!r}, ...) takes a Symmetry or a function of the environment")
    _declared[_plain(id)] = symmetry
    _tolerances[_plain(id)] = tolerance


def declared_symmetry(env: gymnasium.Env) -> Symmetry | None:
    """The symmetry that an environment declares; None if none, or for windows (`env.history`), pixels, shuffled cells.

    Args:
        env: an environment with the observations that agents are given.

    Raises:
        ValueError: a declaration that does not match its spaces.
    """
    declaration = None if env.spec is None else declaration_of(env.spec.id)
    if declaration is None or _has_layer(env, History, ShuffledCells):
        return None
    symmetry = declaration if isinstance(declaration, Symmetry) else declaration(env)
    if symmetry is not None:
        match_spaces(symmetry, env.observation_space, env.action_space)
    return symmetry


def declaration_of(env_id: str) -> Declaration | None:
    """What is declared for a Gymnasium id: a symmetry, or a function of the environment."""
    name = _plain(env_id)
    found = minigrid_symmetry_of if is_minigrid(name) else body_symmetry_of if is_body(name) else None
    return _declared.get(name, found)


def tolerance_of(env: str | gymnasium.Env) -> float:
    """The largest error, relative to max(1, |x|), that the declaration of an environment accepts."""
    env_id = resolve_id(env) if isinstance(env, str) else env.spec.id if env.spec is not None else ""
    return _tolerances.get(_plain(env_id), TOLERANCE)


def symmetric_ids() -> list[str]:
    """The names (short ones where there are) with a declared symmetry; all of MiniGrid and many bodies have one too."""
    return [short_name_of(env_id) or env_id for env_id in _declared]


def match_spaces(symmetry: Symmetry, observation: spaces.Space, action: spaces.Space) -> None:
    """Check that a declaration fits the spaces of an environment.

    Raises:
        ValueError: sizes differ, the bounds of actions do not go to bounds, or no symmetry can act on such a space.
    """
    parts = observation.spaces if isinstance(observation, spaces.Dict) else {"observation": observation}
    for key, part in parts.items():
        if not isinstance(part, spaces.Box):
            raise ValueError(f"a symmetry acts on Box observations (or a Dict of them), and {key!r} is {part}")
    shapes = {key: tuple(part.shape or ()) for key, part in parts.items()}
    if isinstance(action, spaces.Discrete):
        symmetry.validate(shapes, int(action.n))
    elif isinstance(action, spaces.Box) and len(action.shape) == 1:
        symmetry.validate(shapes, (action.low, action.high))
    else:
        raise ValueError(f"a symmetry acts on Discrete actions or vectors, got {action}")


def _plain(id: str) -> str:
    return id_of(id).split(":")[-1]


def _has_layer(env: gymnasium.Env, *kinds: type) -> bool:
    while not isinstance(env, kinds):
        if not isinstance(env, gymnasium.Wrapper):
            return False
        env = env.env
    return True


for _id, _symmetry in {**CLASSIC, **MUJOCO}.items():
    register_symmetry(_id, _symmetry, ROUNDED.get(_id, TOLERANCE))
for _id, (_symmetry, _error) in NEARLY.items():
    register_symmetry(_id, _symmetry, _error)
