"""Laws of FastPPO: eager is SB3's PPO bit for bit; compiled graphs and distinct observations are that to rounding."""

from __future__ import annotations

import logging
from copy import deepcopy
from functools import cache

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from test_agents import equivariance_error
from torch import nn

from agents import load_policy, make_agent, save_policy
from agents.ppo.algorithm import REPAID, FastPPO
from agents.ppo.distributions import Categorical
from agents.ppo.flat_adam import FlatAdam
from agents.ppo.learning import not_distinct
from agents.ppo.loss import Loss
from agents.ppo.rollout import ObservationTable, Rollout
from agents.ppo.update import ActorCritic
from encoders.mlp import MLP
from envs import make_vec_env

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")

SMALL = {"n_steps": 32, "batch_size": 48, "n_epochs": 2}  # with 5 environments, the last minibatch is incomplete
SLIM = {  # encoders small enough to be trained, and compiled, in no time
    "mlp": {"width": 16},
    "cnn": {"width": 32},
    "gnn": {"width": 16, "channels": 8},
    "transformer": {"width": 16},
    "hypernetwork": {"width": 16},
    "homomorphic": {"channels": 8},
}


class Made(gymnasium.Env):
    """Random observations of any space, whatever is done; episodes are cut short after 7 steps."""

    def __init__(self, observations: spaces.Space, actions: spaces.Space):
        self.observation_space, self.action_space = deepcopy(observations), deepcopy(actions)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert np.shape(action) == self.action_space.shape
        self.steps += 1
        return self.observation_space.sample(), float(np.sum(action)), False, self.steps == 7, {}


VECTOR = spaces.Box(-1, 1, (4,))
PICTURES = Made, spaces.Box(0, 255, (36, 36, 3), np.uint8), spaces.Discrete(3)
GRIDS = Made, spaces.Dict({"image": spaces.Box(0, 10, (3, 3, 3), np.uint8)}), spaces.Discrete(3)
CUT_SHORT = "Pendulum", {"kwargs": {"max_episode_steps": 20}}


class Logged(KVWriter):
    """Everything a logger writes, as a list of dicts."""

    def __init__(self):
        self.rows = []

    def write(self, key_values, key_excluded, step=0):
        self.rows.append(dict(key_values))

    def close(self):
        pass


def environments(env, n_envs=5, seed=0, normalize=False):
    if isinstance(env, tuple) and env[0] is Made:
        made = DummyVecEnv([lambda: Monitor(Made(*env[1:]))] * n_envs)
        made.seed(seed)
    else:
        name, options = env if isinstance(env, tuple) else (env, {})
        made = make_vec_env(name, n_envs=n_envs, seed=seed, **options)
    return VecNormalize(made) if normalize else made


def untrained(implementation, env="CartPole", encoder="mlp", *, n_envs=5, normalize=False, slim=True, **options):
    fast = {} if implementation == "sb3" else {"distinct": False}
    slim = {"encoder_options": SLIM[encoder]} if slim and encoder in SLIM else {}
    return make_agent(
        environments(env, n_envs, normalize=normalize),
        encoder,
        "ppo",
        implementation=implementation,
        seed=0,
        device="cpu",
        **{**SMALL, **fast, **slim, **options},
    )


def learned(implementation, env="CartPole", encoder="mlp", *, steps=480, callback=None, **options):
    model = untrained(implementation, env, encoder, **options)
    return go_on(model, steps, callback=callback)


def go_on(model, steps, **options):
    """Learn for a while; what is logged ends up in `model.rows`."""
    kept = Logged()
    model.set_logger(Logger(None, [kept]))
    model.learn(steps, **options)
    model.rows = kept.rows
    return model


def differences(sb3, fast) -> list[str]:
    """Which parameters, optimizer states and logged numbers are not equal to the last bit."""
    pairs = zip(sb3.policy.named_parameters(), fast.policy.parameters(), strict=True)
    found = [name for (name, here), there in pairs if not torch.equal(here, there)]
    states = [model.policy.optimizer.state_dict()["state"] for model in (sb3, fast)]
    for index, state in states[0].items():
        found += [f"{key} of {index}" for key in state if not torch.equal(state[key], states[1][index][key])]
    assert len(sb3.rows) == len(fast.rows) > 0
    for number, (here, there) in enumerate(zip(sb3.rows, fast.rows, strict=True)):
        # a logger writes what the update before has left
        if not all(key.startswith("train/gradient_norm") for key in set(there) - set(here)):
            found.append(f"keys of row {number}")
        numbers = [key for key in here if not key.startswith("time/")]
        found += [
            key for key in numbers if key not in there or not np.array_equal(here[key], there[key], equal_nan=True)
        ]
    return found


def distance(here, there) -> float:
    """‖θ - θ'‖ / ‖θ‖."""
    one, other = (torch.cat([p.detach().flatten() for p in m.policy.parameters()]).double() for m in (here, there))
    return float((one - other).norm() / one.norm())


class Unused(MLP):
    """Some of its parameters have no part in its output."""

    def __init__(self, observation_space):
        super().__init__(observation_space, width=16)
        self.unused = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))


class Dropping(MLP):
    """Its output is drawn at random while it trains."""

    def __init__(self, observation_space):
        super().__init__(observation_space, width=16)
        self.trunk = nn.Sequential(self.trunk, nn.Dropout(0.5))


CASES = {
    "a symmetric policy": {"encoder": "homomorphic"},
    "default networks": {"slim": False},
    "one environment": {"n_envs": 1},
    "schedules": {"learning_rate": "lin_1e-3", "clip_range": "lin_0.2", "clip_range_vf": "lin_0.1"},
    "advantages as they are": {"normalize_advantage": False},
    "an encoder each for actor and critic": {"policy_kwargs": {"share_features_extractor": False}},
    "unused parameters": {"encoder": Unused},
    "dropout": {"encoder": Dropping},
    "no discounting": {"gamma": 1.0, "gae_lambda": 1.0},
    "no future": {"gamma": 0.0, "gae_lambda": 0.0},
    "normalized rewards": {"normalize": True},
    "continuous actions": {"env": "Pendulum", "clip_range_vf": 0.2, "ent_coef": 0.01},
    "a standard deviation": {"env": "MountainCarContinuous-v0", "policy_kwargs": {"log_std_init": -0.5}},
    "normalized observations": {"env": "Pendulum", "normalize": True},
    "time limits": {"env": CUT_SHORT},
    "numbers as observations": {"env": "FrozenLake-v1"},
    "many numbers as observations": {"env": "Taxi-v4"},
    "pictures, cut short": {"env": PICTURES, "encoder": "cnn"},
    "actions of two axes": {"env": (Made, VECTOR, spaces.Box(-1, 1, (2, 2)))},
    "actions of double precision": {"env": (Made, VECTOR, spaces.Box(-1, 1, (3,), np.float64))},
    "grids, stopping early": {"env": "DoorKey-5x5", "target_kl": 1e-5, "learning_rate": 1e-3},
    "a cnn on grids": {"env": "DoorKey-5x5", "encoder": "cnn"},
    "a gnn": {"env": "DoorKey-5x5", "encoder": "gnn"},
    "a transformer on missions": {"env": "GoToDoor-5x5", "encoder": "transformer"},
    "a hypernetwork": {"env": "DoorKey-5x5", "encoder": "hypernetwork"},
}


LARGER = {"a gnn", "a transformer on missions", "a hypernetwork", "pictures, cut short"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case in LARGER else ()) for case in CASES]
)
def test_eager_is_sb3_s_ppo_bit_for_bit(case):
    sb3, fast = (learned(implementation, **CASES[case]) for implementation in ("sb3", "eager"))
    assert type(sb3) is PPO and type(fast) is FastPPO and len(sb3.rows) >= 3
    assert not differences(sb3, fast)


def test_what_the_cases_are_named_after_happens():
    stopped = learned("sb3", **CASES["grids, stopping early"])
    assert int(stopped.policy.optimizer.state_dict()["state"][0]["step"]) < 3 * 2 * 4
    sb3, cut = learned("sb3", CUT_SHORT), learned("sb3", "Pendulum")
    assert differences(sb3, cut)


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(
    n_envs=st.integers(1, 4),
    options=st.fixed_dictionaries(
        {
            "n_steps": st.integers(2, 40),
            "batch_size": st.integers(2, 64),
            "n_epochs": st.integers(1, 4),
            "gamma": st.floats(0, 1),
            "gae_lambda": st.floats(0, 1),
            "learning_rate": st.sampled_from([1e-5, 3e-4, 1e-2, "lin_1e-2"]),
            "clip_range": st.floats(0.01, 0.5),
            "clip_range_vf": st.none() | st.floats(0.001, 1),
            "normalize_advantage": st.booleans(),
            "ent_coef": st.floats(0, 0.1),
            "vf_coef": st.floats(0, 1),
            "max_grad_norm": st.floats(0.01, 10),
            "target_kl": st.none() | st.floats(1e-6, 1e-2),
        }
    ),
    env=st.sampled_from(["CartPole", CUT_SHORT]),
)
@pytest.mark.slow
def test_any_options_give_sb3_s_bits(n_envs, options, env):
    steps = 3 * n_envs * options["n_steps"]
    assert not differences(*(learned(i, env, n_envs=n_envs, steps=steps, **options) for i in ("sb3", "eager")))


def spoilt(patch, owner, name, change):
    """Let a method do something else: `change(original, self, *arguments)`."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda self, *arguments: change(original, self, *arguments))


def other_gae(original, self, *arguments):
    self.gae_lambda = 0.9500001
    original(self, *arguments)


def other_eps(original, self, *arguments):
    self.group["eps"] = 1e-8
    return original(self, *arguments)


def zero_gradients(original, self, gradients, max_norm):
    return original(self, [*gradients[:-1], torch.zeros_like(gradients[-1])], max_norm)


SPOILT = {
    "generalized advantage estimation": (Rollout, "finish", other_gae),
    "Adam's epsilon": (FlatAdam, "step", other_eps),
    "the norm of the gradient": (FlatAdam, "step", lambda step, self, g, norm: step(self, g, norm * 1.001)),
    "one gradient": (FlatAdam, "step", zero_gradients),
    "the noise": (Categorical, "noise", lambda noise, self, output: (noise(self, output), noise(self, output))[1]),
    "the order of minibatches": (Rollout, "minibatches", lambda draw, self, o, size: draw(self, o[::-1].copy(), size)),
    "the time limit": (FastPPO, "_bootstrap", lambda *_: None),
    "the loss": (
        Loss,
        "__call__",
        lambda loss, self, out, v, std, b, clip, vf: loss(self, out, v, std, b, clip + 0.01, vf),
    ),
}


@cache
def unspoilt(cut_short):
    """Options, and the model that SB3 learns with them, which the eager one equals."""
    options = {"env": CUT_SHORT if cut_short else "CartPole", "n_epochs": 4, "clip_range": 0.02, "learning_rate": 1e-2}
    sb3 = learned("sb3", **options)
    assert not differences(sb3, learned("eager", **options))
    return options, sb3


@pytest.mark.parametrize("what", SPOILT)
def test_a_single_change_is_noticed(what, monkeypatch):
    options, sb3 = unspoilt(what == "the time limit")
    spoilt(monkeypatch, *SPOILT[what])
    assert differences(sb3, learned("eager", **options))


# --- files, and what others do to a model --------------------------------------------------------------------------


@pytest.mark.parametrize("env", ["CartPole", "Pendulum"])
def test_a_saved_model_goes_on_as_sb3_s_does(env, tmp_path):
    """Whichever class saved it and whichever loads it."""
    classes = {"sb3": PPO, "eager": FastPPO}
    for name in classes:
        learned(name, env).save(tmp_path / name)

    def resumed(by, file):
        model = classes[by].load(tmp_path / file, env=environments(env, seed=7), device="cpu")
        return go_on(model, 320, reset_num_timesteps=False)

    expected = resumed("sb3", "sb3")
    for by, file in (("eager", "eager"), ("eager", "sb3"), ("sb3", "eager")):
        assert not differences(expected, resumed(by, file)), (by, file)


def test_a_step_count_shared_by_all_parameters_would_be_noticed(tmp_path):
    models = [learned("eager"), learned("eager")]
    state = models[1].policy.optimizer.state
    for each in state.values():
        each["step"] = next(iter(state.values()))["step"]
    for number, model in enumerate(models):
        model.save(tmp_path / str(number))
    first, second = (PPO.load(tmp_path / n, env=environments("CartPole"), device="cpu") for n in "01")
    assert differences(go_on(first, 320), go_on(second, 320))


def fresh_optimizer(model):
    model.policy.optimizer = torch.optim.Adam(model.policy.parameters(), lr=1e-3, eps=1e-5)


def one_parameter(model):
    model.policy.action_net.weight.data = model.policy.action_net.weight.data * 2


def all_parameters(model):
    other = learned("sb3", steps=160)
    model.set_parameters({"policy": other.policy.state_dict()}, exact_match=False)


def optimizer_and_parameters(model):
    model.set_parameters(learned("sb3", steps=160).get_parameters())


def there_and_back(model):
    model.policy.double().float()


def frozen_layer(model):
    model.policy.features_extractor.trunk[0].weight.requires_grad_(False)


INTERVENTIONS = [fresh_optimizer, one_parameter, all_parameters, optimizer_and_parameters, there_and_back]


@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_what_is_done_to_a_model_in_training_is_done_as_to_sb3_s(intervention):
    models = []
    for implementation in ("sb3", "eager"):
        models.append(learned(implementation, steps=160))
        intervention(models[-1])
        go_on(models[-1], 320, reset_num_timesteps=False)
    assert not differences(*models)


def test_an_intervention_is_noticed_anywhere():
    model = learned("eager", steps=160)
    assert model.update.adam.holds(model.policy.optimizer)
    for parameter in model.policy.parameters():
        before, parameter.data = parameter.data, parameter.data.clone()
        assert not model.update.adam.holds(model.policy.optimizer)
        parameter.data = before
        moment = model.policy.optimizer.state[parameter]
        for key in ("exp_avg", "exp_avg_sq"):
            before, moment[key] = moment[key], moment[key].clone()
            assert not model.update.adam.holds(model.policy.optimizer)
            moment[key] = before
    assert model.update.adam.holds(model.policy.optimizer)
    frozen_layer(model)
    assert not model.update.adam.holds(model.policy.optimizer)


class Annealing(BaseCallback):
    """Coefficients that fall, and limits that appear, from rollout to rollout."""

    def _on_rollout_end(self):
        self.model.ent_coef, self.model.max_grad_norm = 0.1 / self.num_timesteps, 0.5 + self.num_timesteps
        self.model.vf_coef, self.model.target_kl = self.model.vf_coef * 0.9, 1e-3

    def _on_step(self):
        return True


def test_coefficients_that_a_callback_changes_take_effect():
    sb3, fast = (learned(i, callback=Annealing()) for i in ("sb3", "eager"))
    assert not differences(sb3, fast) and differences(sb3, learned("eager"))


def test_policy_files_hold_each_parameter_once(tmp_path):
    """In the model they are all views of one vector."""
    model = learned("eager", "DoorKey-5x5", "gnn", distinct=True)
    folder = save_policy(model, tmp_path / "policy")
    loaded = load_policy(folder, device="cpu")
    for (name, here), there in zip(model.policy.named_parameters(), loaded.module.parameters(), strict=True):
        assert torch.equal(here, there), name
    numbers = sum(p.numel() for p in model.policy.parameters())
    assert (folder / "policy.safetensors").stat().st_size < 4 * numbers + 10_000
    # and the other way: what was loaded is not tied to the model
    go_on(model, 160)
    assert any(
        not torch.equal(a, b) for a, b in zip(model.policy.parameters(), loaded.module.parameters(), strict=True)
    )


def test_learning_that_diverged_ends_with_a_message():
    with pytest.raises(FloatingPointError, match=r"diverged.*learning rate"):
        learned("eager", "Pendulum", learning_rate=1e30)


# --- compiled ------------------------------------------------------------------------------------------------------


COMPILED = {
    "distinct": {"env": "DoorKey-5x5", "encoder": "mlp", "distinct": True, "learning_rate": 3e-3},
}
ONE_LAYER = {"layers": 1}  # compiling takes half the time
SLOWLY_COMPILED = {
    "symmetric": {"encoder": "homomorphic", "learning_rate": 3e-3},
    "mlp": {},
    "continuous": {"env": "Pendulum"},
    "values clipped": {"clip_range_vf": 1e-3, "learning_rate": 3e-3},
    "stopping early": {"target_kl": 1e-5, "learning_rate": 3e-3},
    "stopping early, continuous": {"env": "Pendulum", "target_kl": 1e-4, "learning_rate": 3e-3},
    "two encoders": {"policy_kwargs": {"share_features_extractor": False}},
    "not distinct": {"env": "DoorKey-5x5", "encoder": "mlp"},
    "few at a time": {"env": "DoorKey-5x5", "encoder": "mlp", "distinct": True, "batch_size": 3, "n_epochs": 1},
    "distinct cnn": {"env": "DoorKey-5x5", "encoder": "cnn", "distinct": True},
    "distinct gnn": {"env": "DoorKey-5x5", "encoder": "gnn", "encoder_options": {"layers": 1}, "distinct": True},
    "distinct hypernetwork": {"env": "DoorKey-5x5", "encoder": "hypernetwork", "distinct": True},
    "pictures": {"env": PICTURES, "encoder": "cnn"},
}


@cache
def compiled_model(case):
    """After one rollout's update, so that rounding has not yet changed an action."""
    return learned("compiled", steps=160, **{**COMPILED, **SLOWLY_COMPILED}[case])


def check_compiled(case):
    compiled = compiled_model(case)
    eager = learned("eager", steps=160, **{**COMPILED, **SLOWLY_COMPILED}[case])
    assert type(compiled.update).__name__ == "CompiledUpdate"
    assert distance(eager, compiled) < 1e-6
    assert compiled._n_updates == eager._n_updates
    for key, value in eager.rows[-1].items():
        if key.startswith(("train/", "rollout/")):
            assert compiled.rows[-1][key] == pytest.approx(value, rel=1e-3, abs=1e-5), key
    return eager, compiled


@pytest.mark.slow
@pytest.mark.parametrize("case", COMPILED)
def test_compiled_equals_eager_to_rounding(case):
    eager, _ = check_compiled(case)
    for change in ({"max_grad_norm": 0.49}, {"vf_coef": 0.51}, {"ent_coef": 0.1}, {"gae_lambda": 0.94}):
        assert distance(eager, learned("eager", steps=160, **{**COMPILED[case], **change})) > 1e-6, change


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOWLY_COMPILED)
def test_everything_else_that_compiles_equals_eager_to_rounding(case):
    eager, _ = check_compiled(case)
    options = {k: v for k, v in SLOWLY_COMPILED[case].items() if k not in ("clip_range_vf", "target_kl")}
    if len(options) < len(SLOWLY_COMPILED[case]):  # the option it is about has an effect
        assert distance(eager, learned("eager", steps=160, **options)) > 1e-5


@pytest.mark.slow
def test_a_compiled_symmetric_policy_stays_symmetric():
    model = compiled_model("symmetric")
    policy, s = model.policy, torch.randn(50, 4)
    with torch.no_grad():
        here, there = (policy.get_distribution(states).distribution.probs for states in (s, -s))
        values, mirrored = policy.predict_values(s), policy.predict_values(-s)
    assert (here[:, 0] - there[:, 1]).abs().max() < 1e-6 and (values - mirrored).abs().max() < 1e-6
    assert (here[:, 0] - here[:, 1]).abs().max() > 1e-3  # and has learned something
    assert equivariance_error(model, "CartPole") < 1e-12


@pytest.mark.slow
def test_a_compiled_policy_acts_on_observations_however_they_are_laid_out():
    """Environments give transposed images, and wider numbers than they declare."""
    model = compiled_model("symmetric")
    s = torch.randn(5, 4)

    def acted(observations):
        torch.manual_seed(0)
        return torch.stack([part.double() for part in model.update.act(observations)])

    expected = acted(s)
    assert not torch.equal(acted(-s), expected)
    assert torch.equal(acted(s.T.contiguous().T), expected) and torch.equal(acted(s.double()), expected)
    with torch.no_grad():  # another number of environments than it was compiled for
        assert (acted(s[:3])[1] - expected[1, :3]).abs().max() < 1e-6


UNTRACEABLE = [("GoToDoor-5x5", "hypernetwork", "Hypernetwork"), ("GoToDoor-5x5", "mlp", "MLP")]


@pytest.mark.parametrize(("env", "encoder", "name"), UNTRACEABLE)
def test_an_encoder_that_cannot_be_traced_is_an_error_or_falls_back(env, encoder, name, caplog):
    model = untrained("compiled", env, encoder)
    with pytest.raises(ValueError, match=f"implementation=compiled: the encoder {name} cannot be traced: .*use eager"):
        model.learn(160)
    assert model.num_timesteps == 0  # before anything is collected
    model = untrained("auto", env, encoder)
    assert f"{name} cannot be traced" in model.decide(10_000_000) and model.implementation == "eager"
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any("implementation=eager" in w and "cannot be traced" in w for w in warnings)
    model.learn(160)


def test_an_encoder_that_is_random_in_training_is_not_compiled():
    with pytest.raises(ValueError, match="Dropping cannot be traced: its output depends on more than the observation"):
        learned("compiled", encoder=Dropping)


# --- options -------------------------------------------------------------------------------------------------------


class Buffer(RolloutBuffer):
    """A buffer of one's own."""


ONLY_SB3 = {
    "use_sde": {"env": "Pendulum", "use_sde": True},
    "MultiDiscrete": {"env": (Made, VECTOR, spaces.MultiDiscrete([2, 3]))},
    "MultiBinary": {"env": (Made, VECTOR, spaces.MultiBinary(3))},
    "rollout_buffer_class": {"rollout_buffer_class": Buffer},
    "policy_kwargs.optimizer_class": {"policy_kwargs": {"optimizer_class": torch.optim.SGD}},
    "policy_kwargs.optimizer_kwargs": {"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}},
}


@pytest.mark.parametrize("option", ONLY_SB3)
def test_what_only_sb3_can_do_is_named_and_auto_leaves_it_to_sb3(option):
    for implementation in ("eager", "compiled"):
        with pytest.raises(ValueError, match=rf"agent.implementation={implementation} cannot do .*{option}.*; use sb3"):
            untrained(implementation, **ONLY_SB3[option])
    for implementation in ("auto", "sb3"):
        model = untrained(implementation, **{**ONLY_SB3[option], "distinct": False})
        assert type(model) is PPO
    model.learn(160)


def test_options_that_cannot_be_are_named():
    for options, message in [
        ({"precision": "bf16"}, "precision=bf16 needs a CUDA device.*this is cpu"),
        ({"precision": "float16"}, "precision is float32 or bf16; got 'float16'"),
        ({"implementation": "fast"}, "agent.implementation is auto, sb3, eager, compiled; got 'fast'"),
        ({"distinct": "yes"}, "agent.distinct is auto, true or false; got 'yes'"),
        ({"distinct": True}, "agent.distinct=true is not possible here: observations are not dicts of bytes"),
        ({"distinct": True, "encoder": Dropping, "env": GRIDS}, "depends on more than the observation"),
        ({"distinct": True, "env": PICTURES, "encoder": "cnn"}, "not dicts of bytes"),
        ({"distinct": True, "env": GRIDS, "normalize": True}, "normalized"),
        ({"implementation": "sb3", "distinct": True}, "distinct=True is not an option of .*SB3's own class"),
        ({"normalize_advantage": "always"}, "agent.normalize_advantage is true, false or peak; got 'always'"),
        (
            {"implementation": "sb3", "distinct": False, "normalize_advantage": "peak"},
            "agent.normalize_advantage=peak is not an option of SB3's own class",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            untrained(**{"implementation": "eager", **options})


def scaled(sizes, *, by=Rollout.scale_advantages):
    """The size of each of these rollouts' advantages after scaling."""
    rollout, before, after = Rollout(32, spaces.Box(0, 1, (1,)), spaces.Discrete(2), n_envs=4), 0.0, []
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 32))).float()
    for size in sizes:
        rollout.advantages = size * noise / noise.square().mean().sqrt()
        before = by(rollout, before)
        after.append(rollout.advantages.square().mean().sqrt().item())
    return after


def test_advantages_of_rollouts_without_rewards_stay_small_beside_those_with():
    rewarded, noise = 0.06, 0.003
    sizes = [noise, rewarded, *[noise] * 15, rewarded]
    first, with_reward, *without, again = scaled(sizes)
    assert (
        first == pytest.approx(1, abs=1e-4)
        and with_reward == pytest.approx(1, abs=1e-4)
        and again == pytest.approx(1, abs=1e-4)
    )
    assert all(0.05 <= each < 0.1 for each in without) and without == sorted(without)
    # as each rollout's own size would have it
    own = scaled(sizes, by=lambda rollout, before: rollout.scale_advantages(0.0))
    assert own == pytest.approx([1] * len(own), abs=1e-4)


def test_peak_scaled_advantages_are_sb3_s_unnormalized_ones_at_another_scale(monkeypatch):
    """With a scale of 1 the parameters are those that SB3 learns without normalization; and it learns with its own."""
    plain = learned("sb3", normalize_advantage=False)
    with monkeypatch.context() as patched:
        patched.setattr(Rollout, "scale_advantages", lambda rollout, before: 1.0)
        assert not differences(plain, learned("eager", normalize_advantage="peak"))
    assert differences(plain, learned("eager", normalize_advantage="peak"))


def test_the_peak_of_advantages_is_saved(tmp_path):
    model = learned("eager", normalize_advantage="peak")
    model.save(tmp_path / "model")
    loaded = FastPPO.load(tmp_path / "model", device="cpu")
    assert loaded.normalize_advantage == "peak" and loaded.advantage_scale == model.advantage_scale > 0


def test_auto_is_a_rule_on_the_configuration_alone(monkeypatch, caplog):
    compilings = []

    def compiled(self):
        compilings.append(self)
        raise ValueError("of the test")

    monkeypatch.setattr(FastPPO, "_compiled", compiled)
    steps = 2 * 4  # of a rollout
    rollouts = -(-REPAID // steps)
    for total, expected in ((160 * (rollouts - 1), False), (160 * rollouts, True)):
        for _ in range(2):
            model, before = untrained("auto"), len(compilings)
            reason = model.decide(total)
            assert (len(compilings) > before) == expected and model.implementation == "eager"
            assert ("of the test" if expected else "do not repay") in reason
            assert model.decide(10 * total) == "as chosen" and len(compilings) == before + expected
    monkeypatch.undo()
    caplog.clear()
    monkeypatch.setenv("PATH", "")  # no compiler
    model = untrained("auto")
    assert model.decide(10_000_000) == "there is no C++ compiler (g++ or clang++)"
    model.learn(320)
    assert [record.getMessage().count("no C++ compiler") for record in caplog.records] == [1]
    with pytest.raises(ValueError, match=r"agent.implementation=compiled: there is no C\+\+ compiler.*use eager"):
        untrained("compiled").learn(160)


# --- distinct observations -----------------------------------------------------------------------------------------


CELLS = spaces.Dict({"image": spaces.Box(0, 10, (1, 2, 3), np.uint8), "direction": spaces.Box(0, 3, (1,), np.uint8)})
OBSERVATION = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 1))


def batch_of(drawn) -> dict[str, np.ndarray]:
    image = np.zeros((len(drawn), 1, 2, 3), np.uint8)
    image[:, 0, 0, 1], image[:, 0, 1, 2] = [d[0] for d in drawn], [d[1] for d in drawn]
    return {"image": image, "direction": np.array([[d[2]] for d in drawn], np.uint8)}


def said(observations: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """A network: one number for each observation, injective."""
    image = observations["image"].flatten(1).double()
    value = image @ torch.tensor([0, 10.0, 0, 0, 0, 100.0], dtype=torch.float64) + observations["direction"][:, 0]
    return value[:, None], value.float()


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(rollouts=st.lists(st.lists(st.lists(OBSERVATION, min_size=1, max_size=6), max_size=5), min_size=1, max_size=4))
def test_distinct_gives_back_what_was_put_in(rollouts):
    table = ObservationTable(CELLS, torch.device("cpu"))
    last: set[int] = set()
    for batches in rollouts:
        table.keep(np.array(sorted(last), np.int64))
        asked, last = [], set()

        def network(observations, asked=asked):
            asked += said(observations)[1].tolist()
            return said(observations)

        numbered = {}
        for drawn in batches:
            numbers, outputs, values = table.look_up(batch_of(drawn), network)
            expected = {key: torch.from_numpy(part) for key, part in batch_of(drawn).items()}
            assert all(torch.equal(table.observations()[key][numbers], part) for key, part in expected.items())
            assert torch.equal(outputs, said(expected)[0]) and torch.equal(values, said(expected)[1])
            for observation, number in zip(drawn, numbers.tolist(), strict=True):
                assert numbered.setdefault(observation, number) == number  # equal observations, equal numbers
            last |= set(numbers.tolist())
        assert len(set(numbered.values())) == len(numbered)  # different ones, different numbers
        assert len(asked) == len(set(asked))  # each was encoded once
        assert set(table.numbers.values()) == set(range(len(table.numbers)))


def test_wider_integers_are_the_bytes_they_hold():
    table, batch = ObservationTable(CELLS, torch.device("cpu")), batch_of([(2, 1, 1), (0, 1, 0), (2, 1, 1)])
    wide = {key: part.astype(np.int64) for key, part in batch.items()}
    assert table.number(wide).tolist() == table.number(batch).tolist() == [0, 1, 0]


def gradients(policy, rollout, indices, dtype):
    """Of one minibatch's loss, all parameters in one vector."""
    rollout.freeze()
    batch = next(iter(rollout.minibatches(indices, len(indices))))
    advantages, returns = torch.linspace(-1, 1, len(indices)), torch.linspace(2, 0, len(indices))
    batch.advantages, batch.returns = advantages.to(dtype), returns.to(dtype)
    loss = Loss(Categorical(), True, 0.01, 0.5, False)
    output, values = ActorCritic(policy)(batch.observations, batch.rows)
    total, _ = loss(output, values, None, batch, 0.2, 0.0)
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(policy.parameters()))])


def both_rollouts(env, encoder, dtype):
    """A policy, and one rollout kept plainly and as distinct observations."""
    model = untrained("eager", env, encoder, n_steps=12, batch_size=60)
    policy, rollouts = model.policy.to(dtype), []
    if dtype is torch.float64:  # SB3 casts observations to float32
        extractor = policy.features_extractor
        policy.extract_features = lambda obs: extractor({key: part.to(dtype) for key, part in obs.items()})
    for distinct in (False, True):
        vec_env = environments(env)
        rollout = Rollout(12, vec_env.observation_space, vec_env.action_space, "cpu", n_envs=5, distinct=distinct)
        rollout.reset()
        observation, random = vec_env.reset(), np.random.default_rng(0)
        for _ in range(12):
            actions = random.integers(0, 7, 5)
            kept = {key: torch.from_numpy(part) for key, part in observation.items()}
            rollout.add(
                rollout.distinct.number(observation) if distinct else kept,
                torch.from_numpy(actions),
                np.zeros(5),
                np.zeros(5),
                torch.zeros(5),
                torch.full((5,), -2.0),
            )
            observation = vec_env.step(actions)[0]
        rollouts.append(rollout)
    return policy, rollouts


@pytest.mark.parametrize(
    ("env", "encoder"),
    [("DoorKey-5x5", e) for e in ("mlp", "cnn", "gnn", "transformer", "hypernetwork")]
    + [("GoToDoor-5x5", e) for e in ("gnn", "transformer", "hypernetwork")],
)
def test_distinct_observations_give_the_plain_gradient(env, encoder):
    order = np.random.default_rng(1).permutation(60)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        policy, (plain, distinct) = both_rollouts(env, encoder, dtype)
        expected, got = (gradients(policy, rollout, order, dtype) for rollout in (plain, distinct))
        assert len(distinct.distinct.numbers) < 60  # some repeat
        assert (expected - got).norm() < tolerance * expected.norm()
    distinct.numbers = np.roll(distinct.numbers, 1)  # each sample with another's observation
    assert (expected - gradients(policy, distinct, order, dtype)).norm() > 1e-3 * expected.norm()


def test_learning_from_distinct_observations_is_learning():
    plain, distinct = (learned("eager", "DoorKey-5x5", "gnn", steps=160, distinct=d) for d in (False, True))
    assert distance(plain, distinct) < 1e-6 < distance(plain, learned("eager", "DoorKey-5x5", "gnn", steps=320))


def test_a_rollout_cut_short_leaves_no_stale_numbers():
    rollout = Rollout(4, CELLS, spaces.Discrete(2), n_envs=1, distinct=True)

    def collect(observations):
        rollout.reset()
        for observation in observations:
            numbers = rollout.distinct.number(batch_of([observation]))
            rollout.add(numbers, torch.zeros(1), np.zeros(1), np.zeros(1), torch.zeros(1), torch.zeros(1))

    collect([(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 1, 0)])
    collect([(0, 0, 1), (1, 0, 1)])  # a callback stops training here
    collect([(0, 1, 1)])
    kept = rollout.distinct.numbers
    assert sorted(kept.values()) == list(range(3))  # two of the rollout before, and the new one
    for content, number in kept.items():
        assert rollout.distinct.rows[number].tobytes() == content


def test_the_memory_of_distinct_observations_is_bounded(monkeypatch):
    """Where no observation ever returns: those of two rollouts, and where the second ended."""
    model = untrained("eager", GRIDS, n_envs=2, n_steps=16, batch_size=16, n_epochs=1, distinct=True)
    model.learn(10 * 32)
    table = model.rollout_buffer.distinct
    assert len(table.numbers) <= 2 * 32 + 2 + 32 // 7 + 2 and len(table.rows) <= 256
    spoilt(monkeypatch, ObservationTable, "keep", lambda keep, self, chosen: keep(self, np.arange(len(self.numbers))))
    model.learn(10 * 32, reset_num_timesteps=False)
    assert len(table.numbers) > 300


def test_what_distinct_does_not_apply_to_says_why():
    assert not_distinct(untrained("eager", "DoorKey-5x5").policy) is None
    for env, encoder, reason in [
        ("CartPole", "mlp", "not dicts of bytes"),
        (("DoorKey-5x5", {"history": 3}), "lstm", "grids read by an encoder"),
        (GRIDS, Dropping, "depends on more"),
    ]:
        assert reason in not_distinct(untrained("eager", env, encoder).policy)
        assert untrained("eager", env, encoder, distinct="auto").distinct is False
    assert untrained("eager", "DoorKey-5x5", distinct="auto").distinct is True


# --- learning ------------------------------------------------------------------------------------------------------


def mean_returns(implementation, env, encoder, seeds, steps, **options):
    """Of the episodes in training, for each seed."""
    found = []
    for seed in seeds:
        vec_env = make_vec_env(env, n_envs=8, seed=seed, engine="batched")
        options = {**options, **({"distinct": "auto"} if implementation == "compiled" else {})}
        model = make_agent(vec_env, encoder, "ppo", implementation=implementation, seed=seed, device="cpu", **options)
        go_on(model, steps)
        found.append(np.mean([row["rollout/ep_rew_mean"] for row in model.rows if "rollout/ep_rew_mean" in row]))
    return np.array(found)


@pytest.mark.slow
def test_compiled_and_distinct_learn_as_sb3_does():
    """Welch's test of the mean returns of four seeds each; another learning rate is told apart."""
    env, encoder, steps = "CartPole", "homomorphic", 6_400
    options = {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "learning_rate": "lin_5e-3"}
    sb3 = mean_returns("sb3", env, encoder, range(4), steps, **options)
    fast = mean_returns("compiled", env, encoder, range(10, 14), steps, **options)

    def t(a, b):
        return abs(a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))

    assert t(sb3, fast) < 3, (sb3, fast)
    slower = mean_returns("compiled", env, encoder, range(10, 14), steps, **{**options, "learning_rate": 1e-6})
    assert t(sb3, slower) > 3
