"""SB3's policies as they are, naming their encoders and heads as ours do (`agents.heads`).

Ours put one linear head on the encoder's features; here SB3's hidden layers lie between.
"""

from __future__ import annotations

from typing import Any

from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy

from agents.sb3_policies import (
    HeadedActorCriticPolicy,
    HeadedDQNPolicy,
    HeadedQRDQNPolicy,
    HeadedSACPolicy,
    HeadedTD3Policy,
)


class ImportedActorCriticPolicy(HeadedActorCriticPolicy):
    """PPO, A2C and TRPO with SB3's layers and heads."""

    def _build(self, lr_schedule: Any) -> None:
        self.register_buffer("ties", None, persistent=False)
        ActorCriticPolicy._build(self, lr_schedule)


class ImportedDQNPolicy(HeadedDQNPolicy):
    """DQN with SB3's Q network."""

    make_q_net = DQNPolicy.make_q_net


class ImportedQRDQNPolicy(HeadedQRDQNPolicy):
    """QR-DQN with sb3-contrib's quantile network."""

    make_quantile_net = QRDQNPolicy.make_quantile_net


class ImportedSACPolicy(HeadedSACPolicy):
    """SAC with SB3's actor and critics."""

    make_actor = SACPolicy.make_actor
    make_critic = SACPolicy.make_critic


class ImportedTD3Policy(HeadedTD3Policy):
    """TD3 and DDPG with SB3's actor and critics."""

    make_actor = TD3Policy.make_actor
    make_critic = TD3Policy.make_critic
