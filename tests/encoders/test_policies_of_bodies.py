"""Laws of policies of bodies: numbers of nodes are only names, padding is nothing, sizes are no part of a policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from body_cases import BOTH, MLP, RELATIONAL, TYPES, padded, randomized, renumbered, seen
from stable_baselines3.common.preprocessing import preprocess_obs

from agents import load_policy, make_agent, save_policy
from agents.nodes.gaussian import MaskedDiagGaussian
from agents.ppo.distributions import MaskedGaussian
from encoders.nodes import NodeFeatures, TypedLinear
from envs import make_vec_env

pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

TIED = pytest.param(
    *MLP, marks=pytest.mark.xfail(strict=True, reason="an mlp is tied to the order and number of nodes")
)


def agent(encoder, options, kwargs=BOTH, **more):
    env = make_vec_env("bodies", n_envs=4, seed=0, engine="gymnasium", kwargs=kwargs)
    sizes = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, **more}
    return make_agent(env, encoder, "ppo", encoder_options=options, seed=0, device="cpu", **sizes)


def features_of(policy, obs):
    """In float64, to which SB3's preprocessing does not go."""
    return policy.features_extractor({key: part.double() for key, part in obs.items()})


def decided(policy, obs):
    """Means, mask and value."""
    features = features_of(policy, obs)
    return *policy.action_net(features).chunk(2, dim=1), policy.value_net(features)


def measured(policy, obs, actions):
    """Values, log probabilities and entropies, as SB3 computes them."""
    features = features_of(policy, obs)
    distribution = policy._get_action_dist_from_latent(features)
    return policy.value_net(features), distribution.log_prob(actions), distribution.entropy()


@pytest.mark.parametrize(
    ("encoder", "options"), [*RELATIONAL, pytest.param(*MLP, marks=pytest.mark.xfail(strict=True))]
)
def test_renumbering_joints_permutes_the_actions_and_nothing_else(encoder, options):
    model = agent(encoder, options)
    policy, obs = randomized(model.policy), seen(model)
    order = torch.randperm(obs["nodes"].shape[1], generator=torch.Generator().manual_seed(1))
    mean, mask, value = decided(policy, obs)
    mean_too, mask_too, value_too = decided(policy, renumbered(obs, order))
    assert mean.abs().max() > 0.1 and torch.equal(mask[:, order], mask_too)
    torch.testing.assert_close(mean[:, order], mean_too)
    torch.testing.assert_close(value, value_too)


@pytest.mark.parametrize(("encoder", "options"), RELATIONAL)
def test_padding_changes_nothing_whatever_it_holds(encoder, options):
    model = agent(encoder, options)
    larger = agent(encoder, options, {**BOTH, "test": ["Centipede-10"]})
    policy, other = randomized(model.policy), larger.policy.double()
    other.load_state_dict(policy.state_dict())
    obs = seen(model)
    space = larger.observation_space
    more = padded(obs, space["nodes"].shape[0], space["edge_type"].shape[0], torch.Generator().manual_seed(2))
    actions = torch.randn(len(obs["nodes"]), obs["nodes"].shape[1], dtype=torch.float64) * obs["actuated"]
    longer = torch.cat([actions, torch.randn(len(actions), more["nodes"].shape[1] - actions.shape[1])], dim=1)
    found = [measured(policy, obs, actions), measured(other, more, longer)]
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)
    gradients = []
    for one, (value, log_prob, entropy) in zip((policy, other), found, strict=True):
        gradients.append(torch.autograd.grad(value.sum() + log_prob.sum() + entropy.sum(), [*one.parameters()]))
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("encoder", "options"), [*RELATIONAL, pytest.param(*MLP, marks=pytest.mark.xfail(strict=True))]
)
def test_no_parameter_has_the_size_of_a_body(encoder, options):
    shapes = [
        [
            parameter.shape
            for parameter in agent(encoder, options, {"train": [body], "types": TYPES}).policy.parameters()
        ]
        for body in ("Centipede-4", "Centipede-40")
    ]
    assert shapes[0] == shapes[1]


def test_the_masked_gaussian_is_that_of_the_actions_that_are_somebodys():
    torch.manual_seed(0)
    mean, log_std = torch.randn(3, 5, dtype=torch.float64), torch.full((5,), -0.3, dtype=torch.float64)
    mask = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], dtype=torch.float64)
    output = torch.cat([mean * mask, mask], dim=1)
    ours, theirs = MaskedGaussian(), MaskedDiagGaussian(5).proba_distribution(output, log_std)
    actions, log_prob = ours.sample(output, log_std, ours.noise(output))
    assert (actions[mask == 0] == 0).all()
    measured, entropy = ours.measure(output, log_std, actions)
    assert torch.equal(measured, log_prob)
    assert torch.equal(theirs.log_prob(actions), log_prob) and torch.equal(theirs.entropy(), entropy)
    for row in range(3):
        acting = mask[row] > 0
        plain = torch.distributions.Normal(mean[row, acting], log_std[acting].exp())
        torch.testing.assert_close(log_prob[row], plain.log_prob(actions[row, acting]).sum())
        torch.testing.assert_close(entropy[row], plain.entropy().sum())
    torch.manual_seed(1)
    drawn = theirs.sample()
    torch.manual_seed(1)
    assert torch.equal(drawn, ours.draw(output, log_std, ours.noise(output)))


@pytest.mark.parametrize(("encoder", "options"), [RELATIONAL[0], RELATIONAL[4], RELATIONAL[-1], MLP])
def test_the_fast_ppo_learns_on_bodies_what_sb3s_does(encoder, options):
    learned = []
    for implementation in ("sb3", "auto"):
        model = agent(encoder, options, implementation=implementation)
        model.learn(128)
        learned.append(torch.cat([parameter.detach().flatten() for parameter in model.policy.parameters()]))
    torch.testing.assert_close(*learned, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("encoder", "options"), [RELATIONAL[0], RELATIONAL[4], RELATIONAL[-1]])
def test_a_saved_policy_acts_in_a_larger_space_as_in_its_own(encoder, options, tmp_path):
    model = agent(encoder, options)
    save_policy(model, tmp_path / "policy")
    larger = agent(encoder, options, {**BOTH, "test": ["Centipede-12"]})
    obs = seen(model)
    space = larger.observation_space
    more = padded(obs, space["nodes"].shape[0], space["edge_type"].shape[0], torch.Generator().manual_seed(0))
    own = load_policy(tmp_path / "policy").predict({key: part.numpy() for key, part in obs.items()}, deterministic=True)
    policy = load_policy(tmp_path / "policy", observation_space=space)
    there = policy.predict({key: part.numpy() for key, part in more.items()}, deterministic=True)
    assert policy.action_space.shape == (space["nodes"].shape[0],)
    np.testing.assert_allclose(own[0], there[0][:, : own[0].shape[1]], atol=1e-6)
    assert (there[0][:, own[0].shape[1] :] == 0).all()


def test_an_mlp_says_that_it_is_tied_to_its_size(tmp_path):
    save_policy(agent(*MLP), tmp_path / "policy")
    space = agent(*MLP, kwargs={"train": ["Centipede-8"], "types": TYPES}).observation_space
    with pytest.raises(ValueError, match="MLP is tied to the size of the bodies that it was trained on"):
        load_policy(tmp_path / "policy", observation_space=space)


def test_a_typed_layer_is_a_linear_layer_for_each_type():
    torch.manual_seed(0)
    layer = TypedLinear(3, 4, types=2).double()
    x, kinds = torch.randn(1, 5, 3, dtype=torch.float64), [0, 1, 1, 0, None]
    is_type = torch.tensor([[[kind == t for t in range(2)] for kind in kinds]], dtype=torch.float64)
    weights = layer.linear.weight.view(4, 2, 4)
    out = layer(x, is_type)
    for node, kind in enumerate(kinds):
        wanted = 0 * out[0, node] if kind is None else weights[:, kind, :3] @ x[0, node] + weights[:, kind, 3]
        torch.testing.assert_close(out[0, node], wanted)


def test_features_of_nodes_come_apart_as_they_were_joined():
    layout = NodeFeatures(nodes=3, types=2, pooled=4, width=5)
    pooled, states, acting = torch.randn(2, 4), torch.randn(2, 3, 5), torch.rand(2, 3, 2)
    features = layout.join(pooled, states, acting)
    assert features.shape == (2, layout.size)
    for part, back in zip((pooled, states, acting), layout.split(features), strict=True):
        assert torch.equal(part, back)


def test_attention_to_padding_is_nothing():
    model = agent(*RELATIONAL[4])
    obs = {key: part.float() for key, part in seen(model).items()}
    encoder = model.policy.features_extractor
    maps = encoder.attention(preprocess_obs(obs, model.observation_space))["nodes"]
    assert maps.shape[-1] == obs["nodes"].shape[1]
    assert (maps * (1 - obs["node_mask"])[:, None, None]).abs().max() == 0
