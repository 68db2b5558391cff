"""Laws of FastA2C: eager is SB3's A2C bit for bit; compiled graphs and distinct observations are that to rounding."""

from __future__ import annotations

import logging

import pytest
import torch
from stable_baselines3 import A2C
from stable_baselines3.common.logger import KVWriter, Logger
from torch import nn

from agents import make_agent
from agents.a2c import algorithm
from agents.a2c.algorithm import FastA2C
from agents.a2c.loss import A2CLoss
from agents.ppo.flat_rmsprop import FlatRMSprop
from envs import make_vec_env

CUT_SHORT = {"kwargs": {"max_episode_steps": 12}}


class Logged(KVWriter):
    """Everything a logger writes, as a list of dicts."""

    def __init__(self):
        self.rows = []

    def write(self, key_values, key_excluded, step=0):
        self.rows.append(dict(key_values))


def untrained(implementation, env="CartPole", encoder="mlp", *, n_envs=4, make=None, **options):
    fast = {} if implementation == "sb3" else {"distinct": False}
    slim = {"encoder_options": {"width": 16}} if encoder in ("mlp", "cnn") else {}
    return make_agent(
        make_vec_env(env, n_envs=n_envs, seed=0, **(make or {})),
        encoder,
        "a2c",
        implementation=implementation,
        seed=0,
        device="cpu",
        **{**fast, **slim, **options},
    )


def go_on(model, steps):
    """Learn for a while; what is logged ends up in `model.rows`."""
    logged = Logged()
    model.set_logger(Logger(None, [logged]))
    model.learn(steps, log_interval=1)
    model.rows = logged.rows
    return model


def learned(implementation, *arguments, updates=12, **options):
    model = untrained(implementation, *arguments, **options)
    return go_on(model, updates * model.n_steps * model.n_envs)


def differences(sb3, fast):
    """Which parameters, optimizer states and logged numbers are not equal to the last bit."""
    pairs = zip(sb3.policy.named_parameters(), fast.policy.parameters(), strict=True)
    found = [name for (name, here), there in pairs if not torch.equal(here, there)]
    states = [model.policy.optimizer.state_dict()["state"] for model in (sb3, fast)]
    for index, state in states[0].items():
        found += [f"{key} of {index}" for key in state if not torch.equal(state[key], states[1][index][key])]
    for here, there in zip(sb3.rows, fast.rows, strict=True):
        assert all(key.startswith("train/gradient_norm") for key in set(there) - set(here))
        found += [key for key in here if not key.startswith("time/") and here[key] != there[key] == there[key]]
    return found


def distance(here, there) -> float:
    """‖θ - θ'‖ / ‖θ‖."""
    one, other = (nn.utils.parameters_to_vector(m.policy.parameters()).detach().double() for m in (here, there))
    return float((one - other).norm() / one.norm())


CASES = {
    "vectors": {},
    "a symmetric policy": {"encoder": "homomorphic"},
    "one environment": {"n_envs": 1},
    "Adam": {"use_rms_prop": False},
    "Adam with weight decay": {"use_rms_prop": False, "weight_decay": 0.1},
    "a schedule and another ε": {"learning_rate": "lin_1e-2", "rms_prop_eps": 1e-3},
    "normalized advantages": {"normalize_advantage": True, "gae_lambda": 0.9, "ent_coef": 0.01},
    "an encoder each": {"policy_kwargs": {"share_features_extractor": False}},
    "continuous actions, cut short": {"env": "Pendulum", "make": CUT_SHORT},
    "a cnn on grids": {"env": "DoorKey-5x5", "encoder": "cnn"},
    "dropout": {"encoder_options": {"width": 16, "dropout": 0.5}},
    "augmentation": {"method": "augment"},
    "a symmetry loss": {"method": "loss"},
}


@pytest.mark.parametrize("case", CASES)
def test_eager_is_sb3_s_a2c_bit_for_bit(case):
    sb3, fast = (learned(implementation, **CASES[case]) for implementation in ("sb3", "eager"))
    assert type(sb3) is A2C and type(fast) is FastA2C and len(sb3.rows) >= 12
    assert not differences(sb3, fast)


def other_alpha(self, gradient):
    self.group["alpha"] = 0.98
    ADVANCE(self, gradient)


ADVANCE, LOSS = FlatRMSprop.advance, A2CLoss.__call__


@pytest.mark.parametrize(
    "change",
    [
        (FlatRMSprop, "advance", other_alpha),
        (A2CLoss, "__call__", lambda self, *arguments: tuple(2 * part for part in LOSS(self, *arguments))),
        (FastA2C, "_bootstrap", lambda self, rewards, last, update: None),
    ],
    ids=["another average", "twice the loss", "no value at time limits"],
)
def test_a_single_change_is_noticed(change, monkeypatch):
    case = CASES["continuous actions, cut short"]
    sb3 = learned("sb3", **case)
    monkeypatch.setattr(*change)
    assert differences(sb3, learned("eager", **case))


def test_distinct_observations_give_the_same_to_rounding():
    plain, distinct = (learned("eager", "DoorKey-5x5", "cnn", distinct=each) for each in (False, True))
    assert distinct.rollout_buffer.distinct is not None
    assert 0 < distance(plain, distinct) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"use_rms_prop": False}], ids=["RMSprop", "Adam"])
def test_compiled_equals_eager_to_rounding(options):
    eager, compiled = (learned(each, "CartPole", "homomorphic", **options) for each in ("eager", "compiled"))
    assert type(compiled.update).__name__ == "CompiledUpdate"
    assert distance(eager, compiled) < 1e-6
    for here, there in zip(eager.rows, compiled.rows, strict=True):
        for key in (key for key in here if key.startswith("train/")):
            assert there[key] == pytest.approx(here[key], rel=1e-3, abs=1e-4), key


def test_a_saved_model_goes_on_as_sb3_s_does(tmp_path):
    models = []
    for implementation in ("sb3", "eager"):
        learned(implementation).save(tmp_path / implementation)
        kind = A2C if implementation == "sb3" else FastA2C
        model = kind.load(tmp_path / implementation, env=make_vec_env("CartPole", n_envs=4, seed=1), device="cpu")
        models.append(go_on(model, 200))
    assert not differences(*models)


def test_what_only_sb3_can_do_is_named_and_auto_leaves_it_to_sb3():
    assert type(untrained("auto", "Pendulum")) is FastA2C
    assert type(untrained("auto", "Pendulum", use_sde=True)) is A2C
    with pytest.raises(ValueError, match="use_sde"):
        untrained("eager", "Pendulum", use_sde=True)
    with pytest.raises(ValueError, match="optimizer_class"):
        untrained("eager", policy_kwargs={"optimizer_class": torch.optim.SGD})


def test_auto_is_a_rule_on_the_number_of_updates(monkeypatch, caplog):
    monkeypatch.setattr(algorithm.FastA2C, "_compiled", lambda self: None)
    steps = 5 * 4
    few, many = untrained("auto"), untrained("auto")
    assert "do not repay" in few.decide(steps * (algorithm.REPAID - 1)) and few.implementation == "eager"
    assert "repay" in many.decide(steps * algorithm.REPAID) and many.implementation == "compiled"
    with caplog.at_level(logging.WARNING):
        assert untrained("eager").decide(10**9) == "as chosen"


def test_learning_that_diverged_ends_with_a_message():
    with pytest.raises(FloatingPointError, match="learning diverged"):
        learned("eager", "Pendulum", learning_rate=1e30, use_rms_prop=False)
