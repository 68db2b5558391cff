"""PPO as SB3 does it, without what SB3 does around it: same hyperparameters, logs and files, a fraction of the time.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch step: equal to rounding (agents/ppo/compiled.py)
    distinct  each distinct observation of a rollout is encoded once while collecting, and each of a minibatch once
              while learning: equal to rounding; for encoders without memory on observations that repeat
    overlap   the engine steps one half of the environments while the policy acts on the other (agents/ppo/collect.py)

What SB3 alone can do (`sb3_only`) is left to SB3's own class.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from agents.ppo.collect import Collecting, Pinned, not_overlapped
from agents.ppo.distributions import distribution_of
from agents.ppo.loss import STATISTICS, Loss
from agents.ppo.rollout import Rollout
from agents.ppo.update import Settings, Update, depends_on_more
from encoders.base import Encoder, kind_of
from encoders.layers.normalization import counts_samples

log = logging.getLogger(__name__)

IMPLEMENTATIONS = ("auto", "sb3", "eager", "compiled")
REPAID = 25_000  # minibatch steps: compiling takes 10 to 50 s and saves 1 to 8 ms in each (benchmarks/training.py)


def sb3_only(options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
    """Why these options need SB3's own PPO; None if they do not."""
    if distribution_of(action_space) is None:
        return f"actions in {action_space}"
    if options.get("use_sde"):
        return "agent.use_sde=true"
    buffer = options.get("rollout_buffer_class")
    ours = isinstance(buffer, type) and issubclass(buffer, Rollout)
    # a loaded model names the stock buffer, which SB3 chose for it
    if not ours and buffer not in (None, RolloutBuffer, DictRolloutBuffer):
        return "agent.rollout_buffer_class"
    if not ours and options.get("rollout_buffer_kwargs"):
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


class FastPPO(Collecting):
    """SB3's PPO with faster collection and updates.

    Args:
        implementation: "eager", "compiled", or "auto": compiled on a CPU with a C++ compiler if the run has `REPAID`
            minibatch steps or more and the encoder can be traced, else eager; decided when `learn` is called.
        distinct: whether each distinct observation is encoded once; "auto": on a CPU, if they are grids and the encoder
            is a function of the observation alone.
        overlap: whether the policy acts on one half of the environments while the other steps; "auto": on CUDA, where
            the environments can be stepped in halves (the batched engine of MiniGrid, an even number); decided when
            `learn` is called, into `overlapping`.
        normalize_advantage: SB3's true and false, or "peak": over whole rollouts, by the largest size that advantages
            had of late (`Rollout.scale_advantages`).
        precision: "float32", or "bf16": the encoder computes in bfloat16 (CUDA only).
        args, kwargs: SB3's; `rollout_buffer_class` may also be a subclass of `Rollout`, which changes the minibatches
            that are learned from.

    Raises:
        ValueError: an option that only SB3's PPO has, or a precision this device does not have.
    """

    logs_gradient_norm = True

    def __init__(
        self,
        *args: Any,
        implementation: str = "auto",
        distinct: bool | str = "auto",
        overlap: bool | str = "auto",
        normalize_advantage: bool | str = True,
        precision: str = "float32",
        **kwargs: Any,
    ):
        if implementation not in IMPLEMENTATIONS or implementation == "sb3":
            raise ValueError(f"agent.implementation is {', '.join(IMPLEMENTATIONS)}; got {implementation!r}")
        for name, value in (("distinct", distinct), ("overlap", overlap)):
            if value not in ("auto", True, False):
                raise ValueError(f"agent.{name} is auto, true or false; got {value!r}")
        if normalize_advantage not in (True, False, "peak"):
            raise ValueError(f"agent.normalize_advantage is true, false or peak; got {normalize_advantage!r}")
        if precision not in ("float32", "bf16"):
            raise ValueError(f"precision is float32 or bf16; got {precision!r}")
        self.implementation, self.distinct, self.precision = implementation, distinct, precision
        self.overlap = overlap
        self.update: Update | None = None
        self.advantage_scale = 0.0
        super().__init__(*args, normalize_advantage=normalize_advantage, **kwargs)  # type: ignore[arg-type]

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
        self.pinned = Pinned(self.device) if self.device.type == "cuda" else None
        chosen: Any = self.rollout_buffer_class
        self.rollout_buffer = (chosen if issubclass(chosen, Rollout) else Rollout)(
            self.n_steps,
            self.observation_space,
            self.action_space,
            self.device,
            self.gae_lambda,
            self.gamma,
            self.n_envs,
            distinct=bool(self.distinct),
            **self.rollout_buffer_kwargs,
        )

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update", "pinned"]

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> FastPPO:  # type: ignore[override]
        """SB3's."""
        self.decide(total_timesteps)
        return super().learn(total_timesteps, *args, **kwargs)

    def decide(self, total_timesteps: int) -> str:
        """Settle what is `auto` for a run of this length; returns the reason for the implementation.

        Raises:
            ValueError: implementation="compiled" or overlap=True, and that cannot be done.
        """
        assert self.env is not None
        reason = not_overlapped(self.env)
        if self.overlap is True and reason:
            raise ValueError(f"agent.overlap=true is not possible here: {reason}; use auto or false")
        self.overlapping = reason is None and self.overlap in (True, "auto" if self.device.type == "cuda" else True)
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
        normalize: Any = self.normalize_advantage
        loss = Loss(distribution, normalize is True, self.ent_coef, self.vf_coef, self.clip_range_vf is not None)
        return Settings(self.policy, loss, self.max_grad_norm, self.target_kl, self.precision == "bf16")

    def _compiled(self) -> Update:
        """The update in graphs; a ValueError says why there is none."""
        from agents.ppo.compiled import CompiledUpdate, compiler  # takes a while to import

        if self.device.type == "cpu" and compiler() is None:
            raise ValueError("there is no C++ compiler (g++ or clang++)")
        log.warning("compiling PPO's minibatch step (10 to 50 s; kept on disk for the next run like it)")
        update = CompiledUpdate(self._settings())
        try:
            update.prepare(self.rollout_buffer, self.batch_size, self.n_envs // (1 + self.overlapping))
        except Exception as error:  # whatever the encoder does that cannot be traced
            encoder = type(self.policy.features_extractor).__name__
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the encoder {encoder} cannot be traced: {why}") from error
        return update

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
        if self.normalize_advantage == "peak":
            self.advantage_scale = rollout.scale_advantages(self.advantage_scale)
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
