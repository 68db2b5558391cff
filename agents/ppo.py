"""PPO as SB3 does it, without what SB3 does around it: same hyperparameters, logs and files, a fraction of the time.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch step: equal to rounding (agents/compiled.py)
    distinct  each distinct observation of a rollout is encoded once while collecting, and each of a minibatch once
              while learning: equal to rounding; for encoders without memory on observations that repeat

What SB3 alone can do (`sb3_only`) is left to SB3's own class.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import explained_variance, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from agents.augment import JoinedRollout
from agents.distributions import distribution_of
from agents.rollout import Rollout
from agents.update import STATISTICS, Loss, Settings, Update, depends_on_more
from encoders.base import Encoder, kind_of
from encoders.layers.normalization import counts_samples
from symmetry import Symmetry, expanded

log = logging.getLogger(__name__)

IMPLEMENTATIONS = ("auto", "sb3", "eager", "compiled")
REPAID = 25_000  # minibatch steps: compiling takes 10 to 50 s and saves 1 to 8 ms in each (benchmarks/training.py)


def sb3_only(options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
    """Why these options need SB3's own PPO; None if they do not."""
    if distribution_of(action_space) is None:
        return f"actions in {action_space}"
    if options.get("use_sde"):
        return "agent.use_sde=true"
    # a loaded model names the stock buffer, which SB3 chose for it
    if options.get("rollout_buffer_class") not in (None, RolloutBuffer, DictRolloutBuffer):
        return "agent.rollout_buffer_class"
    if options.get("rollout_buffer_kwargs"):
        return "agent.rollout_buffer_kwargs"
    for key in ("optimizer_class", "optimizer_kwargs"):
        if (options.get("policy_kwargs") or {}).get(key):
            return f"agent.policy_kwargs.{key}"
    return None


def not_distinct(policy: ActorCriticPolicy) -> str | None:
    """Why encoding each distinct observation once is not possible, or not worth it; None if it is both."""
    space = policy.observation_space
    if not isinstance(space, spaces.Dict) or any(part.dtype != np.uint8 for part in space.values()):
        return "observations are not dicts of bytes"
    if not isinstance(policy.features_extractor, Encoder) or kind_of(space) != "grid":
        return "they are not grids read by an encoder of this project, which has no memory"
    if depends_on_more(policy):
        return "the encoder's output depends on more than the observation"
    if counts_samples(policy):
        return "batch normalization counts every sample"
    return None


class FastPPO(PPO):
    """SB3's PPO with another engine room.

    Args:
        implementation: "eager", "compiled", or "auto": compiled on a CPU with a C++ compiler if the run has `REPAID`
            minibatch steps or more and the encoder can be traced, else eager; decided when `learn` is called.
        distinct: whether each distinct observation is encoded once; "auto": on a CPU, if they are grids and the encoder
            is a function of the observation alone.
        precision: "float32", or "bf16": the encoder computes in bfloat16 (CUDA only).
        twins: minibatches are joined by their twins under this symmetry (agents/augment.py).
        args, kwargs: SB3's.

    Raises:
        ValueError: an option that only SB3's PPO has, or a precision this device does not have.
    """

    logs_gradient_norm = True
    rollout_buffer: Rollout  # type: ignore[assignment]

    def __init__(
        self,
        *args: Any,
        implementation: str = "auto",
        distinct: bool | str = "auto",
        precision: str = "float32",
        twins: Symmetry | None = None,
        **kwargs: Any,
    ):
        if implementation not in IMPLEMENTATIONS or implementation == "sb3":
            raise ValueError(f"agent.implementation is {', '.join(IMPLEMENTATIONS)}; got {implementation!r}")
        if distinct not in ("auto", True, False):
            raise ValueError(f"agent.distinct is auto, true or false; got {distinct!r}")
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision is float32 or bf16; got {precision!r}")
        self.implementation, self.distinct, self.precision = implementation, distinct, precision
        self.twins = twins
        self.update: Update | None = None
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        reason = sb3_only(vars(self), self.action_space)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation} cannot do {reason}; use sb3 (or auto)")
        if self.precision == "bf16" and not (self.device.type == "cuda" and torch.cuda.is_bf16_supported()):
            raise ValueError(
                f"precision=bf16 needs a CUDA device that computes in bfloat16; this is {self.device.type}"
            )
        super()._setup_model()
        reason = not_distinct(self.policy)
        if self._vec_normalize_env is not None and self._vec_normalize_env.norm_obs:
            reason = "observations are normalized, so they are not bytes"
        if self.distinct == "auto":
            self.distinct = reason is None and self.device.type == "cpu"
        elif self.distinct and reason:
            raise ValueError(f"agent.distinct=true is not possible here: {reason}")
        shape = (self.n_steps, self.observation_space, self.action_space, self.device)
        arguments = (*shape, self.gae_lambda, self.gamma, self.n_envs, bool(self.distinct))
        self.rollout_buffer = Rollout(*arguments) if self.twins is None else JoinedRollout(self.twins, *arguments)  # type: ignore

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update"]

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> FastPPO:  # type: ignore[override]
        """SB3's."""
        self.decide(total_timesteps)
        return super().learn(total_timesteps, *args, **kwargs)

    def decide(self, total_timesteps: int) -> str:
        """Settle `implementation=auto` for a run of this length; returns the reason.

        Raises:
            ValueError: implementation="compiled", and that cannot be done.
        """
        if self.implementation == "compiled":
            self.ready()  # what cannot be compiled is said before anything is collected
        if self.implementation != "auto":
            return "as chosen"
        size = self.n_steps * self.n_envs
        steps = -(-total_timesteps // size) * self.n_epochs * -(-size // self.batch_size)
        if self.device.type != "cpu":
            reason = "compiled graphs have not been measured on this device"
        elif steps < REPAID:
            reason = f"{steps:,} minibatch steps do not repay the compiling"
        else:
            try:
                self.update = self._compiled()
                self.implementation = "compiled"
                return f"{steps:,} minibatch steps repay the compiling"
            except ValueError as error:
                reason = str(error)
                log.warning("agent.implementation=eager: %s", reason)
        self.implementation = "eager"
        return reason

    def ready(self) -> Update:
        """The update on the present parameters, optimizer and coefficients: a callback may have changed them."""
        update = self.update
        if update is None or update.settings != self._settings() or not update.adam.holds(self.policy.optimizer):
            if self.implementation == "compiled":
                try:
                    update = self._compiled()
                except ValueError as error:
                    raise ValueError(f"agent.implementation=compiled: {error}; use eager") from error
            else:
                update = Update(self._settings())
            self.update = update
        return update

    def _settings(self) -> Settings:
        distribution = distribution_of(self.action_space)
        assert distribution is not None
        loss = Loss(distribution, self.normalize_advantage, self.ent_coef, self.vf_coef, self.clip_range_vf is not None)
        return Settings(self.policy, loss, self.max_grad_norm, self.target_kl, self.precision == "bf16")

    def _compiled(self) -> Update:
        """The update in graphs; a ValueError says why there is none."""
        from agents.compiled import CompiledUpdate, compiler  # takes a while to import

        if self.device.type == "cpu" and compiler() is None:
            raise ValueError("there is no C++ compiler (g++ or clang++)")
        log.warning("compiling PPO's minibatch step (10 to 50 s; kept on disk for the next run like it)")
        update = CompiledUpdate(self._settings())
        try:
            update.prepare(self.rollout_buffer, self.batch_size)
        except Exception as error:  # whatever the encoder does that cannot be traced
            encoder = type(self.policy.features_extractor).__name__
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the encoder {encoder} cannot be traced: {why}") from error
        return update

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

    def train(self) -> None:
        """One update: `n_epochs` passes over the rollout in minibatches; logs what SB3 logs.

        Raises:
            FloatingPointError: the loss is not a number any more, so neither is any parameter.
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clip_range_vf = None
        if self.clip_range_vf is not None:
            clip_range_vf = self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
        update, rollout = self.ready(), self.rollout_buffer
        rollout.freeze()
        size = rollout.n_steps * rollout.n_envs
        statistics: list[Tensor] = []
        first_norm: Tensor | None = None
        going_on = True
        for epoch in range(self.n_epochs):
            begin = len(statistics)
            for batch in rollout.minibatches(np.random.permutation(size), self.batch_size):
                measured, norm = update(batch, clip_range, clip_range_vf or 0.0)
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
        if np.isnan(columns["loss"][-1]):  # SB3 fails at the next action it draws
            after = f"the loss is not a number after {self.num_timesteps:,} steps"
            raise FloatingPointError(f"learning diverged: {after}; try a lower learning rate")
        rollout = self.rollout_buffer
        values, returns = (part.flatten().cpu().numpy() for part in (rollout.values, rollout.returns))
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
