"""Make environments with the observations and actions that agents are given: one, or many at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TransformReward
from minigrid.minigrid_env import MiniGridEnv
from stable_baselines3.common.monitor import Monitor

from envs.errors import Reported
from envs.history import History
from envs.levels import BankLevels
from envs.minigrid import MiniGridObservation
from envs.missions import words_beyond
from envs.names import resolve_id
from envs.recorded import Recorded
from envs.shuffle import ShuffledCells, ShuffledEngine
from envs.spaces import readable
from envs.symmetries import declaration_of, declared_symmetry
from envs.vec_env import LevelsVecEnv, VecEnv
from symmetry import Symmetry

log = logging.getLogger(__name__)

ENGINES = ("gymnasium", "batched", "auto")
BANK = 10_000  # levels


def make_env(
    id: str,
    *,
    view: str = "partial",
    shuffle: int | None = None,
    words: Sequence[str] | None = None,
    history: int = 0,
    reward_scale: float = 1.0,
    render_mode: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> gymnasium.Env:
    """One environment as agents see it; `.symmetry` is the symmetry that it declares, or None.

    Spaces that agents cannot read as they are, such as Tuple and Discrete(3, start=5), are converted (`envs.spaces`).

    Args:
        id: a short name (CartPole, DoorKey-5x5) or any Gymnasium id.
        view: of MiniGrid environments: "partial" (what the agent sees), "full", "rgb" or "flat" (`envs.minigrid`).
        shuffle: of MiniGrid environments: the seed of a fixed permutation of the cells of "partial" and "full". It
            breaks the symmetry, so none is declared. None leaves the cells in their places.
        words: of MiniGrid environments: the words of missions besides MiniGrid's and BabyAI's own. None takes all words
            of the mission space, and the names of objects and colours registered besides MiniGrid's own.
        history: K > 0 gives windows of the last K observations with a mask `valid`; 0 gives single observations.
        reward_scale: a factor on the reward that the learner sees; episode statistics stay unscaled.
        render_mode, kwargs: for `gymnasium.make`.

    Raises:
        ValueError: no such environment, one that cannot be made or read (the message says why), or an option that it
            does not have.

    `reset` and `step` raise `envs.errors.EnvironmentFailed` for an exception of the environment itself.
    """
    env_id = resolve_id(id)
    env: gymnasium.Env = Reported(_made(env_id, render_mode, kwargs))
    if isinstance(env.unwrapped, MiniGridEnv):
        env = MiniGridObservation(env, view, words)
        env = env if shuffle is None else ShuffledCells(env, shuffle)
    elif view != "partial" or shuffle is not None or words:
        option = "env.view" if view != "partial" else "env.words" if words else "env.shuffle"
        raise ValueError(f"{option} is an option of MiniGrid environments, which {env_id} is not")
    else:
        env = _readable(env)
    if history:
        env = History(env, history)
    # inside the reward scaling, so that what is reported is the environment's own return
    env = Monitor(env)
    if reward_scale != 1:
        env = TransformReward(env, lambda reward: float(reward) * reward_scale)
    made: Any = env
    made.symmetry = declared_symmetry(env)
    return made


def make_vec_env(
    id: str,
    *,
    n_envs: int = 8,
    seed: int | None = None,
    engine: str = "gymnasium",
    bank: int | None = None,
    first_level: int = 0,
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
            in one compiled loop, with the same results; "auto" is "batched" where possible, else "gymnasium".
        bank: the number of levels to draw from: those of the seeds first_level ... first_level + bank - 1. 0 draws
            each episode's level from 2^31. The default is 10,000. Only MiniGrid environments have levels.
        first_level: the seed of the first level.
        engine_threads: the number of threads of the engine "batched" in MiniGrid.

    Raises:
        ValueError: as for `make_env`; n_envs < 1; no such engine; "batched" for an environment it cannot step.
    """
    chosen = (id, n_envs, engine, bank, first_level, options)
    batched = _batched("BatchedVecEnv", engine_threads, *chosen)
    env: VecEnv = batched or LevelsVecEnv(_real(id, n_envs, bank, first_level, options))
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
    engine_threads: int = 1,
    **options: Any,
) -> VectorEnv:
    """The environments of `make_vec_env` as Gymnasium's vector environment; the next episode begins in the same step.

    Raises:
        ValueError: as for `make_vec_env`.
    """
    chosen = (id, n_envs, engine, bank, first_level, options)
    env = _batched("BatchedVectorEnv", engine_threads, *chosen)
    return env or SyncVectorEnv(_real(id, n_envs, bank, first_level, options), autoreset_mode=AutoresetMode.SAME_STEP)


def symmetry_of(env: str | gymnasium.Env, **options: Any) -> Symmetry | None:
    """The symmetry that an environment declares; None if none, or for windows (`env.history`), pixels, shuffled cells.

    Args:
        env: an environment made by `make_env`, or a short name or Gymnasium id with the options of `make_env`.

    Raises:
        ValueError: no such environment, or a declaration that does not match its spaces.
    """
    if isinstance(env, str):
        declaration = declaration_of(resolve_id(env))
        if declaration is None or (isinstance(declaration, Symmetry) and not options):
            return declaration  # no environment needs to be made
        env = make_env(env, **options)
    return declared_symmetry(env)


def has_levels(id: str, kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether an environment is one of MiniGrid's, or derived from them.

    Raises:
        ValueError: it cannot be made.
    """
    return isinstance(_made(resolve_id(id), None, kwargs).unwrapped, MiniGridEnv)


def words_of(id: str, kwargs: Mapping[str, Any] | None = None) -> list[str]:
    """The words in the mission space of a MiniGrid environment that are not MiniGrid's own.

    Raises:
        ValueError: it cannot be made.
    """
    core = _made(resolve_id(id), None, kwargs).unwrapped
    return list(words_beyond(core)) if isinstance(core, MiniGridEnv) else []


def _made(env_id: str, render_mode: str | None, kwargs: Mapping[str, Any] | None) -> gymnasium.Env:
    try:
        # a user's environment need not take a render mode
        given = dict(kwargs or {}) if render_mode is None else {"render_mode": render_mode, **(kwargs or {})}
        return gymnasium.make(env_id, **given)
    except (gymnasium.error.Error, ImportError, TypeError, AttributeError) as error:
        refused = ("unexpected keyword argument 'render_mode'", "takes no arguments")
        if render_mode is not None and any(words in str(error) for words in refused):
            raise ValueError(
                f"environment {env_id} cannot be filmed: its class takes no render_mode. Take it as a keyword of "
                "__init__, set self.render_mode to it, list it in metadata['render_modes'] and return a picture from "
                "render(); without video= the policy can be evaluated as it is"
            ) from error
        raise ValueError(f"environment {env_id} cannot be made: {error}") from error


def _readable(env: gymnasium.Env) -> gymnasium.Env:
    try:
        return readable(env)
    except ValueError as error:
        raise ValueError(f"no agent can play {env.get_wrapper_attr('id')}: {error}") from error


def _real(
    id: str, n_envs: int, bank: int | None, first_level: int, options: dict[str, Any]
) -> list[Callable[[], gymnasium.Env]]:
    """How to make each of the real environments."""
    return [partial(make_nth_env, id, index, bank, first_level, **options) for index in range(n_envs)]


def make_nth_env(id: str, index: int, bank: int | None = None, first_level: int = 0, **options: Any) -> gymnasium.Env:
    """The `index`-th environment of `make_vec_env`: that of `make_env`, on the levels that this index is given.

    Raises:
        ValueError: as for `make_env`.
    """
    env = make_env(id, **options)
    if isinstance(env.unwrapped, MiniGridEnv):
        env.set_wrapper_attr("has_levels", True)
        env = BankLevels(env, index, BANK if bank is None else bank, first_level)
    made = {"id": id, "index": index, "bank": bank, "first_level": first_level, **options}
    return Recorded(env, made)


def _batched(
    adapter: str,
    threads: int,
    id: str,
    n_envs: int,
    engine: str,
    bank: int | None,
    first_level: int,
    options: dict[str, Any],
) -> Any:
    """The engine behind an adapter; None where the real environments are asked for, or "auto" needs them.

    Raises:
        ValueError: as for `make_vec_env`.
    """
    if n_envs < 1:
        raise ValueError(f"n_envs is at least 1, got {n_envs}")
    if engine not in ENGINES:
        raise ValueError(f"env.engine is one of {', '.join(ENGINES)}, got {engine!r}")
    if (bank or 0) < 0 or first_level < 0:
        raise ValueError(f"env.bank and env.first_level are at least 0, got {bank} and {first_level}")
    if engine == "gymnasium":
        return None

    from envs import engine as batched  # numba takes a while to import

    shown = make_env(id, **options)
    levels = BANK if bank is None else bank
    try:
        if shown.render_mode is not None:
            raise batched.Unsupported("it draws no pictures (render_mode)")
        env = _made(resolve_id(id), None, options.get("kwargs"))
        classic = batched.CLASSICS.get(type(env.unwrapped))
        if classic and bank:
            raise batched.Unsupported("its episodes begin at random, not from a bank of levels")
        batch: batched.Engine
        if classic:
            batch = classic(env, n_envs)
        else:
            view = options.get("view", "partial")
            if view not in batched.VIEWS:
                raise batched.Unsupported(f"it does not show env.view={view}")
            words = shown.get_wrapper_attr("words") if shown.has_wrapper_attr("words") else ()
            batch = batched.Batch(env, n_envs, view, levels, first_level, threads, words)
        if options.get("shuffle") is not None:
            batch = ShuffledEngine(batch, options["shuffle"])
    except batched.Unsupported as reason:
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
    played = "" if classic else f", {f'on {levels} levels' if levels else 'a new level each episode'}"
    log.info("engine=%s: %s runs in the batched engine%s", engine, id, played)
    make = getattr(batched, adapter)
    space, actions = shown.observation_space, shown.action_space
    return make(batch, space, actions, options.get("history", 0), options.get("reward_scale", 1.0))
