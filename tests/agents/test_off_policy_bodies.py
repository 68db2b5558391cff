"""Laws of SAC and TD3 on bodies: padding is nothing, numbers of nodes are only names, the fast forms learn as SB3's."""

from __future__ import annotations

import pytest
import stable_baselines3
import torch
from body_cases import BOTH, MLP, RELATIONAL, padded, randomized, renumbered, seen
from compared import distance, learn_logging, same
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution

from agents import load_policy, make_agent, save_policy
from agents.continuous.algorithm import FastSAC, FastTD3
from agents.continuous.laws import Moments, drawn, squashed
from agents.nodes.gaussian import MaskedSquashedDiagGaussian
from agents.nodes.sac import NodeSAC
from envs import make_vec_env

pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

AGENTS = ("sac", "td3")
SOME = [RELATIONAL[0], RELATIONAL[5], RELATIONAL[-1]]  # gnn, transformer, modular
SMALL = {"learning_starts": 16, "buffer_size": 200, "batch_size": 16, "learning_rate": 1e-3}


def agent(name, encoder=RELATIONAL[0], kwargs=BOTH, **more):
    env = make_vec_env("bodies", n_envs=4, seed=0, engine="gymnasium", kwargs=kwargs)
    return make_agent(env, encoder[0], name, encoder_options=encoder[1], seed=0, device="cpu", **{**SMALL, **more})


def learned(*args, steps=36, **options):
    return learn_logging(agent(*args, **options), steps)


def computed(policy, obs, noise, actions):
    """What an agent computes: the actor's numbers, and the values of given actions."""
    obs = {key: part.double() for key, part in obs.items()}
    features = policy.actor.features_extractor(obs)
    output = policy.actor.mu(features)
    found = {"actions": output}
    if hasattr(policy.actor, "log_std"):
        mean, mask = output.chunk(2, dim=1)
        moments = Moments(mean, policy.actor.log_std(features), mask)
        found["actions"], found["log_prob"] = squashed(moments, noise)
    inputs = torch.cat([policy.critic.features_extractor(obs), actions], dim=1)
    values = torch.cat([critic(inputs) for critic in policy.critic.q_networks], dim=1)
    own = torch.cat([policy.critic.features_extractor(obs), found["actions"]], dim=1)
    return {**found, "values": values, "own": policy.critic.q_networks[0](own)}


@pytest.mark.parametrize("encoder", SOME)
@pytest.mark.parametrize("name", AGENTS)
def test_renumbering_joints_permutes_the_actions_and_leaves_values(name, encoder):
    model = agent(name, encoder)
    policy, obs = randomized(model.policy), seen(model)
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(obs["nodes"].shape[1], generator=generator)
    noise, actions = torch.randn(2, *obs["actuated"].shape, generator=generator, dtype=torch.float64)
    here = computed(policy, obs, noise, actions)
    there = computed(policy, renumbered(obs, order), noise[:, order], actions[:, order])
    assert here["actions"].abs().max() > 0.1
    torch.testing.assert_close({**here, "actions": here["actions"][:, order]}, there)


@pytest.mark.parametrize("encoder", SOME)
@pytest.mark.parametrize("name", AGENTS)
def test_padding_changes_nothing_whatever_it_holds(name, encoder):
    model, larger = agent(name, encoder), agent(name, encoder, {**BOTH, "test": ["Centipede-10"]})
    policy, other = randomized(model.policy), larger.policy.double()
    other.load_state_dict(policy.state_dict())
    obs, space, generator = seen(model), larger.observation_space, torch.Generator().manual_seed(2)
    more = padded(obs, space["nodes"].shape[0], space["edge_type"].shape[0], generator)
    noise, actions = torch.randn(2, *obs["actuated"].shape, generator=generator, dtype=torch.float64)
    added = more["nodes"].shape[1] - obs["nodes"].shape[1]
    further = torch.randn(2, len(actions), added, generator=generator, dtype=torch.float64)
    found = [
        computed(policy, obs, noise, actions),
        computed(other, more, torch.cat([noise, further[0]], dim=1), torch.cat([actions, further[1]], dim=1)),
    ]
    gradients = []
    for each, one in zip(found, (policy, other), strict=True):
        total = sum(part.sum() for part in each.values())
        parameters = [*one.actor.parameters(), *one.critic.parameters()]
        gradients.append(torch.autograd.grad(total, parameters))
    acts = found[1]["actions"]
    assert (acts[:, -added:] == 0).all() and (acts[more["actuated"] == 0] == 0).all()
    torch.testing.assert_close(found[0], {**found[1], "actions": acts[:, :-added]})
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("encoder", [*SOME, MLP])
def test_values_read_the_actions_of_nodes_that_act_and_no_others(encoder):
    model = agent("td3", encoder)
    policy, obs = randomized(model.policy), seen(model)
    acting, noise = obs["actuated"] > 0, torch.zeros(1)
    actions = 1 + torch.rand(acting.shape, dtype=torch.float64)
    all_of_them, theirs, of_others = (
        computed(policy, obs, noise, actions * which)["values"] for which in (acting | True, acting, ~acting)
    )
    assert torch.equal(all_of_them, theirs)
    assert (all_of_them - of_others).abs().amax(0).min() > 1e-3


@pytest.mark.parametrize("encoder", [*SOME, MLP])
def test_the_best_action_of_a_node_depends_on_the_state_and_on_the_other_actions(encoder):
    model = agent("td3", encoder)
    policy, obs = randomized(model.policy), seen(model)
    first = int(obs["actuated"][0].argmax())
    slopes = []
    for others in (-1.0, 1.0):
        actions = torch.full(obs["actuated"].shape, others, dtype=torch.float64)
        actions[:, first] = 0
        actions.requires_grad_()
        value = computed(policy, obs, torch.zeros(1), actions)["values"].sum()
        slopes.append(torch.autograd.grad(value, actions)[0][:, first])
    assert (slopes[0] - slopes[1]).abs().max() > 1e-4 and slopes[0].std() > 1e-4


# --- the masked squashed Gaussian ----------------------------------------------------------------------------------


def moments_of(rows, mask=None):
    torch.manual_seed(0)
    mean, log_std = torch.randn(2, rows, 5)
    acting = torch.ones(rows, 5) if mask is None else mask
    return Moments(mean * acting, log_std.clamp(-1, 1) * acting, acting)


def test_without_padding_the_masked_squashed_gaussian_is_sb3s():
    mean, log_std, acting = moments_of(4)
    torch.manual_seed(1)
    expected = SquashedDiagGaussianDistribution(5).log_prob_from_params(mean, log_std)
    torch.manual_seed(1)
    masked = MaskedSquashedDiagGaussian(5).log_prob_from_params(torch.cat([mean, acting], dim=1), log_std)
    assert all(torch.equal(one, other) for one, other in zip(expected, masked, strict=True))


def test_the_masked_squashed_gaussian_is_that_of_the_actions_that_are_somebodys():
    mask = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).float()
    moments = moments_of(4, mask)
    torch.manual_seed(1)
    noise = torch.randn(4, 5)
    actions, log_prob = squashed(moments, noise)
    torch.manual_seed(1)
    theirs = MaskedSquashedDiagGaussian(5)
    expected = theirs.log_prob_from_params(torch.cat([moments.mean, mask], dim=1), moments.log_std)
    assert torch.equal(actions, expected[0]) and torch.equal(log_prob, expected[1])
    assert torch.equal(actions, drawn(moments, noise)) and (actions[mask == 0] == 0).all()
    torch.testing.assert_close(theirs.log_prob(actions), log_prob, atol=1e-4, rtol=1e-4)  # through the inverse of tanh
    for row in range(4):
        some = mask[row] > 0
        parts = Moments(moments.mean[row, some][None], moments.log_std[row, some][None])
        torch.testing.assert_close(squashed(parts, noise[row, some][None])[1][0], log_prob[row])


# --- learning ------------------------------------------------------------------------------------------------------

FAST = {"sac": FastSAC, "td3": FastTD3}
STOCK = {"sac": NodeSAC, "td3": stable_baselines3.TD3}


@pytest.mark.parametrize(
    "encoder", [SOME[0], *(pytest.param(each, marks=pytest.mark.slow) for each in (*SOME[1:], MLP))]
)
@pytest.mark.parametrize("name", AGENTS)
def test_eager_is_sb3_bit_for_bit(name, encoder):
    stock, fast = (learned(name, encoder, implementation=form) for form in ("sb3", "eager"))
    assert type(stock) is STOCK[name] and type(fast) is FAST[name]
    assert same(stock, fast) and fast._n_updates == stock._n_updates > 0
    for expected, found in zip(stock.rows, fast.rows, strict=True):
        measured = {key: value for key, value in expected.items() if "time/" not in key}
        assert measured == {key: value for key, value in found.items() if "time/" not in key}


def check_compiled(name, encoder):
    eager, compiled = (learned(name, encoder, implementation=form, steps=96) for form in ("eager", "compiled"))
    assert distance(eager, compiled) < 5e-6
    assert distance(eager, agent(name, encoder)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [*SOME, MLP])
@pytest.mark.parametrize("name", AGENTS)
def test_the_graph_of_a_law_equals_the_law_to_rounding(name, encoder, monkeypatch):
    """What is handed to the compiler, run as it is."""
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples: graph)
    check_compiled(name, encoder)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [*SOME, MLP])
@pytest.mark.parametrize("name", AGENTS)
def test_compiled_equals_eager_to_rounding(name, encoder):
    check_compiled(name, encoder)


def test_the_target_entropy_is_minus_the_number_of_acting_nodes():
    """SB3's loss of the temperature with one number for a minibatch is that with each observation's own."""
    model = learned("sac", implementation="sb3")
    obs = {key: part.float() for key, part in seen(model).items()}
    counts = obs["actuated"].sum(1)
    assert len(counts.unique()) > 1
    log_prob = model.actor.action_log_prob(obs)[1].detach()
    assert model.target_entropy == pytest.approx(-float(counts.mean()))
    torch.testing.assert_close((log_prob + model.target_entropy).mean(), (log_prob - counts).mean())


@pytest.mark.parametrize("form", ["sb3", "eager"])
def test_a_target_entropy_that_is_given_is_that_number(form):
    model = learned("sac", implementation=form, target_entropy=-3)
    assert model.target_entropy == -3
    assert not same(model, learned("sac", implementation=form))


# --- sizes and files -----------------------------------------------------------------------------------------------


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_critics_are_as_large_as_ones_with_encoders_of_their_own():
    model = agent("sac", ("gnn", {}))
    encoder, critics = model.policy.critic.features_extractor, model.policy.critic.q_networks
    assert 2 * sum(map(count, critics)) == pytest.approx(2 * count(encoder), rel=0.1)


@pytest.mark.parametrize("name", AGENTS)
def test_a_saved_policy_acts_in_a_larger_space_as_in_its_own(name, tmp_path):
    model = agent(name)
    save_policy(model, tmp_path / "policy")
    obs, space = seen(model), agent(name, kwargs={**BOTH, "test": ["Centipede-12"]}).observation_space
    more = padded(obs, space["nodes"].shape[0], space["edge_type"].shape[0], torch.Generator().manual_seed(0))
    own, there = (
        load_policy(tmp_path / "policy", observation_space=where).predict(
            {key: part.numpy() for key, part in each.items()}, deterministic=True
        )[0]
        for each, where in ((obs, None), (more, space))
    )
    assert abs(own).max() > 1e-4 and abs(own - there[:, : own.shape[1]]).max() < 1e-6
    assert (there[:, own.shape[1] :] == 0).all()


@pytest.mark.parametrize("form", ["sb3", "eager"])
def test_a_saved_model_goes_on_with_the_entropy_of_acting_nodes(form, tmp_path):
    model = learned("sac", implementation=form)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model", env=model.get_env(), device="cpu")
    assert vars(again)["target_entropy"] == "auto" and same(model, again)


@pytest.mark.parametrize("name", AGENTS)
def test_a_symmetry_on_bodies_is_refused(name):
    with pytest.raises(ValueError, match=f"agent={name} uses no symmetry on bodies"):
        agent(name, method="average")
