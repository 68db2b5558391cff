"""Laws of the methods by which an agent uses a symmetry, and of the heads behind them."""

from __future__ import annotations

import copy
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from conftest import PROJECT
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from test_agents import SMALL
from test_agents import states as states_of
from torch import nn

from agents import Policy, load_policy, make_agent, save_policy
from agents.diagnostics import equivariance_error, forced_ties, outputs
from agents.equivariance.augment import joined
from agents.equivariance.loss import penalty, trained
from agents.equivariance.normalization import SymmetricStatistics
from agents.export import to_plain
from encoders.average import Average, orbit
from encoders.base import Encoder
from encoders.heads import Dueling, ties
from encoders.mlp import MLP
from envs import make_vec_env, symmetry_of
from symmetry import EquivariantLinear, Representation, Symmetry, cyclic

TURN = Representation(cyclic(4), [([1, 0], [1, -1])])  # (x, y) ↦ (-y, x)


class Point(gymnasium.Env):
    """A point pushed towards the origin of the plane; quarter turns of position and push together change nothing."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (2,), np.float32)
    symmetry = Symmetry(cyclic(4), {"observation": TURN}, TURN)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.steps = self.np_random.normal(size=2), 0
        return self.state.astype(np.float32), {}

    def step(self, action):
        self.state, self.steps = self.state + 0.1 * np.asarray(action, float), self.steps + 1
        return self.state.astype(np.float32), -float(self.state @ self.state), False, self.steps == 20, {}


class Mirror(Representation):
    """Stands for what MiniGrid's egocentric view declares: the image's first axis reversed, d ↦ 2 - d mod 4."""

    shape = ()

    def __init__(self, key):
        super().__init__(cyclic(2), [([0], [1])])
        self.shape = {"image": (7, 7, 3), "direction": (1,)}[key]

    def __call__(self, g, x):
        if not g:
            return x
        return x.flip(-3) if len(self.shape) == 3 else (2 - x) % 4


TURNS = Representation(cyclic(2), [([1, 0, 2, 3, 4, 5, 6], [1] * 7)])  # left ↔ right
GRID = Symmetry(cyclic(2), {key: Mirror(key) for key in ("image", "direction")}, TURNS)

CASES = [
    *[("CartPole", agent, {}) for agent in ("ppo", "a2c", "dqn", "qrdqn")],
    ("Acrobot", "dqn", {"policy_kwargs": {"dueling": True}}),
    *[("Pendulum", agent, {}) for agent in ("ppo", "sac", "td3")],
    *[("Point", agent, {}) for agent in ("ppo", "a2c", "sac", "td3")],
]
NAMES = [f"{env}-{agent}{'-dueling' * bool(options)}" for env, agent, options in CASES]
QUICK = {
    *((f"CartPole-{agent}", method) for agent in ("ppo", "a2c", "dqn") for method in ("hard", "average")),
    *((name, "hard") for name in ("CartPole-qrdqn", "Acrobot-dqn-dueling", "Pendulum-ppo", "Point-ppo", "Point-sac")),
    *((name, "average") for name in ("Pendulum-ppo", "Point-a2c", "Pendulum-td3")),
}


def environments(env_id, n_envs=2):
    if env_id != "Point":
        return make_vec_env(env_id, n_envs=n_envs, seed=0)
    env = DummyVecEnv([Point] * n_envs)
    env.seed(0)
    env.symmetry = Point.symmetry
    return env


def make(env_id, encoder, agent, method="auto", *, env=None, **options):
    env = env or environments(env_id)
    symmetry = GRID if env_id.startswith("DoorKey") else None
    settings = {**SMALL[agent], "seed": 0, "device": "cpu", **options}
    return make_agent(env, encoder, agent, symmetry if method != "none" else None, method=method, **settings)


def states(env_id, n=50):
    if env_id == "Point":
        return np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    if env_id.startswith("DoorKey"):
        env, met = environments(env_id, n_envs=n), []
        env.reset()
        env.action_space.seed(0)
        for _ in range(10):
            met = env.step(np.array([env.action_space.sample() for _ in range(n)]))[0]
        return met
    return states_of(env_id, n)


def declared(env_id):
    if env_id.startswith("DoorKey"):
        return GRID
    return Point.symmetry if env_id == "Point" else symmetry_of(env_id)


def errors(policy, env_id):
    """The equivariance error in float32 and in float64."""
    single = equivariance_error(policy, declared(env_id), states(env_id))
    policy.module.double()
    double = equivariance_error(policy, declared(env_id), states(env_id))
    policy.module.float()  # exact: its numbers came from float32
    return single, double


def obeys(policy, env_id):
    single, double = errors(policy, env_id)
    return single <= 2e-6 and double <= 1e-12


# an agent's heads are the same in every environment: the slow suite has all of these
HEADS = [
    pytest.param(*case, method, id=f"{name}-{method}", marks=() if (name, method) in QUICK else pytest.mark.slow)
    for name, case in zip(NAMES, CASES, strict=True)
    for method in ("hard", "average")
]


@pytest.mark.parametrize(("env_id", "agent", "options", "method"), HEADS)
def test_every_head_obeys_before_and_after_training_and_when_loaded(env_id, agent, options, method, tmp_path):
    model = make(env_id, "homomorphic" if method == "hard" else "mlp", agent, method, **options)
    assert obeys(Policy.of(model), env_id)
    before = {name: p.detach().clone() for name, p in model.policy.named_parameters()}
    model.learn(150 if agent in ("sac", "td3") else 300)  # one update a step after the first 100
    assert obeys(Policy.of(model), env_id)
    unmoved = [n for n, p in model.policy.named_parameters() if "target" not in n and torch.equal(p, before[n])]
    assert not unmoved
    loaded = load_policy(save_policy(model, tmp_path / "p"), device="cpu")
    assert obeys(loaded, env_id)
    here, there = (outputs(policy, states(env_id)) for policy in (Policy.of(model), loaded))
    assert all(torch.equal(here[name][1], there[name][1]) for name in here)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hard", "average"])
@pytest.mark.parametrize(("env_id", "agent", "options"), CASES, ids=NAMES)
def test_every_head_obeys_after_4k_steps(env_id, agent, options, method):
    fewer = {"train_freq": 10}  # updates: they suffice to get away from where it began
    long = {"n_steps": 128, "batch_size": 64, "n_epochs": 10}
    options = {**options, **{"ppo": long, "qrdqn": fewer, "sac": fewer, "td3": fewer}.get(agent, {})}
    model = make(env_id, "homomorphic" if method == "hard" else "mlp", agent, method, **options)
    model.learn(4_000)
    assert obeys(Policy.of(model), env_id)


@pytest.mark.parametrize(("env_id", "agent", "options"), CASES, ids=NAMES)
def test_a_plain_network_does_not(env_id, agent, options):
    model = make(env_id, "mlp", agent, "none", **options)
    assert min(errors(Policy.of(model), env_id)) > 1e-3


def test_a_head_of_plain_layers_behind_the_lift_would_be_noticed():
    model = make("CartPole", "mlp", "ppo", "average")
    model.policy.value_net = nn.Linear(model.policy.features_dim, 1)
    assert min(errors(Policy.of(model), "CartPole")) > 1e-3


@pytest.mark.parametrize("encoder", ["mlp", "transformer", "hypernetwork"])
def test_any_encoder_can_be_averaged_on_vectors(encoder, tmp_path):
    model = make("Acrobot", encoder, "ppo", "average", encoder_options={}).learn(64)
    assert obeys(Policy.of(model), "Acrobot")
    assert obeys(load_policy(save_policy(model, tmp_path / "p"), device="cpu"), "Acrobot")


@pytest.mark.parametrize("encoder", ["mlp", "cnn", "gnn", "transformer", "hypernetwork"])
def test_any_encoder_can_be_averaged_on_grids(encoder):
    model = make("DoorKey-5x5", encoder, "ppo", "average").learn(64)
    assert model.distinct and obeys(Policy.of(model), "DoorKey-5x5")
    plain = make("DoorKey-5x5", encoder, "ppo", "none")
    assert errors(Policy.of(plain), "DoorKey-5x5")[0] > 1e-4


def head_for_the_identity(layer, order, bias=True):
    """W_e·|G| and b: what stands behind f(s) when the lifted head is written as an average."""
    width = layer.rep_in.size // order
    weight = layer.weight.reshape(-1, width, order)[:, :, 0] * order
    return lambda x: nn.functional.linear(x, weight, layer.bias)


@pytest.mark.parametrize(("env_id", "agent", "options"), CASES, ids=NAMES)
def test_average_is_averaging_the_outputs(env_id, agent, options):
    """h(s) = 1/|G| Σ_g ψ_h(g) h_e(φ(g)⁻¹s) with an ordinary head h_e on the encoder's own features."""
    symmetry, group = declared(env_id), declared(env_id).group
    model = make(env_id, "mlp", agent, "average", **options).learn(100)
    module = model.policy.double()
    s = torch.as_tensor(states(env_id)).double()
    found = outputs(Policy.of(model), states(env_id))
    if agent in ("ppo", "a2c"):
        layers = {"acts": (module.action_net, symmetry.action), "value": (module.value_net, None)}
    elif agent == "qrdqn":
        layers = {"acts": (module.quantile_net.quantile_net[0], symmetry.action)}
    elif options:
        layers = {"advantage": (module.q_net.q_net[0].advantage, symmetry.action)}
        layers["value"] = (module.q_net.q_net[0].value, None)
    elif agent == "dqn":
        layers = {"acts": (module.q_net.q_net[0], symmetry.action)}
    else:
        mu = module.actor.mu
        layers = {"acts": (mu if agent == "sac" else mu.linear, symmetry.action)}
    extractor = next(m for m in module.modules() if isinstance(m, Average))
    averaged = {}
    for name, (layer, rep) in layers.items():
        plain, total = head_for_the_identity(layer, group.order), 0
        for g in range(group.order):
            said = plain(extractor.encoder(symmetry.observe(group.inverse(g), s)))
            said = said.reshape(len(s), -1, rep.size) if rep is not None else said
            total = total + (said if rep is None else rep(g, said)).reshape(len(s), -1)
        averaged[name] = total / group.order
        lifted = layer(extractor(s))
        torch.testing.assert_close(averaged[name], lifted, rtol=0, atol=1e-12)
        assert (lifted - plain(extractor.encoder(s))).abs().max() > 1e-6  # and averaging does something
    if "q" in found and not options:
        torch.testing.assert_close(averaged["acts"], found["q"][1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("env_id", "agent"), [("Pendulum", "sac"), ("Point", "td3")])
def test_an_averaged_critic_averages_over_states_and_actions_together(env_id, agent):
    """Q(s, a) = 1/|G| Σ_g q(φ(g)⁻¹s, ψ(g)⁻¹a), q reading off the hidden units of g = e alone."""
    symmetry, group = declared(env_id), declared(env_id).group
    critic = make(env_id, "mlp", agent, "average").learn(60).policy.double().critic
    s = torch.as_tensor(states(env_id)).double()
    a = torch.rand(len(s), symmetry.action.size, dtype=torch.float64) * 2 - 1
    hidden, last = critic.q_networks[0][:-1], critic.q_networks[0][-1]
    plain = head_for_the_identity(last, group.order)

    def q(s, a):
        units = hidden(torch.cat([critic.features_extractor(s), a], dim=1))
        return plain(units.reshape(len(s), -1, group.order)[:, :, 0])

    inverses = [group.inverse(g) for g in range(group.order)]
    average = sum(q(symmetry.observe(g, s), symmetry.act(g, a)) for g in inverses) / group.order
    together = torch.cat([critic.features_extractor(s), a], dim=1)
    torch.testing.assert_close(average, critic.q_networks[0](together), rtol=0, atol=1e-12)
    assert (q(s, a) - average).abs().max() > 1e-6


def gradient_of(update, batch):
    output, values = update.network(batch.observations, batch.rows)
    loss, _ = update.loss(output, values, getattr(update.policy, "log_std", None), batch, 0.2, 0.0)
    found = torch.autograd.grad(loss, list(update.policy.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


def filled(model):
    """The minibatches of a model's first rollout, all of it at once, in float64."""
    model.learn(model.n_steps * model.n_envs)
    model.policy.double()
    model.rollout_buffer.freeze()
    order = np.arange(model.n_steps * model.n_envs)
    (batch,) = model.rollout_buffer.minibatches(order, len(order))
    for key in ("log_probs", "values", "advantages", "returns"):
        setattr(batch, key, getattr(batch, key).double())
    if batch.actions.is_floating_point():
        batch.actions = batch.actions.double()
    cast = {k: v.double() for k, v in batch.observations.items()} if isinstance(batch.observations, dict) else None
    batch.observations = cast or batch.observations.double()
    return batch


@pytest.mark.parametrize("env_id", ["CartPole", "Point", "DoorKey-5x5"])
def test_the_gradient_of_a_joined_minibatch_is_the_mean_of_those_of_its_twins(env_id, monkeypatch):
    from agents.ppo import update as updates

    symmetry = declared(env_id)
    model = make(env_id, "mlp", "ppo", "none", normalize_advantage=False, n_epochs=1)
    batch, update = filled(model), updates.Update(model._settings())
    # which would make float32 of them
    monkeypatch.setattr("stable_baselines3.common.policies.preprocess_obs", lambda obs, *_, **__: obs)
    separate = []
    for g in range(symmetry.group.order):
        twin = copy.copy(batch)
        twin.observations = symmetry.observe(g, batch.observations)
        twin.actions = symmetry.act(g, batch.actions)
        separate.append(gradient_of(update, twin))
    together = gradient_of(update, joined(batch, symmetry))
    torch.testing.assert_close(together, torch.stack(separate).mean(0), rtol=0, atol=1e-12)
    assert (together - separate[0]).abs().max() > 1e-6  # and the twins count


def test_distinct_observations_are_joined_in_their_table():
    batches = []
    for distinct in (True, False):
        model = make("DoorKey-5x5", "mlp", "ppo", "augment", distinct=distinct, n_epochs=1)
        model.learn(32)
        model.rollout_buffer.freeze()
        (batch,) = model.rollout_buffer.minibatches(np.arange(32), 32)
        assert len(batch.actions) == 64
        rows = slice(None) if batch.rows is None else batch.rows
        batches.append(({key: part[rows] for key, part in batch.observations.items()}, batch.actions))
    for key, part in batches[0][0].items():
        assert torch.equal(part, batches[1][0][key].to(part.dtype)) and len(part) == 64
    assert torch.equal(batches[0][1], batches[1][1])


@pytest.mark.parametrize(("env_id", "agent", "options"), CASES, ids=NAMES)
def test_every_agent_learns_from_joined_minibatches(env_id, agent, options):
    """SB3's buffers and ours give each sample and its twins, which keep what was measured of it."""
    symmetry = declared(env_id)
    stock = {"implementation": "sb3"} if agent == "a2c" else {}  # ppo's is ours
    model = make(env_id, "mlp", agent, "augment", **options, **stock).learn(100)
    order = symmetry.group.order
    if hasattr(model, "replay_buffer"):
        batch = model.replay_buffer.sample(model.batch_size)
        assert len(batch.actions) == SMALL[agent]["batch_size"] * order
    elif agent == "a2c":
        (batch,) = model.rollout_buffer.get(None)
    else:
        model.rollout_buffer.freeze()
        batch = next(model.rollout_buffer.minibatches(np.arange(32), 16))
    count = len(batch.actions) // order
    actions = batch.actions.float() if isinstance(model.action_space, spaces.Box) else batch.actions.long()
    for g in range(order):
        part = slice(g * count, (g + 1) * count)
        assert torch.equal(batch.observations[part], symmetry.observe(g, batch.observations[:count]))
        assert torch.equal(actions[part], symmetry.act(g, actions[:count]))
        for name in ("advantages", "returns", "rewards", "dones"):
            if hasattr(batch, name):
                assert torch.equal(getattr(batch, name)[part], getattr(batch, name)[:count])


@pytest.mark.parametrize(
    ("agent", "implementation"), [("ppo", "sb3"), ("ppo", "eager"), ("a2c", "sb3"), ("a2c", "eager")]
)
def test_augmentation_works_in_every_form_of_an_agent(agent, implementation):
    model = make("DoorKey-5x5", "mlp", agent, "augment", implementation=implementation)
    before = model.policy.action_net.weight.clone()
    assert not torch.equal(model.learn(64).policy.action_net.weight, before)


def test_eager_augmentation_is_sb3_s():
    learned = [
        make("CartPole", "mlp", "ppo", "augment", implementation=i, n_epochs=1).learn(32).policy.state_dict()
        for i in ("sb3", "eager")
    ]
    for name, value in learned[0].items():
        torch.testing.assert_close(value, learned[1][name], rtol=0, atol=1e-6)


def test_n_step_returns_can_be_augmented():
    model = make("CartPole", "mlp", "dqn", "augment", n_steps=3).learn(100)
    batch = model.replay_buffer.sample(32)
    assert len(batch.discounts) == 32 and (batch.discounts < 0.99).any()


@pytest.mark.parametrize(("env_id", "agent", "options"), CASES, ids=NAMES)
def test_the_penalty_adds_its_gradient_to_the_loss_s(env_id, agent, options):
    """For a loss L of the features, backward gives ∂(L + λ·penalty), the penalty computed apart."""
    symmetry = declared(env_id)
    model = make(env_id, "mlp", agent, "loss", weight=0.5, **options)
    plain = make(env_id, "mlp", agent, "none", **options)
    plain.policy.load_state_dict(model.policy.state_dict())
    s = torch.as_tensor(states(env_id))
    gradients = []
    for policy, weight in ((model.policy, 0.0), (plain.policy, 0.5), (plain.policy, 0.0)):
        policy.train()
        policy.zero_grad()
        loss = 0.0
        for encoder, heads in trained(policy):
            features = encoder(s)
            loss = loss + heads(features)[0][1].square().sum()
            if weight:
                twins = heads(encoder(orbit(symmetry, s, list(range(1, symmetry.group.order)))))
                loss = loss + weight * penalty(symmetry, heads(features), twins)
        loss.backward()
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in policy.parameters()]
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(gradients[1], gradients[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("env_id", "agent"), [("Point", "ppo"), pytest.param("Point", "sac", marks=pytest.mark.slow), ("CartPole", "dqn")]
)
def test_the_penalty_makes_policies_more_symmetric(env_id, agent):
    found = {}
    for method, weight in (("none", 1.0), ("loss", 100.0)):
        policy = Policy.of(make(env_id, "mlp", agent, method, weight=weight, learning_rate=1e-3).learn(1000))
        here = outputs(policy, states(env_id))
        there = outputs(policy, declared(env_id).observe(1, torch.as_tensor(states(env_id))).numpy())
        name = {"ppo": "mean", "sac": "actor", "dqn": "q"}[agent]
        difference = there[name][1] - declared(env_id).action(1, here[name][1])
        found[method] = float(difference.detach().abs().mean())
    assert found["loss"] < found["none"] / 2


def test_the_penalty_of_a_symmetric_network_is_zero():
    policy, s = make("Point", "mlp", "ppo", "average").policy.double(), torch.as_tensor(states("Point")).double()
    ((encoder, heads),) = trained(policy)
    twins = heads(encoder(orbit(Point.symmetry, s, [1, 2, 3])))
    assert penalty(Point.symmetry, heads(encoder(s)), twins) < 1e-24
    assert penalty(Point.symmetry, heads(encoder(s)), heads(encoder(orbit(Point.symmetry, s, [2, 3, 1])))) > 1e-9


def test_the_fast_ppo_with_a_penalty_is_sb3_s():
    learned = [
        make("CartPole", "mlp", "ppo", "loss", implementation=i).learn(64).policy.state_dict() for i in ("sb3", "eager")
    ]
    for name, value in learned[0].items():
        torch.testing.assert_close(value, learned[1][name], rtol=0, atol=1e-6)


def test_dueling_is_value_and_advantage():
    torch.manual_seed(0)
    module, x = Dueling(8, 3).double(), torch.randn(5, 8, dtype=torch.float64)
    torch.testing.assert_close(module(x).mean(-1, keepdim=True), module.value(x))  # Σ over a of A - mean A is 0
    torch.testing.assert_close(module(x).diff(dim=-1), module.advantage(x).diff(dim=-1))
    rep = Representation.regular(cyclic(2)) * 4
    symmetric = Dueling(rep, Representation(cyclic(2), [([1, 0, 2], [1] * 3)])).double()
    swapped = symmetric(rep(1, x))
    torch.testing.assert_close(swapped, symmetric(x)[:, [1, 0, 2]], rtol=0, atol=1e-12)
    symmetric.value = nn.Linear(8, 1).double()
    assert (symmetric(rep(1, x)) - symmetric(x)[:, [1, 0, 2]]).abs().max() > 1e-3


def test_scales_are_shared_along_orbits():
    assert ties(TURN).tolist() == [0, 0]
    assert ties(Representation(cyclic(2), [([1, 0, 2], [1, 1, -1])])).tolist() == [0, 0, 1]
    model = make("Point", "homomorphic", "ppo", policy_kwargs={"log_std_init": -0.5})
    assert dict(model.policy.named_parameters())["log_std"].shape == (1,)
    assert model.policy.log_std.tolist() == [-0.5, -0.5]
    model.learn(64)
    first, second = model.policy.log_std.tolist()
    assert first == second != -0.5
    assert make("Point", "mlp", "ppo", "none").policy.log_std.shape == (2,)


def test_tied_scales_learn_as_in_sb3_s_ppo_bit_for_bit():
    learned = [
        make("Point", "homomorphic", "ppo", implementation=i).learn(96).policy.state_dict() for i in ("sb3", "eager")
    ]
    assert all(torch.equal(value, learned[1][name]) for name, value in learned[0].items())


def vector(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.policy.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "encoder", "method"),
    [
        ("Point", "homomorphic", "hard"),
        ("CartPole", "mlp", "average"),
        ("CartPole", "mlp", "augment"),
        ("CartPole", "mlp", "loss"),
    ],
)
def test_every_method_compiles(env_id, encoder, method):
    untrained, eager, compiled = (
        # one rollout, so that rounding has not yet changed an action; a seed with no tie that it breaks in a maximum
        vector(make(env_id, encoder, "ppo", method, implementation=i, seed=1).learn(steps))
        for i, steps in (("eager", 0), ("eager", 32), ("compiled", 32))
    )
    assert (eager - compiled).norm() < 1e-3 * (eager - untrained).norm()


def test_normalization_commutes_with_the_symmetry():
    rng, symmetry = np.random.default_rng(0), Point.symmetry
    raw = rng.normal(size=(4, 64, 2)) * [1.0, 3.0] + [2.0, 0.0]
    statistics, ordinary = SymmetricStatistics(symmetry, (2,)), VecNormalize(environments("Point")).obs_rms
    for batch in raw:
        statistics.update(batch)
        ordinary.update(batch)
    s = torch.as_tensor(raw[0])

    def violation(rms):
        def normalize(x):
            return (x - torch.as_tensor(rms.mean)) / torch.as_tensor(rms.var).sqrt()

        return max((normalize(TURN(g, s)) - TURN(g, normalize(s))).abs().max() for g in range(4))

    assert violation(statistics) <= 1e-12 < 0.1 < violation(ordinary)
    second = (raw.reshape(-1, 2) ** 2).mean()  # of both coordinates: the turns exchange them
    np.testing.assert_allclose(statistics.var, [second, second], rtol=1e-4)
    np.testing.assert_allclose(statistics.mean, 0, atol=1e-12)


@pytest.mark.parametrize("agent", ["ppo", "sac"])
def test_a_normalized_policy_obeys_too(agent, tmp_path):
    env = VecNormalize(environments("Point"), norm_reward=False)
    env.obs_rms = SymmetricStatistics(Point.symmetry, (2,))
    model = make("Point", "homomorphic", agent, env=env, **{"method": "hard"})
    model.learn(150 if agent in ("sac", "td3") else 300)  # one update a step after the first 100
    assert obeys(Policy.of(model), "Point")
    assert obeys(load_policy(save_policy(model, tmp_path / "p"), device="cpu"), "Point")
    env.obs_rms.mean = np.array([0.3, -0.1])
    assert errors(Policy.of(model), "Point")[1] > 1e-3


PLAIN = [case for case in CASES if case[:2] != ("Point", "a2c")]


@pytest.mark.parametrize(("env_id", "agent", "options"), PLAIN, ids=[f"{e}-{a}" for e, a, _ in PLAIN])
def test_a_plain_policy_says_the_same(env_id, agent, options):
    policy = Policy.of(make(env_id, "homomorphic", agent, **options).learn(100))
    policy.module.double()
    ordinary = to_plain(policy)
    kinds = {type(module) for module in ordinary.module.modules() if not list(module.children())}
    assert EquivariantLinear not in kinds and nn.Linear in kinds
    here, there = outputs(policy, states(env_id)), outputs(ordinary, states(env_id))
    for name, (_, output) in here.items():
        torch.testing.assert_close(there[name][1], output, rtol=0, atol=1e-12)
    with torch.no_grad():
        for parameter in ordinary.module.parameters():
            parameter.add_(0.1)
    after = outputs(policy, states(env_id))  # nothing is shared
    assert all(torch.equal(after[name][1], here[name][1]) for name in here)


@pytest.mark.parametrize(
    ("env_id", "encoder", "agent", "method"),
    [
        ("CartPole", "homomorphic", "ppo", "hard"),
        ("Pendulum", "homomorphic", "sac", "hard"),
        ("CartPole", "mlp", "dqn", "average"),
    ],
)
@pytest.mark.slow
def test_a_plain_policy_acts_where_only_torch_is(env_id, encoder, agent, method, tmp_path):
    model, met = make(env_id, encoder, agent, method).learn(60), states(env_id)
    policy = Policy.of(model)
    np.save(tmp_path / "s.npy", met)
    save_policy(model, tmp_path / "p")
    writing = (
        "import numpy; from agents import load_policy; from agents.export import save_plain\n"
        "save_plain(load_policy('p', device='cpu'), 'plain.pt', numpy.load('s.npy'))"
    )  # in a process of its own: in the tests shapes are checked, which cannot be traced
    acting = (
        "import sys, numpy, torch\n"
        "actions = torch.jit.load('plain.pt')(torch.from_numpy(numpy.load('s.npy')))\n"
        "assert not {'symmetry', 'stable_baselines3'} & {*sys.modules}\n"
        "numpy.save('a.npy', actions.numpy())"
    )
    for program, path in ((writing, str(PROJECT)), (acting, "")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    expected = policy.predict(met, deterministic=True)[0]
    np.testing.assert_allclose(np.load(tmp_path / "a.npy"), expected.reshape(len(met), *expected.shape[1:]), atol=1e-6)


def test_forced_ties_are_states_that_a_moving_element_fixes():
    symmetry = declared("CartPole")
    some = np.zeros((4, 4), np.float32)
    assert forced_ties(symmetry, some) == 1
    some[1:] = 1
    assert forced_ties(symmetry, some) == 0.25
    still = Symmetry(cyclic(2), dict(symmetry.observation), Representation.trivial(cyclic(2), 2))
    assert forced_ties(still, some) == 0  # no action moves, so nothing is forced
    policy = Policy.of(make("CartPole", "homomorphic", "ppo").learn(64))
    log_probs = outputs(policy, some)["log_probs"][1]
    assert abs(float(log_probs[0].diff())) < 1e-6 < abs(float(log_probs[1].diff()))
    image = np.random.default_rng(0).integers(0, 3, (2, 7, 7, 3)).astype(np.uint8)
    image[0] = np.maximum(image[0], image[0, ::-1])
    met = {"image": image, "direction": np.ones((2, 1), np.uint8)}
    assert forced_ties(GRID, met) == 0.5
    met["direction"][:] = 2
    assert forced_ties(GRID, met) == 0


@pytest.mark.parametrize(
    ("env_id", "encoder", "agent", "options", "message"),
    [
        ("CartPole", "mlp", "ppo", {"method": "hard"}, "use encoder=homomorphic, symmetry=average"),
        ("CartPole", "mlp", "ppo", {"method": "soft"}, "symmetry is auto, hard, average"),
        ("MountainCar", "mlp", "ppo", {"method": "average"}, "symmetry=average needs an environment that declares"),
        ("MountainCar", "mlp", "dqn", {"method": "augment"}, "symmetry=augment needs an environment that declares"),
        ("CartPole", "homomorphic", "ppo", {"method": "average"}, "obeys the symmetry by construction"),
        ("CartPole", "mlp", "recurrent_ppo", {"method": "augment"}, "is not available for agent=recurrent_ppo"),
        ("CartPole", "mlp", "recurrent_ppo", {"method": "average"}, "LSTM behind the encoder"),
        ("Pendulum", "mlp", "sac", {"method": "average", "use_sde": True}, "use_sde=false"),
        ("CartPole", "mlp", "ppo", {"method": "loss", "weight": 0}, "symmetry.weight is a positive number; got 0"),
        (
            "CartPole",
            "mlp",
            "ppo",
            {"method": "average", "symmetry": Point.symmetry},
            "acts on shape",
        ),
        ("DoorKey-5x5", "mlp", "ppo", {"method": "loss", "distinct": True}, "agent.distinct=true would weigh"),
    ],
)
def test_what_cannot_be_says_what_to_type(env_id, encoder, agent, options, message):
    env = environments(env_id)
    symmetry = options.pop("symmetry", GRID if env_id.startswith("DoorKey") else None)
    with pytest.raises(ValueError, match=message):
        make_agent(env, encoder, agent, symmetry, **{**SMALL[agent], **options})


def test_a_symmetry_of_other_actions_is_refused():
    cartpole = declared("CartPole")
    three = Symmetry(cyclic(2), dict(cartpole.observation), Representation(cyclic(2), [([1, 0, 2], [1] * 3)]))
    signed = Symmetry(cyclic(2), dict(cartpole.observation), Representation(cyclic(2), [([1, 0], [-1, -1])]))
    for symmetry, message in ((three, "acts on 3 discrete actions, the environment has 2"), (signed, "signs before")):
        for method, encoder in (("hard", "homomorphic"), ("augment", "mlp")):
            with pytest.raises(ValueError, match=message):
                make_agent(environments("CartPole"), encoder, "ppo", symmetry, method=method, **SMALL["ppo"])


class Turning(Encoder):
    """A stranger's encoder that promises f(φ(g)s) = ρ(g) f(s)."""

    reads = ("vector",)
    equivariant = True

    def __init__(self, observation_space, **options):  # the promise counts, not how the constructor is written
        (rep,) = options["symmetry"].observation.values()
        super().__init__(observation_space, 8 * rep.group.order)
        self.out_rep = Representation.regular(rep.group) * 8
        self.layer = EquivariantLinear(rep, self.out_rep)

    def forward(self, obs):
        return self.layer(obs).relu()


class Reckless(Turning):
    """Has more features than its `out_rep` says."""

    def __init__(self, observation_space, **options):
        super().__init__(observation_space, **options)
        self._features_dim += 1


class Curious(MLP):
    """Takes a symmetry and promises nothing."""

    def __init__(self, observation_space, symmetry=None):
        super().__init__(observation_space)
        self.given = symmetry


def test_a_stranger_s_encoder_that_promises_gets_equivariant_heads(tmp_path):
    model = make("Point", Turning, "ppo").learn(64)
    assert obeys(Policy.of(model), "Point")
    loaded = load_policy(save_policy(model, tmp_path / "p"), trust=[__name__])
    assert obeys(loaded, "Point")
    with pytest.raises(ValueError, match="obeys the symmetry by construction"):
        make("Point", Turning, "ppo", "average")


def test_an_encoder_that_promises_says_how_each_of_its_features_transforms():
    with pytest.raises(ValueError, match=r"Reckless has 33 features and out_rep=Representation\(.*, size 32\)"):
        make("Point", Reckless, "ppo")


def test_an_encoder_that_takes_a_symmetry_promises_nothing_by_that():
    model = make_agent(environments("Point"), Curious, "ppo", seed=0, device="cpu", **SMALL["ppo"])
    assert model.policy.features_extractor.given is None and isinstance(model.policy.action_net, nn.Linear)
    with pytest.raises(ValueError, match="Curious promises nothing"):
        make("Point", Curious, "ppo", "hard")


def test_an_encoder_of_another_module_is_lifted_only_if_trusted(tmp_path):
    model = make("CartPole", MLP, "ppo", "average")
    folder = save_policy(model, tmp_path / "p")
    text = (folder / "policy.yaml").read_text().replace("encoders.mlp.MLP", "os.system")
    (folder / "policy.yaml").write_text(text)
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"was not imported.*trust=\[os\]"):
        load_policy(folder)
