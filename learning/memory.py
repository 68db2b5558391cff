"""The memory that a run takes, held against what is free before it is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from agents.make import on_policy
from agents.ppo.rollout import Rollout
from agents.saved.budget import Rehearsal
from agents.saved.training import optimizers, tensors
from configs.compose import UsageError
from envs.memory import available_memory, shown


def samples(env: VecEnv, config: Mapping[str, Any]) -> str:
    """A sentence on the memory that the agent's samples take at most.

    Raises:
        UsageError: they take more memory than this machine has free.
    """
    agent, n_envs = config["agent"], config["n_envs"]
    if on_policy(agent):
        needed, fewer = _step(env) * agent["n_steps"] * n_envs, "n_envs=, agent.n_steps="
        what = f"a rollout of {n_envs} environment{'s' * (n_envs > 1)} x {agent['n_steps']} steps"
    else:
        kept = _kept(config)
        needed, fewer = _step(env) * kept * (1 if agent.get("optimize_memory_usage") else 2), "agent.buffer_size="
        what = f"a replay buffer of {agent['buffer_size']:,} steps, of which {kept:,} are used,"
    available = available_memory()
    size = f"{what} takes at most {shown(needed)}"
    if available is not None and needed > available:
        raise UsageError(f"{size}, and {shown(available)} are free; take fewer: {fewer}")
    return f"memory: {size}"


def fitting(make: Callable[[], BaseAlgorithm], env: VecEnv, config: Mapping[str, Any]) -> BaseAlgorithm:
    """The model that `make` makes, if it fits into memory; a large one is first made without its numbers.

    Raises:
        UsageError: it does not fit.
    """
    rehearsal = Rehearsal()
    try:
        with rehearsal:
            model = make()
        if not rehearsal.taken:
            return model
        cuda, least = config["device"] == "cuda", _network(model, config["device"] == "cuda")
        what = f"a network of {sum(each.numel() for each in model.policy.parameters()):,} parameters takes at least"
        taken = f"{shown(least)} (weights, gradients, their averages{'' if cuda else ', a snapshot of them'})"
    except MemoryError as error:  # a replay buffer takes all its addresses at once, however few are used
        raise _too_long(error, env, config) from error
    except Exception:  # what depends on numbers that are not there; a mistake is made again below
        if not rehearsal.taken:
            raise
        cuda, least = False, rehearsal.taken
        what, taken = "to set up the network takes about", shown(least)
    available = torch.cuda.mem_get_info()[0] if cuda else available_memory()
    if available is not None and least > available:
        sizes = {f"encoder.{key}=": value for key, value in config["encoder"].items() if type(value) is int}
        smaller = ", ".join(sorted(sizes, key=sizes.__getitem__, reverse=True)[:2])
        smaller += ", agent.policy_kwargs=" if config["agent"].get("policy_kwargs") else ""
        raise UsageError(f"{what} {taken}, and {shown(available)} are free; take a smaller one: {smaller}")
    return make()


def _step(env: VecEnv) -> int:
    """The most bytes of a step of one environment."""
    return Rollout.nbytes(1, 1, env.observation_space, env.action_space)


def _kept(config: Mapping[str, Any]) -> int:
    """How many steps of its replay buffer a run fills."""
    return max(min(config["agent"]["buffer_size"], config["total_timesteps"] + config["n_envs"]), 1)


def _network(model: BaseAlgorithm, cuda: bool) -> int:
    """The bytes of what is there while a network learns: it, a gradient and two averages of it for each parameter.

    A snapshot holds a second copy of all but the gradient, in main memory.
    """
    groups = [group for optimizer in optimizers(model).values() for group in optimizer.param_groups]
    trained = sum(p.numel() * p.element_size() for group in groups for p in group["params"])
    every = sum(tensor.numel() * tensor.element_size() for tensor in tensors(model).values())
    return every + 3 * trained + (0 if cuda else every + 2 * trained)


def _too_long(error: MemoryError, env: VecEnv, config: Mapping[str, Any]) -> UsageError:
    """What to say of a replay buffer for which there are no addresses."""
    agent, kept, available = config["agent"], _kept(config), available_memory()
    if on_policy(agent):
        return UsageError(f"agent={agent['name']} does not fit into memory: {error}; take fewer samples")
    asked = f"a replay buffer of {agent['buffer_size']:,} steps asks for {shown(2 * _step(env) * agent['buffer_size'])}"
    free = "" if available is None else f", and {shown(available)} are free"
    return UsageError(f"{asked}{free}; this run fills {kept:,} steps: agent.buffer_size={kept}")
