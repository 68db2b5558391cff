"""The rules that replace every `auto` of a training configuration by a value, with the reason for it.

A rule reads the configuration, the hardware, the installed tools, the environments and the model. No rule measures
time, so equal commands give equal arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch

from agents.equivariance.method import decided, promises
from agents.make import encoder_named, on_policy, refuse_unknown
from agents.ranges import check_ranges
from agents.saved.budget import Rehearsal
from configs.compose import UsageError
from encoders.resolve import source_hash
from encoders.size import fitted, resized, shown, sizes_of
from envs import make_env
from envs.levels import BANK
from envs.single import has_levels, words_of
from evaluation.runs import is_of_tuning
from evaluation.weights_and_biases import check
from learning.build import encoder_options, env_options

SNAPSHOT = 100_000  # the most steps between two snapshots, unless chosen: a fast agent makes them in seconds
LARGE = 10_000_000  # parameters; an encoder of more is not given numbers while its size is looked for
FILMED = 25_000  # steps for each replay, unless chosen: a replay takes about 0.2 s, and these steps 5 s and more

Decision = tuple[dict[str, Any], dict[str, str]]  # the decided configuration, and the reason for each decided option


def decide(config: Mapping[str, Any], env: Any = None, model: Any = None) -> Decision:
    """Decide every `auto` that can be decided -> the configuration, and the reason for each option in words.

    Without environments and model: device, threads, symmetry, evaluations, snapshots, rollout, bank, words and the
    size of the encoder.
    With environments and model: the engine and the implementation of the agent.

    Args:
        config: a checked configuration, which is not changed.
        env: the training environments.
        model: the untrained model.

    A run that is made longer keeps what was decided for its first length, `decided_for`.

    Raises:
        UsageError: this machine or this encoder does not support a chosen option.
        ValueError: the agent does not support the chosen implementation.
    """
    reasons: dict[str, str] = {}
    rules = (_device, _logger, _threads, _source, _symmetry, _evaluation, _snapshot, _rollout, _levels, _size)
    settled = dict(config)
    for rule in rules if model is None else ():
        settled |= rule(settled, reasons)
    if model is not None:
        settled["env"] = {**settled["env"], "engine": env.engine}
        settled["agent"] = _implementation(settled, model, reasons)
    return settled, reasons


def _length(config: Mapping[str, Any]) -> int:
    """The total_timesteps that the run began with."""
    return int(config.get("decided_for", config["total_timesteps"]))


def scheduled(agent: Mapping[str, Any]) -> list[str]:
    """The options of an agent whose values depend on the share of the run that is over."""
    explores = agent.get("exploration_initial_eps") != agent.get("exploration_final_eps")
    falling = [key for key, value in agent.items() if isinstance(value, str) and value.startswith("lin_")]
    return [f"agent.{key}" for key in falling + ["exploration_fraction"] * explores]


def _device(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    available = torch.cuda.is_available()
    if config["device"] == "cuda" and not available:
        raise UsageError("device=cuda, but PyTorch sees no CUDA device here; use device=cpu or device=auto")
    if config["device"] != "auto":
        return {}
    reasons["device"] = "there is one" if available else "PyTorch sees no CUDA device"
    return {"device": "cuda" if available else "cpu"}


def _logger(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    if config["logger"] == "wandb":
        check()
    return {}


def _threads(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    if config["threads"] != "auto":
        return {}
    reasons["threads"] = "networks of this size are slower with more, and runs repeat bit for bit"
    return {"threads": 1}


def _source(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    """A hash of the file of an encoder outside this project, so that a later command notices a change."""
    found = source_hash(encoder_named(config["encoder"]["class"], config["trust"]))
    return {"encoder_source": found} if found else {}


def _symmetry(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    encoder = encoder_named(config["encoder"]["class"], config["trust"])
    agent = config["agent"].get("algorithm", config["agent"]["name"])
    return {"symmetry": {**config["symmetry"], "method": decided(config["symmetry"]["method"], encoder, agent, None)}}


def _evaluation(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    evaluation = config["evaluation"]
    every = max(_length(config) // 20, 1) if evaluation["every"] == "auto" else evaluation["every"]
    videos = 0 if is_of_tuning(config) else min(3, _length(config) // FILMED)
    videos = videos if evaluation["videos"] == "auto" else evaluation["videos"]
    return {"evaluation": {**evaluation, "every": every, "videos": videos}}


def _snapshot(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    snapshot, tenth = config["snapshot"], max(config["total_timesteps"] // 10, 1)
    every = min(tenth, SNAPSHOT) if snapshot["every"] == "auto" else snapshot["every"]
    return {"snapshot": {**snapshot, "every": every}}


def _rollout(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    """Rollouts of equal length, at most the configured one, that together make total_timesteps.

    There are k = ⌈total / (n_steps · n_envs)⌉ rollouts of ⌈total / (k · n_envs)⌉ steps, so the run exceeds total by
    fewer than k · n_envs steps. If total is a multiple of a rollout, nothing changes. Off-policy agents have no
    rollouts, but collect `train_freq` steps at a time, which are not more than the run has.
    """
    agent, n_envs, total = config["agent"], config["n_envs"], _length(config)
    check_ranges({key: value for key, value in agent.items() if key not in ("name", "algorithm")})
    if not on_policy(agent):
        frequency, most = agent["train_freq"], -(-total // n_envs)
        if not isinstance(frequency, int) or frequency <= most:
            return {}
        reasons["agent.train_freq"] = (
            f"agent.train_freq={most} instead of {frequency}: total_timesteps={total:,} has no more steps"
        )
        return {"agent": {**agent, "train_freq": most}}
    rollouts = -(-total // (agent["n_steps"] * n_envs))
    n_steps = -(-total // (rollouts * n_envs))
    fitted = {**agent, "n_steps": n_steps}
    if n_steps != agent["n_steps"]:
        made = f"{rollouts} rollout{'s make' if rollouts > 1 else ' makes'} total_timesteps={total:,}"
        reasons["agent.n_steps"] = f"agent.n_steps={n_steps} instead of {agent['n_steps']}, so that {made}"
    size = n_steps * n_envs
    if agent.get("batch_size", 0) > size:
        fitted["batch_size"] = size
        reasons["agent.batch_size"] = f"agent.batch_size={size} instead of {agent['batch_size']}: a rollout has no more"
    return {"agent": fitted}


def _levels(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    env = dict(config["env"])
    if "bank" not in env and has_levels(env["id"], env["kwargs"]):  # a user's MiniGrid environment, by env=gym
        env |= {"bank": BANK, "levels": "all"}
    if env.get("levels", "all") != "all":
        env["bank"] = env["levels"]
    if "bank" in env and not env.get("words") and (words := words_of(env["id"], env["kwargs"])):
        env["words"] = words  # recorded, so that word ids are the same wherever the policy is played
    return {"env": env}


def _size(config: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    """The sizes with which one encoder has about `encoder.parameters` parameters, trained or frozen."""
    wanted = config["encoder"].get("parameters")
    if wanted is None:
        return {}
    encoder, options = encoder_named(config["encoder"]["class"], config["trust"]), encoder_options(config)
    env: Any = make_env(**env_options(config))
    with closing(env):
        space, symmetry = env.observation_space, {"symmetry": env.symmetry} if promises(encoder) else {}

    def build(sizes: Mapping[str, int]) -> torch.nn.Module:
        with Rehearsal() if wanted > LARGE else nullcontext():
            return encoder(space, **resized(options, sizes), **symmetry)

    try:
        sizes = sizes_of(encoder, space, options)
        _refuse_both(config, sizes)
        found, count = fitted(build, sizes, wanted)
    except (TypeError, AssertionError, RuntimeError, ZeroDivisionError) as error:  # in an encoder's constructor
        refuse_unknown(str(error), encoder)
        raise UsageError(f"encoder {encoder.__name__}: {error}") from error
    reasons["encoder.parameters"] = f"encoder.parameters={wanted:,}: {shown(found)} make {count:,}"
    return {"encoder": resized(config["encoder"], found)}


def _refuse_both(config: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Raise UsageError if the command gives encoder.parameters and one of the options that it decides."""
    given = {override.lstrip("+").partition("=")[0] for override in config.get("command", ())}
    for name in sizes:
        outer, _, inner = name.partition(".")
        if f"encoder.{name}" in given or (f"encoder.{outer}" in given and inner in config["encoder"][outer]):
            raise UsageError(
                f"encoder.parameters={config['encoder']['parameters']} decides encoder.{name}, which is given too; "
                "give one of them, or encoder.parameters=null"
            )


def _implementation(config: Mapping[str, Any], model: Any, reasons: dict[str, str]) -> dict[str, Any]:
    """The agent's options with `implementation`, `distinct` and `overlap` decided, if it has them."""
    agent = dict(config["agent"])
    if "implementation" not in agent:
        return agent
    stock = {"implementation": "sb3", "distinct": False, "overlap": False}
    if hasattr(model, "decide"):
        reasons["agent.implementation"] = model.decide(_length(config))
        found = {"implementation": "implementation", "distinct": "distinct", "overlap": "overlapping"}
        stock = {key: getattr(model, name, stock[key]) for key, name in found.items()}
    else:
        chosen = agent["implementation"] != "auto"
        reasons["agent.implementation"] = "as chosen" if chosen else "the only one with these options"
    return {**agent, **{key: value for key, value in stock.items() if key in agent}}


def opening(folder: Path, config: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """The text printed before learning: run folder, environments, device and implementation, with reasons."""

    def because(option: str, before: str = "") -> str:
        return f" ({before}{reasons[option]})" if option in reasons else ""

    cuda = config["device"] == "cuda"
    device = (torch.cuda.get_device_name() if cuda else "the CPU") + because("device", "device=auto: ")
    threads = f"{config['threads']} PyTorch thread{'s' * (config['threads'] > 1)}" + because(
        "threads", "threads=auto: "
    )
    engine = {"batched": "the batched engine", "gymnasium": "Gymnasium"}[config["env"]["engine"]]
    bank = config["env"].get("bank")
    levels = "" if bank is None else f", {bank:,} levels" if bank else ", a new level for every episode"
    levels = levels if config["env"].get("held_out") is None else ""  # of which not all are trained on
    environments = f"{config['n_envs']} environment{'s' * (config['n_envs'] > 1)} in {engine}{levels}"
    lines = [f"{folder}: {config['total_timesteps']:,} steps of {environments}", f"on {device}, {threads}"]
    agent = config["agent"]
    told = ("levels", "encoder.parameters", "agent.n_steps", "agent.train_freq", "agent.batch_size", "memory")
    lines += [reasons[option] for option in (*told, "snapshot", "initial") if reasons.get(option)]
    if "agent.implementation" in reasons:
        once = ", each distinct observation encoded once" if agent.get("distinct") else ""
        lines.append(f"{agent['name']}: {agent['implementation']}{because('agent.implementation')}{once}")
    if agent.get("overlap"):
        lines.append("acting on one half of the environments while the other steps")
    return "\n  ".join(lines)
