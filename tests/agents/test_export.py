"""Laws of exported policies: a file of TorchScript or ONNX acts as its policy, whatever the batch and the missions."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import PROJECT
from encoder_cases import reading

from agents import Policy, load_policy, make_agent
from agents.export import ONNX, other_batches, save_onnx, save_plain
from encoders.base import Encoder
from envs import make_vec_env
from evaluate import evaluate


@pytest.mark.parametrize(
    ("env_id", "kind"),
    [
        pytest.param("BabyAI-GoToLocal-v0", "grid", marks=pytest.mark.slow),
        pytest.param("DoorKey-5x5", "grid", marks=pytest.mark.slow),
        pytest.param("GoToDoor-5x5", "grid", marks=pytest.mark.slow),
        ("CartPole", "vector"),
    ],
)
def test_every_encoder_acts_from_its_file_as_in_its_policy(env_id, kind):
    """Traced on three observations; compared on 16 met later, on one, and with other missions and directions."""
    assert exported("torchscript", env_id) == {f"{env_id} {encoder}": 0 for encoder in reading(kind)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "kind"), [("CartPole", "vector"), ("DoorKey-5x5", "grid"), ("BabyAI-GoToLocal-v0", "grid")]
)
def test_every_encoder_acts_in_onnx_runtime_as_in_its_policy(env_id, kind):
    for package in ONNX:
        pytest.importorskip(package)
    assert exported("onnx", env_id) == {f"{env_id} {encoder}": 0 for encoder in reading(kind)}


def exported(form: str, env_id: str) -> dict[str, int | str]:
    """Environment and encoder -> the number of actions that differ, or the error."""
    program = [sys.executable, str(PROJECT / "tests/agents/exported.py"), form, env_id]
    path = os.pathsep.join(map(str, (PROJECT, PROJECT / "tests")))
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Freezing(Encoder):
    """Multiplies by a number that a trace takes for a constant."""

    reads = ("vector",)

    def __init__(self, observation_space):
        super().__init__(observation_space, 4)

    def forward(self, obs):
        return obs * float(obs[0, 0])


def test_a_policy_that_its_trace_does_not_equal_is_not_written(tmp_path):
    model = make_agent(make_vec_env("CartPole", n_envs=2, seed=0), Freezing, "ppo", seed=0, device="cpu")
    example = np.eye(4, dtype=np.float32)
    example[:, 0] = [1, -1, 2, -3]
    with pytest.raises(
        ValueError, match=r"cannot be exported: traced, its encoder .*Freezing acts otherwise in \d of 9"
    ):
        save_plain(Policy.of(model), tmp_path / "policy.pt", example)
    assert not list(tmp_path.iterdir())


def test_a_policy_that_onnx_runtime_plays_otherwise_is_not_written(tmp_path, monkeypatch):
    """Here ONNX Runtime is made to compute another policy's file."""
    runtime = pytest.importorskip("onnxruntime")
    env = make_vec_env("CartPole", n_envs=8, seed=0)
    one, other = (load_policy("pretrained/CartPole-homomorphic") for _ in range(2))
    with torch.no_grad():
        for parameter in other.module.action_net.parameters():
            parameter.neg_()
    content, start = save_onnx(other, tmp_path / "other.onnx", env.reset()).read_bytes(), runtime.InferenceSession
    monkeypatch.setattr(runtime, "InferenceSession", lambda _, **options: start(content, **options))
    with pytest.raises(ValueError, match=r"cannot be exported: .* acts otherwise in \d+ of \d+"):
        save_onnx(one, tmp_path / "policy.onnx", env.reset())
    assert [path.name for path in tmp_path.iterdir()] == ["other.onnx"]


def test_without_the_packages_of_onnx_it_is_said_how_to_install_them(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.export.find_spec", lambda name: None)
    env = make_vec_env("CartPole", n_envs=2, seed=0)
    policy = Policy.of(make_agent(env, "mlp", "ppo", seed=0, device="cpu"))
    with pytest.raises(ValueError, match=r"onnxruntime: pip install 'inductive-rl\[export\]'"):
        save_onnx(policy, tmp_path / "policy.onnx", env.reset())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["policy.onnx", "policy.pt"])
def test_evaluate_exports_a_policy(name):
    if name.endswith("onnx"):
        runtime = pytest.importorskip("onnxruntime")
    evaluate({"policy": "pretrained/CartPole-homomorphic", "episodes": 1, "export": name, "output": "scores.json"})
    policy = load_policy("pretrained/CartPole-homomorphic")
    seen = np.random.default_rng(0).normal(size=(33, 4)).astype(np.float32)
    if name.endswith("onnx"):
        actions = runtime.InferenceSession(name).run(["actions"], {"observation": seen})[0]
    else:
        actions = torch.jit.load(name)(torch.as_tensor(seen)).numpy()
    np.testing.assert_array_equal(actions, policy.predict(seen, deterministic=True)[0])


def test_evaluate_refuses_what_cannot_be_exported_before_it_plays():
    with pytest.raises(ValueError, match=r"export is the name of a \.onnx or \.pt file; got policy\.bin"):
        evaluate({"policy": "pretrained/CartPole-homomorphic", "export": "policy.bin"})
    with pytest.raises(ValueError, match="there is no folder none"):
        evaluate({"policy": "pretrained/CartPole-homomorphic", "export": "none/policy.pt"})


@pytest.mark.parametrize("agent", ["ppo", "a2c", "sac"])
def test_a_policy_that_explores_by_state_is_exported_in_mid_training(agent, tmp_path):
    env = make_vec_env("Pendulum", n_envs=2, seed=0)
    small = {"ppo": {"n_steps": 8, "batch_size": 16}, "a2c": {}, "sac": {"learning_starts": 4, "buffer_size": 100}}
    model = make_agent(env, "mlp", agent, seed=0, device="cpu", use_sde=True, **small[agent]).learn(32)
    policy, seen = Policy.of(model), env.reset()
    actions = torch.jit.load(save_plain(policy, tmp_path / "policy.pt", seen))(torch.as_tensor(seen)).numpy()
    np.testing.assert_allclose(actions, policy.predict(seen, deterministic=True)[0], rtol=1e-4, atol=1e-4)


def test_the_batches_compared_have_other_sizes_and_the_longest_mission():
    env = make_vec_env("BabyAI-GoToLocal-v0", n_envs=3, seed=0)
    one, more = other_batches(env.observation_space, env.reset())
    lengths = (more["mission"] > 0).sum(1)
    assert len(one["mission"]) == 1 and len(more["mission"]) == 7
    assert lengths.min() == 1 and lengths.max() == env.observation_space["mission"].shape[0]
    assert all(env.observation_space[key].high.max() >= part.max() for key, part in more.items())
    assert len({*more["direction"].ravel().tolist()}) > 1


def test_a_policy_with_memory_is_not_exported(tmp_path):
    env = make_vec_env("CartPole", n_envs=2, seed=0)
    policy = Policy.of(make_agent(env, "mlp", "recurrent_ppo", seed=0, device="cpu"))
    with torch.no_grad(), pytest.raises(ValueError, match="with memory cannot be saved as a function"):
        save_plain(policy, tmp_path / "policy.pt", env.reset())
