"""FastDQN and FastQRDQN: SB3's DQN and sb3-contrib's QR-DQN with faster updates (agents/off_policy/algorithm.py).

distinct   each distinct observation of a grid is stored once, read once in a minibatch, and valued once by the
           target network until that changes: equal to rounding
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sb3_contrib
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from torch import Tensor, nn

from agents.dqn.laws import DQN, QRDQN
from agents.dqn.replay import DistinctReplay, KnownActions, KnownOutputs
from agents.dqn.update import Minibatch, Update
from agents.off_policy.algorithm import OffPolicy
from agents.off_policy.replay import sample
from agents.ppo.flat_adam import FlatAdam
from agents.ppo.implementation import check_distinct, settled_distinct
from agents.ppo.learning import not_distinct
from agents.ppo.rollout import blank


class Valued(OffPolicy):
    """What FastDQN and FastQRDQN share.

    Args:
        distinct: whether each distinct observation is stored and read once; "auto": on a CPU, if they are grids, the
            encoder is a function of the observation alone, and the replay buffer is SB3's.
        args, kwargs: as of `OffPolicy`.

    Raises:
        ValueError: an option that only SB3's class has, or distinct=True where that is impossible.
    """

    repaid = 10_000  # compiling takes about 30 s and saves 3 ms in each minibatch (benchmarks/training.py)
    networks: tuple[str, str]  # the names that the policy has for its network and the target
    exploration_rate: float
    target_update_interval: int
    _n_calls: int

    def __init__(self, *args: Any, distinct: bool | str = "auto", **kwargs: Any):
        check_distinct(distinct)
        self.distinct = distinct
        self.known: KnownOutputs | None = None  # what the target network says of observations
        self.acts: KnownActions | None = None  # the best actions, until the network learns
        super().__init__(*args, **kwargs)

    @classmethod
    def sb3_only(cls, options: Mapping[str, Any], action_space: spaces.Space) -> str | None:
        chosen = (options.get("policy_kwargs") or {}).get("optimizer_class", torch.optim.Adam)
        return None if chosen is torch.optim.Adam else "agent.policy_kwargs.optimizer_class"

    def _setup_model(self) -> None:
        super()._setup_model()
        reason = FlatAdam.unsupported(self.policy.optimizer)
        if reason:
            raise ValueError(f"agent.implementation={self.implementation}: {reason}; use sb3 (or auto)")
        self.distinct = settled_distinct(self.distinct, self._not_distinct(), self.device)
        if self.distinct:
            space, actions = self.observation_space, self.action_space
            assert isinstance(space, spaces.Dict) and isinstance(actions, spaces.Discrete)
            buffer = DistinctReplay(self.buffer_size, space, actions, self.device, self.n_envs)
            self.replay_buffer = buffer  # type: ignore[assignment]
            self.known, self.acts = KnownOutputs(buffer.table), KnownActions(buffer.table)

    def _not_distinct(self) -> str | None:
        """Why each distinct observation cannot be stored and read once; None if it can."""
        if self.replay_buffer_class is not None and self.replay_buffer_class.__module__ != sb3.common.buffers.__name__:
            return "the replay buffer is not SB3's"
        return not_distinct(self.network, self._vec_normalize_env)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "known", "acts"]

    @property
    def network(self) -> Any:
        """The network that learns and acts."""
        return getattr(self.policy, self.networks[0])

    @property
    def target(self) -> Any:
        """The network that values what comes next."""
        return getattr(self.policy, self.networks[1])

    def encoder(self) -> nn.Module:
        encoder: nn.Module = self.network.features_extractor
        return encoder

    def new_update(self) -> Update:
        return Update(self.policy, self.network, self.target, self.law())

    def new_compiled_update(self) -> Update:
        from agents.dqn.compiled import CompiledUpdate  # takes a while to import

        space = self.observation_space
        values = self.new_update().next_values(blank(space, 1, self.device))
        update = CompiledUpdate(self.policy, self.network, self.target, self.law())
        size = self.batch_size
        wanted = values.new_zeros(size, values.shape[1])
        actions = torch.zeros((size, 1), dtype=torch.long, device=self.device)
        if self.distinct:
            rows = torch.zeros(size, dtype=torch.long, device=self.device)
            batch = Minibatch(blank(space, max(2, size // 2), self.device), rows, actions, wanted)
        else:
            batch = Minibatch(blank(space, size, self.device), None, actions, wanted)
        update.prepare(batch, blank(space, self.n_envs, self.device))
        return update

    def learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> Any:
        """SB3's."""
        if self.known is not None and self.acts is not None:  # the networks may have been changed or loaded since
            self.known.forget()
            self.acts.forget()
        return super().learn(total_timesteps, *args, **kwargs)

    def _on_step(self) -> None:
        super()._on_step()
        if self.known is not None and self._n_calls % max(self.target_update_interval // self.n_envs, 1) == 0:
            self.known.forget()  # the target has just followed

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """SB3's, without `predict`: one draw decides whether all environments explore."""
        if self.num_timesteps < learning_starts or np.random.rand() < self.exploration_rate:
            actions = np.array([self.action_space.sample() for _ in range(n_envs)])
        else:
            actions = self._greedy()
        return actions, actions

    def _greedy(self) -> np.ndarray:
        """The best actions in all environments."""
        seen: Any = self._last_obs
        if self.acts is None:
            return self.ready().act(self.policy.obs_to_tensor(seen)[0]).cpu().numpy()
        return self.acts(self.acts.table.number(seen), self.ready().act)

    def saved_outputs(self) -> dict[str, Any]:
        """What the networks have said of observations: computed again in other batches, it would round differently."""
        if self.known is None or self.acts is None:
            return {"target": None, "acts": []}
        return {"target": self.known.saved(), "acts": self.acts.saved()}

    def restore_outputs(self, state: Mapping[str, Any]) -> None:
        """Go on with the outputs of `saved_outputs`."""
        if self.known is not None and self.acts is not None:
            self.known.restore(state["target"])
            self.acts.restore(state["acts"])

    def _store_transition(
        self,
        replay_buffer: Any,
        buffer_action: np.ndarray,
        new_obs: Any,
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        if self.known is None or self._vec_normalize_env is not None:
            return super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        # SB3's copies observations that it keeps; the table does, too
        after = new_obs
        if dones.any():
            after = {key: part.copy() for key, part in new_obs.items()}
            for i in np.flatnonzero(dones):
                for key, part in infos[i].get("terminal_observation", {}).items():
                    after[key][i] = part
        replay_buffer.add(self._last_obs, after, buffer_action, reward, dones, infos)
        self._last_obs = self._last_original_obs = new_obs

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        super().train(gradient_steps, batch_size)
        if self.acts is not None:
            self.acts.forget()

    def minibatch(self, update: Update, size: int, step: int) -> Tensor:
        buffer, normalizer = self.replay_buffer, self._vec_normalize_env
        assert buffer is not None
        if not isinstance(buffer, DistinctReplay):
            batch = sample(buffer, size, self.gamma, normalizer)
            wanted = batch.rewards + (1 - batch.dones) * batch.discounts * update.next_values(batch.next_observations)
            return update(Minibatch(batch.observations, None, batch.actions.long(), wanted), self.measures(step))
        assert self.known is not None
        drawn = buffer.draw(size, normalizer)
        wanted = drawn.rewards + (1 - drawn.dones) * self.gamma * self.known(drawn.next_rows, update.next_values)
        distinct, rows = np.unique(drawn.rows, return_inverse=True)
        rows = torch.from_numpy(rows).to(self.device)
        return update(Minibatch(buffer.table.at(distinct), rows, drawn.actions, wanted), self.measures(step))


class FastDQN(Valued, sb3.DQN):
    """SB3's DQN with faster updates; arguments as of `Valued`."""

    networks = ("q_net", "q_net_target")

    def law(self) -> DQN:
        return DQN(self.max_grad_norm)


class FastQRDQN(Valued, sb3_contrib.QRDQN):
    """sb3-contrib's QR-DQN with faster updates; arguments as of `Valued`."""

    networks = ("quantile_net", "quantile_net_target")

    def law(self) -> QRDQN:
        return QRDQN(self.max_grad_norm)
