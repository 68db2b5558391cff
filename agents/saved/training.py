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
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor

from agents.dqn.algorithm import Valued
from agents.dqn.replay import DistinctReplay
from agents.ppo.rollout import Rollout
from agents.saved.policy import parameters

COUNTS = ("num_timesteps", "_episode_num", "_n_updates", "_current_progress_remaining")
BUFFERS = ("stable_baselines3.common.buffers", "agents.equivariance.augment", "agents.dqn.replay")
COUNTS_OF_SOME = ("_n_calls", "exploration_rate", "advantage_scale")
SEEN = ("_last_obs", "_last_original_obs", "_last_episode_starts")


def not_saved(model: BaseAlgorithm) -> str | None:
    """Why the training of a model cannot be saved; None if it can."""
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None and type(buffer).__module__ not in BUFFERS:
        return f"its replay buffer is a {type(buffer).__name__}, whose state is not known"
    if getattr(model, "use_sde", False):
        return "agent.use_sde=true keeps a noise matrix outside the policy's parameters"
    return None


def saved(model: BaseAlgorithm) -> dict[str, Any]:
    """The state of a model between two rollouts."""
    buffer = getattr(model, "rollout_buffer", None)
    assert model.ep_info_buffer is not None and model.ep_success_buffer is not None
    return {
        "parameters": {name: _array(tensor) for name, tensor in tensors(model).items()},
        "optimizers": {name: _optimizer(optimizer) for name, optimizer in optimizers(model).items()},
        "counts": {name: getattr(model, name) for name in _counted(model)},
        "seen": {name: getattr(model, name) for name in SEEN},
        "episodes": [*model.ep_info_buffer],
        "successes": [*model.ep_success_buffer],
        "lstm": _lstm(model),
        "rollout": buffer.saved() if isinstance(buffer, Rollout) else None,
        "replay": _replay(model.replay_buffer) if isinstance(model, OffPolicyAlgorithm) else None,
        "known": model.saved_outputs() if isinstance(model, Valued) else None,
    }


def restore(model: Any, state: Mapping[str, Any]) -> None:
    """Put a model made with the same options into a state of `saved`; its tensors stay where they are.

    Raises:
        ValueError: the state is one of another model.
    """
    # this renews nonces and statistics, which are overwritten next
    model.policy.set_training_mode(False)
    with torch.no_grad():
        for name, tensor in tensors(model).items():
            _fill(tensor, state["parameters"][name], name)
        for name, optimizer in optimizers(model).items():
            _fill_optimizer(optimizer, state["optimizers"][name], name)
    for part, names in (("counts", _counted(model)), ("seen", SEEN)):
        for name in names:
            setattr(model, name, state[part][name])
    model._num_timesteps_at_start = model.num_timesteps  # from where on steps per second are counted
    model.ep_info_buffer = deque(state["episodes"], maxlen=model.ep_info_buffer.maxlen)
    model.ep_success_buffer = deque(state["successes"], maxlen=model.ep_success_buffer.maxlen)
    if state["lstm"] is not None:
        parts = [torch.from_numpy(part).to(model.device) for part in state["lstm"]]
        model._last_lstm_states = RNNStates((parts[0], parts[1]), (parts[2], parts[3]))
    if state["rollout"] is not None:
        model.rollout_buffer.restore(state["rollout"])
    if state["replay"] is not None:
        _fill_replay(model.replay_buffer, state["replay"])
    if state["known"] is not None:
        model.restore_outputs(state["known"])


def _counted(model: BaseAlgorithm) -> list[str]:
    return [*COUNTS, *(name for name in COUNTS_OF_SOME if hasattr(model, name))]


def tensors(model: BaseAlgorithm) -> dict[str, Tensor]:
    """Parameters and buffers of the policy, and the tensors that an algorithm has beside it."""
    _, others = model._get_torch_save_params()
    return {**parameters(model.policy), **{f"model.{name}": attrgetter(name)(model) for name in others}}


def optimizers(model: BaseAlgorithm) -> dict[str, torch.optim.Optimizer]:
    """Every optimizer of a model, by its attribute's name."""
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


def _replay(buffer: Any) -> dict[str, Any]:
    """The transitions of a replay buffer."""
    # with optimize_memory_usage, the last observation lies one row beyond the transitions
    filled = min(buffer.size() + 1, buffer.buffer_size)
    arrays = {name: array[:filled].copy() for name, array in _arrays(buffer).items()}
    table = buffer.saved_table() if isinstance(buffer, DistinctReplay) else None
    return {"pos": buffer.pos, "full": buffer.full, "arrays": arrays, "table": table}


def _fill_replay(buffer: Any, state: Mapping[str, Any]) -> None:
    buffer.pos, buffer.full = state["pos"], state["full"]
    for name, array in _arrays(buffer).items():
        given = state["arrays"][name]
        if given.shape[1:] != array.shape[1:] or given.dtype != array.dtype or len(given) > len(array):
            raise ValueError(f"{name} of the replay buffer is {given.dtype} {given.shape}, which does not fit here")
        array[: len(given)] = given
    if state["table"] is not None:
        buffer.restore_table(state["table"])


def _arrays(buffer: Any) -> dict[str, np.ndarray]:
    """The arrays of a replay buffer that have a row for each step."""
    named = vars(buffer)
    parts = {f"{name}.{key}": a for name, part in named.items() if isinstance(part, dict) for key, a in part.items()}
    found = {name: part for name, part in {**named, **parts}.items() if isinstance(part, np.ndarray)}
    return {name: array for name, array in found.items() if array.ndim and len(array) == buffer.buffer_size}


def _lstm(model: Any) -> list[np.ndarray] | None:
    last = getattr(model, "_last_lstm_states", None)
    return None if last is None else [_array(part) for part in (*last.pi, *last.vf)]
