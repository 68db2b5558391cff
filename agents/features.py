"""The features of an encoder from outside this project: as many as it promises, and finite. The tests check our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from encoders.resolve import name_of, outside


def outside_encoder(policy: BasePolicy) -> BaseFeaturesExtractor | None:
    """The encoder of a policy, if its class is not one of this project's."""
    encoders = (module for module in policy.modules() if isinstance(module, BaseFeaturesExtractor))
    return next((encoder for encoder in encoders if outside(type(encoder))), None)


def check_size(policy: BasePolicy) -> None:
    """Encode one observation, of zeros where they are allowed, with an encoder from outside this project.

    Raises:
        ValueError: its output is not (1, features_dim).
    """
    encoder = outside_encoder(policy)
    if encoder is None:
        return
    shape = tuple(_features(policy, encoder, _zeros(policy.observation_space)).shape)
    if shape != (1, encoder.features_dim):
        raise ValueError(
            f"encoder {name_of(type(encoder))} promised {encoder.features_dim} features, the second argument of "
            f"super().__init__, and gave an output of shape {shape} for one observation; it should be "
            f"{(1, encoder.features_dim)}"
        )


def check_finite_features(policy: BasePolicy, observations: Any) -> None:
    """Encode a batch of observations with an encoder from outside this project.

    Raises:
        FloatingPointError: its output is NaN or infinite.
    """
    encoder = outside_encoder(policy)
    if encoder is not None and not torch.isfinite(_features(policy, encoder, observations)).all():
        raise FloatingPointError(
            f"the output of encoder {name_of(type(encoder))} is not finite at the first observation, before anything "
            "was learned; look into its forward for a division by zero, a logarithm or a mask that leaves nothing"
        )


@torch.no_grad()
def _features(policy: BasePolicy, encoder: BaseFeaturesExtractor, observations: Any) -> Tensor:
    raw = policy.obs_to_tensor(observations)[0]
    ready = preprocess_obs(raw, policy.observation_space, normalize_images=policy.normalize_images)
    training = encoder.training
    with torch.random.fork_rng():
        try:
            return encoder.eval()(ready)
        finally:
            encoder.train(training)


def _zeros(space: spaces.Space) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _zeros(part) for key, part in space.spaces.items()}
    zeros = np.zeros(space.shape or (), space.dtype)
    return np.clip(zeros, space.low, space.high) if isinstance(space, spaces.Box) else zeros
