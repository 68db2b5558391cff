"""FastSAC and FastTD3: SB3's SAC and TD3 with faster updates (agents/off_policy/algorithm.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise
from torch import Tensor, nn

from agents.continuous.laws import SAC, TD3, drawn
from agents.continuous.networks import Update, moments
from agents.nodes.sac import NodeSAC
from agents.off_policy.algorithm import MEASURED, OffPolicy
from agents.off_policy.replay import Batch, sample


class Continuous(OffPolicy):
    """What FastSAC and FastTD3 share; arguments as of `OffPolicy`."""

    repaid = 10_000  # compiling takes 20 to 60 s and saves 2 to 6 ms in each minibatch (benchmarks/training.py)

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        if options.get("use_sde"):
            return "agent.use_sde=true"
        for key in ("optimizer_class", "optimizer_kwargs", "share_features_extractor"):
            if (options.get("policy_kwargs") or {}).get(key):
                return f"agent.policy_kwargs.{key}"
        return None

    def follows(self, updates: int) -> bool:
        """Whether the targets follow after a minibatch; `updates`: how many of this call of `train` came before it."""
        raise NotImplementedError

    def kinds(self) -> list[bool]:
        """What `follows` can be."""
        raise NotImplementedError

    def encoder(self) -> nn.Module:
        encoder: Any = self.actor.features_extractor
        return encoder

    def new_update(self) -> Update:
        return Update(self, self.law())

    def new_compiled_update(self) -> Update:
        from agents.continuous.compiled import CompiledUpdate  # takes a while to import

        update = CompiledUpdate(self, self.law())
        update.prepare(self._example(), self.kinds())
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

    def minibatch(self, update: Any, size: int, step: int) -> Tensor:
        return update(self._batch(size), self.follows(step), self.measures(step))

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


class FastSAC(Continuous, NodeSAC):
    """SB3's SAC with faster updates; arguments as of `OffPolicy`."""

    def law(self) -> SAC:
        learned = self.ent_coef_optimizer is not None
        wanted = vars(self)["target_entropy"]
        target = None if wanted == "auto" else float(wanted)
        return SAC(self.tau, target, None if learned else float(self.ent_coef))

    def follows(self, updates: int) -> bool:
        return updates % self.target_update_interval == 0

    def kinds(self) -> list[bool]:
        return [True] if self.target_update_interval == 1 or self.gradient_steps == 1 else [True, False]

    def draw(self, observations: Any) -> Tensor:
        found = moments(self.actor, observations)
        return drawn(found, torch.empty_like(found.mean).normal_())

    def _log(self, columns: dict[str, np.ndarray]) -> None:
        if self.ent_coef_optimizer is None:
            del columns["ent_coef_loss"]
        super()._log(columns)


class FastTD3(Continuous, sb3.TD3):
    """SB3's TD3 with faster updates; arguments as of `OffPolicy`."""

    def law(self) -> TD3:
        return TD3(self.tau, self.target_policy_noise, self.target_noise_clip)

    def follows(self, updates: int) -> bool:
        return (self._n_updates + updates + 1) % self.policy_delay == 0

    def measures(self, updates: int) -> bool:  # of the minibatches in which the actor learns
        return (self._n_updates + updates + 1) % (MEASURED * self.policy_delay) == 0

    def kinds(self) -> list[bool]:
        return [True] if self.policy_delay == 1 else [True, False]

    def draw(self, observations: Any) -> Tensor:
        return self.actor(observations)

    def _log(self, columns: dict[str, np.ndarray]) -> None:
        losses = columns.pop("actor_loss")
        learned = losses[~np.isnan(losses)]
        super()._log(columns | ({"actor_loss": learned} if len(learned) else {}))
