"""BabyAI's families, by the class that defines `gen_mission`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.envs.babyai import goto, open, other, pickup, putnext, unlock
from minigrid.envs.babyai.core.levelgen import LevelGen

from envs.engine.kernel import OPEN_DOOR, PICK_UP, PUT_NEXT, REACH
from envs.engine.makers import babyai_any, babyai_go_to, babyai_open, babyai_pick_up, babyai_put_next
from envs.engine.makers.family import Family, Unlike, rooms
from envs.engine.makers.rooms import ANY

_ACTIONS = {"goto": REACH, "pickup": PICK_UP, "open": OPEN_DOOR, "putnext": PUT_NEXT}
_INSTRUCTIONS = {"action": babyai_any.ACTION, "and": babyai_any.BOTH, "seq": babyai_any.IN_ORDER}
_DESCRIBED_BY = {None: ANY, "color": 0, "loc": 1}


def _family(lay: Any, own: Callable[[Any], Sequence[int]] = lambda env: ()) -> Family:
    """A family with the options of all of BabyAI's levels (makers/instructions.py), and then its own."""

    def options(env: Any) -> list[int]:
        return [*rooms(env), env.fixed_max_steps, getattr(env, "unblocking", False), *own(env)]

    return Family(lay, options)


def _digits(kinds: Sequence[str], codes: dict[str, int]) -> int:
    """The codes of these kinds as octal digits, at most 20."""
    unknown = [kind for kind in kinds if kind not in codes]
    if unknown or len(kinds) > 20:
        raise Unlike(f"its instructions have the kinds {', '.join(kinds)}")
    return sum(codes[kind] << 3 * k for k, kind in enumerate(kinds))


def _any(env: Any) -> list[int]:
    return [
        env.num_dists,
        min(max(ceil(env.locked_room_prob * babyai_any.CHANCES), 0), babyai_any.CHANCES),
        env.locations,
        env.implicit_unlock,
        _digits(env.action_kinds, _ACTIONS),
        _digits(env.instr_kinds, _INSTRUCTIONS),
    ]


def _open_door(env: Any) -> list[int]:
    if env.select_by not in _DESCRIBED_BY:
        raise Unlike(f"it describes a door by {env.select_by}")
    return [_DESCRIBED_BY[env.select_by], env.debug]


def _two_doors(env: Any) -> list[int]:
    colours = (env.first_color, env.second_color)
    return [*(ANY if colour is None else COLOR_TO_IDX[colour] for colour in colours), env.strict]


MISSIONS: dict[type, Family] = {
    goto.GoToRedBall: _family(babyai_go_to.lay_go_to_red_ball, lambda env: [env.num_dists, False]),
    goto.GoToRedBallGrey: _family(babyai_go_to.lay_go_to_red_ball, lambda env: [env.num_dists, True]),
    goto.GoToObj: _family(babyai_go_to.lay_go_to_object),
    goto.GoToLocal: _family(babyai_go_to.lay_go_to, lambda env: [env.num_dists, False]),
    goto.GoTo: _family(babyai_go_to.lay_go_to, lambda env: [env.num_dists, env.doors_open]),
    goto.GoToImpUnlock: _family(babyai_go_to.lay_go_to_implicit_unlock),
    goto.GoToRedBlueBall: _family(babyai_go_to.lay_go_to_red_or_blue_ball, lambda env: [env.num_dists]),
    goto.GoToDoor: _family(babyai_go_to.lay_go_to_door),
    goto.GoToObjDoor: _family(babyai_go_to.lay_go_to_object_or_door),
    open.Open: _family(babyai_open.lay_open),
    open.OpenRedDoor: _family(babyai_open.lay_open_red_door),
    open.OpenDoor: _family(babyai_open.lay_open_door, _open_door),
    open.OpenTwoDoors: _family(babyai_open.lay_open_two_doors, _two_doors),
    open.OpenDoorsOrder: _family(babyai_open.lay_open_in_order, lambda env: [env.num_doors, env.debug]),
    unlock.Unlock: _family(babyai_open.lay_unlock),
    unlock.UnlockLocal: _family(babyai_open.lay_unlock_local, lambda env: [env.distractors]),
    unlock.KeyInBox: _family(babyai_open.lay_key_in_box),
    unlock.UnlockPickup: _family(babyai_pick_up.lay_unlock_pick_up, lambda env: [env.distractors]),
    unlock.BlockedUnlockPickup: _family(babyai_pick_up.lay_blocked_unlock_pick_up),
    unlock.UnlockToUnlock: _family(babyai_pick_up.lay_unlock_to_unlock),
    pickup.Pickup: _family(babyai_pick_up.lay_pick_up),
    pickup.UnblockPickup: _family(babyai_pick_up.lay_unblock_pick_up),
    pickup.PickupDist: _family(babyai_pick_up.lay_pick_up_described, lambda env: [env.debug]),
    pickup.PickupAbove: _family(babyai_pick_up.lay_pick_up_above),
    other.ActionObjDoor: _family(babyai_pick_up.lay_action),
    other.FindObjS5: _family(babyai_pick_up.lay_find_object),
    other.KeyCorridor: _family(babyai_pick_up.lay_key_corridor, lambda env: [OBJECT_TO_IDX[env.obj_type]]),
    other.OneRoomS8: _family(babyai_pick_up.lay_one_room),
    other.MoveTwoAcross: _family(babyai_put_next.lay_move_two_across, lambda env: [env.objs_per_room]),
    putnext.PutNextLocal: _family(babyai_put_next.lay_put_next_local, lambda env: [env.num_objs]),
    putnext.PutNext: _family(babyai_put_next.lay_put_next, lambda env: [env.objs_per_room, env.start_carrying]),
    LevelGen: _family(babyai_any.lay_any, _any),
}
