"""PPO as SB3 does it, without what SB3 does around it: same hyperparameters, logs and files, a fraction of the time.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch step: equal to rounding (agents/compiled.py)
    distinct  each distinct observation of a rollout is encoded once while collecting, and each of a minibatch once while
              learning: equal to rounding; for encoders without memory on observations that repeat

What SB3 alone can do (`sb3_only`) is left to SB3's own class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.distributions import distribution_of
from agents.rollout import Rollout
from agents.update import STATISTICS, FlatAdam, Loss, Update

IMPLEMENTATIONS = ("eager", "compiled")


def sb3_only(options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
    """Why these options need SB3's own PPO; None if they do not."""
    if distribution_of(action_space) is None:
        return f"actions in {action_space}"
    if options.get("use_sde"):
        return "agent.use_sde=true"
    for key in ("rollout_buffer_class", "rollout_buffer_kwargs"):
        if options.get(key):
            return f"agent.{key}"
    for key in ("optimizer_class", "optimizer_kwargs"):
        if (options.get("policy_kwargs") or {}).get(key):
            return f"agent.policy_kwargs.{key}"
    return None


class FastPPO(PPO):
    """SB3's PPO with another engine room.

    Args:
        implementation: "eager" or "compiled".
        distinct: whether each distinct observation is encoded once.
        precision: "float32", or "bf16": the encoder computes in bfloat16 (CUDA only).
        args, kwargs: SB3's.

    Raises:
        ValueError: an option that only SB3's PPO has, or a precision this device does not have.
    """

    logs_gradient_norm = True

    def __init__(
        self,
        *args: Any,
        implementation: str = "eager",
        distinct: bool = False,
        precision: str = "float32",
        **kwargs: Any,
    ):
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(f"agent.implementation is auto, sb3, eager or compiled; got {implementation!r}")
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision is float32 or bf16, got {precision!r}")
        self.implementation, self.distinct, self.precision = implementation, distinct, precision
        self.update: Update | None = None
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        reason = sb3_only(self.__dict__, self.action_space)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation} cannot do {reason}; use implementation=sb3")
        if self.precision == "bf16" and not (self.device.type == "cuda" and torch.cuda.is_bf16_supported()):
            raise ValueError(f"precision=bf16 needs a CUDA device that computes in bfloat16, not {self.device.type}")
        self.rollout_buffer_class = Rollout  # type: ignore[assignment]
        self.rollout_buffer_kwargs = {"distinct": self.distinct}
        super()._setup_model()
        # not attributes of the run: what a file holds must load wherever SB3's does
        self.rollout_buffer_class, self.rollout_buffer_kwargs = None, {}

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update"]

    def ready(self) -> Update:
        """The update on the present parameters and optimizer."""
        if self.update is None or not self.update.adam.holds(self.policy.optimizer):
            distribution = distribution_of(self.action_space)
            assert distribution is not None
            loss = Loss(distribution, self.normalize_advantage, self.ent_coef, self.vf_coef)
            kind: type[Update] = Update
            if self.implementation == "compiled":
                from agents.compiled import CompiledUpdate  # the compiler takes a while to import

                kind = CompiledUpdate
            self.update = kind(
                self.policy, loss, self.max_grad_norm, self.target_kl, autocast=self.precision == "bf16"
            )
        return self.update

    def act(self, observation: Any, update: Update) -> tuple[Any, Tensor, Tensor, Tensor]:
        """-> what the rollout keeps of the observation; actions, values, log probabilities (one for each environment)."""
        if self.rollout_buffer.distinct is None:
            observation = obs_as_tensor(observation, self.device)
            return observation, *update.act(observation)
        seen = self.rollout_buffer.distinct
        numbers = seen.number(observation)
        if seen.known < len(seen.numbers):
            seen.learn(*update.network(seen.observations(seen.known)))
        rows = torch.from_numpy(numbers).to(self.device)
        assert seen.outputs is not None
        output, values = seen.outputs[rows], seen.values[rows]
        distribution = update.loss.distribution
        noise = distribution.noise(output)
        actions, log_probs = distribution.sample(output, getattr(self.policy, "log_std", None), noise)
        return numbers, actions, values, log_probs

    def values_of(self, observation: Any, update: Update) -> Tensor:
        """V of a batch of observations."""
        seen = self.rollout_buffer.distinct
        if seen is None:
            return update.network(obs_as_tensor(observation, self.device))[1]
        numbers = seen.number(observation)
        if seen.known < len(seen.numbers):
            seen.learn(*update.network(seen.observations(seen.known)))
        return seen.values[torch.from_numpy(numbers).to(self.device)]

    @torch.no_grad()
    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int
    ) -> bool:
        """SB3's, storing tensors where they will be used."""
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

    def _bootstrap(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]], update: Update
    ) -> None:
        """An episode cut short by its time limit would have gone on: r ← r + γ V(s') (Pardo et al. 2018)."""
        for i in np.flatnonzero(dones):
            last = infos[i].get("terminal_observation")
            if last is not None and infos[i].get("TimeLimit.truncated", False):
                one = {key: part[None] for key, part in last.items()} if isinstance(last, dict) else np.asarray(last)[None]
                rewards[i] += (self.gamma * self.values_of(one, update)).item()

    def train(self) -> None:
        """One update: `n_epochs` passes over the rollout in minibatches; logs what SB3 logs."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clip_range_vf = None
        if self.clip_range_vf is not None:
            clip_range_vf = self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
        update, rollout = self.ready(), self.rollout_buffer
        rollout.freeze()  # type: ignore[attr-defined]
        size = rollout.n_steps * rollout.n_envs  # type: ignore[attr-defined]
        statistics: list[Tensor] = []
        first_norm: Tensor | None = None
        going_on = True
        for epoch in range(self.n_epochs):
            begin = len(statistics)
            for batch in rollout.minibatches(np.random.permutation(size), self.batch_size):  # type: ignore[attr-defined]
                measured, norm = update(batch, clip_range, clip_range_vf)
                statistics.append(measured)
                first_norm = norm if first_norm is None else first_norm
                if norm is None:
                    going_on = False
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {measured[-1]:.2f}")
                    break
            self._n_updates += 1
            if not going_on:
                break
        self._log(torch.stack(statistics).cpu().numpy(), begin, first_norm)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)

    def _log(self, statistics: np.ndarray, last_epoch: int, first_norm: Tensor | None) -> None:
        columns = dict(zip(STATISTICS, statistics.T, strict=True))
        rollout = self.rollout_buffer
        values, returns = (part.flatten().cpu().numpy() for part in (rollout.values, rollout.returns))  # type: ignore
        for key, column in (
            ("entropy_loss", "entropy_loss"),
            ("policy_gradient_loss", "policy_loss"),
            ("value_loss", "value_loss"),
        ):
            self.logger.record(f"train/{key}", columns[column].mean(dtype=np.float64))
        self.logger.record("train/approx_kl", columns["kl"][last_epoch:].mean())
        self.logger.record("train/clip_fraction", columns["clip_fraction"].mean(dtype=np.float64))
        self.logger.record("train/loss", float(columns["loss"][-1]))
        self.logger.record("train/explained_variance", explained_variance(values, returns))
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        if first_norm is not None:
            self.logger.record("train/gradient_norm", first_norm.item())
