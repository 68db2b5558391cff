"""How the fast PPO plays: SB3's `collect_rollouts`, storing tensors where they will be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.rollout import Rollout
from agents.update import Update
from symmetry import expanded


class Collecting(PPO):
    """PPO up to where a rollout is full; `agents.ppo.FastPPO` learns from it."""

    rollout_buffer: Rollout  # type: ignore[assignment]

    def ready(self) -> Update:
        """The update on the present parameters, whose network acts."""
        raise NotImplementedError

    def act(self, observation: Any, update: Update) -> tuple[Any, Tensor, Tensor, Tensor]:
        """-> what the rollout keeps of the observation; actions, values, log probabilities."""
        if self.rollout_buffer.distinct is None:
            observation = obs_as_tensor(observation, self.device)
            return observation, *update.act(observation)
        numbers, output, values = self.rollout_buffer.distinct.look_up(observation, update.network)
        actions, log_probs = update.draw(output)
        return numbers, actions, values, log_probs

    def values_of(self, observation: Any, update: Update) -> Tensor:
        """V of a batch of observations."""
        if self.rollout_buffer.distinct is None:
            return update.network(obs_as_tensor(observation, self.device))[1]
        return self.rollout_buffer.distinct.look_up(observation, update.network)[2]

    @torch.no_grad()
    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """SB3's, storing tensors where they will be used; parameters stay as they are meanwhile."""
        with expanded(self.policy):
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)

    def _collect(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        assert self._last_obs is not None and self._last_episode_starts is not None
        self.policy.set_training_mode(False)
        update, rollout = self.ready(), rollout_buffer
        rollout.reset()
        callback.on_rollout_start()
        continuous = isinstance(self.action_space, spaces.Box)
        dones = self._last_episode_starts
        for _ in range(n_rollout_steps):
            kept, actions, values, log_probs = self.act(self._last_obs, update)
            taken = actions.cpu().numpy()
            if continuous:
                taken = taken.reshape(-1, *self.action_space.shape)
                taken = np.clip(taken, self.action_space.low, self.action_space.high)  # type: ignore[attr-defined]
            new_obs, rewards, dones, infos = env.step(taken)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer(infos, dones)
                self._bootstrap(rewards, dones, infos, update)
            rollout.add(kept, actions, rewards, self._last_episode_starts, values, log_probs)
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
        rollout.finish(self.values_of(self._last_obs, update), dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _bootstrap(self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]], update: Update) -> None:
        """An episode cut short by its time limit would have gone on: r ← r + γ V(s') (Pardo et al. 2018)."""
        for i in np.flatnonzero(dones):
            last = infos[i].get("terminal_observation")
            if last is not None and infos[i].get("TimeLimit.truncated", False):
                if self.rollout_buffer.distinct is None:
                    # SB3's tensor, strides included: on them depends in which order a convolution adds up
                    value = update.network(self.policy.obs_to_tensor(last)[0])[1]
                else:
                    value = self.values_of({key: part[None] for key, part in last.items()}, update)
                rewards[i] += (self.gamma * value).item()
