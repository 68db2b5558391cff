"""A faster RecurrentPPO with sb3-contrib's hyperparameters, logs and files; results equal to rounding.

    update    a minibatch takes a few calls of each LSTM, with little padding (agents/recurrent/sequences.py)
    distinct  each distinct observation is encoded once per rollout in collection and once per minibatch in learning

Options that only sb3-contrib's class supports (`sb3_only`) run on that class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.ppo.collect import stacked
from agents.ppo.distributions import distribution_of
from agents.ppo.learning import Epochs
from agents.ppo.loss import Loss
from agents.ppo.update import Settings, Update
from agents.recurrent.network import RecurrentUpdate
from agents.recurrent.rollout import RecurrentRollout


class FastRecurrentPPO(Epochs, RecurrentPPO):
    """sb3-contrib's RecurrentPPO with faster collection and updates; see `agents.ppo.learning.Learning`."""

    implementations = ("auto", "sb3", "eager")
    memoryless = False
    rollouts = RecurrentRollout
    updates = RecurrentUpdate

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        if (options.get("policy_kwargs") or {}).get("lstm_kwargs"):
            return "agent.policy_kwargs.lstm_kwargs"
        return super().sb3_only(options, action_space)

    def _settings(self) -> Settings:
        distribution = distribution_of(self.action_space)
        assert distribution is not None
        clips = self.clip_range_vf is not None
        loss = Loss(distribution, self.normalize_advantage is True, self.ent_coef, self.vf_coef, clips)
        return Settings(self.policy, loss, self.max_grad_norm, self.target_kl)

    def order(self, size: int) -> np.ndarray:
        """The indices of all samples, rotated by a random offset; sequences stay in order of time."""
        return np.roll(np.arange(size), -np.random.randint(size))

    def _collect(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        last: Any = self._last_lstm_states
        both = self.policy.lstm_critic is not None
        self.states = torch.stack([torch.stack(state) for state in ((last.pi, last.vf) if both else (last.pi,))])
        finished = super()._collect(env, callback, rollout_buffer, n_rollout_steps)
        actor, critic = self.states[0].unbind(), self.states[-1].unbind()
        self._last_lstm_states: Any = RNNStates(actor, critic)
        return finished

    def act(self, observation: Any, update: Update, half: int = 0) -> tuple[Any, Tensor, Tensor, Tensor]:
        self.rollout_buffer.remember(self.states)  # type: ignore[attr-defined]
        kept, actors, critics = self.features_of(observation, update)
        output, values, self.states = update.network.step(actors, critics, self.begun(self.states))
        actions, log_probs = update.draw(output)
        return kept, actions, values, log_probs

    def values_of(self, observation: Any, update: Update) -> Tensor:
        _, actors, critics = self.features_of(observation, update)
        return update.network.step(actors, critics, self.begun(self.states))[1]

    def _bootstrap(self, rewards: np.ndarray, last: Mapping[int, Any], update: Update) -> None:
        _, actors, critics = self.features_of(stacked(list(last.values())), update)
        values = update.network.step(actors, critics, self.states[..., list(last), :])[1]
        rewards[list(last)] += self.gamma * values.cpu().numpy()

    def features_of(self, observation: Any, update: Update) -> tuple[Any, Tensor, Tensor]:
        """-> observations in the form that the rollout stores; the actor's features; the critic's features."""
        distinct = self.rollout_buffer.distinct
        if distinct is not None:
            return distinct.look_up(observation, update.network.encode)
        tensors = self.pinned(observation, 0) if self.pinned else obs_as_tensor(observation, self.device)
        return tensors, *update.network.encode(tensors)

    def begun(self, states: Tensor) -> Tensor:
        """States (LSTMs, 2, layers, environments, width), set to zero where an episode starts."""
        starts = np.asarray(self._last_episode_starts)
        if not starts.any():
            return states
        going_on = 1.0 - torch.as_tensor(starts, dtype=torch.float32, device=self.device)
        return states * going_on[:, None]

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "states"]
