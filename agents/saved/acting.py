"""Policies that act many times while their parameters stay as they are: the actions of SB3's `predict`, faster.

    Remembering   encodes each distinct observation once, however often it is met
    Snapshot      the actor alone, without what SB3 does around it at every call

Both draw the same random numbers as SB3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from torch import Tensor, nn
from torch.nn import functional as F

from agents.ppo.algorithm import not_distinct
from agents.ppo.distributions import Categorical, distribution_of
from agents.ppo.rollout import Distinct
from agents.ppo.update import ActorCritic
from symmetry import to_plain


class Remembering:
    """A policy that encodes each distinct observation once.

    Args:
        module: a policy without memory, with discrete actions, for dicts of bytes; its parameters must not change
            while this is used.
    """

    def __init__(self, module: ActorCriticPolicy):
        module.set_training_mode(False)
        self.network, self.actions = ActorCritic(module), Categorical()
        assert isinstance(module.observation_space, spaces.Dict)
        self.seen = Distinct(module.observation_space, module.device)

    @torch.no_grad()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """Actions for a batch of observations."""
        output = self.seen.look_up(observation, self.network)[1]
        if deterministic:
            return output.argmax(-1).cpu().numpy(), None
        return self.actions.sample(output, None, self.actions.noise(output))[0].cpu().numpy(), None


class Snapshot:
    """A copy of a policy's actor in which equivariant layers are ordinary ones, with the bits of SB3's `predict`.

    Args:
        module: a policy without memory whose actions are discrete or continuous (`distribution_of`).
    """

    def __init__(self, module: ActorCriticPolicy):
        module.set_training_mode(False)
        self.module, self.space = module, module.action_space
        actor = nn.Sequential(module.pi_features_extractor, module.mlp_extractor.policy_net, module.action_net)
        self.actor: nn.Module = to_plain(actor)
        distribution = distribution_of(self.space)
        assert distribution is not None
        self.distribution = distribution
        continuous = isinstance(self.space, spaces.Box)
        self.log_std: Any = module.log_std.detach().clone() if continuous else None

    @torch.no_grad()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """Actions for a batch of observations."""
        module = self.module
        tensors, _ = module.obs_to_tensor(observation)
        read: Any = preprocess_obs(tensors, module.observation_space, normalize_images=module.normalize_images)
        output: Tensor = self.actor(read)
        if not deterministic:
            output, _ = self.distribution.sample(output, self.log_std, self.distribution.noise(output))
        elif isinstance(self.space, spaces.Discrete):
            output = F.softmax(output - output.logsumexp(-1, keepdim=True), -1).argmax(-1)
        actions = output.cpu().numpy()
        if isinstance(self.space, spaces.Box):
            actions = np.clip(actions.reshape(-1, *self.space.shape), self.space.low, self.space.high)
        return actions, None


def acting(module: nn.Module) -> Remembering | Snapshot | None:
    """The fastest of these that a policy can be; None if it can be neither."""
    if not isinstance(module, ActorCriticPolicy) or isinstance(module, RecurrentActorCriticPolicy) or module.use_sde:
        return None
    if distribution_of(module.action_space) is None or getattr(module.action_space, "start", 0) != 0:
        return None
    if isinstance(module.action_space, spaces.Discrete) and not_distinct(module) is None:
        return Remembering(module)
    return Snapshot(module)
