"""Which rule of the compiled engine equals an environment's `step`, and what the rule needs to know about a level.

The rule of an environment is found by the class that defines its `step`. To give a class of your own a rule:

    RULES[MyEnv] = Rule(kernel.PICK_TARGET, lambda env, level: [level.number(env.treasure)])

A compiled step of your own, with the signature of `kernel.step_base`, is `Rule(kernel.CUSTOM, parameters, my_step)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import gymnasium
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker
from minigrid.core.actions import Actions
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.envs import (
    BlockedUnlockPickupEnv,
    DynamicObstaclesEnv,
    FetchEnv,
    GoToDoorEnv,
    GoToObjectEnv,
    KeyCorridorEnv,
    MemoryEnv,
    ObstructedMazeEnv,
    PutNearEnv,
    RedBlueDoorEnv,
    UnlockEnv,
    UnlockPickupEnv,
)
from minigrid.envs.babyai.core import verifier
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.minigrid_env import MiniGridEnv

from envs.codes import tables_of
from envs.engine import kernel


class Placement(Protocol):
    """What a rule can ask about a level: the engine's indices of positions, and the numbers of objects."""

    def index(self, position: Any) -> int: ...
    def place(self, thing: Any) -> int: ...
    def number(self, thing: Any) -> int: ...


class Rule(NamedTuple):
    """A rule: its code in the kernel, its parameters for a level, and, with `kernel.CUSTOM`, its compiled step.

    There are at most 4 parameters, each below the number of cells.
    """

    code: int
    parameters: Callable[[Any, Placement], list[int]] = lambda env, level: []
    step: Callable[..., Any] | None = None


def code_of(kind: str, colour: str) -> int:
    """Type and colour of an object as the lower bits of its cell."""
    return OBJECT_TO_IDX[kind] | COLOR_TO_IDX[colour] << 4


_TARGET = Rule(kernel.PICK_TARGET, lambda env, level: [level.number(env.obj)])
_GO_TO = Rule(kernel.GO_TO, lambda env, level: [level.index(env.target_pos)])

RULES: dict[type, Rule] = {
    MiniGridEnv: Rule(kernel.BASE),
    KeyCorridorEnv: _TARGET,
    ObstructedMazeEnv: _TARGET,
    UnlockPickupEnv: _TARGET,
    BlockedUnlockPickupEnv: _TARGET,
    FetchEnv: Rule(kernel.FETCH, lambda env, level: [code_of(env.targetType, env.targetColor)]),
    GoToDoorEnv: _GO_TO,
    GoToObjectEnv: _GO_TO,
    MemoryEnv: Rule(kernel.MEMORY, lambda env, level: [level.index(env.success_pos), level.index(env.failure_pos)]),
    PutNearEnv: Rule(
        kernel.PUT_NEAR, lambda env, level: [code_of(env.move_type, env.moveColor), level.index(env.target_pos)]
    ),
    RedBlueDoorEnv: Rule(kernel.RED_BLUE, lambda env, level: [level.place(env.red_door), level.place(env.blue_door)]),
    UnlockEnv: Rule(kernel.UNLOCK, lambda env, level: [level.place(env.door)]),
    DynamicObstaclesEnv: Rule(kernel.OBSTACLES, lambda env, level: [int(env.action_space.n)]),
    RoomGridLevel: Rule(kernel.BABYAI),
}

# What the engine assumes to be as MiniGridEnv defines it.
_AS_IN_FARAMA = ["gen_obs", "gen_obs_grid", "_reward", "get_view_exts", "dir_vec", "right_vec", "front_pos"]
_AS_IN_FARAMA += ["place_obj", "get_frame", "get_pov_render"]
HARMLESS_WRAPPERS = (OrderEnforcing, PassiveEnvChecker)


def step_owner(env: gymnasium.Env) -> type:
    """The class that defines the `step` of an environment."""
    return next(owner for owner in type(env.unwrapped).__mro__ if "step" in vars(owner))


def unsupported(env: gymnasium.Env) -> str | None:
    """Why the engine cannot step this environment, as far as its class tells; None if it can.

    A level may give another reason (see `envs.engine.farama.Level`).
    """
    inner = env.unwrapped
    if not isinstance(inner, MiniGridEnv):
        return f"{type(inner).__name__} is not a MiniGrid environment"
    while isinstance(env, gymnasium.Wrapper):
        if not isinstance(env, HARMLESS_WRAPPERS):
            return f"it is wrapped in {type(env).__name__}"
        env = env.env
    owner = step_owner(inner)
    if owner not in RULES:
        return f"{owner.__name__} has a `step` of its own (register its rule in envs.engine.rules.RULES)"
    for name in _AS_IN_FARAMA:
        changed = next((base for base in type(inner).__mro__ if name in vars(base)), MiniGridEnv)
        if changed is not MiniGridEnv:
            return f"{changed.__name__} has its own `{name}`"
    if inner.actions is not Actions:
        return "its actions are not Farama's"
    if type(inner.grid) is not Grid:
        return f"its grid is a {type(inner.grid).__name__}"
    if inner.agent_view_size != kernel.VIEW:
        return f"it sees {inner.agent_view_size}x{inner.agent_view_size} cells, not {kernel.VIEW}x{kernel.VIEW}"
    colour, code = max(tables_of(inner)[1].items(), key=lambda item: item[1])
    if code > kernel.LARGEST_COLOUR:
        return f"the colour {colour!r} has the code {code}, and the engine packs codes up to {kernel.LARGEST_COLOUR}"
    if owner is RoomGridLevel and verifier.use_done_actions:
        return "BABYAI_DONE_ACTIONS is set"
    return None
