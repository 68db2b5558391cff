"""Make many environments at once, as agents see them, on the levels that they are to play."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from minigrid.minigrid_env import MiniGridEnv

from envs.levels import BANK, BankLevels, Part
from envs.names import is_body, resolve_id
from envs.recorded import Recorded
from envs.shuffle import ShuffledEngine
from envs.single import made, make_env
from envs.vec_env import LevelsVecEnv, VecEnv

log = logging.getLogger(__name__)

PARTS = ("training", "test", "tuning")
ENGINES = ("gymnasium", "batched", "auto")


def make_vec_env(
    id: str,
    *,
    n_envs: int = 8,
    seed: int | None = None,
    engine: str = "gymnasium",
    bank: int | None = None,
    first_level: int = 0,
    levels: int | str | None = None,
    held_out: str | None = None,
    part: str = "training",
    shift: str | None = None,
    engine_threads: int = 1,
    **options: Any,
) -> VecEnv:
    """`n_envs` environments, the i-th seeded with seed + i.

    `.symmetry` is what the environment declares, and `.engine` names what steps it. In MiniGrid, `reset_infos[i]` has
    the `level_seed` of the episode that begins, and so has `infos[i]` of a step that ends an episode;
    `make_env(id).reset(seed=level_seed)` shows that level.

    `reset` and `step` of the engine "gymnasium" raise `FloatingPointError` for NaN or infinity from an environment.

    Args:
        id, options: as for `make_env`.
        n_envs: the number of environments.
        seed: seeds the next reset; None draws a random seed.
        engine: "gymnasium" steps the real environments in turn; "batched" steps those of MiniGrid and classic control
            in one compiled loop, and bodies in several threads, with the same results; "auto" is "batched" where
            possible, else "gymnasium".
        bank: the number of levels to draw from: those of the seeds first_level ... first_level + bank - 1. 0 draws
            each episode's level from 2^31. The default is 10,000. Only MiniGrid environments have levels.
        first_level: the seed of the first level.
        levels: a split into levels of training and of tests (`envs.split`): N levels, or "all" for those of the bank.
            None is no split.
        held_out: the property that tells the two parts apart (`envs.held_out`); None: their content.
        part: of the split: "training", "test", or "tuning", other levels that tune.py evaluates on.
        shift: "mirror", "rotate" or "colours" changes every level (`envs.engine.shift`), in the engine "batched".
        engine_threads: the number of threads of the engine "batched" in MiniGrid.

    Raises:
        ValueError: as for `make_env`; n_envs < 1; no such engine; "batched" for an environment it cannot step.
    """
    played = _played(bank, first_level, levels, held_out, part)
    engine = engine if shift is None else "batched"
    batched = _batched("BatchedVecEnv", engine_threads, id, n_envs, engine, played, options, shift)
    env: VecEnv = batched or LevelsVecEnv(_real(id, n_envs, played, options))
    shown: Any = make_env(id, **options)
    env.symmetry = shown.symmetry
    if seed is not None:
        env.seed(seed)
        env.action_space.seed(seed)
    return env


def make_vector_env(
    id: str,
    *,
    n_envs: int = 8,
    engine: str = "auto",
    bank: int | None = None,
    first_level: int = 0,
    levels: int | str | None = None,
    held_out: str | None = None,
    part: str = "training",
    engine_threads: int = 1,
    **options: Any,
) -> VectorEnv:
    """The environments of `make_vec_env` as Gymnasium's vector environment; the next episode begins in the same step.

    Raises:
        ValueError: as for `make_vec_env`.
    """
    played = _played(bank, first_level, levels, held_out, part)
    env = _batched("BatchedVectorEnv", engine_threads, id, n_envs, engine, played, options)
    return env or SyncVectorEnv(_real(id, n_envs, played, options), autoreset_mode=AutoresetMode.SAME_STEP)


def _played(
    bank: int | None, first_level: int, levels: int | str | None, held_out: str | None, part: str
) -> dict[str, Any]:
    """The options that say which levels are played; those of crash files, so an absent one is left out."""
    played = {"bank": bank, "first_level": first_level, "levels": levels, "part": part}
    return played if held_out is None else {**played, "levels": levels or "all", "held_out": held_out}


def _part(id: str, played: Mapping[str, Any], options: Mapping[str, Any]) -> Part:
    """Which levels are played.

    Raises:
        ValueError: as `envs.split.split_of`; no such part, or no level in it.
    """
    levels, held_out, part = played["levels"], played.get("held_out"), played["part"]
    bank = BANK if played["bank"] is None else played["bank"]
    if part not in PARTS:
        raise ValueError(f"part is one of {', '.join(PARTS)}, got {part!r}")
    if levels is None and part != "training":
        raise ValueError(f"part={part!r} needs levels=, which says what training has: N, or 'all'")
    if levels is None or (levels == "all" and bank and part == "training" and held_out is None):
        return Part(bank, played["first_level"])

    from envs.split import split_of  # numba takes a while to import

    split = split_of(id, levels, bank, held_out, **options)
    chosen = {"training": split.training, "test": split.test, "tuning": split.tuning}[part]
    if chosen is None:
        raise ValueError(f"{id} has no levels to test on: {split.reason}")
    return chosen


def _real(id: str, n_envs: int, played: dict[str, Any], options: dict[str, Any]) -> list[Callable[[], gymnasium.Env]]:
    """How to make each of the real environments."""
    return [partial(make_nth_env, id, index, **played, **options) for index in range(n_envs)]


def make_nth_env(
    id: str,
    index: int,
    bank: int | None = None,
    first_level: int = 0,
    levels: int | str | None = None,
    held_out: str | None = None,
    part: str = "training",
    **options: Any,
) -> gymnasium.Env:
    """The `index`-th environment of `make_vec_env`: that of `make_env`, on the levels that this index is given.

    Raises:
        ValueError: as for `make_env`.
    """
    env = make_env(id, **options)
    played = _played(bank, first_level, levels, held_out, part)
    chosen = _part(id, played, options)
    if isinstance(env.unwrapped, MiniGridEnv):
        env.set_wrapper_attr("has_levels", True)
        hashes = None
        if chosen.selects:
            from envs.split import hashes_of

            hashes = partial(hashes_of, env.unwrapped, env.get_wrapper_attr("words"))
        env = BankLevels(env, index, chosen, hashes)
    elif env.has_wrapper_attr("play_nth"):  # several bodies, of which each environment keeps to one
        env.get_wrapper_attr("play_nth")(index)
    return Recorded(env, {"id": id, "index": index, **played, **options})


def _batched(
    adapter: str,
    threads: int,
    id: str,
    n_envs: int,
    engine: str,
    played: dict[str, Any],
    options: dict[str, Any],
    shift: str | None = None,
) -> Any:
    """The engine behind an adapter; None where the real environments are asked for, or "auto" needs them.

    Raises:
        ValueError: as for `make_vec_env`.
    """
    if n_envs < 1:
        raise ValueError(f"n_envs is at least 1, got {n_envs}")
    if engine not in ENGINES:
        raise ValueError(f"env.engine is one of {', '.join(ENGINES)}, got {engine!r}")
    bank, first_level = played["bank"], played["first_level"]
    if (bank or 0) < 0 or first_level < 0:
        raise ValueError(f"env.bank and env.first_level are at least 0, got {bank} and {first_level}")
    if engine == "gymnasium":
        return None

    from envs import engine as batched  # numba takes a while to import

    shown = make_env(id, **options)
    try:
        if shown.render_mode is not None:
            raise batched.Unsupported("it draws no pictures (render_mode)")
        env = made(resolve_id(id), None, options.get("kwargs"))
        own = _own_engine(env)
        if shift and not isinstance(env.unwrapped, MiniGridEnv):
            raise ValueError(f"{id} has no levels, which shift={shift} would change")
        if own and bank:
            raise batched.Unsupported("its episodes begin at random, not from a bank of levels")
        part = _part(id, played, options)
        batch: batched.Engine
        if own:
            batch = own(env, n_envs)
        else:
            view = options.get("view", "partial")
            if view not in batched.VIEWS:
                raise batched.Unsupported(f"it does not show env.view={view}")
            words = shown.get_wrapper_attr("words") if shown.has_wrapper_attr("words") else ()
            batch = batched.Batch(env, n_envs, view, threads=threads, words=words, part=part, shift=shift)
        if options.get("shuffle") is not None:
            batch = ShuffledEngine(batch, options["shuffle"])
    except batched.Unsupported as reason:
        if shift:
            raise ValueError(f"shift={shift} needs the batched engine, which cannot step {id}: {reason}") from reason
        if engine == "batched":
            known, classics = (
                ", ".join(sorted(owner.__name__ for owner in owners)) for owners in (batched.RULES, batched.CLASSICS)
            )
            raise ValueError(
                f"the batched engine cannot step {id}: {reason}. It steps MiniGrid and BabyAI environments whose "
                f"`step` is that of {known}, and {classics} unchanged; use env.engine=auto or env.engine=gymnasium"
            ) from reason
        log.warning("engine=auto: %s runs in Gymnasium: %s", id, reason)
        return None
    count = f", {f'on {part.count} levels' if part.count else 'a new level each episode'}"
    log.info("engine=%s: %s runs in the batched engine%s", engine, id, "" if own else count)
    make = getattr(batched, adapter)
    space, actions = shown.observation_space, shown.action_space
    return make(batch, space, actions, options.get("history", 0), options.get("reward_scale", 1.0))


def _own_engine(env: gymnasium.Env) -> Callable[[gymnasium.Env, int], Any] | None:
    """The engine of environments without levels: classic control and bodies; None for others."""
    if env.spec and is_body(env.spec.id):
        from envs.bodies.batch import Bodies  # MuJoCo need not be installed

        return Bodies
    from envs.engine import CLASSICS

    return CLASSICS.get(type(env.unwrapped))
