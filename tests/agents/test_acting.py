"""Policies that act faster while their parameters stay as they are: the actions of SB3's `predict`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from test_ppo import GRIDS, PICTURES, VECTOR, Dropping, Made, environments, go_on, learned, untrained

from agents import Policy
from agents.ppo.distributions import Categorical
from agents.saved.acting import Direct, Remembering, acting, operations

CONTINUOUS = Made, VECTOR, spaces.Box(-2, 2, (2, 3), np.float32)
MIXED = Made, spaces.Dict({"one": VECTOR, "other": spaces.Discrete(4)}), spaces.Discrete(3)
pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")


def played(player, env, deterministic, seed=0):
    """What it does in 60 steps, and the state of the random stream afterwards."""
    env = environments(env, seed=3)
    torch.manual_seed(seed)
    observation, actions = env.reset(), []
    for _ in range(60):
        chosen, _ = player.predict(observation, deterministic=deterministic)
        actions.append(chosen)
        observation = env.step(chosen)[0]
    return np.stack(actions), torch.get_rng_state()


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(
    ("kind", "env", "encoder"),
    [
        (Remembering, "DoorKey-5x5", "transformer"),
        (Direct, "CartPole", "mlp"),
        (Direct, "CartPole", "homomorphic"),
        (Direct, "Pendulum", "homomorphic"),
        (Direct, CONTINUOUS, "mlp"),
        (Direct, MIXED, "mlp"),
        (Direct, PICTURES, "cnn"),
        (Direct, GRIDS, Dropping),
    ],
)
def test_it_acts_as_the_plain_policy_does(kind, env, encoder, deterministic):
    policy = Policy.of(learned("eager", env, encoder, steps=160))
    player = policy.remembering()
    assert type(player) is kind
    (plain, stream), (fast, same_stream) = (played(each, env, deterministic) for each in (policy, player))
    assert np.array_equal(plain, fast) and plain.dtype == fast.dtype and torch.equal(stream, same_stream)
    if not deterministic:
        assert not np.array_equal(fast, played(player, env, deterministic, seed=1)[0])


@pytest.mark.parametrize(
    ("encoder", "env"),
    [
        ("mlp", "CartPole"),
        ("mlp", ("CartPole", {"history": 3})),
        ("mlp", "DoorKey-5x5"),
        ("homomorphic", "CartPole"),
        ("homomorphic", "DoorKey-5x5"),
    ],
)
def test_the_stages_of_an_encoder_are_what_it_computes(encoder, env):
    model = untrained("eager", env, encoder)
    network = model.policy.features_extractor.eval()
    seen = preprocess_obs(model.policy.obs_to_tensor(model.env.reset())[0], model.observation_space, False)
    assert network.stages() is not None
    with torch.no_grad():
        output = seen
        for operation in operations(network):
            output = operation(output)
        assert torch.equal(output, network(seen))


def test_a_remembering_policy_encodes_each_observation_once():
    player = Policy.of(untrained("eager", "DoorKey-5x5", "mlp")).remembering()
    played(player, "DoorKey-5x5", False)
    assert len(player.seen.numbers) < 5 * 60


def test_acting_later_plays_the_later_parameters():
    model = learned("eager", "CartPole", "homomorphic", steps=160)
    before = played(Policy.of(model).remembering(), "CartPole", True)[0]
    go_on(model, 480)
    policy = Policy.of(model)
    after = played(policy.remembering(), "CartPole", True)[0]
    assert np.array_equal(after, played(policy, "CartPole", True)[0]) and not np.array_equal(before, after)


def test_what_sb3_alone_can_do_is_left_to_it():
    multi = Made, VECTOR, spaces.MultiDiscrete([2, 3])
    assert acting(untrained("sb3", multi).policy) is None
    assert acting(untrained("sb3", "Pendulum", use_sde=True).policy) is None
    normalized = Policy.of(untrained("eager", "Pendulum", normalize=True))
    assert normalized.remembering() is normalized


@pytest.mark.parametrize("actions", [2, 7])
def test_drawing_is_sampling_without_the_probability(actions):
    logits = torch.randn(10_000, actions) * torch.logspace(-3, 3, 10_000)[:, None]
    categorical = Categorical()
    noise = categorical.noise(logits)
    drawn = categorical.draw(logits, None, noise)
    assert torch.equal(drawn, categorical.sample(logits, None, noise)[0])
    largest = logits.amax(-1, keepdim=True)
    by_hand = (logits - largest).exp().sum(-1, keepdim=True).log() + largest
    assert torch.equal(by_hand, logits.logsumexp(-1, keepdim=True))
