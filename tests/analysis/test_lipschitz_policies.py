"""Lipschitz bounds of policies: as a function of one-hot cells, over every context, and what has no bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import PROJECT
from encoder_cases import case
from jacobians import jacobian_norms
from torch import nn

from agents import load_policy, make_agent
from agents.export import other_batches
from agents.saved.policy import Policy
from analysis.cells import as_function
from analysis.lipschitz import lower_bound, upper_bound
from envs import make_vec_env
from playing.lipschitz import actor_of, lipschitz, lipschitz_line

BOUNDED = [
    ("mlp", "CartPole", {}),
    ("homomorphic", "CartPole", {"activation": "relu"}),
    ("mlp", "DoorKey-5x5", {}),
    ("mlp", "DoorKey-5x5", {"normalization": "batch", "activation": "tanh"}),
    ("mlp", "GoToDoor-5x5", {}),  # missions vary
    ("cnn", "DoorKey-5x5", {"pooling": "max", "layer_pooling": "max"}),
    pytest.param("cnn", "DoorKey-5x5", {"pooling": "adaptive", "normalization": "group"}, marks=pytest.mark.slow),
    pytest.param("gnn", "DoorKey-5x5", {"relations": "all", "pooling": "mean"}, marks=pytest.mark.slow),
    pytest.param("homomorphic", "LavaCrossingS9N1", {}, marks=pytest.mark.slow),
    ("homomorphic", "GoToDoor-5x5", {"pooling": "max"}),
]


def made(encoder: str, env_id: str, options: dict, **agent) -> tuple[Policy, object]:
    """An untrained policy, and observations, with contexts that may never occur."""
    torch.manual_seed(0)
    _, usual = case(encoder)
    env = make_vec_env(env_id, n_envs=4, seed=0, **({} if env_id == "CartPole" else usual))
    model = make_agent(env, encoder, "ppo", encoder_options=options, seed=0, device="cpu", **agent)
    nn.init.normal_(next(model.policy.action_net.parameters()))
    for name, parameter in model.policy.named_parameters():
        if "film" in name and "weight" in name:
            nn.init.normal_(parameter)  # else the context hardly modulates the cells
    first = env.reset()
    env.close()
    policy = Policy.of(model)
    return policy, other_batches(policy.observation_space, first)[1] if isinstance(first, dict) else first


@pytest.mark.parametrize(("encoder", "env_id", "options"), BOUNDED)
def test_a_policy_is_a_function_of_its_cells_whose_gradients_and_steps_are_below_the_upper_bound(
    encoder, env_id, options
):
    policy, states = made(encoder, env_id, options)
    network = actor_of(policy)[1].double().eval()
    observations = policy.module.obs_to_tensor(states)[0]
    observations = (
        {key: part.double() for key, part in observations.items()}
        if isinstance(observations, dict)
        else observations.double()
    )
    function, x = as_function(network, observations)
    with torch.no_grad():
        torch.testing.assert_close(function(x), network(observations))
    upper = upper_bound(network, x.shape[1:])
    assert 0 < lower_bound(function, x) <= upper
    for size in (1e-3, 1.0, 30.0):  # between inputs that are no codes too
        here = torch.randn_like(x) * size
        there = here + torch.randn_like(x) * size / 10
        with torch.no_grad():
            moved = (function(here) - function(there)).norm(dim=1) / (here - there).flatten(1).norm(dim=1)
        assert moved.max() <= upper


def test_a_linear_policy_of_one_layer_reaches_its_upper_bound():
    layer = nn.Linear(4, 2).double()
    function, x = as_function(nn.Sequential(layer), torch.zeros(1, 4).double())
    assert lower_bound(function, x, 1000) == pytest.approx(upper_bound(layer, (4,)), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("DoorKey-5x5-transformer", "Transformer, attention is not Lipschitz on an unbounded domain"),
        ("LavaGapS7-hypernetwork", "Hypernetwork, it multiplies its input by weights that are generated"),
        ("MultiRoom-N2-S4-lstm", "LSTM, it multiplies its state by gates"),
    ],
)
def test_an_encoder_without_an_upper_bound_says_why_and_has_a_lower_one(name, why):
    policy = load_policy(PROJECT / "pretrained" / name)
    env = make_vec_env(name.rpartition("-")[0], n_envs=2, seed=0, history=4 if "lstm" in name else None)
    found = lipschitz(policy, env.reset())
    env.close()
    assert found["upper"] is None and why in found["why_no_upper"] and why in lipschitz_line(found)
    assert found["lower"] > 0 and found["states"] == 2


def test_the_lower_bound_of_a_pretrained_policy_is_the_norm_of_a_jacobian():
    policy = load_policy(PROJECT / "pretrained" / "CartPole-homomorphic")
    states = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32) / 5
    found = lipschitz(policy, states)
    exact = float(jacobian_norms(actor_of(policy)[1], torch.as_tensor(states)).max())
    assert found["lower"] == pytest.approx(exact, rel=1e-3) and found["lower"] < found["upper"]


def test_a_policy_with_memory_is_refused():
    with pytest.raises(ValueError, match="needs a policy without memory"):
        lipschitz(load_policy(PROJECT / "pretrained" / "MemoryS7-mlp"), {})
