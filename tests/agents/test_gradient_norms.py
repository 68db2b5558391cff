"""The gradient's norm in each part of a policy: what the parts are, and that every algorithm logs the same of them."""

from __future__ import annotations

from typing import Any

import pytest
from stable_baselines3.common.logger import KVWriter, Logger

from agents import make_agent
from agents.ppo.compiled import compiler
from agents.ppo.flat_adam import FlatAdam
from encoders.parts import parts_of
from envs import make_vec_env
from evaluation.gradients import GradientNorm

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")

ROLLOUT = {"n_steps": 16}
EPOCHS = {**ROLLOUT, "batch_size": 24, "n_epochs": 2}
REPLAY = {"learning_starts": 30, "buffer_size": 300, "batch_size": 16}
CNN = {"width": 16, "channels": 8, "embedding": 8}
CASES = {
    "PPO": ("DoorKey-5x5", "ppo", "cnn", EPOCHS),
    "PPO, an encoder each": (
        "CartPole",
        "ppo",
        "mlp",
        {**EPOCHS, "policy_kwargs": {"share_features_extractor": False}},
    ),
    "PPO, continuous": ("Pendulum", "ppo", "mlp", EPOCHS),
    "A2C": ("DoorKey-5x5", "a2c", "cnn", ROLLOUT),
    "recurrent PPO": ("DoorKey-5x5", "recurrent_ppo", "cnn", EPOCHS),
}


class Logged(KVWriter):
    """The gradient norms of everything that a logger writes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def write(self, key_values, key_excluded, step=0):
        self.rows.append({key: value for key, value in key_values.items() if "gradient_norm" in key})

    def close(self):
        pass


def norms_of(env, agent, encoder, options, implementation, steps=256) -> list[dict[str, float]]:
    options = {"encoder_options": CNN if encoder == "cnn" else {"width": 16}, "seed": 3, "device": "cpu", **options}
    kwargs = {"max_episode_steps": 20} if env == "Pendulum" else {}
    made = make_vec_env(env, n_envs=4, seed=0, kwargs=kwargs)
    model = make_agent(made, encoder, agent, implementation=implementation, **options)
    logged = Logged()
    model.set_logger(Logger(None, [logged]))
    model.learn(steps, callback=GradientNorm(parts_of, every=1), log_interval=1)
    return [row for row in logged.rows if row]


def adds_up(row: dict[str, float]) -> bool:
    """‖g‖² = Σ ‖g_part‖²."""
    parts = [value for key, value in row.items() if key.startswith("train/gradient_norm/")]
    return row["train/gradient_norm"] ** 2 == pytest.approx(sum(part**2 for part in parts), rel=1e-4)


@pytest.mark.parametrize(
    ("agent", "env", "encoder", "expected"),
    [
        ("ppo", "DoorKey-5x5", "cnn", {"stem", "trunk", "heads"}),
        ("ppo", "CartPole", "mlp", {"trunk", "heads"}),
        ("recurrent_ppo", "DoorKey-5x5", "cnn", {"stem", "trunk", "memory", "heads"}),
        ("dqn", "DoorKey-5x5", "gnn", {"stem", "trunk", "heads"}),
        ("sac", "Pendulum", "mlp", {"trunk", "heads"}),
    ],
)
def test_a_policy_is_stem_trunk_memory_and_heads(agent, env, encoder, expected):
    policy = make_agent(make_vec_env(env, n_envs=1, seed=0), encoder, agent, device="cpu").policy
    parts = parts_of(policy)
    assert {*parts.values()} == expected
    assert {*parts} == {name for name, _ in policy.named_parameters() if "target" not in name}
    for name, part in parts.items():
        assert ("features_extractor" in name) == (part in ("stem", "trunk")), name
        assert (".stem." in name) == (part == "stem") and ("lstm" in name) == (part == "memory"), name


@pytest.mark.parametrize("case", CASES)
def test_the_norms_of_parts_are_those_that_hooks_on_sb3_s_gradients_see(case, monkeypatch):
    """In every row of the log: slices of a clipped flat gradient here, hooks on each parameter there."""
    monkeypatch.setattr("agents.a2c.algorithm.LOGGED", 1)
    env, agent, encoder, options = CASES[case]
    options = {**options, "max_grad_norm": 1e-3}  # so that gradients are clipped
    mine, theirs = (norms_of(env, agent, encoder, options, which) for which in ("eager", "sb3"))
    if agent == "a2c":  # hooks see one update in two, since an update has one minibatch
        mine = mine[::2]
    assert len(mine) == len(theirs) >= 2
    for here, there in zip(mine, theirs, strict=True):
        assert here == pytest.approx(there, rel=1e-3) and adds_up(here)
        assert here["train/gradient_norm"] > 2e-3
    assert len(mine[0]) == 1 + (2 if encoder == "mlp" else 4 if "recurrent" in agent else 3)


@pytest.mark.parametrize("agent", ["dqn", "qrdqn", "sac", "td3"])
def test_off_policy_agents_log_the_norms_of_their_last_gradients(agent, monkeypatch):
    gradients: dict[int, tuple[Any, Any]] = {}
    step = FlatAdam.step

    def watched(self, given, max_norm=None):
        gradients[id(self)] = self.parameters, [None if each is None else each.clone() for each in given]
        return step(self, given, max_norm)

    monkeypatch.setattr(FlatAdam, "step", watched)
    for module in ("off_policy", "continuous"):
        monkeypatch.setattr(f"agents.{module}.algorithm.MEASURED", 1)
    env = "Pendulum" if agent in ("sac", "td3") else "CartPole"
    options = {"seed": 3, "device": "cpu", "encoder_options": {"width": 16}, **REPLAY}
    options |= {"max_grad_norm": 0.01} if "dqn" in agent else {}
    model = make_agent(make_vec_env(env, n_envs=1, seed=0), "mlp", agent, implementation="eager", **options)
    model.learn(80, log_interval=10**9)
    row = {key: value for key, value in model.logger.name_to_value.items() if "gradient_norm" in key}
    parts, squares = parts_of(model.policy), {"trunk": 0.0, "heads": 0.0}
    names = {id(parameter): name for name, parameter in model.policy.named_parameters()}
    for parameters, given in gradients.values():
        for parameter, gradient in zip(parameters, given, strict=True):
            if id(parameter) in names and gradient is not None:
                squares[parts[names[id(parameter)]]] += float(gradient.square().sum())
    expected = {f"train/gradient_norm/{part}": square**0.5 for part, square in squares.items()}
    total = {"train/gradient_norm": sum(squares.values()) ** 0.5}
    assert row == pytest.approx(expected | total, rel=1e-4) and min(row.values()) > 0.01


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("case", [("CartPole", "ppo", "mlp", EPOCHS), ("Pendulum", "sac", "mlp", REPLAY)])
def test_graphs_log_them_too(case, monkeypatch):
    """Those of the minibatch steps that are graphs, and of the off-policy minibatches that are not, for their sake."""
    for module in ("off_policy", "continuous"):
        monkeypatch.setattr(f"agents.{module}.algorithm.MEASURED", 10)
    eager, compiled = (norms_of(*case, which, 600 if "sac" in case else 256) for which in ("eager", "compiled"))
    assert len(eager) == len(compiled) > 2
    for here, there in zip(eager, compiled, strict=True):
        assert here == pytest.approx(there, rel=0.05) and adds_up(there)
