"""Laws of policy files: what is saved is what is loaded, in a new process, and nothing in a file is executed."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from conftest import PROJECT
from encoder_cases import history, needs_symmetry, reading
from killed import killed, needs_fork
from policy_outputs import outputs, save_observation
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize
from test_agents import SMALL

from agents import Policy, load_policy, make_agent, save_policy
from agents.saved.policy import environment_id
from envs import make_vec_env
from envs.minigrid import VIEWS
from storage.manifest import write_manifest

DISCRETE, CONTINUOUS = ("ppo", "a2c", "dqn", "qrdqn", "recurrent_ppo"), ("ppo", "a2c", "sac", "td3", "recurrent_ppo")
COMBINATIONS = [
    *[("DoorKey-5x5", e, a) for e in reading("grid") if not needs_symmetry(e) for a in DISCRETE],
    *[("Pendulum", e, a) for e in reading("vector") if not needs_symmetry(e) for a in CONTINUOUS],
    *[("CartPole", "homomorphic", a) for a in DISCRETE if a != "recurrent_ppo"],
    *[("Pendulum", "homomorphic", a) for a in ("ppo", "sac", "td3")],
]


def trained(env_id="CartPole", encoder="mlp", agent="ppo", steps=40, env=None, **options):
    """A small agent after a few updates; steps=0 moves every parameter at random instead, which is quicker."""
    env = env or make_vec_env(env_id, n_envs=2, seed=0, **history(encoder))
    model = make_agent(env, encoder, agent, seed=0, device="cpu", **SMALL[agent], **options)
    with torch.no_grad():
        for parameter in model.policy.parameters() if not steps else ():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.learn(steps) if steps else model


def some_observations(model):
    env = model.get_env()
    return env.unnormalize_obs(env.reset()) if isinstance(env, VecNormalize) else env.reset()


def in_a_new_process(folder):
    """Load every policy below `folder` in a new process; the outputs are written beside each."""
    program = [sys.executable, str(PROJECT / "tests" / "policy_outputs.py"), str(folder)]
    path = f"{PROJECT}:{PROJECT / 'tests'}"
    done = subprocess.run(program, env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_encoder_and_agent_gives_bit_identical_outputs_in_a_new_process(tmp_path):
    kept = {}
    for combination in COMBINATIONS:
        model = trained(*combination, steps=0)
        folder = save_policy(model, tmp_path / "-".join(combination))
        observation = some_observations(model)
        save_observation(folder / "obs.npz", observation)
        kept[folder] = outputs(Policy.of(model), observation)
    in_a_new_process(tmp_path)
    for folder, expected in kept.items():
        with np.load(folder / "outputs.npz") as loaded:
            assert loaded.files
            for key, value in expected.items():
                assert np.array_equal(value, loaded[key]), (folder.name, key)


@pytest.mark.parametrize(
    ("options", "normalize"),
    [
        ({"policy_kwargs": {"share_features_extractor": False}}, False),
        ({"policy_kwargs": {"log_std_init": -1.0}}, True),
        ({"use_sde": True}, False),
    ],
)
def test_unshared_encoders_normalization_and_gsde_come_back_too(tmp_path, options, normalize):
    env = make_vec_env("Pendulum", n_envs=2, seed=0)
    model = trained(env=VecNormalize(env, norm_reward=False) if normalize else env, **options)
    observation = some_observations(model)
    expected, loaded = (
        outputs(Policy.of(model), observation),
        outputs(load_policy(save_policy(model, tmp_path / "p")), observation),
    )
    assert all(np.array_equal(value, loaded[key]) for key, value in expected.items())


def test_predict_is_sb3_s(tmp_path):
    model = trained(encoder="lstm")
    policy = load_policy(save_policy(model, tmp_path / "p"), device="cpu")
    observation = some_observations(model)
    assert np.array_equal(
        policy.predict(observation, deterministic=True)[0], model.predict(observation, deterministic=True)[0]
    )
    one = {key: value[0] for key, value in observation.items()}
    assert policy.predict(one, deterministic=True)[0].shape == ()
    torch.manual_seed(0)
    sampled = policy.predict(observation)[0]
    torch.manual_seed(0)
    assert np.array_equal(sampled, model.predict(observation)[0])


def test_two_saves_are_the_same_bytes(tmp_path):
    model = trained()
    first, second = save_policy(model, tmp_path / "a"), save_policy(model, tmp_path / "b")
    for name in ("policy.safetensors", "policy.yaml"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_failed_save_keeps_the_previous_policy(tmp_path, monkeypatch):
    model = trained()
    folder = save_policy(model, tmp_path / "p")
    before = (folder / "policy.safetensors").read_bytes()

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agents.saved.policy.serialize", disk_full)
    model.learn(40)
    with pytest.raises(OSError, match=r"disk is full: .*/p cannot be written \(it needs more than"):
        save_policy(model, folder)
    assert (folder / "policy.safetensors").read_bytes() == before and load_policy(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@needs_fork
def test_after_a_kill_at_any_moment_of_a_save_the_old_or_the_new_policy_is_loaded(tmp_path):
    model, folder, seen = trained(), tmp_path / "p", []
    for at in itertools.count():
        save_policy(model, folder, command="old")
        if not killed(lambda: save_policy(model, folder, command="new"), at):
            break
        seen.append(load_policy(folder).spec["command"])
    assert set(seen) == {"old", "new"} and seen == sorted(seen, reverse=True)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_policies_without_a_manifest_are_loaded_too(tmp_path):
    folder = save_policy(trained(), tmp_path / "p")
    (folder / "manifest.json").unlink()
    assert load_policy(folder).spec["agent"] == "ppo"


def test_a_policy_plays_a_larger_grid_where_its_encoder_allows_it(tmp_path):
    small = make_vec_env("DoorKey-5x5", n_envs=2, seed=0, view="full")
    large = make_vec_env("DoorKey-8x8", n_envs=2, seed=0, view="full").observation_space
    relational, local = (save_policy(trained(encoder=e, env=small), tmp_path / e) for e in ("gnn", "cnn"))
    assert load_policy(relational, observation_space=large).predict(large.sample())
    with pytest.raises(
        ValueError, match=r"do not fit the network: features_extractor.out.0.weight has shape \(128, 800\)"
    ):
        load_policy(local, observation_space=large)


def edit(folder, **changes):
    """Change entries of policy.yaml; None removes one."""
    spec = yaml.safe_load((folder / "policy.yaml").read_text())
    spec = {key: value for key, value in {**spec, **changes}.items() if value != "removed"}
    (folder / "policy.yaml").write_text(yaml.safe_dump(spec))
    write_manifest(folder)


def test_an_environment_named_in_a_file_is_imported_only_if_trusted(tmp_path):
    folder = save_policy(trained(), tmp_path / "p", environment={"id": "evil_package:Env-v0"})
    policy = load_policy(folder)
    with pytest.raises(ValueError, match=r"would import evil_package.*trust=\[evil_package\]"):
        environment_id(policy)
    assert environment_id(policy, trust=["evil_package"]) == "evil_package:Env-v0"
    edit(folder, environment=None)
    with pytest.raises(ValueError, match="env=<id>"):
        environment_id(load_policy(folder))


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    for environment in ({"id": "two\nlines"}, {"id": "CartPole-v1", "reward_scale": float("nan")}):
        with pytest.raises(ValueError, match=r"cannot be written to a file that can be read again: environment\."):
            save_policy(trained(steps=0), tmp_path / "p", environment=environment)
    assert list(tmp_path.iterdir()) == []


def test_only_models_of_make_agent_can_be_saved(tmp_path):
    with pytest.raises(ValueError, match=r"made by agents\.make_agent"):
        save_policy(PPO("MlpPolicy", make_vec_env("CartPole", n_envs=1)), tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("view", VIEWS)
def test_a_policy_of_every_view_of_minigrid_is_saved_and_loaded(view, tmp_path):
    model = trained("Empty-8x8", steps=0, env=make_vec_env("Empty-8x8", n_envs=2, view=view))
    save_policy(model, tmp_path / "policy", environment={"id": "Empty-8x8", "view": view})
    assert load_policy(tmp_path / "policy").observation_space == model.observation_space
