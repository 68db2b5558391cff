"""A configuration -> training environments, evaluation environments, untrained model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from agents import make_agent
from agents.equivariance.normalization import SymmetricStatistics
from agents.make import encoder_named
from agents.saved.policy import described
from configs.check import TUNING
from configs.compose import UsageError
from encoders.base import kind_of
from envs import make_env, make_vec_env, symmetric_ids
from envs.levels import FRESH, FRESH_FOR_TUNING, PLAYED
from envs.split import Split, split_of
from evaluation.runs import is_of_tuning
from learning.memory import fitting, samples
from learning.transfer import check_transfer
from symmetry import Symmetry

EVALUATION_SEED = 1_000_000  # evaluations begin this far from the training seeds
EVALUATION_ENVS = 20
UNSAID = (("levels", "all"), ("held_out", None))  # what a policy's file leaves out
NO_OPTIONS = ("name", "class", "initial", "freeze", "parameters")  # of an encoder's class


@dataclass(frozen=True)
class Built:
    """The environments and the model of a configuration.

    Attributes:
        env: the training environments, as the model sees them.
        evaluation_env: environments with other levels or another seed, and with unscaled rewards.
        model: the untrained model.
        memory: a sentence on the memory that the agent's samples take.
        split: the levels of training and of tests, where there are levels.
        training_levels: like `evaluation_env`, on levels of training, where that one plays levels of tests.
    """

    env: VecEnv
    evaluation_env: VecEnv
    model: BaseAlgorithm
    memory: str
    split: Split | None = None
    training_levels: VecEnv | None = None

    def close(self) -> None:
        """Close the environments."""
        for env in (self.env, self.evaluation_env, self.training_levels):
            if env is not None:
                env.close()


def build(config: Mapping[str, Any]) -> Built:
    """Build the environments and the model of a configuration that `learning.decide.decide` has been applied to.

    Raises:
        ValueError: the parts do not fit together, do not fit into memory, or make a policy that cannot be saved.
    """
    options, env = env_options(config), config["env"]
    if (bodies := len(env.get("train") or ())) > config["n_envs"]:
        raise UsageError(
            f"an environment keeps to one body, and env.train names {bodies}; got n_envs={config['n_envs']}, use more"
        )
    playing = {key: env.get(key) for key in PLAYED}
    split = None
    if playing["levels"] is not None:
        split = split_of(env["id"], **playing, words=options.get("words"), kwargs=env["kwargs"])
    made = make_vec_env(**options, **playing, engine=env["engine"], n_envs=config["n_envs"], seed=config["seed"])
    part = evaluated_part(config, split)
    evaluation_env = evaluating(config, made.engine, part)
    training_levels = evaluating(config, made.engine, "training") if part == "test" else None
    method = config["symmetry"]["method"]
    symmetry = _symmetry(config, made.symmetry) if method != "none" else None
    env = _normalized(made, symmetry, config) if config["env"]["normalize"] else made
    memory = samples(env, config)
    model = fitting(partial(_model, config, env, symmetry), env, config)
    described(model, environment=saved_options(config))  # raises now if the policy cannot be saved
    check_transfer(model, config, {"environment": saved_options(config)})
    return Built(env, evaluation_env, model, memory, split, training_levels)


def evaluating(config: Mapping[str, Any], engine: str, part: str | None) -> VecEnv:
    """Environments for evaluations, with unscaled rewards.

    Args:
        config: of the run.
        engine: that steps them.
        part: "training", "test" or "tuning" levels of the run's split; None: levels whose seeds training never draws.
    """
    n_envs = min(config["evaluation"]["episodes"], EVALUATION_ENVS)
    return make_vec_env(**evaluation_options(config, part), engine=engine, n_envs=n_envs, seed=evaluation_seed(config))


def evaluation_options(config: Mapping[str, Any], part: str | None) -> dict[str, Any]:
    """The options of `envs.make_vec_env` that say which environments, on which levels, `evaluating` makes."""
    playing: dict[str, Any] = {**(FRESH_FOR_TUNING if is_of_tuning(config) else FRESH)}
    if part is not None:
        playing = {**{key: config["env"].get(key) for key in PLAYED}, "part": part}
    return {**env_options(config), "reward_scale": 1.0, **playing}


def evaluated_part(config: Mapping[str, Any], split: Split | None) -> str | None:
    """The part of a run's split that its evaluations play, as `evaluating` takes it."""
    if split is None or not split.apart:
        return None
    return "tuning" if is_of_tuning(config) else "test"


def evaluation_seed(config: Mapping[str, Any]) -> int:
    """The seed of the first evaluation."""
    return EVALUATION_SEED + (TUNING.start if is_of_tuning(config) else 0)


def _model(config: Mapping[str, Any], env: VecEnv, symmetry: Symmetry | None) -> BaseAlgorithm:
    agent, encoder = config["agent"], config["encoder"]
    precision = {} if config["precision"] == "float32" else {"precision": config["precision"]}
    with warnings.catch_warnings():
        # a rollout that was fitted to total_timesteps is rarely a multiple of batch_size, which does no harm
        warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
        return make_agent(
            env,
            encoder_named(encoder["class"], config["trust"]),
            agent.get("algorithm", agent["name"]),
            symmetry,
            method=config["symmetry"]["method"],
            weight=config["symmetry"].get("weight", 1.0),
            encoder_options=encoder_options(config),
            freeze=encoder["freeze"],
            seed=config["seed"],
            device=config["device"],
            **precision,
            **{key: value for key, value in agent.items() if key not in ("name", "algorithm")},
        )


def env_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a configuration that `envs.make_env` takes; those of one environment alone are keywords of it."""
    others = ("name", "normalize", "engine", *PLAYED, *(["words"] if not config["env"].get("words") else []))
    options = {key: value for key, value in config["env"].items() if key not in others}
    own = {key: options.pop(key) for key in [*options] if key not in signature(make_env).parameters}
    return {**options, "kwargs": {**own, **options["kwargs"]}} if own else options


def saved_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a policy's file says of its environment: the options of `envs.make_env`, and the levels of training."""
    env = config["env"]
    played = {key: env[key] for key in PLAYED if key in env and (key, env[key]) not in UNSAID}
    return {**env_options(config), "reward_scale": 1.0, **played}


def encoder_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a configuration that the class of its encoder takes."""
    return {key: value for key, value in config["encoder"].items() if key not in NO_OPTIONS}


def _symmetry(config: Mapping[str, Any], declared: Symmetry | None) -> Symmetry:
    if declared is not None:
        return declared
    method = config["symmetry"]["method"]
    needs = "encoder=homomorphic and symmetry=hard need" if method == "hard" else f"symmetry={method} needs"
    if config["env"].get("shuffle") is not None:
        raise UsageError(f"shuffled cells have no symmetry, which {needs}; use env.shuffle=null")
    raise UsageError(
        f"{config['env']['name']} declares no symmetry, which {needs}; one is declared in: "
        f"{', '.join(symmetric_ids())}, the ids of MiniGrid and BabyAI themselves, and bodies with a left and a right; "
        "for an environment of your own call envs.register_symmetry (docs/symmetry.md)"
    )


def _normalized(env: VecEnv, symmetry: Symmetry | None, config: Mapping[str, Any]) -> VecEnv:
    space = env.observation_space
    if kind_of(space) == "body":
        from envs.bodies.normalized import NormalizedPerBody  # needs MuJoCo

        played: Any = make_env(**env_options(config)).unwrapped
        return NormalizedPerBody(env, len(played.kinds), config["agent"]["gamma"])
    if kind_of(space) != "vector" or not space.shape:
        raise UsageError(
            f"env.normalize standardises vector observations, and rewards of bodies; {config['env']['name']} has others"
        )
    normalized: Any = VecNormalize(env, norm_reward=False)
    # an encoder that is taken and stays as it is goes on with the statistics that it has learned with
    normalized.training = not (config["encoder"]["freeze"] and (config["initial"] or config["encoder"]["initial"]))
    if symmetry is not None:
        normalized.obs_rms = SymmetricStatistics(symmetry, space.shape)
    return normalized
