"""Laws of FastDQN and FastQRDQN: eager is SB3's class bit for bit, distinct and compiled are that to rounding."""

from __future__ import annotations

import copy
import tracemalloc

import gymnasium
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3
import torch
from compared import distance, learn_logging, same
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents import load_policy, make_agent, save_policy
from agents.dqn import compiled as graphs
from agents.dqn import replay
from agents.dqn.algorithm import FastDQN, FastQRDQN
from agents.dqn.replay import DistinctReplay, KnownOutputs
from envs import make_vec_env

FAST = {"dqn": FastDQN, "qrdqn": FastQRDQN}
STOCK = {"dqn": stable_baselines3.DQN, "qrdqn": sb3_contrib.QRDQN}
GRID, VECTOR, WORDS = "MiniGrid-DoorKey-5x5-v0", "CartPole-v1", "BabyAI-GoToLocal-v0"
SMALL = {"learning_starts": 30, "buffer_size": 400, "batch_size": 16, "learning_rate": 1e-3, "seed": 5, "device": "cpu"}
SMALL |= {"target_update_interval": 50, "exploration_fraction": 0.5}
OPTIONS = {"mlp": {"width": 16}, "cnn": {"width": 16, "channels": 8, "embedding": 8}, "homomorphic": {"width": 16}}


def untrained(agent, implementation, env_id=VECTOR, n_envs=1, normalize=False, encoder=None, env=None, **options):
    encoder = encoder or ("mlp" if env_id == VECTOR else "cnn")
    grid = {} if env_id == VECTOR else {"kwargs": {"max_steps": 20}, "bank": 20}  # short, so that episodes end
    if env is None:
        env = make_vec_env(env_id, n_envs=n_envs, seed=0, **grid)
    env = VecNormalize(env) if normalize else env
    few = {"policy_kwargs": {"n_quantiles": 7}} if agent == "qrdqn" else {}
    options = {"encoder_options": OPTIONS[encoder], **SMALL, **few, **copy.deepcopy(options)}
    return make_agent(env, encoder, agent, implementation=implementation, **options)


def learned(*args, steps=240, **options):
    return learn_logging(untrained(*args, **options), steps)


def logged(model):
    return [{key: value for key, value in row.items() if "time/" not in key} for row in model.rows]


# --- eager ---------------------------------------------------------------------------------------------------------

CASES = {
    "vectors": {},
    "grids": {"env_id": GRID},
    "missions": {"env_id": WORDS, "n_envs": 4},
    "several environments": {"n_envs": 4, "gradient_steps": -1},
    "several minibatches": {"gradient_steps": 3, "train_freq": 2},
    "several steps": {"n_steps": 3},
    "episodes": {"train_freq": [1, "episode"]},
    "targets that follow slowly": {"tau": 0.1, "target_update_interval": 4},
    "weight decay": {"weight_decay": 0.1},
    "a falling learning rate": {"learning_rate": "lin_1e-2"},
    "no clipping": {"max_grad_norm": 1e9},
    "normalized observations": {"normalize": True},
    "dropout": {"encoder_options": {"width": 16, "dropout": 0.3}},
    "batch normalization": {"encoder_options": {"width": 16, "normalization": "batch"}},
    "hard": {"encoder": "homomorphic"},
    "average": {"method": "average"},
    "augment": {"method": "augment"},
    "loss": {"method": "loss"},
}
OF_ONE = {
    "dqn": {"dueling": {"policy_kwargs": {"dueling": True}}, "clipping": {"max_grad_norm": 0.01}},
    "qrdqn": {"clipping": {"max_grad_norm": 0.01}, "more quantiles": {"policy_kwargs": {"n_quantiles": 50}}},
}
EAGER = [(agent, name, options) for agent in FAST for name, options in (CASES | OF_ONE[agent]).items()]


def check_equal(stock, fast):
    assert type(stock) is not type(fast)
    assert stock._n_updates == fast._n_updates > 0
    assert logged(stock) and logged(stock) == logged(fast)


ALWAYS = ("vectors", "grids", "missions", "several steps", "hard")


@pytest.mark.parametrize(
    ("agent", "options"),
    [pytest.param(a, o, id=f"{a}, {name}", marks=() if name in ALWAYS else pytest.mark.slow) for a, name, o in EAGER],
)
def test_eager_is_sb3_bit_for_bit(agent, options):
    """Parameters, targets, stored transitions and logs."""
    stock, fast = learned(agent, "sb3", **options), learned(agent, "eager", distinct=False, **options)
    assert type(stock) is STOCK[agent] and type(fast) is FAST[agent]
    assert same(stock, fast)
    for name in ("actions", "rewards", "dones", "timeouts"):
        assert np.array_equal(getattr(stock.replay_buffer, name), getattr(fast.replay_buffer, name)), name
    check_equal(stock, fast)


@pytest.mark.parametrize("agent", FAST)
def test_eager_learns(agent):
    before, after = (learned(agent, "eager", steps=steps) for steps in (30, 240))
    first, second = before.policy.state_dict(), after.policy.state_dict()
    assert all((first[key] != second[key]).any() for key in first)


@pytest.mark.parametrize(
    ("agent", "distinct"),
    [
        ("dqn", True),
        pytest.param("dqn", False, marks=pytest.mark.slow),
        pytest.param("qrdqn", True, marks=pytest.mark.slow),
        ("qrdqn", False),
    ],
)
def test_what_a_callback_loads_is_learned_from(agent, distinct):
    """Parameters, targets and Adam's moments that were replaced are those that learning goes on with."""
    results = []
    for implementation, options in (("sb3", {}), ("eager", {"distinct": distinct})):
        model = learned(agent, implementation, GRID, **options)
        model.set_parameters(untrained(agent, "sb3", GRID, seed=9).get_parameters())
        results.append(model.learn(60, reset_num_timesteps=False))
    assert distance(*results) < (1e-6 if distinct else 1e-30)


@pytest.mark.parametrize("agent", FAST)
def test_a_loss_that_is_no_number_ends_learning(agent):
    model = learned(agent, "eager")
    with torch.no_grad():
        next(iter(model.network.parameters())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="learning diverged"):
        model.train(1, 16)


# --- distinct ------------------------------------------------------------------------------------------------------

DISTINCT = {
    "one environment": {},
    "four": {"n_envs": 4, "gradient_steps": -1},
    "missions": {"env_id": WORDS, "n_envs": 2},
    "a buffer that is overwritten": {"buffer_size": 64, "n_envs": 2},
    "targets that follow slowly": {"tau": 0.1, "target_update_interval": 4},
    "normalized rewards": {"normalize": "rewards"},
    "clipping": {"max_grad_norm": 0.01},
}


def on_grids(agent, implementation, normalize=None, env_id=GRID, n_envs=1, **options):
    env = None
    if normalize:
        env = make_vec_env(env_id, n_envs=n_envs, seed=0, kwargs={"max_steps": 20}, bank=20)
        env = VecNormalize(env, norm_obs=False)
    return learned(agent, implementation, env_id, n_envs, env=env, **options)


QUICK = {("dqn", "four"), ("qrdqn", "missions")}


@pytest.mark.parametrize(
    ("agent", "options"),
    [
        pytest.param(agent, options, id=f"{agent}, {name}", marks=() if (agent, name) in QUICK else pytest.mark.slow)
        for agent in FAST
        for name, options in DISTINCT.items()
    ],
)
def test_storing_each_observation_once_changes_nothing_but_rounding(agent, options, monkeypatch):
    monkeypatch.setattr(replay, "SPARE", 2)  # so that rows are dropped and numbered anew, several times
    stock, fast = on_grids(agent, "sb3", **options), on_grids(agent, "eager", distinct=True, **options)
    assert isinstance(fast.replay_buffer, DistinctReplay)
    assert distance(stock, fast) < 1e-6
    assert distance(stock, on_grids(agent, "eager", **{**options, "seed": 6})) > 1e-4  # other runs are further off
    assert len(logged(stock)) == len(logged(fast))
    for expected, found in zip(logged(stock), logged(fast), strict=True):
        assert found == {key: pytest.approx(value, rel=1e-3, abs=1e-5) for key, value in expected.items()}


@pytest.mark.parametrize("n_envs", [1, 4])
def test_it_draws_the_transitions_that_sb3_s_buffer_draws(n_envs, monkeypatch):
    """After it was overwritten three times, and its table was swept."""
    monkeypatch.setattr(replay, "SPARE", 8)
    space = spaces.Dict({"image": spaces.Box(0, 10, (2, 2, 3), np.uint8), "mission": spaces.Box(0, 9, (2,), np.uint8)})
    sizes = (60, space, spaces.Discrete(5))
    stock, ours = (kind(*sizes, device="cpu", n_envs=n_envs) for kind in (DictReplayBuffer, DistinctReplay))
    random = np.random.default_rng(0)
    known = [{key: random.integers(0, 9, part.shape, np.uint8) for key, part in space.items()} for _ in range(80)]
    for step in range(3 * 60 // n_envs + 7):
        seen, after = (
            {key: np.stack([known[i][key] for i in chosen]) for key in space.spaces}
            for chosen in (step // 3 + random.integers(0, 9, (2, n_envs))).clip(max=79)
        )
        done = random.integers(2, size=n_envs).astype(bool)
        infos = [{"TimeLimit.truncated": bool(late)} for late in random.integers(2, size=n_envs) & done]
        rest = (random.integers(5, size=n_envs), random.normal(size=n_envs), done, infos)
        for buffer in (stock, ours):
            buffer.add(dict(seen), dict(after), *rest)
    assert len(ours.table) < 80  # some were dropped
    for draw in range(20):
        np.random.seed(draw)
        expected = stock.sample(16)
        np.random.seed(draw)
        found = ours.sample(16)
        for one, other in zip(expected, found, strict=True):
            parts = [(one[key], other[key]) for key in one] if isinstance(one, dict) else [(one, other)]
            assert all(torch.equal(a.float(), b.float()) for a, b in parts if a is not None)


@pytest.mark.slow
def test_a_full_buffer_of_doorkey_takes_a_quarter_of_sb3_s_memory():
    """What it allocates, index and all, and not what it says of itself alone."""
    env = make_vec_env(GRID, n_envs=4, seed=0, bank=100)
    sizes, seen = (4000, env.observation_space, env.action_space), env.reset()
    taken = {}
    for kind in (DictReplayBuffer, DistinctReplay):
        tracemalloc.start()
        buffer = kind(*sizes, device="cpu", n_envs=4)
        for _ in range(1000):
            acts = np.array([env.action_space.sample() for _ in range(4)])
            after, rewards, dones, infos = env.step(acts)
            buffer.add(seen, after, acts, rewards, dones, infos)
            seen = after
        assert buffer.full
        taken[kind] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert taken[DistinctReplay] < taken[DictReplayBuffer] / 4
    assert buffer.nbytes == pytest.approx(taken[DistinctReplay], rel=0.3)


def test_outputs_are_computed_once_until_they_are_forgotten():
    env = make_vec_env(GRID, n_envs=2, seed=0, bank=20)
    buffer, calls = DistinctReplay(100, env.observation_space, env.action_space, "cpu", 2), []

    def network(observations):
        calls.append(len(observations["image"]))
        return observations["image"].flatten(1).float().sum(1, keepdim=True)

    outputs, seen = KnownOutputs(buffer.table), env.reset()
    for _ in range(200):
        rows = buffer.table.number(seen)
        for asked in (rows, rows[::-1].copy(), rows):
            expected = torch.from_numpy(seen["image"]).flatten(1).float().sum(1, keepdim=True)
            found = outputs(asked, network)
            assert torch.equal(found, expected if asked is rows else expected.flip(0))
        seen = env.step(np.array([env.action_space.sample() for _ in range(2)]))[0]
    assert sum(calls) == len(buffer.table)
    outputs.forget()
    outputs(np.arange(len(buffer.table)), network)
    assert sum(calls) == 2 * len(buffer.table)


def test_known_actions_are_the_network_s_while_observations_are_numbered_anew(monkeypatch):
    monkeypatch.setattr(replay, "SPARE", 2)
    half = {"exploration_initial_eps": 0.5, "exploration_final_eps": 0.5}
    model = untrained("dqn", "eager", GRID, 2, buffer_size=16, train_freq=500, learning_starts=0, **half)
    numberings, acts = [None], set()

    def compare(*_):
        expected = model.policy.predict(model._last_obs, deterministic=True)[0]
        assert np.array_equal(model._greedy(), expected)
        if model.acts.numbering is not numberings[-1]:
            numberings.append(model.acts.numbering)
        acts.update(expected)
        return True

    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(torch.randn_like(parameter))  # actions that differ
    model.learn(1000, callback=compare)
    assert len(numberings) > 3 and len(acts) > 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"env_id": VECTOR}, "not dicts of bytes"),
        ({"normalize": True}, "observations are normalized"),
        ({"encoder_options": {**OPTIONS["cnn"], "normalization": "batch"}}, "batch normalization counts every sample"),
    ],
)
def test_observations_are_not_made_distinct_where_that_is_wrong(options, reason):
    options = {"env_id": GRID, **options}
    assert untrained("dqn", "eager", **options).distinct is False
    with pytest.raises(ValueError, match=f"agent.distinct=true is not possible here: .*{reason}"):
        untrained("dqn", "eager", distinct=True, **options)


def test_a_penalty_is_not_weighed_by_distinct_observations():
    with pytest.raises(ValueError, match=r"use agent\.distinct=auto"):
        untrained("dqn", "eager", VECTOR, method="loss", distinct=True)


# --- compiled ------------------------------------------------------------------------------------------------------


def check_compiled(agent, **options):
    eager, compiled = (learned(agent, implementation, **options) for implementation in ("eager", "compiled"))
    assert type(compiled.update) is graphs.CompiledUpdate
    assert distance(eager, compiled) < 1e-6
    assert distance(eager, learned(agent, "eager", **{**options, "seed": 6})) > 1e-4  # other runs are further off
    assert eager._n_updates == compiled._n_updates
    for key, value in logged(eager)[-1].items():
        assert compiled.rows[-1][key] == pytest.approx(value, rel=1e-3, abs=1e-4), key


COMPILED = ("vectors", "several minibatches", "several steps", "weight decay", "hard", "average", "augment", "loss")
COMPILED += ("several environments",)
GRAPHS = [(agent, name, CASES[name]) for agent in FAST for name in COMPILED]
GRAPHS += [(agent, name, options) for agent in FAST for name, options in OF_ONE[agent].items()]
OFTEN = ("vectors", "several steps")


@pytest.mark.parametrize(
    ("agent", "options"),
    [pytest.param(a, o, id=f"{a}, {n}", marks=() if n in OFTEN else pytest.mark.slow) for a, n, o in GRAPHS],
)
def test_the_graphs_equal_the_operations_to_rounding(agent, options, monkeypatch):
    """What is handed to the compiler, run as it is."""
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples: graph)
    check_compiled(agent, **options)


@pytest.mark.parametrize(
    ("agent", "n_envs"),
    [
        pytest.param("dqn", 1, marks=pytest.mark.slow),
        ("dqn", 3),
        ("qrdqn", 1),
        pytest.param("qrdqn", 3, marks=pytest.mark.slow),
    ],
)
def test_the_graphs_of_grids_equal_the_operations_to_rounding(agent, n_envs, monkeypatch):
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples: graph)
    check_compiled(agent, env_id=GRID, n_envs=n_envs)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"env_id": GRID}, {"env_id": GRID, "n_envs": 3, "distinct": False}])
@pytest.mark.parametrize("agent", FAST)
def test_compiled_equals_eager_to_rounding(agent, options):
    check_compiled(agent, **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"normalization": "batch"}, "batch normalization keeps statistics"), ({"dropout": 0.3}, "the masks of dropout")],
)
def test_what_cannot_be_compiled_is_said_before_anything_is_collected(options, reason):
    model = untrained("dqn", "compiled", encoder_options={"width": 16, **options})
    with pytest.raises(ValueError, match=reason):
        model.learn(30)
    assert model.num_timesteps == 0


# --- which form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", FAST)
def test_an_optimizer_of_one_s_own_is_left_to_sb3_s_class(agent):
    options = {"policy_kwargs": {"optimizer_class": torch.optim.SGD}}
    assert type(untrained(agent, "auto", **options)) is STOCK[agent]
    with pytest.raises(ValueError, match=r"cannot do agent\.policy_kwargs\.optimizer_class; use sb3"):
        untrained(agent, "eager", **options)


def test_the_number_of_minibatches_decides_whether_they_are_compiled():
    model = untrained("dqn", "auto", train_freq=4, learning_starts=100)
    assert model.decide(1100).startswith("250 minibatches do not repay")
    assert model.implementation == "eager"


@pytest.mark.parametrize("agent", FAST)
def test_a_policy_is_saved_and_loaded(agent, tmp_path):
    model = learned(agent, "eager", GRID)
    policy = load_policy(save_policy(model, tmp_path / "policy"), device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(policy.module.parameters(), model.policy.parameters(), strict=True))


class Grown(gymnasium.Env):
    """Every observation is new."""

    observation_space = spaces.Dict({"image": spaces.Box(0, 10, (3, 3, 3), np.uint8)})
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return {"image": self.np_random.integers(0, 10, (3, 3, 3), np.uint8)}, 1.0, False, False, {}


def test_where_every_observation_is_new_the_table_grows_with_the_buffer_and_no_further():
    model = untrained("dqn", "eager", GRID, env=DummyVecEnv([Grown]), buffer_size=500, learning_starts=10**6)
    model.learn(5000, log_interval=None)
    assert model.distinct and len(model.replay_buffer.table) <= 2 * 501 + replay.SPARE
