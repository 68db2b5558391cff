"""The network of recurrent PPO in two parts: the encoder, without memory, and the LSTM with its heads.

features = encoder(observation)               computed once for each distinct observation, where possible
output, value = heads(LSTM(features, state))  for one step of all environments, or for sequences
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from agents.ppo.rollout import Minibatch
from agents.ppo.update import Settings, Update
from agents.recurrent.sequences import Sequences, recurrent, step
from encoders.layers.dropout import acting, dropouts


@dataclass
class SequenceMinibatch(Minibatch):
    """A minibatch of whole sequences."""

    sequences: Sequences


class RecurrentActorCritic(nn.Module):
    """sb3-contrib's recurrent actor and critic: with one LSTM each, a shared LSTM, or an LSTM for the actor only.

    As in sb3-contrib, a shared LSTM gets gradients from the actor's loss alone.

    Args:
        policy: a `RecurrentActorCriticPolicy`.

    Attributes:
        lstms: the LSTM of the actor, and that of the critic if it has its own.
    """

    def __init__(self, policy: Any):
        super().__init__()
        self.policy = policy
        self.dropouts = dropouts(policy)
        own = policy.lstm_critic
        self.lstms: list[nn.LSTM] = [policy.lstm_actor] if own is None else [policy.lstm_actor, own]

    def encode(self, observations: Any) -> tuple[Tensor, Tensor]:
        """-> the features of the actor and those of the critic."""
        policy = self.policy
        with acting(self.dropouts):
            # `HeadedRecurrentPolicy` overrides this method to skip padding; here there is none
            features: Any = ActorCriticPolicy.extract_features(policy, observations)
        return (features, features) if policy.share_features_extractor else features

    def forward(self, batch: SequenceMinibatch) -> tuple[Tensor, Tensor]:
        """-> the output of the policy head and the value, for each sample."""
        features, policy = self.encode(batch.observations), self.policy
        actors, critics = features if batch.rows is None else (part[batch.rows] for part in features)
        latent_pi = recurrent(self.lstms[0], actors, batch.sequences, 0)
        if len(self.lstms) == 2:
            return self.heads(latent_pi, recurrent(self.lstms[1], critics, batch.sequences, 1))
        return self.heads(latent_pi, latent_pi.detach() if policy.shared_lstm else policy.critic(critics))

    def step(self, actors: Tensor, critics: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of every environment -> outputs, values, and the states after the step.

        Args:
            actors, critics: the features of the actor and of the critic, (environments, features).
            states: the states before the step, (LSTMs, 2, layers, environments, width).
        """
        latents, after = zip(*map(step, self.lstms, (actors, critics), states), strict=True)
        if len(self.lstms) == 2:
            return *self.heads(*latents), torch.stack(after)
        latent_vf = latents[0] if self.policy.shared_lstm else self.policy.critic(critics)
        return *self.heads(latents[0], latent_vf), torch.stack(after)

    def heads(self, latent_pi: Tensor, latent_vf: Tensor) -> tuple[Tensor, Tensor]:
        policy = self.policy
        output = policy.action_net(policy.mlp_extractor.forward_actor(latent_pi))
        return output, policy.value_net(policy.mlp_extractor.forward_critic(latent_vf)).flatten()


class RecurrentUpdate(Update):
    """PPO's step on a minibatch of sequences."""

    def network_of(self, settings: Settings) -> Any:
        return RecurrentActorCritic(settings.policy)

    def evaluated(self, batch: Any) -> tuple[Tensor, Tensor]:
        return self.network(batch)
