"""Laws of imported models: the actions of SB3's own `load(...).predict`, whatever the algorithm, layers and version."""

from __future__ import annotations

import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from minigrid.wrappers import FlatObsWrapper
from saved_models import Acts, Pictures, changed, observations, of_gym, saved, saying, weighing
from sb3_contrib import QRDQN, TRPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from agents import import_sb3
from agents.export import save_onnx
from agents.imported.statistics import Statistics
from evaluate import evaluate

NUMBERS = spaces.Box(np.array([-1.0, -2.5], np.float32), np.array([1.0, 0.3], np.float32))
FLOATS = spaces.Box(-np.finfo(np.float32).max, np.finfo(np.float32).max, (2, 3))
CASES = {
    "ppo": (PPO, "CartPole-v1", {}),
    "ppo with numbers as actions": (PPO, "Pendulum-v1", {}),
    "ppo with other layers": (
        PPO,
        "Pendulum-v1",
        {"policy_kwargs": {"net_arch": {"pi": [16], "vf": [8, 4, 6]}, "activation_fn": nn.ELU}},
    ),
    "ppo without hidden layers": (PPO, "CartPole-v1", {"policy_kwargs": {"net_arch": []}}),
    "ppo that explores by state": (PPO, Acts(FLOATS, NUMBERS), {"use_sde": True}),
    "ppo that explores by state, squashed": (
        PPO,
        Acts(FLOATS, NUMBERS),
        {"use_sde": True, "policy_kwargs": {"squash_output": True, "full_std": False, "use_expln": True}},
    ),
    "ppo with several choices": (PPO, Acts(spaces.Discrete(5), spaces.MultiDiscrete([2, 3])), {}),
    "ppo with switches": (PPO, Acts(spaces.MultiDiscrete([3, 4]), spaces.MultiBinary(3)), {}),
    "ppo that reads switches": (PPO, Acts(spaces.MultiBinary(6), spaces.Discrete(3)), {}),
    "a2c": (A2C, "Acrobot-v1", {}),
    "trpo": (TRPO, "CartPole-v1", {}),
    "dqn": (DQN, "CartPole-v1", {"policy_kwargs": {"net_arch": [24, 12]}}),
    "dqn without hidden layers": (DQN, "CartPole-v1", {"policy_kwargs": {"net_arch": []}}),
    "qrdqn": (QRDQN, "CartPole-v1", {"policy_kwargs": {"n_quantiles": 7}}),
    "sac": (SAC, Acts(FLOATS, NUMBERS), {"policy_kwargs": {"net_arch": {"pi": [20], "qf": [10, 10, 10]}}}),
    "sac that explores by state": (SAC, "Pendulum-v1", {"use_sde": True}),
    "sac that explores by state, unclipped": (
        SAC,
        "Pendulum-v1",
        {"use_sde": True, "policy_kwargs": {"clip_mean": 0.0}},
    ),
    "td3": (TD3, Acts(FLOATS, NUMBERS), {"policy_kwargs": {"net_arch": [30, 20], "n_critics": 3}}),
    "ddpg": (DDPG, "Pendulum-v1", {"policy_kwargs": {"net_arch": [40, 30]}}),
    "ppo of images": (PPO, Pictures(spaces.Discrete(3)), {"policy": "CnnPolicy"}),
    "ppo of images with two encoders": (
        PPO,
        Pictures(spaces.Discrete(3)),
        {"policy": "CnnPolicy", "policy_kwargs": {"share_features_extractor": False}},
    ),
    "dqn of images": (
        DQN,
        Pictures(spaces.Discrete(3)),
        {"policy": "CnnPolicy", "policy_kwargs": {"features_extractor_kwargs": {"features_dim": 32}}},
    ),
    "sac of images": (SAC, Pictures(NUMBERS), {"policy": "CnnPolicy"}),
    "td3 of images": (TD3, Pictures(NUMBERS), {"policy": "CnnPolicy"}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_imported_model_acts_as_in_stable_baselines3(tmp_path, case):
    algorithm, env, options = CASES[case]
    env = gymnasium.make(env) if isinstance(env, str) else env
    file = saved(tmp_path, algorithm, env, **options)
    theirs, seen = algorithm.load(file, device="cpu"), observations(env)
    spaces_of_env = {"observation_space": env.observation_space, "action_space": env.action_space}
    ours = import_sb3(file, device="cpu", **spaces_of_env)
    expected = theirs.predict(seen, deterministic=True)[0]
    assert len(np.unique(expected, axis=0)) > 1
    for policy in (ours, ours.remembering(), import_sb3(file, device="cpu")):
        np.testing.assert_allclose(policy.predict(seen, deterministic=True)[0], expected, rtol=1e-6, atol=1e-6)
    if not getattr(theirs, "use_sde", False):  # whose noise is drawn when a model is loaded
        for predict in (ours.predict, ours.remembering().predict):
            torch.manual_seed(1)
            sampled = theirs.policy.predict(seen, deterministic=False)[0]
            torch.manual_seed(1)
            np.testing.assert_array_equal(predict(seen, deterministic=False)[0], sampled)


def test_exploration_by_state_is_the_same_each_time_a_file_is_imported(tmp_path):
    env = gymnasium.make("Pendulum-v1")
    file, seen = saved(tmp_path, A2C, env, use_sde=True), observations(env)
    before = torch.get_rng_state()
    one, other = (import_sb3(file, device="cpu").predict(seen)[0] for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one, other)
    assert (one != import_sb3(file, device="cpu").predict(seen, deterministic=True)[0]).any()


def older(content: bytes) -> bytes:
    """Statistics as pickled before NumPy 2 and Gymnasium."""
    return content.replace(b"numpy._core", b"numpy.core").replace(b"gymnasium.spaces", b"gym.spaces")


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_statistics_of_training_normalize_observations_as_vec_normalize_does(tmp_path, protocol):
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]), clip_obs=2.0, epsilon=1e-3)
    env.seed(0)
    env.action_space.seed(0)
    env.reset()
    for _ in range(30):
        env.step(np.array([env.action_space.sample()]))
    content = pickle.dumps(env, protocol)
    (tmp_path / "statistics.pkl").write_bytes(older(content) if protocol == 3 else content)
    file = saved(tmp_path, SAC, gymnasium.make("Pendulum-v1"))
    policy = import_sb3(file, tmp_path / "statistics.pkl", device="cpu")
    seen = 3 * observations(gymnasium.make("Pendulum-v1"))
    np.testing.assert_array_equal(policy.normalize(seen), env.normalize_obs(seen))
    expected = SAC.load(file, device="cpu").predict(env.normalize_obs(seen), deterministic=True)[0]
    np.testing.assert_allclose(policy.predict(seen, deterministic=True)[0], expected, rtol=1e-6)


def test_statistics_of_rewards_alone_change_nothing(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]), norm_obs=False)
    env.save(tmp_path / "statistics.pkl")
    file, seen = saved(tmp_path, PPO, gymnasium.make("CartPole-v1")), observations(gymnasium.make("CartPole-v1"))
    policy = import_sb3(file, tmp_path / "statistics.pkl")
    np.testing.assert_array_equal(policy.normalize(seen), seen)


@pytest.mark.parametrize("zipped", [True, False], ids=["torch 1.6", "torch 1.4"])
def test_files_of_versions_before_2_are_read(tmp_path, zipped):
    """Spaces of Gym, in one of torch's two formats, and of an actor-critic that shares its first layers."""
    file = saved(tmp_path, PPO, gymnasium.make("CartPole-v1"), policy_kwargs={"net_arch": {"pi": [8, 5], "vf": [8, 5]}})

    def share(tensors):
        for kind in ("weight", "bias"):
            tensors[f"mlp_extractor.shared_net.0.{kind}"] = tensors.pop(f"mlp_extractor.policy_net.0.{kind}")
            del tensors[f"mlp_extractor.value_net.0.{kind}"]
            for net in ("policy_net", "value_net"):
                tensors[f"mlp_extractor.{net}.0.{kind}"] = tensors.pop(f"mlp_extractor.{net}.2.{kind}")

    theirs, seen = PPO.load(file), observations(gymnasium.make("CartPole-v1"))
    changed(file, data=of_gym, policy=weighing(share, _use_new_zipfile_serialization=zipped))
    ours = import_sb3(file)
    np.testing.assert_array_equal(
        ours.predict(seen, deterministic=True)[0], theirs.predict(seen, deterministic=True)[0]
    )
    first = [getattr(ours.module.mlp_extractor, net)[0].weight for net in ("policy_net", "value_net")]
    assert torch.equal(*first)


def test_an_encoder_that_is_listed_once_serves_actor_and_critic(tmp_path):
    file = saved(tmp_path, A2C, Pictures(spaces.Discrete(2)), "CnnPolicy")
    expected = import_sb3(file).module.state_dict()
    names = ("pi_features_extractor", "vf_features_extractor")
    changed(file, policy=weighing(lambda tensors: {k: t for k, t in tensors.items() if not k.startswith(names)}))
    found = import_sb3(file).module.state_dict()
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def test_printed_bounds_give_way_to_those_of_the_environment(tmp_path):
    env = Acts(FLOATS, NUMBERS)
    file = changed(saved(tmp_path, SAC, env), data=saying(action_space={"high": "[1.       0.3000001]"}))
    assert import_sb3(file).action_space.high[1] == np.float32(0.3000001)
    assert import_sb3(file, action_space=NUMBERS).action_space == NUMBERS


def test_a_link_to_a_model_is_followed(tmp_path):
    """As in the cache of huggingface_hub: snapshots/main/model.zip -> ../../blobs/model.zip."""
    for folder in ("blobs", "snapshots"):
        (tmp_path / folder).mkdir()
    saved(tmp_path / "blobs", PPO, gymnasium.make("CartPole-v1"))
    (tmp_path / "snapshots" / "main").mkdir()
    link = tmp_path / "snapshots" / "main" / "model.zip"
    link.symlink_to("../../blobs/model.zip")
    assert import_sb3(link).spec["agent"] == "ppo"


def test_a_model_is_evaluated_by_name_and_its_scores_lie_beside_it(tmp_path, capsys):
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    file = saved(tmp_path, DQN, gymnasium.make("CartPole-v1"))
    (tmp_path / "model").mkdir()
    env.save(tmp_path / "model" / "vecnormalize.pkl")
    result = evaluate({"policy": str(file), "env": "CartPole", "episodes": 4})
    assert result["greedy"]["return"]["mean"] == result["sampled"]["return"]["mean"] > 5
    assert (tmp_path / "model-evaluation-CartPole-0.json").is_file()
    assert "if the policy was trained with it, add normalization=" in capsys.readouterr().out
    options = {"normalization": str(tmp_path / "model" / "vecnormalize.pkl"), "env": "CartPole", "episodes": 2}
    assert evaluate({"policy": str(file), **options})["sampled"]
    assert "note:" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_of_minigrid_is_evaluated_on_flat_observations(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: FlatObsWrapper(gymnasium.make("MiniGrid-Empty-Random-5x5-v0"))]))
    env.seed(0)
    env.reset()
    for action in (2, 1, 2, 0, 2):
        env.step(np.array([action]))
    env.save(str(tmp_path / "statistics.pkl"))
    file = saved(tmp_path, PPO, FlatObsWrapper(gymnasium.make("MiniGrid-Empty-Random-5x5-v0")))
    options = {"normalization": str(tmp_path / "statistics.pkl"), "episodes": 4, "env": "MiniGrid-Empty-Random-5x5-v0"}
    assert evaluate({"policy": str(file), **options})["sampled"]["success"]["mean"] > 0


EXPORTED = ["ppo", "ppo with numbers as actions", "dqn", "sac", "sac that explores by state", "ddpg", "dqn of images"]


@pytest.mark.parametrize("case", EXPORTED)
def test_an_imported_model_is_exported_to_onnx(tmp_path, case):
    runtime, _ = (pytest.importorskip(package) for package in ("onnxruntime", "onnx"))
    algorithm, env, options = CASES[case]
    env = gymnasium.make(env) if isinstance(env, str) else env
    policy = import_sb3(saved(tmp_path, algorithm, env, **options), device="cpu")
    if case == "sac":
        policy.spec["normalization"] = Statistics(np.ones((2, 3)), np.full((2, 3), 2.0), 1, 1e-8, 0.5).to_data()
    seen = observations(env, 30)
    session = runtime.InferenceSession(save_onnx(policy, tmp_path / "policy.onnx", seen[:10]))
    given = policy.module.obs_to_tensor(seen)[0].numpy()  # channels first
    expected = policy.predict(seen, deterministic=True)[0]
    np.testing.assert_allclose(session.run(["actions"], {"observation": given})[0], expected, rtol=1e-4, atol=1e-4)
