"""Laws of `homomorphic` on grids: what the encoder, and the policy behind it, say of a transformed world."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from agents import make_agent
from encoders.cnn import CNN
from encoders.homomorphic import Homomorphic
from encoders.layers.equivariant import plane_of
from envs import make_vec_env
from symmetry import Codes, Representation, cyclic

WORLDS = [
    ("DoorKey-5x5", "partial", "C2"),
    ("DoorKey-5x5", "full", "D4"),
    ("KeyCorridorS3R1", "full", "C2xC2"),  # 7x3 cells
    ("BabyAI-GoToLocal-v0", "partial", "C2"),  # with missions
]


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def observed(env_id: str, view: str, dtype: torch.dtype = torch.float64):
    """The environments, and what 16 of them show after some random steps."""
    env = make_vec_env(env_id, n_envs=16, seed=0, view=view)
    env.action_space.seed(0)
    observation = env.reset()
    for _ in range(12):
        observation = env.step(np.array([env.action_space.sample() for _ in range(16)]))[0]
    return env, {key: torch.as_tensor(part).to(dtype) for key, part in observation.items()}


def broken_by(f, symmetry, observation, rep) -> float:
    """How far f(φ(g)s) is from ρ(g) f(s), over the group."""
    with torch.no_grad():
        features = f(observation)
        errors = [
            (f(symmetry.observe(g, observation)) - rep(g, features)).abs().max() for g in range(symmetry.group.order)
        ]
    return float(max(errors))


@pytest.mark.parametrize("pooling", ["flatten", "max"])
@pytest.mark.parametrize(("env_id", "view", "group"), WORLDS)
def test_features_of_a_transformed_world_are_transformed_features(env_id, view, group, pooling):
    torch.manual_seed(0)
    env, observation = observed(env_id, view)
    encoder = Homomorphic(env.observation_space, env.symmetry, pooling=pooling)
    assert env.symmetry.group.name == group
    assert broken_by(encoder, env.symmetry, observation, encoder.out_rep) < 1e-12
    # they are not simply the same, and an ordinary network does not obey
    invariant = Representation.trivial(env.symmetry.group, encoder.features_dim)
    assert broken_by(encoder, env.symmetry, observation, invariant) > 1e-3
    plain = CNN(env.observation_space, width=encoder.features_dim)
    assert broken_by(plain, env.symmetry, observation, encoder.out_rep) > 1e-3


@pytest.mark.parametrize(("env_id", "view", "group"), WORLDS)
def test_one_plain_layer_would_break_the_law(env_id, view, group):
    torch.manual_seed(0)
    env, observation = observed(env_id, view)
    encoder = Homomorphic(env.observation_space, env.symmetry)
    convolution = encoder.trunk.trunk[0]
    encoder.trunk.trunk[0] = nn.Conv2d(*convolution.shape[1::-1], 3, padding=1)
    assert broken_by(encoder, env.symmetry, observation, encoder.out_rep) > 1e-3


@pytest.mark.parametrize("view", ["partial", "full"])
def test_a_trained_policy_acts_in_the_transformed_world_as_transformed(view):
    torch.set_default_dtype(torch.float32)  # SB3 gives policies nothing else
    env = make_vec_env("DoorKey-5x5", n_envs=8, seed=0, view=view)
    model = make_agent(env, "homomorphic", "ppo", n_steps=64, batch_size=128, n_epochs=2, seed=0, learning_rate=1e-3)
    model.learn(2048)
    _, observation = observed("DoorKey-5x5", view, torch.float32)
    policy, symmetry = model.policy, env.symmetry

    def logits(obs):
        return policy.get_distribution(obs).distribution.logits

    assert broken_by(logits, symmetry, observation, symmetry.action) < 2e-6
    assert broken_by(policy.predict_values, symmetry, observation, Representation.trivial(symmetry.group)) < 2e-6
    assert logits(observation).std() > 1e-3


def test_the_plane_is_found_from_the_cells():
    square = make_vec_env("DoorKey-5x5", n_envs=1, view="full").symmetry.observation["image"]
    plane = plane_of(square, (5, 5))
    assert {tuple(plane.matrix(g).flatten().tolist()) for g in range(8)} == {
        (a, 0, 0, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)
    } | {(0, a, b, 0) for a in (-1.0, 1.0) for b in (-1.0, 1.0)}
    shift = Representation.permutation(cyclic(3))
    with pytest.raises(ValueError, match="other than mirrors and turns"):
        plane_of(Codes(cyclic(3), (3, 1, 1), shift, [(0, Representation.trivial(cyclic(3), 2), None)]), (3, 1))


def test_a_symmetry_of_another_grid_is_refused():
    small, large = (make_vec_env(name, n_envs=1, view="full") for name in ("DoorKey-5x5", "DoorKey-8x8"))
    with pytest.raises(ValueError, match=r"acts on shape \(5, 5, 3\), the environment's is \(8, 8, 3\)"):
        Homomorphic(large.observation_space, small.symmetry)
    with pytest.raises(ValueError, match="flatten or max"):
        Homomorphic(small.observation_space, small.symmetry, pooling="mean")
