"""Which compiled function lays out an environment's levels, and what it needs to know about the environment.

The function is found by the class that defines the environment's `_gen_grid`, or BabyAI's `gen_mission`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gymnasium
from minigrid.core.constants import COLOR_NAMES, OBJECT_TO_IDX
from minigrid.core.world_object import Lava, Wall
from minigrid.envs import (
    BlockedUnlockPickupEnv,
    CrossingEnv,
    DistShiftEnv,
    DoorKeyEnv,
    DynamicObstaclesEnv,
    EmptyEnv,
    FetchEnv,
    FourRoomsEnv,
    GoToDoorEnv,
    GoToObjectEnv,
    KeyCorridorEnv,
    LavaGapEnv,
    LockedRoomEnv,
    MemoryEnv,
    MultiRoomEnv,
    ObstructedMaze_1Dlhb,
    ObstructedMaze_Full,
    PlaygroundEnv,
    PutNearEnv,
    RedBlueDoorEnv,
    UnlockEnv,
    UnlockPickupEnv,
)
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.obstructedmaze_v1 import ObstructedMaze_Full_V1
from minigrid.minigrid_env import MiniGridEnv

from envs.engine.makers import many_rooms, one_room, room_grids
from envs.engine.makers.babyai import MISSIONS
from envs.engine.makers.family import Family, Unlike, rooms
from envs.engine.makers.world import A_WALL, SOME_LAVA


def _start(env: Any) -> list[int]:
    """The agent's place and direction; -1 where they are drawn."""
    if env.agent_start_pos is None:
        return [-1, -1, -1]
    return [*env.agent_start_pos, env.agent_start_dir]


def _obstacle(env: Any) -> int:
    cells = {Lava: SOME_LAVA, Wall: A_WALL}
    if env.obstacle_type not in cells:
        raise Unlike(f"its obstacles are of type {env.obstacle_type.__name__}")
    return int(cells[env.obstacle_type])


def _multi_room(env: Any) -> list[int]:
    if env.maxNumRooms > many_rooms.MOST_ROOMS:
        raise Unlike(f"it has more than {many_rooms.MOST_ROOMS} rooms")
    return [env.minNumRooms, env.maxNumRooms, env.maxRoomSize]


def _obstructed(env: Any) -> list[int]:
    return [*rooms(env), env.key_in_box, env.blocked, env.num_quarters, *env.agent_room]


FAMILIES: dict[type, Family] = {
    EmptyEnv: Family(one_room.lay_empty, _start),
    DistShiftEnv: Family(one_room.lay_dist_shift, lambda env: [*_start(env), env.strip2_row, *env.goal_pos]),
    DynamicObstaclesEnv: Family(
        one_room.lay_dynamic_obstacles, lambda env: [*_start(env), env.n_obstacles, env.action_space.n]
    ),
    DoorKeyEnv: Family(one_room.lay_door_key),
    LavaGapEnv: Family(one_room.lay_lava_gap, lambda env: [_obstacle(env)]),
    CrossingEnv: Family(one_room.lay_crossing, lambda env: [_obstacle(env), env.num_crossings]),
    MemoryEnv: Family(one_room.lay_memory, lambda env: [env.random_length]),
    RedBlueDoorEnv: Family(one_room.lay_red_blue_doors, lambda env: [env.size]),
    GoToDoorEnv: Family(one_room.lay_go_to_door),
    GoToObjectEnv: Family(one_room.lay_go_to_object, lambda env: [env.numObjs]),
    PutNearEnv: Family(one_room.lay_put_near, lambda env: [env.numObjs]),
    FetchEnv: Family(one_room.lay_fetch, lambda env: [env.numObjs]),
    FourRoomsEnv: Family(
        many_rooms.lay_four_rooms,
        lambda env: [*(env._agent_default_pos or (-1, -1)), *(env._goal_default_pos or (-1, -1))],
    ),
    LockedRoomEnv: Family(many_rooms.lay_locked_room),
    PlaygroundEnv: Family(many_rooms.lay_playground),
    MultiRoomEnv: Family(many_rooms.lay_multi_room, _multi_room),
    UnlockEnv: Family(room_grids.lay_unlock, rooms),
    UnlockPickupEnv: Family(room_grids.lay_unlock_pickup, rooms),
    BlockedUnlockPickupEnv: Family(room_grids.lay_blocked_unlock_pickup, rooms),
    KeyCorridorEnv: Family(room_grids.lay_key_corridor, lambda env: [*rooms(env), OBJECT_TO_IDX[env.obj_type]]),
    ObstructedMaze_1Dlhb: Family(
        room_grids.lay_obstructed_maze_1d, lambda env: [*rooms(env), env.key_in_box, env.blocked]
    ),
    ObstructedMaze_Full: Family(room_grids.lay_obstructed_maze, _obstructed),
    ObstructedMaze_Full_V1: Family(room_grids.lay_obstructed_maze_v1, _obstructed),
    **MISSIONS,
}

_NO_CHANGE = ("_gen_mission", "_abc_impl", "metadata")  # of a level, if a class of one's own defines them


def family_of(env: MiniGridEnv) -> Family:
    """The family of an environment.

    Raises:
        Unlike: there is none.
    """
    for owner in type(env).__mro__:
        if owner.__module__.startswith("minigrid."):
            break
        changed = [name for name in vars(owner) if not name.startswith("__") and name not in _NO_CHANGE]
        if changed:
            raise Unlike(f"{owner.__name__} has its own {changed[0]}")
    if COLOR_NAMES != ["blue", "green", "grey", "purple", "red", "yellow"]:
        raise Unlike("colours are registered besides MiniGrid's own")
    drawing = "gen_mission" if isinstance(env, RoomGridLevel) else "_gen_grid"
    owner = next(owner for owner in type(env).__mro__ if drawing in vars(owner))
    if owner not in FAMILIES:
        raise Unlike(f"{owner.__name__} has no compiled maker")
    return FAMILIES[owner]


def ids_of_families(chosen: Sequence[str] = ()) -> dict[str, list[str]]:
    """The registered ids, or those that are chosen, of every family, by the family's name."""
    found: dict[str, list[str]] = {}
    known = [name for name in gymnasium.registry if name.startswith(("MiniGrid-", "BabyAI-")) and "WFC" not in name]
    for name in chosen or known:
        with suppress(Unlike):
            found.setdefault(family_of(gymnasium.make(name).unwrapped).name, []).append(name)  # type: ignore[arg-type]
    return found
