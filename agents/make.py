"""An agent: an SB3 or sb3-contrib algorithm with one of our encoders and heads in its policy.

Each has a faster form, which learns what SB3's learns: agents/ppo, agents/recurrent, agents/a2c, agents/dqn and
agents/continuous.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from gymnasium import spaces
from sb3_contrib import QRDQN, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents import sb3_policies
from agents.a2c.algorithm import FastA2C
from agents.continuous.algorithm import FastSAC, FastTD3
from agents.dqn.algorithm import FastDQN, FastQRDQN
from agents.equivariance.loss import penalize
from agents.equivariance.method import decided, encoding, required, using
from agents.features import check_size
from agents.nodes.sac import NodeSAC
from agents.ppo.algorithm import FastPPO
from agents.ppo.implementation import Fast
from agents.ranges import check_ranges
from agents.recurrent.algorithm import FastRecurrentPPO
from agents.recurrent_policy import HeadedRecurrentPolicy
from encoders.base import describe, encoders_reading, items, kind_of
from encoders.layers.normalization import SINGLE, counts_samples
from encoders.resolve import outside, resolve
from symmetry import Symmetry

# constructor arguments that are not options of an encoder or algorithm
GIVEN = ("self", "observation_space", "policy", "env", "policy_kwargs", "_init_setup_model")
DISCRETE = (spaces.Discrete,)
CONTINUOUS = (spaces.Box,)
ANY = (spaces.Discrete, spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True)
class Agent:
    """An algorithm, the policy class it trains here, the action spaces it can act in, and a faster form of it.

    `of_bodies` is the algorithm where each node of a body acts; None where it cannot.
    """

    algorithm: type[BaseAlgorithm]
    policy: type[BasePolicy]
    actions: tuple[type[spaces.Space], ...]
    fast: type[Fast] | None = None
    of_bodies: type[BaseAlgorithm] | None = None


AGENTS = {
    "ppo": Agent(PPO, sb3_policies.HeadedActorCriticPolicy, ANY, FastPPO, PPO),
    "a2c": Agent(A2C, sb3_policies.HeadedActorCriticPolicy, ANY, FastA2C, A2C),
    "dqn": Agent(DQN, sb3_policies.HeadedDQNPolicy, DISCRETE, FastDQN),
    "qrdqn": Agent(QRDQN, sb3_policies.HeadedQRDQNPolicy, DISCRETE, FastQRDQN),
    "sac": Agent(SAC, sb3_policies.HeadedSACPolicy, CONTINUOUS, FastSAC, NodeSAC),
    "td3": Agent(TD3, sb3_policies.HeadedTD3Policy, CONTINUOUS, FastTD3, TD3),
    "recurrent_ppo": Agent(RecurrentPPO, HeadedRecurrentPolicy, ANY, FastRecurrentPPO),
}

# What policy_kwargs may hold besides the encoder: data that SB3's policies and ours take as keywords.
FIXED_POLICY_KEYS = (
    "net_arch",
    "ortho_init",
    "features_extractor_class",
    "features_extractor_kwargs",
    "symmetry",
    "freeze",
)


def make_agent(
    env: VecEnv,
    encoder: str | type[BaseFeaturesExtractor],
    agent: str = "ppo",
    symmetry: Symmetry | None = None,
    *,
    method: str = "auto",
    weight: float = 1.0,
    weight_decay: float = 0.0,
    freeze: bool = False,
    encoder_options: Mapping[str, Any] | None = None,
    policy_kwargs: Mapping[str, Any] | None = None,
    trust: Sequence[str] = (),
    **options: Any,
) -> BaseAlgorithm:
    """An untrained SB3 model of the algorithm `agent` whose policy reads observations through `encoder`.

    Args:
        env: training environments, as `envs.make_vec_env` gives them.
        encoder: a name ("gnn"), a class name ("encoders.gnn.GNN", "my_pkg.MyEncoder") or a class.
        agent: a key of `AGENTS`.
        symmetry: of the environments; default: the one that they declare (`env.symmetry`).
        method: how it is used. "hard": equivariant heads behind an encoder that promises how its features transform;
            "average": behind any encoder, lifted (`encoders.average`); "augment": every minibatch is extended by its
            transformed samples (`agents.equivariance.augment`); "loss": a penalty on breaking it
            (`agents.equivariance.loss`); "none": not at all. "auto": hard if the encoder promises a representation or
            a symmetry is given, else none.
        weight: of the penalty.
        weight_decay: of AdamW; biases and normalizations do not decay (`agents.optimizers.decay`).
        freeze: whether the encoder is not trained (`agents.optimizers.freeze_encoders`).
        encoder_options: keywords of the encoder.
        policy_kwargs: further keywords of SB3's policy, as data (log_std_init, n_critics, lstm_hidden_size, ...).
        trust: modules outside this project that may be imported for `encoder`.
        options: hyperparameters of the algorithm; "lin_3e-4" is a schedule that falls linearly to zero, and
            `action_noise` the standard deviation of Gaussian exploration noise. Also
            `implementation`; for on-policy agents, "dqn" and "qrdqn" `distinct`; for "ppo" `overlap` and `precision`:
            see `agents.ppo.implementation.Fast`, `agents.ppo.learning.Learning`, `agents.ppo.algorithm.FastPPO` and
            `agents.dqn.algorithm.Valued`. implementation="sb3" gives SB3's own class, and so does "auto" where
            only that can do what the other options ask for.

    Raises:
        ValueError: an unknown agent or encoder, an agent that cannot act here, an encoder that cannot read the
            observations or whose output is not of the size it promises, no symmetry where one is needed, a method that
            the agent cannot use, an option that it does not have or a value outside its range, or minibatches of one
            sample for batch normalization.
    """
    if agent not in AGENTS:
        raise ValueError(f"no agent is called {agent!r}; there is: {', '.join(AGENTS)}")
    parts = AGENTS[agent]
    refuse_unreadable(env)
    if not isinstance(env.action_space, parts.actions):
        able = [name for name, other in AGENTS.items() if isinstance(env.action_space, other.actions)]
        raise ValueError(
            f"agent={agent} cannot act in {describe(env.action_space)}; these can: {', '.join(able) or 'none'}"
        )
    is_body = kind_of(env.observation_space) == "body"
    if is_body and parts.of_bodies is None:
        able = [name for name, other in AGENTS.items() if other.of_bodies]
        raise ValueError(f"agent={agent} has no heads for the nodes of bodies; these have: {', '.join(able)}")
    encoder_class = encoder if isinstance(encoder, type) else encoder_named(encoder, trust)
    method = decided(method, encoder_class, agent, symmetry)
    if is_body and method != "none" and parts.actions == CONTINUOUS:
        raise ValueError(f"agent={agent} uses no symmetry on bodies; use symmetry=none, or agent=ppo")
    if method != "none":
        symmetry = symmetry or getattr(env, "symmetry", None)
    policy = encoding(encoder_class, encoder_options or {}, symmetry, method)
    policy["symmetry"] = symmetry if method in ("hard", "average") else None
    for key, value in (policy_kwargs or {}).items():
        if key in FIXED_POLICY_KEYS:
            raise ValueError(f"agent.policy_kwargs.{key} is decided by the encoder and its heads, and cannot be set")
        policy[key] = value
    if weight_decay:
        policy["weight_decay"] = weight_decay
    if freeze:
        policy["freeze"] = True
    check_ranges({**options, "weight_decay": weight_decay})
    algorithm, options = form(parts, {**options, "policy_kwargs": policy}, env.action_space, is_body)
    options = hyperparameters(options, env)
    # SB3 asserts what it needs; of an encoder from outside this project every error is told with its name
    told = (TypeError, AssertionError, *((ValueError, RuntimeError, ZeroDivisionError) * outside(encoder_class)))
    try:
        if method in ("augment", "loss"):
            options = using(method, algorithm, options, required(symmetry, method), env)
        model = algorithm(parts.policy, env, **options)  # type: ignore[arg-type]
    except told as error:
        refuse_unknown(str(error), encoder_class, algorithm)
        if isinstance(error, ValueError) and encoder_class.__name__ in str(error):
            raise
        raise ValueError(f"agent={agent} with encoder {encoder_class.__name__}: {error}") from error
    check_size(model.policy)
    check_minibatches(model)
    if method == "loss":
        penalize(model.policy, required(symmetry, method), weight)
    return model


def check_minibatches(model: BaseAlgorithm) -> None:
    """Raise ValueError if batch normalization would be given a minibatch of one sample."""
    size = getattr(model, "batch_size", None)
    if size is None or not counts_samples(model.policy):
        return
    rest = model.n_steps * model.n_envs % size if isinstance(model, OnPolicyAlgorithm) else 0
    if 1 in (size, rest):
        raise ValueError(SINGLE)


def refuse_unreadable(env: VecEnv) -> None:
    """Raise a ValueError for spaces that SB3 misreads, such as those that do not count from 0."""
    parts = [("observation", key, part) for key, part in items(env.observation_space)]
    for what, key, part in [*parts, ("action", "action", env.action_space)]:
        flat = np.ndim(getattr(part, "nvec", ())) == 1 and not (isinstance(part, spaces.Box) and part.shape == ())
        if not isinstance(part, ANY) or not flat or np.any(getattr(part, "start", 0)):
            named = "" if key == what else f" {key!r}"
            raise ValueError(
                f"the {what}{named} is {part}, which agents cannot read as it is; make the environments with "
                "envs.make_vec_env, or wrap each in envs.readable before they are vectorised"
            )


def refuse_unknown(error: str, *classes: type) -> None:
    """If the error is an option that a class does not have, raise a ValueError that lists those it has."""
    found = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", error)
    for taker in (each for own in classes for each in own.__mro__):
        if found and found[1] == taker.__name__:
            options = [name for name in inspect.signature(taker.__init__).parameters if name not in GIVEN]
            raise ValueError(f"{taker.__name__} has no option {found[2]!r}; it has: {', '.join(options)}") from None


def form(
    agent: Agent, options: Mapping[str, Any], actions: spaces.Space, is_body: bool = False
) -> tuple[Any, dict[str, Any]]:
    """The class that trains an agent with these options, and the options without those that choose the class.

    Raises:
        ValueError: an option of a fast form, for an agent whose class does not have it.
    """
    options = dict(options)
    wanted = options.get("implementation", "auto")
    reason = agent.fast.sb3_only(options, actions) if agent.fast else None
    if agent.fast is not None and wanted != "sb3" and not (wanted == "auto" and reason):
        if options.get("precision", "float32") != "float32" and agent.fast is not FastPPO:
            raise ValueError(f"precision={options['precision']} is not an option of this agent; it is one of agent=ppo")
        return agent.fast, {key: value for key, value in options.items() if key != "precision" or agent.fast is FastPPO}
    ours = {"implementation": ("auto", "sb3"), "distinct": ("auto", False), "overlap": ("auto", False)}
    for key, plain in {**ours, "precision": ("float32",), "normalize_advantage": (True, False)}.items():
        value = options.get(key, plain[0]) if key == "normalize_advantage" else options.pop(key, plain[0])
        if value not in plain:
            own = (
                f"agent.implementation=sb3, which {reason} needs"
                if reason
                else "SB3's own class, which trains this agent"
            )
            raise ValueError(f"{'' if key == 'precision' else 'agent.'}{key}={value} is not an option of {own}")
    return agent.of_bodies if is_body else agent.algorithm, options


def encoder_named(name: str, trust: Sequence[str] = ()) -> type[BaseFeaturesExtractor]:
    """The encoder called "gnn" (class GNN of encoders/gnn.py, in whatever capitals) or "module.Class"."""
    if "." in name:
        return resolve(name, trust)
    if not name.isidentifier() or find_spec(f"encoders.{name}") is None:
        raise ValueError(f"no encoder is called {name!r}; there is: {', '.join(encoders_reading())}")
    module = import_module(f"encoders.{name}")
    for member in vars(module).values():
        if isinstance(member, type) and member.__module__ == module.__name__ and member.__name__.lower() == name:
            return member
    raise ValueError(f"no encoder is called {name!r}; the encoders are the files of encoders/")


def on_policy(agent: Mapping[str, Any]) -> bool:
    """Whether an agent with these options learns from rollouts."""
    return "gae_lambda" in agent


def hyperparameters(options: Mapping[str, Any], env: VecEnv) -> dict[str, Any]:
    """Options written as data, as SB3 takes them: schedules, noise and tuples."""
    converted = {k: v if k == "policy_kwargs" else copy.deepcopy(v) for k, v in options.items()}
    for key in ("learning_rate", "clip_range", "clip_range_vf"):
        if isinstance(converted.get(key), str):
            converted[key] = schedule(key, converted[key])
    if converted.get("action_noise") is not None:
        size = env.action_space.shape
        assert size is not None
        converted["action_noise"] = NormalActionNoise(np.zeros(size), np.full(size, float(converted["action_noise"])))
    if isinstance(converted.get("train_freq"), list):
        converted["train_freq"] = tuple(converted["train_freq"])
    return converted


def schedule(key: str, text: str) -> LinearSchedule:
    """ "lin_x": from x at the first step to 0 at the last (the notation of rl-zoo).

    Raises:
        ValueError: anything else.
    """
    try:
        name, value = text.split("_")
        if name == "lin":
            return LinearSchedule(float(value), 0.0, 1.0)
    except ValueError:
        pass
    raise ValueError(f"agent.{key} is a number, or lin_<number> for one that falls linearly to 0; got {text!r}")
