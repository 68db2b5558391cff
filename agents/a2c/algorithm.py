"""A2C as SB3 does it, without what SB3 does around it: same hyperparameters, logs and files, a fraction of the time.

eager     SB3's parameters, bit for bit, after any number of updates
compiled  an update as one graph, and acting as another: equal to rounding (agents/ppo/compiled.py)
distinct  each distinct observation of a rollout is encoded once: equal to rounding
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import A2C
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from agents.a2c.loss import STATISTICS, A2CLoss
from agents.ppo.distributions import distribution_for
from agents.ppo.implementation import check_losses
from agents.ppo.learning import Learning
from agents.ppo.update import Settings

REPAID = (
    10_000  # updates: compiling takes 10 to 30 s and saves 2 to 3 ms in each and its rollout (benchmarks/training.py)
)
LOGGED = 100  # updates between two that are logged, in SB3


class FastA2C(Learning, A2C):
    """SB3's A2C with faster collection and updates; see `agents.ppo.learning.Learning`."""

    logs_gradient_norm = True
    repaid = REPAID

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        policy = dict(options.get("policy_kwargs") or {})
        if policy.get("optimizer_class") is torch.optim.RMSprop:  # as A2C writes `use_rms_prop` there
            policy = {key: part for key, part in policy.items() if not key.startswith("optimizer_")}
        return super().sb3_only({**options, "policy_kwargs": policy}, action_space)

    def _settings(self) -> Settings:
        distribution = distribution_for(self.policy)
        assert distribution is not None
        loss: Any = A2CLoss(distribution, self.normalize_advantage, self.ent_coef, self.vf_coef)
        return Settings(self.policy, loss, self.max_grad_norm, None)

    def train(self) -> None:
        """One update on the whole rollout; logs what SB3 logs.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        update, rollout = self.ready(), self.rollout_buffer
        rollout.freeze()
        size = self.minibatch()
        (batch,) = rollout.minibatches(np.random.permutation(size), size)
        statistics, norm = update(batch, 0.0)
        self._n_updates += 1
        self._log(statistics, norm)
        if self._n_updates % LOGGED == 0:
            update.parts.log(self.logger, update.norms())

    def _log(self, statistics: Tensor, norm: Tensor | None) -> None:
        measured = dict(zip(STATISTICS, statistics.tolist(), strict=True))
        check_losses(measured, self.num_timesteps)
        rollout, record = self.rollout_buffer, self.logger.record
        values, returns = (part.flatten().cpu().numpy() for part in (rollout.values, rollout.returns))
        record("train/n_updates", self._n_updates, exclude="tensorboard")
        record("train/explained_variance", explained_variance(values, returns))
        for key in ("entropy_loss", "policy_loss", "value_loss"):
            record(f"train/{key}", measured[key])
        if hasattr(self.policy, "log_std"):
            record("train/std", self.policy.log_std.exp().mean().item())
        if norm is not None:
            record("train/gradient_norm", norm.item())
