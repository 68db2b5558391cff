"""Laws of FastSAC and FastTD3: eager is SB3's class bit for bit, compiled is that to rounding; and of their critics."""

from __future__ import annotations

import copy

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
import yaml
from compared import distance, learn_logging, same
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from test_methods import Point

from agents import Policy, load_policy, make_agent, save_policy
from agents.continuous import compiled as graphs
from agents.continuous.algorithm import FastSAC, FastTD3
from agents.off_policy.replay import sample
from envs import make_vec_env

FAST = {"sac": FastSAC, "td3": FastTD3}
STOCK = {"sac": stable_baselines3.SAC, "td3": stable_baselines3.TD3}
SMALL = {"learning_starts": 20, "buffer_size": 300, "batch_size": 16, "learning_rate": 1e-3, "seed": 5, "device": "cpu"}


class Places(gymnasium.Env):
    """Observations in two parts, as dicts."""

    observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Box(-1, 1, (1,), np.float64)})
    action_space = spaces.Box(-2, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.seen(), {}

    def step(self, action):
        self.steps += 1
        return self.seen(), float(action.sum()), self.steps % 7 == 0, self.steps == 10, {}

    def seen(self):
        numbers = self.np_random.uniform(-1, 1, 3)
        return {"a": numbers[:2].astype(np.float32), "b": numbers[2:]}


OWN = {"Point": Point, "Places": Places}


def untrained(agent, implementation, env_id="Point", n_envs=1, normalize=False, encoder="mlp", **options):
    if env_id in OWN:
        env = DummyVecEnv([OWN[env_id]] * n_envs)
        env.symmetry = getattr(OWN[env_id], "symmetry", None)
    else:
        env = make_vec_env(env_id, n_envs=n_envs, seed=0)
    env = VecNormalize(env) if normalize else env
    options = {"encoder_options": {"width": 16}, **SMALL, **copy.deepcopy(options)}
    return make_agent(env, encoder, agent, implementation=implementation, **options)


def learned(*args, steps=60, **options):
    return learn_logging(untrained(*args, **options), steps)


# --- eager ---------------------------------------------------------------------------------------------------------

CASES = {
    "defaults": {},
    "several environments": {"n_envs": 3, "gradient_steps": -1},
    "noise on actions": {"action_noise": 0.3, "n_envs": 2},
    "several minibatches": {"gradient_steps": 3},
    "several steps": {"n_steps": 3},
    "episodes": {"train_freq": [1, "episode"]},
    "weight decay": {"weight_decay": 0.1},
    "a falling learning rate": {"learning_rate": "lin_1e-2"},
    "normalized observations": {"normalize": True},
    "dicts": {"env_id": "Places", "n_envs": 2},
    "dropout": {"encoder_options": {"width": 16, "dropout": 0.3}},
    "batch normalization": {"encoder_options": {"width": 16, "normalization": "batch"}},
    "hard": {"encoder": "homomorphic"},
    "average": {"method": "average"},
    "augment": {"method": "augment"},
    "loss": {"method": "loss"},
    "old critics": {"policy_kwargs": {"critic_hidden": [32, 32], "n_critics": 3}},
}
OF_ONE = {
    "sac": {
        "a given temperature": {"ent_coef": 0.1},
        "targets that wait": {"target_update_interval": 2, "gradient_steps": 3},
        "a target entropy": {"target_entropy": -3, "ent_coef": "auto_0.5", "tau": 0.2},
    },
    "td3": {
        "an actor that waits": {"policy_delay": 3, "gradient_steps": 2},
        "noisy targets": {"target_policy_noise": 1},
    },
}
EAGER = [(agent, name, options) for agent in FAST for name, options in (CASES | OF_ONE[agent]).items()]


ALWAYS = ("defaults", "dicts", "hard")


@pytest.mark.parametrize(
    ("agent", "options"),
    [pytest.param(a, o, id=f"{a}, {name}", marks=() if name in ALWAYS else pytest.mark.slow) for a, name, o in EAGER],
)
def test_eager_is_sb3_bit_for_bit(agent, options):
    """Parameters, targets, actions, stored transitions and logs."""
    stock, fast = (learned(agent, implementation, **options) for implementation in ("sb3", "eager"))
    assert type(stock) is STOCK[agent] and type(fast) is FAST[agent]
    assert same(stock, fast)
    for name in ("actions", "rewards", "dones"):
        assert np.array_equal(getattr(stock.replay_buffer, name), getattr(fast.replay_buffer, name)), name
    assert stock._n_updates == fast._n_updates > 0
    assert stock.rows and len(stock.rows) == len(fast.rows)
    for expected, found in zip(stock.rows, fast.rows, strict=True):
        measured = {key: value for key, value in expected.items() if "time/" not in key}
        assert measured == {key: value for key, value in found.items() if "time/" not in key}


@pytest.mark.parametrize("agent", FAST)
def test_eager_learns(agent):
    before, after = (learned(agent, "eager", steps=steps) for steps in (20, 60))
    first, second = before.policy.state_dict(), after.policy.state_dict()
    assert all((first[key] != second[key]).any() for key in first)


@pytest.mark.parametrize("full", [False, True])
def test_minibatches_are_those_that_sb3_draws(full):
    space = spaces.Box(-1, 1, (3,), np.float64)
    buffer = ReplayBuffer(40, space, spaces.Box(-1, 1, (2,)), device="cpu", n_envs=2)
    random = np.random.default_rng(0)
    for _ in range(30 if full else 12):
        seen, after = random.normal(size=(2, 2, 3))
        infos = [{"TimeLimit.truncated": bool(late)} for late in random.integers(2, size=2)]
        buffer.add(seen, after, random.normal(size=(2, 2)), random.normal(size=2), random.integers(2, size=2), infos)
    np.random.seed(1)
    expected = buffer.sample(16)
    np.random.seed(1)
    found = sample(buffer, 16, 0.9)
    for name in ("observations", "actions", "next_observations", "dones", "rewards"):
        one, other = getattr(expected, name), getattr(found, name)
        assert one.dtype == other.dtype and torch.equal(one, other), name
    assert found.discounts == 0.9 and found.dones.any() and not found.dones.all()


@pytest.mark.parametrize("agent", FAST)
def test_what_a_callback_loads_is_learned_from(agent):
    """Adam's moments and parameters that were replaced are those that the next update goes on with."""
    results = []
    for implementation in ("sb3", "eager"):
        model = learned(agent, implementation)
        model.set_parameters(untrained(agent, "sb3", seed=9).get_parameters())
        results.append(model.learn(30, reset_num_timesteps=False))
    assert same(*results)


@pytest.mark.parametrize("agent", FAST)
def test_a_saved_model_goes_on_as_sb3_s_does(agent, tmp_path):
    results = []
    for implementation in ("sb3", "eager"):
        model = learned(agent, implementation)
        model.save(tmp_path / implementation)
        again = type(model).load(tmp_path / implementation, env=DummyVecEnv([Point]), device="cpu")
        again.replay_buffer = model.replay_buffer
        results.append(again.learn(40, reset_num_timesteps=False))
    assert same(*results)


def test_a_loss_that_is_no_number_ends_learning():
    model = learned("sac", "eager")
    with torch.no_grad():
        model.policy.critic.q_networks[0][0].weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="learning diverged"):
        model.train(1, 16)


# --- compiled ------------------------------------------------------------------------------------------------------


def check_compiled(agent, **options):
    eager, compiled = (learned(agent, implementation, **options) for implementation in ("eager", "compiled"))
    assert type(compiled.update) is graphs.CompiledUpdate
    assert distance(eager, compiled) < 5e-6
    assert distance(eager, learned(agent, "eager", **{**options, "seed": 6})) > 1e-3  # and other runs are further off
    assert eager._n_updates == compiled._n_updates
    for key, value in eager.rows[-1].items():
        if "time/" not in key:
            assert compiled.rows[-1][key] == pytest.approx(value, rel=1e-3, abs=1e-4), key


COMPILED = ("defaults", "several minibatches", "several steps", "weight decay", "dicts", "hard", "average", "augment")
COMPILED += ("loss",)
GRAPHS = [(agent, name, CASES[name]) for agent in FAST for name in COMPILED]
GRAPHS += [(agent, name, options) for agent in FAST for name, options in OF_ONE[agent].items()]
OFTEN = ("defaults", "dicts")


@pytest.mark.parametrize(
    ("agent", "options"),
    [pytest.param(a, o, id=f"{a}, {n}", marks=() if n in OFTEN else pytest.mark.slow) for a, n, o in GRAPHS],
)
def test_the_graph_of_a_law_equals_the_law_to_rounding(agent, options, monkeypatch):
    """What is handed to the compiler, run as it is."""
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples: graph)
    check_compiled(agent, steps=45, **options)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["defaults", "dicts", "hard"])
@pytest.mark.parametrize("agent", FAST)
def test_compiled_equals_eager_to_rounding(agent, case):
    check_compiled(agent, steps=60, **CASES[case])


def test_a_product_of_which_a_part_is_read_is_computed_in_part():
    multiply = torch.ops.aten.mm.default

    def function(a, b, c):
        return torch.ops.aten.slice.Tensor(torch.ops.aten.add.Tensor(multiply(a, b), multiply(a, c)), 1, 2, 4)

    a, b, c = torch.rand(3, 5), torch.rand(5, 7), torch.rand(5, 7)
    traced = torch.fx.experimental.proxy_tensor.make_fx(function)(a, b, c)
    graphs.narrow(traced.graph)
    traced.recompile()
    torch.testing.assert_close(traced(a, b, c), (a @ b + a @ c)[:, 2:4])
    order = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert order.index(torch.ops.aten.slice.Tensor) < order.index(multiply) and order[-1] is torch.ops.aten.add.Tensor


def test_a_product_that_is_read_whole_too_stays_whole():
    def function(a, b):
        product = torch.ops.aten.mm.default(a, b)
        return product, torch.ops.aten.slice.Tensor(product, 1, 2, 4)

    traced = torch.fx.experimental.proxy_tensor.make_fx(function)(torch.rand(3, 5), torch.rand(5, 7))
    before = [node.target for node in traced.graph.nodes]
    graphs.narrow(traced.graph)
    assert [node.target for node in traced.graph.nodes] == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"normalization": "batch"}, "batch normalization keeps statistics"), ({"dropout": 0.3}, "the masks of dropout")],
)
def test_what_cannot_be_compiled_is_said_before_anything_is_collected(options, reason):
    model = untrained("sac", "compiled", encoder_options={"width": 16, **options})
    with pytest.raises(ValueError, match=reason):
        model.learn(30)
    assert model.num_timesteps == 0


# --- which form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "options", "reason"),
    [
        ("sac", {"use_sde": True}, "agent.use_sde=true"),
        ("td3", {"policy_kwargs": {"share_features_extractor": True}}, "agent.policy_kwargs.share_features_extractor"),
    ],
)
def test_what_only_sb3_s_class_can_do_is_left_to_it(agent, options, reason):
    assert type(untrained(agent, "auto", **options)) is STOCK[agent]
    with pytest.raises(ValueError, match=f"cannot do {reason}; use sb3"):
        untrained(agent, "eager", **options)


@pytest.mark.parametrize(
    ("options", "updates"),
    [
        ({}, 1000),
        ({"learning_starts": 500}, 500),
        ({"learning_starts": 0, "train_freq": 4, "n_envs": 2, "gradient_steps": 3}, 375),
        ({"learning_starts": 0, "n_envs": 5, "gradient_steps": -1}, 1000),
        ({"train_freq": [1, "episode"]}, 0),
    ],
)
def test_compiling_is_repaid_by_the_number_of_minibatches(options, updates):
    model = untrained("sac", "auto", **{"learning_starts": 0, **options})
    assert f"{updates:,} minibatches do not repay" in model.decide(1000)
    assert model.implementation == "eager"


# --- critics -------------------------------------------------------------------------------------------------------


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("width", [64, 128, 256])
@pytest.mark.parametrize(("observations", "actions"), [(3, 1), (17, 6), (105, 8)])  # Pendulum, Walker2d, Ant
@pytest.mark.parametrize("agent", FAST)
def test_mlp_has_as_many_parameters_as_sb3_s_mlp_policy(agent, observations, actions, width):
    class Sized(Point):
        observation_space = spaces.Box(-1, 1, (observations,))
        action_space = spaces.Box(-1, 1, (actions,))

    env = DummyVecEnv([Sized])
    ours = make_agent(env, "mlp", agent, encoder_options={"width": width}, buffer_size=1, device="cpu").policy
    kwargs = {"net_arch": [width, width]}
    stock = STOCK[agent]("MlpPolicy", env, buffer_size=1, policy_kwargs=kwargs, device="cpu").policy
    assert count(ours) == pytest.approx(count(stock), rel=0.05)


@pytest.mark.parametrize("encoder", ["mlp", "homomorphic", "transformer"])
def test_the_best_action_depends_on_the_state(encoder):
    """Q(s, a) is no sum of a function of s and one of a, and not affine in a."""
    critic = untrained("sac", "eager", "Pendulum", encoder=encoder, encoder_options={}).policy.critic
    s, a = torch.randn(20, 3), torch.linspace(-1, 1, 5)[:, None]
    with torch.no_grad():
        values = torch.stack([critic(s, each.expand(20, 1))[0][:, 0] for each in a])  # (actions, states)
    mixed = values - values.mean(0) - values.mean(1, keepdim=True) + values.mean()
    curved = values[:-2] - 2 * values[1:-1] + values[2:]
    assert mixed.abs().max() > 1e-4 and curved.abs().max() > 1e-5


@pytest.mark.parametrize("agent", FAST)
def test_files_from_before_the_critics_shrank_can_be_loaded(agent, tmp_path):
    model = untrained(agent, "eager", policy_kwargs={"critic_hidden": [256, 256]})
    folder = save_policy(model, tmp_path / "policy")
    spec = yaml.safe_load((folder / "policy.yaml").read_text())
    assert spec["head"].pop("critic_hidden") == [256, 256]
    (folder / "policy.yaml").write_text(yaml.safe_dump(spec))
    (folder / "manifest.json").unlink()
    loaded = load_policy(folder, device="cpu")
    assert torch.equal(loaded.module.critic.qf1[2].weight, model.policy.critic.qf1[2].weight)


@pytest.mark.parametrize("agent", FAST)
def test_files_say_how_large_the_critics_are(agent, tmp_path):
    model = learned(agent, "eager")
    folder = save_policy(model, tmp_path / "policy")
    assert yaml.safe_load((folder / "policy.yaml").read_text())["head"] == {"critic_hidden": [32]}
    loaded, s = load_policy(folder, device="cpu"), np.zeros((4, 2), np.float32)
    assert np.array_equal(loaded.predict(s, deterministic=True)[0], Policy.of(model).predict(s, deterministic=True)[0])
