"""What the fast forms of SB3's on-policy algorithms share: options, `auto` rules, and the epochs of both PPOs.

FastPPO (agents/ppo/algorithm.py), FastRecurrentPPO (agents/recurrent) and FastA2C (agents/a2c) collect with
`Collecting` and learn with an `Update` on the present parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.utils import explained_variance
from torch import Tensor, nn

from agents.ppo.collect import Collecting, Pinned
from agents.ppo.distributions import distribution_of
from agents.ppo.implementation import Fast, check_distinct, check_losses, settled_distinct
from agents.ppo.loss import STATISTICS
from agents.ppo.rollout import Rollout
from agents.ppo.update import Settings, Update, depends_on_more
from encoders.base import Encoder, kind_of
from encoders.layers.normalization import counts_samples


def not_distinct(policy: Any, normalizer: Any = None) -> str | None:
    """Why encoding each distinct observation once is impossible or does not pay; None if it is possible and pays.

    Args:
        policy: a policy, or a network of one, with one encoder that matters.
        normalizer: SB3's `VecNormalize`, if there is one.
    """
    if normalizer is not None and normalizer.norm_obs:
        return "observations are normalized, so they are not bytes"
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


class Learning(Fast, Collecting):
    """A fast form of an on-policy algorithm; SB3's own class is the second base class.

    Args:
        distinct: whether each distinct observation is encoded once; "auto": on a CPU, if they are grids and the encoder
            is a function of the observation alone.
        args, kwargs: as of `Fast`; `rollout_buffer_class` may also be a subclass of `Rollout`, which changes the
            minibatches that are learned from.

    Raises:
        ValueError: an option that only SB3's class has.
    """

    rollouts: ClassVar[type[Rollout]] = Rollout
    updates: ClassVar[type[Update]] = Update
    rollout_buffer_class: Any = None
    rollout_buffer_kwargs: Any = None

    def __init__(self, *args: Any, distinct: bool | str = "auto", **kwargs: Any):
        check_distinct(distinct)
        self.distinct = distinct
        super().__init__(*args, **kwargs)

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
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
        super()._setup_model()
        reason = not_distinct(self.policy, self._vec_normalize_env)
        self.distinct = settled_distinct(self.distinct, reason, self.device)
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
        return [*super()._excluded_save_params(), "pinned"]

    def encoder(self) -> nn.Module:
        encoder: nn.Module = self.policy.features_extractor
        return encoder

    def count_updates(self, total_timesteps: int) -> int:
        return -(-total_timesteps // (self.n_steps * self.n_envs)) * self.updates_per_rollout()

    def is_current(self, update: Update) -> bool:
        return update.settings == self._settings() and update.adam.holds(self.policy.optimizer)

    def new_update(self) -> Update:
        return self.updates(self._settings())

    def new_compiled_update(self) -> Update:
        from agents.ppo.compiled import CompiledUpdate  # takes a while to import

        update = CompiledUpdate(self._settings())
        update.prepare(self.rollout_buffer, self.minibatch(), self.n_envs // (1 + self.overlapping))
        return update

    def minibatch(self) -> int:
        """How many samples an update learns from."""
        return self.n_steps * self.n_envs

    def updates_per_rollout(self) -> int:
        """How many updates follow each rollout."""
        return 1

    def _settings(self) -> Settings:
        raise NotImplementedError


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
            Diverged: a loss is NaN or infinite.
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
        norms: Tensor | None = None
        going_on = True
        for epoch in range(self.n_epochs):
            begin = len(statistics)
            for batch in rollout.minibatches(self.order(size), self.batch_size):
                measured, norm = update(batch, clip_range, clip_range_vf or 0.0)
                statistics.append(measured)
                if first_norm is None and norm is not None:
                    first_norm, norms = norm, update.norms()
                if norm is None:
                    going_on = False
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {measured[-1]:.2f}")
                    break
            self._n_updates += 1
            if not going_on:
                break
        self._log(torch.stack(statistics).cpu().numpy(), begin, first_norm)
        if norms is not None:
            update.parts.log(self.logger, norms)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)

    def _log(self, statistics: np.ndarray, last_epoch: int, first_norm: Tensor | None) -> None:
        columns = dict(zip(STATISTICS, statistics.T, strict=True))
        losses = {key: columns[key] for key in ("policy_loss", "value_loss", "entropy_loss", "loss")}
        check_losses(losses, self.num_timesteps)
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
