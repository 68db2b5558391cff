"""Policies that act many times while their parameters stay as they are: the actions of SB3's `predict`, faster.

    Remembering   encodes each distinct observation once, however often it is met
    Direct        calls the operations of the actor, without what SB3 and torch.nn do around them at every call

Both draw the same random numbers as SB3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from torch import Tensor, nn
from torch.nn import functional as F

from agents.ppo.distributions import Categorical, distribution_for, distribution_of
from agents.ppo.learning import not_distinct
from agents.ppo.rollout import ObservationTable
from agents.ppo.update import ActorCritic
from encoders.base import Encoder, Flatten
from encoders.layers.dropout import Layers
from symmetry import EquivariantLinear

IN_PLACE: dict[type[nn.Module], Callable[[Any], Any]] = {nn.ReLU: torch.relu_, nn.Tanh: torch.tanh_}


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
        self.seen = ObservationTable(module.observation_space, module.device)

    @torch.no_grad()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """Actions for a batch of observations."""
        output = self.seen.look_up(observation, self.network)[1]
        if deterministic:
            return output.argmax(-1).cpu().numpy(), None
        return self.actions.draw(output, None, self.actions.noise(output)).cpu().numpy(), None


class Direct:
    """A policy that calls the operations of its actor one after another: the bits of SB3's `predict`.

    Args:
        module: a policy without memory whose actions are discrete or continuous (`distribution_of`); its parameters
            must not change while this is used.
    """

    def __init__(self, module: ActorCriticPolicy):
        module.set_training_mode(False)
        self.module, self.space, self.device = module, module.action_space, module.device
        actor = nn.Sequential(module.pi_features_extractor, module.mlp_extractor.policy_net, module.action_net)
        with torch.no_grad():
            self.operations = operations(actor)
            self.log_std: Any = module.log_std.clone() if isinstance(self.space, spaces.Box) else None
        distribution = distribution_for(module)
        assert distribution is not None
        self.distribution = distribution
        seen = module.observation_space
        self.plain = isinstance(seen, spaces.Box) and not is_image_space(seen)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """Actions for a batch of observations."""
        with torch.inference_mode():
            output = self.read(observation)
            for operation in self.operations:
                output = operation(output)
            if deterministic:
                output = self.distribution.mode(output)
            else:
                output = self.distribution.draw(output, self.log_std, self.distribution.noise(output))
            actions = output.cpu().numpy()
        if isinstance(self.space, spaces.Box):
            actions = np.clip(actions.reshape(-1, *self.space.shape), self.space.low, self.space.high)
        return actions, None

    def read(self, observation: Any) -> Any:
        """Observations as the encoder takes them."""
        if self.plain:
            return torch.as_tensor(observation).to(self.device, torch.float32)
        module = self.module
        tensors = module.obs_to_tensor(observation)[0]
        return preprocess_obs(tensors, module.observation_space, normalize_images=module.normalize_images)


def operations(module: nn.Module) -> list[Callable[[Any], Any]]:
    """What a module computes in evaluation mode, as functions to be called one after another.

    Small batches spend most of their time around the arithmetic: in `nn.Module.__call__`, in allocating memory, and
    where an equivariant layer computes its weight.
    """
    found: list[Callable[[Any], Any]] = []
    follows_linear = False
    for leaf in leaves(module):
        if type(leaf) is EquivariantLinear:
            leaf = leaf.to_plain()
        if type(leaf) is nn.Linear:
            found.append(linear(leaf))
        else:
            found.append(IN_PLACE.get(type(leaf), leaf) if follows_linear else leaf)
        follows_linear = type(leaf) is nn.Linear
    return found


def leaves(module: nn.Module) -> list[nn.Module]:
    """The modules that a module applies one after another, without those that change nothing."""
    if type(module) in (nn.Sequential, Layers):
        stages: Any = module.children()
    else:
        stages = module.stages() if isinstance(module, (Encoder, Flatten)) else None
    return [module] if stages is None else [leaf for stage in stages for leaf in leaves(stage)]


def linear(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    """y = Wx + b in memory of its own, so that the next function may change it in place."""
    weight, transposed, bias = layer.weight, layer.weight.T, layer.bias

    def call(x: Tensor) -> Tensor:
        return F.linear(x, weight, bias) if bias is None or x.dim() != 2 else torch.addmm(bias, x, transposed)

    return call


def acting(module: nn.Module) -> Remembering | Direct | None:
    """The fastest of these for a policy; None if neither can act for it."""
    if not isinstance(module, ActorCriticPolicy) or isinstance(module, RecurrentActorCriticPolicy) or module.use_sde:
        return None
    if distribution_of(module.action_space) is None or getattr(module.action_space, "start", 0) != 0:
        return None
    if isinstance(module.action_space, spaces.Discrete) and not_distinct(module) is None:
        return Remembering(module)
    return Direct(module)
