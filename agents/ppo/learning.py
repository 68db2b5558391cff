"""What the fast forms of SB3's on-policy algorithms share: options, `auto` rules, and the epochs of both PPOs.

FastPPO (agents/ppo/algorithm.py), FastRecurrentPPO (agents/recurrent) and FastA2C (agents/a2c) collect with
`Collecting` and learn with an `Update` on the present parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from agents.ppo.collect import Collecting, Pinned
from agents.ppo.distributions import distribution_of
from agents.ppo.loss import STATISTICS
from agents.ppo.rollout import Rollout
from agents.ppo.update import Settings, Update, depends_on_more
from encoders.base import Encoder, kind_of
from encoders.layers.normalization import counts_samples

log = logging.getLogger(__name__)


def not_distinct(policy: ActorCriticPolicy) -> str | None:
    """Why encoding each distinct observation once is impossible or does not pay; None if it is possible and pays."""
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


class Learning(Collecting):
    """A fast form of an on-policy algorithm; SB3's own class is the second base class.

    Args:
        implementation: one of `implementations`; "auto" is decided when `learn` is called.
        distinct: whether each distinct observation is encoded once; "auto": on a CPU, if they are grids and the encoder
            is a function of the observation alone.
        args, kwargs: SB3's; `rollout_buffer_class` may also be a subclass of `Rollout`, which changes the minibatches
            that are learned from.

    Attributes:
        implementations: what `implementation` may be.
        repaid: the number of updates from which on "auto" compiles them.

    Raises:
        ValueError: an option that only SB3's class has.
    """

    implementations: ClassVar[tuple[str, ...]] = ("auto", "sb3", "eager", "compiled")
    repaid: ClassVar[int]
    rollouts: ClassVar[type[Rollout]] = Rollout
    updates: ClassVar[type[Update]] = Update
    rollout_buffer_class: Any = None
    rollout_buffer_kwargs: Any = None

    def __init__(self, *args: Any, implementation: str = "auto", distinct: bool | str = "auto", **kwargs: Any):
        if implementation not in self.implementations or implementation == "sb3":
            raise ValueError(f"agent.implementation is {', '.join(self.implementations)}; got {implementation!r}")
        if distinct not in ("auto", True, False):
            raise ValueError(f"agent.distinct is auto, true or false; got {distinct!r}")
        self.implementation, self.distinct = implementation, distinct
        self.update: Update | None = None
        super().__init__(*args, **kwargs)

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        """Why these options need SB3's own class; None if they do not."""
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

    def _setup_model(self) -> None:
        reason = self.sb3_only(vars(self), self.action_space)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation} cannot do {reason}; use sb3 (or auto)")
        super()._setup_model()
        reason = not_distinct(self.policy)
        if self._vec_normalize_env is not None and self._vec_normalize_env.norm_obs:
            reason = "observations are normalized, so they are not bytes"
        if self.distinct == "auto":
            self.distinct = reason is None and self.device.type == "cpu"
        elif self.distinct and reason:
            raise ValueError(f"agent.distinct=true is not possible here: {reason}")
        self.pinned = Pinned(self.device) if self.device.type == "cuda" else None
        chosen = self.rollout_buffer_class
        changed = isinstance(chosen, type) and issubclass(chosen, Rollout)
        self.rollout_buffer = (chosen if changed else self.rollouts)(
            self.n_steps,
            self.observation_space,
            self.action_space,
            self.device,
            self.gae_lambda,
            self.gamma,
            self.n_envs,
            distinct=bool(self.distinct),
            **(self.rollout_buffer_kwargs or {}),
        )

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update", "pinned"]

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        """SB3's."""
        self.decide(total_timesteps)
        return super().learn(total_timesteps, *args, **kwargs)

    def decide(self, total_timesteps: int) -> str:
        """Settle what is `auto` for a run of this length; returns the reason for the implementation.

        Raises:
            ValueError: what was chosen cannot be done.
        """
        if self.implementation == "compiled":
            self.ready()  # fails here, before anything is collected, if it cannot be compiled
        if self.implementation != "auto":
            return "as chosen"
        updates = -(-total_timesteps // (self.n_steps * self.n_envs)) * self.updates_per_rollout()
        if "compiled" not in self.implementations:
            reason = "the only fast form"
        elif self.device.type != "cpu":
            reason = "compiled graphs have not been measured on this device"
        elif updates < self.repaid:
            reason = f"{updates:,} minibatch steps do not repay the compiling"
        else:
            try:
                self.update = self._compiled()
                self.implementation = "compiled"
                return f"{updates:,} minibatch steps repay the compiling"
            except ValueError as error:
                reason = str(error)
                log.warning("agent.implementation=eager: %s", reason)
        self.implementation = "eager"
        return reason

    def ready(self) -> Update:
        """The update on the current parameters, optimizer and coefficients, which a callback may have changed."""
        update = self.update
        if update is None or update.settings != self._settings() or not update.adam.holds(self.policy.optimizer):
            if self.implementation == "compiled":
                try:
                    update = self._compiled()
                except ValueError as error:
                    raise ValueError(f"agent.implementation=compiled: {error}; use eager") from error
            else:
                update = self.updates(self._settings())
            self.update = update
        return update

    def minibatch(self) -> int:
        """How many samples an update learns from."""
        return self.n_steps * self.n_envs

    def updates_per_rollout(self) -> int:
        """How many updates follow each rollout."""
        return 1

    def _settings(self) -> Settings:
        raise NotImplementedError

    def _compiled(self) -> Update:
        """The compiled update; raises a ValueError if it cannot be compiled."""
        from agents.ppo.compiled import CompiledUpdate, compiler  # takes a while to import

        if self.device.type == "cpu" and compiler() is None:
            raise ValueError("there is no C++ compiler (g++ or clang++)")
        log.warning("compiling the minibatch step (10 to 50 s; kept on disk for the next run like it)")
        update = CompiledUpdate(self._settings())
        try:
            update.prepare(self.rollout_buffer, self.minibatch(), self.n_envs // (1 + self.overlapping))
        except Exception as error:  # whatever the encoder does that cannot be traced
            encoder = type(self.policy.features_extractor).__name__
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the encoder {encoder} cannot be traced: {why}") from error
        return update


class Epochs(Learning):
    """`train` of PPO and recurrent PPO: several passes over a rollout, in minibatches."""

    logs_gradient_norm = True
    advantage_scale = 0.0
    batch_size: int
    n_epochs: int
    clip_range: Any
    clip_range_vf: Any
    normalize_advantage: Any
    target_kl: float | None

    def minibatch(self) -> int:
        return self.batch_size

    def updates_per_rollout(self) -> int:
        return self.n_epochs * -(-self.n_steps * self.n_envs // self.batch_size)

    def order(self, size: int) -> np.ndarray:
        """The order of a rollout's samples in one pass."""
        return np.random.permutation(size)

    def train(self) -> None:
        """One update: `n_epochs` passes over the rollout in minibatches; logs what SB3 logs.

        Raises:
            FloatingPointError: the loss is NaN, and so is every parameter.
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
            for batch in rollout.minibatches(self.order(size), self.batch_size):
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
