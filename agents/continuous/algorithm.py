"""SAC and TD3 as SB3 does them, with faster updates: same hyperparameters, logs and files, the same replay buffer.

    eager     the same arithmetic in the same order: SB3's parameters, bit for bit, after any number of updates
    compiled  one compiled graph for a minibatch: equal to rounding (agents/continuous/compiled.py)

What SB3 alone can do (`sb3_only`) is left to SB3's own classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from torch import Tensor

from agents.continuous.laws import SAC, TD3, Batch
from agents.continuous.networks import Update
from agents.continuous.replay import sample

log = logging.getLogger(__name__)

IMPLEMENTATIONS = ("auto", "sb3", "eager", "compiled")
REPAID = 10_000  # minibatches: compiling takes 20 to 60 s and saves 2 to 6 ms in each (benchmarks/training.py)


def sb3_only(options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
    """Why these options need SB3's own SAC or TD3; None if they do not."""
    if options.get("use_sde"):
        return "agent.use_sde=true"
    for key in ("optimizer_class", "optimizer_kwargs", "share_features_extractor"):
        if (options.get("policy_kwargs") or {}).get(key):
            return f"agent.policy_kwargs.{key}"
    return None


class Fast(OffPolicyAlgorithm):
    """What FastSAC and FastTD3 share.

    Args:
        implementation: "eager", "compiled", or "auto": compiled on a CPU with a C++ compiler if the run has `REPAID`
            minibatches or more and the networks can be traced, else eager; decided when `learn` is called.
        args, kwargs: SB3's.

    Raises:
        ValueError: an option that only SB3's class has.
    """

    sb3_only = staticmethod(sb3_only)

    def __init__(self, *args: Any, implementation: str = "auto", **kwargs: Any):
        if implementation not in IMPLEMENTATIONS or implementation == "sb3":
            raise ValueError(f"agent.implementation is {', '.join(IMPLEMENTATIONS)}; got {implementation!r}")
        self.implementation = implementation
        self.update: Update | None = None
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        reason = sb3_only(vars(self), self.action_space)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation} cannot do {reason}; use sb3 (or auto)")
        super()._setup_model()

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "update"]

    def law(self) -> SAC | TD3:
        """What a minibatch does, with the present coefficients."""
        raise NotImplementedError

    def follows(self, updates: int) -> bool:
        """Whether the targets follow after a minibatch; `updates`: how many of this call of `train` came before it."""
        raise NotImplementedError

    def kinds(self) -> list[bool]:
        """What `follows` can be."""
        raise NotImplementedError

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Fast:  # type: ignore[override]
        """SB3's."""
        self.decide(total_timesteps)
        return super().learn(total_timesteps, *args, **kwargs)

    def decide(self, total_timesteps: int) -> str:
        """Settle what is `auto` for a run of this length; returns the reason for the implementation.

        Raises:
            ValueError: implementation="compiled", and that cannot be done.
        """
        if self.implementation == "compiled":
            self.ready()  # what cannot be compiled is said before anything is collected
        if self.implementation != "auto":
            return "as chosen"
        updates = self._updates_of(total_timesteps)
        if self.device.type != "cpu":
            reason = "compiled graphs have not been measured on this device"
        elif updates < REPAID:
            reason = f"{updates:,} minibatches do not repay the compiling"
        else:
            try:
                self.update = self._compiled()
                self.implementation = "compiled"
                return f"{updates:,} minibatches repay the compiling"
            except ValueError as error:
                reason = str(error)
                log.warning("agent.implementation=eager: %s", reason)
        self.implementation = "eager"
        return reason

    def _updates_of(self, total_timesteps: int) -> int:
        """How many minibatches a run of this length has; 0 where that depends on the length of its episodes."""
        steps = max(total_timesteps - self.learning_starts, 0)
        frequency: Any = self.train_freq
        if self.gradient_steps < 0:  # as many as steps of one environment
            return steps // self.n_envs
        if frequency.unit is not TrainFrequencyUnit.STEP:
            return 0
        return steps // (frequency.frequency * self.n_envs) * self.gradient_steps

    def ready(self) -> Update:
        """The update of the present networks and coefficients: a callback may have changed them."""
        update = self.update
        if update is None or update.law != self.law() or not update.holds():
            if self.implementation == "compiled":
                try:
                    update = self._compiled()
                except ValueError as error:
                    raise ValueError(f"agent.implementation=compiled: {error}; use eager") from error
            else:
                update = Update(self, self.law())
            self.update = update
        return update

    def _compiled(self) -> Update:
        """The update in graphs; a ValueError says why there is none."""
        from agents.continuous.compiled import CompiledUpdate  # takes a while to import
        from agents.ppo.compiled import compiler

        if self.device.type == "cpu" and compiler() is None:
            raise ValueError("there is no C++ compiler (g++ or clang++)")
        log.warning("compiling a minibatch's step (20 to 60 s; kept on disk for the next run like it)")
        update = CompiledUpdate(self, self.law())
        try:
            update.prepare(self._example(), self.kinds())
        except Exception as error:  # whatever the encoder does that cannot be traced
            encoder = type(self.actor.features_extractor).__name__
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the encoder {encoder} cannot be traced: {why}") from error
        return update

    def _example(self) -> Batch:
        """A minibatch of the size and types of all later ones; its numbers mean nothing."""
        buffer: Any = self.replay_buffer
        pos, state = buffer.pos, np.random.get_state()
        buffer.pos = max(pos, 1)  # it may be empty yet
        batch = self._batch(self.batch_size)
        buffer.pos = pos
        np.random.set_state(state)
        return batch

    def _batch(self, size: int) -> Batch:
        assert self.replay_buffer is not None
        return sample(self.replay_buffer, size, self.gamma, self._vec_normalize_env)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """`gradient_steps` minibatches; logs what SB3 logs.

        Raises:
            FloatingPointError: the loss of the critics is not a number any more, so neither is any parameter.
        """
        update = self.ready()
        update.begin()
        self._update_learning_rate([part.adam.optimizer for part in update.learners])
        statistics: list[Tensor] = []
        followed: list[bool] = []
        for step in range(gradient_steps):
            followed.append(self.follows(step))
            statistics.append(update(self._batch(batch_size), followed[-1]))
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self._log(
            dict(zip(update.law.statistics, torch.stack(statistics).cpu().double().numpy().T, strict=True)), followed
        )

    def _log(self, columns: dict[str, np.ndarray], followed: list[bool]) -> None:
        if np.isnan(columns["critic_loss"][-1]):
            after = f"the loss is not a number after {self.num_timesteps:,} steps"
            raise FloatingPointError(f"learning diverged: {after}; try a lower learning rate")
        for key, column in columns.items():
            self.logger.record(f"train/{key}", column.mean())

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """SB3's, without `predict`: actions for the environments, and the same in [-1, 1] for the replay buffer."""
        if self.num_timesteps < learning_starts:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        policy: Any = self.policy
        with torch.no_grad():
            squashed = self.draw(policy.obs_to_tensor(self._last_obs)[0]).cpu().numpy()
        squashed = squashed.reshape(-1, *(self.action_space.shape or ()))
        scaled = policy.scale_action(policy.unscale_action(squashed))  # the rounding of SB3, too
        if action_noise is not None:
            scaled = np.clip(scaled + action_noise(), -1, 1)
        return policy.unscale_action(scaled), scaled

    def draw(self, observations: Any) -> Tensor:
        """Actions in [-1, 1] for a batch of observations."""
        raise NotImplementedError


class FastSAC(Fast, sb3.SAC):
    """SB3's SAC with faster updates; arguments as of `Fast`."""

    def law(self) -> SAC:
        learned = self.ent_coef_optimizer is not None
        return SAC(self.tau, float(self.target_entropy), None if learned else float(self.ent_coef))

    def follows(self, updates: int) -> bool:
        return updates % self.target_update_interval == 0

    def kinds(self) -> list[bool]:
        return [True] if self.target_update_interval == 1 or self.gradient_steps == 1 else [True, False]

    def draw(self, observations: Any) -> Tensor:
        mean, log_std, _ = self.actor.get_action_dist_params(observations)
        return torch.tanh(mean + torch.empty_like(mean).normal_() * (torch.ones_like(mean) * log_std.exp()))

    def _log(self, columns: dict[str, np.ndarray], followed: list[bool]) -> None:
        if self.ent_coef_optimizer is None:
            del columns["ent_coef_loss"]
        super()._log(columns, followed)


class FastTD3(Fast, sb3.TD3):
    """SB3's TD3 with faster updates; arguments as of `Fast`."""

    def law(self) -> TD3:
        return TD3(self.tau, self.target_policy_noise, self.target_noise_clip)

    def follows(self, updates: int) -> bool:
        return (self._n_updates + updates + 1) % self.policy_delay == 0

    def kinds(self) -> list[bool]:
        return [True] if self.policy_delay == 1 else [True, False]

    def draw(self, observations: Any) -> Tensor:
        return self.actor(observations)

    def _log(self, columns: dict[str, np.ndarray], followed: list[bool]) -> None:
        actors = columns.pop("actor_loss")[np.array(followed)]
        super()._log(columns | ({"actor_loss": actors} if len(actors) else {}), followed)
