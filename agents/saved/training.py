"""A model in training as plain data: everything that its next rollout and its next update depend on.

Between two rollouts these are its parameters and buffers (the nonces of dropout among them), its optimizers, what it
counts, the last observations, the states of LSTMs, the replay buffer or the table of distinct observations, and random
numbers for actions. `envs.saved` has the environments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from agents.ppo.rollout import Rollout
from agents.saved.policy import parameters

COUNTS = ("num_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining")
COUNTS_OF_SOME = ("_n_calls", "exploration_rate", "advantage_scale")
SEEN = ("_last_obs", "_last_original_obs", "_last_episode_starts")


def not_saved(model: BaseAlgorithm) -> str | None:
    """Why the training of a model cannot be saved; None if it can."""
    if not isinstance(model, OnPolicyAlgorithm):
        return "its replay buffer is not saved"
    if getattr(model, "use_sde", False):
        return "agent.use_sde=true keeps a noise matrix outside the policy's parameters"
    return None


def saved(model: BaseAlgorithm) -> dict[str, Any]:
    """The state of a model between two rollouts."""
    counted = [*COUNTS, *(name for name in COUNTS_OF_SOME if hasattr(model, name))]
    buffer = getattr(model, "rollout_buffer", None)
    assert model.ep_info_buffer is not None and model.ep_success_buffer is not None
    return {
        "parameters": {name: _array(tensor) for name, tensor in _tensors(model).items()},
        "optimizers": {name: _optimizer(optimizer) for name, optimizer in _optimizers(model).items()},
        "counts": {name: getattr(model, name) for name in counted},
        "seen": {name: getattr(model, name) for name in SEEN},
        "episodes": [*model.ep_info_buffer],
        "successes": [*model.ep_success_buffer],
        "lstm": _lstm(model),
        "rollout": buffer.saved() if isinstance(buffer, Rollout) else None,
    }


def restore(model: Any, state: Mapping[str, Any]) -> None:
    """Put a model made with the same options into a state of `saved`; its tensors stay where they are.

    Raises:
        ValueError: the state is one of another model.
    """
    # this renews nonces and statistics, which are overwritten next
    model.policy.set_training_mode(False)
    with torch.no_grad():
        for name, tensor in _tensors(model).items():
            _fill(tensor, state["parameters"][name], name)
        for name, optimizer in _optimizers(model).items():
            _fill_optimizer(optimizer, state["optimizers"][name], name)
    for part in ("counts", "seen"):
        for name, value in state[part].items():
            setattr(model, name, value)
    model._num_timesteps_at_start = model.num_timesteps  # from where on steps per second are counted
    model.ep_info_buffer = deque(state["episodes"], maxlen=model.ep_info_buffer.maxlen)
    model.ep_success_buffer = deque(state["successes"], maxlen=model.ep_success_buffer.maxlen)
    if state["lstm"] is not None:
        parts = [torch.from_numpy(part).to(model.device) for part in state["lstm"]]
        model._last_lstm_states = RNNStates((parts[0], parts[1]), (parts[2], parts[3]))
    if state["rollout"] is not None:
        model.rollout_buffer.restore(state["rollout"])


def _tensors(model: BaseAlgorithm) -> dict[str, Tensor]:
    """Parameters and buffers of the policy, and the tensors that an algorithm has beside it."""
    _, others = model._get_torch_save_params()
    return {**parameters(model.policy), **{f"model.{name}": attrgetter(name)(model) for name in others}}


def _optimizers(model: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    names, _ = model._get_torch_save_params()
    return {name: attrgetter(name)(model) for name in names if name != "policy"}


def _optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    states = [optimizer.state.get(p) or {} for group in optimizer.param_groups for p in group["params"]]
    moments = [{key: _array(value) for key, value in state.items()} for state in states]
    return {"rates": [float(group["lr"]) for group in optimizer.param_groups], "moments": moments}


def _fill_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], name: str) -> None:
    for group, rate in zip(optimizer.param_groups, state["rates"], strict=True):
        group["lr"] = rate
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    for i, (parameter, moments) in enumerate(zip(trained, state["moments"], strict=True)):
        present = optimizer.state[parameter]  # empty before the first step
        for key, value in moments.items():
            if key not in present:  # torch counts steps on the CPU
                present[key] = torch.from_numpy(value).to("cpu" if key == "step" else parameter.device)
            _fill(present[key], value, f"{name}: {key} of parameter {i}")


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _fill(tensor: Tensor, value: np.ndarray, name: str) -> None:
    given = torch.from_numpy(value)
    if given.shape != tensor.shape or given.dtype != tensor.dtype:
        raise ValueError(
            f"{name} is {given.dtype} {tuple(given.shape)}, needed here is {tensor.dtype} {tuple(tensor.shape)}"
        )
    tensor.copy_(given)


def _lstm(model: Any) -> list[np.ndarray] | None:
    last = getattr(model, "_last_lstm_states", None)
    return None if last is None else [_array(part) for part in (*last.pi, *last.vf)]
