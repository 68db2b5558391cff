"""A frozen encoder has the same bits after training, whatever trains the rest."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agents import load_policy, make_agent, save_policy
from agents.optimizers import encoders_of
from agents.ppo.compiled import compiler
from agents.saved.policy import parameters
from encoders.layers.dropout import dropouts
from envs import make_vec_env

EPOCHS = {"n_steps": 16, "batch_size": 32, "n_epochs": 2}
REPLAY = {"learning_starts": 50, "train_freq": 1}
TARGET = {**REPLAY, "target_update_interval": 50, "tau": 0.3}  # a target that follows by a part rounds
DROPS = {"encoder_options": {"dropout": 0.2, "normalization": "batch"}, "weight_decay": 0.1}

QUICK: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "PPO": ("CartPole", "mlp", "ppo", {**EPOCHS, **DROPS}),
    "DQN": ("CartPole", "mlp", "dqn", {**TARGET, "weight_decay": 0.1}),
    "SAC": ("Pendulum", "mlp", "sac", REPLAY),
}
EVERY = {
    "PPO on grids": ("DoorKey-5x5", "cnn", "ppo", {**EPOCHS, **DROPS}),
    "SB3's PPO, with missions": ("GoToDoor-5x5", "gnn", "ppo", {**EPOCHS, "implementation": "sb3"}),
    "PPO, not distinct": ("DoorKey-5x5", "transformer", "ppo", {**EPOCHS, "distinct": False}),
    "symmetric": ("CartPole", "homomorphic", "ppo", EPOCHS),
    "average": ("CartPole", "mlp", "ppo", {**EPOCHS, "method": "average"}),
    "augment": ("CartPole", "mlp", "ppo", {**EPOCHS, "method": "augment"}),
    "loss": ("CartPole", "mlp", "ppo", {**EPOCHS, "method": "loss"}),
    "SB3's loss": ("CartPole", "mlp", "ppo", {**EPOCHS, "method": "loss", "implementation": "sb3"}),
    "A2C": ("CartPole", "mlp", "a2c", {}),
    "SB3's A2C": ("CartPole", "mlp", "a2c", {"implementation": "sb3", "use_rms_prop": True}),
    "recurrent PPO": ("DoorKey-5x5", "cnn", "recurrent_ppo", EPOCHS),
    "SB3's recurrent PPO": ("CartPole", "mlp", "recurrent_ppo", {**EPOCHS, "implementation": "sb3"}),
    "windows": ("DoorKey-5x5", "lstm", "ppo", EPOCHS),
    "hypernetwork": ("DoorKey-5x5", "hypernetwork", "ppo", EPOCHS),
    "DQN on grids": ("DoorKey-5x5", "gnn", "dqn", TARGET),
    "SB3's DQN": ("CartPole", "mlp", "dqn", {**TARGET, "implementation": "sb3"}),
    "QR-DQN": ("CartPole", "mlp", "qrdqn", TARGET),
    "SB3's QR-DQN": ("CartPole", "mlp", "qrdqn", {**TARGET, "implementation": "sb3"}),
    "SB3's SAC": ("Pendulum", "mlp", "sac", {**REPLAY, "implementation": "sb3"}),
    "TD3": ("Pendulum", "homomorphic", "td3", REPLAY),
    "SB3's TD3": ("Pendulum", "mlp", "td3", {**REPLAY, "implementation": "sb3"}),
}
COMPILED = {
    "PPO": ("DoorKey-5x5", "cnn", "ppo", {**EPOCHS, "distinct": False}),
    "DQN": ("DoorKey-5x5", "gnn", "dqn", TARGET),
    "SAC": ("Pendulum", "mlp", "sac", REPLAY),
}


def frozen(env_id: str, encoder: str, agent: str, options: dict[str, Any], freeze: bool = True) -> Any:
    history = {"history": 4} if encoder == "lstm" else {}
    env = make_vec_env(env_id, n_envs=4, seed=0, **history)
    return make_agent(env, encoder, agent, seed=0, device="cpu", freeze=freeze, **options)


def state(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in parameters(model.policy).items()}


def check_that_heads_alone_are_trained(model: Any) -> None:
    before = state(model)
    model.learn(256)
    after = parameters(model.policy)
    places = tuple(f"{place}." for place in encoders_of(model.policy))
    encoded = {name for name in after if name.startswith(places)}
    assert encoded and {name for name in after if not torch.equal(before[name], after[name])} == {*after} - encoded
    assert not any(after[name].requires_grad or after[name].grad is not None for name in encoded)


@pytest.mark.parametrize("name", QUICK)
def test_a_frozen_encoder_has_the_same_bits_after_training(name):
    check_that_heads_alone_are_trained(frozen(*QUICK[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_so_it_has_with_every_agent_and_symmetry_method(name):
    check_that_heads_alone_are_trained(frozen(*EVERY[name]))


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("name", COMPILED)
def test_so_it_has_in_compiled_graphs_which_read_its_present_values(name):
    """The encoder changes after compiling, as it does when a snapshot is read."""
    env_id, encoder, agent, options = COMPILED[name]
    after = []
    for implementation in ("eager", "compiled"):
        model = frozen(env_id, encoder, agent, {**options, "implementation": implementation})
        model.decide(256)
        with torch.no_grad():
            for tensor in (part for each in encoders_of(model.policy).values() for part in each.buffers()):
                if tensor.is_floating_point():
                    tensor.mul_(1.5)
        check_that_heads_alone_are_trained(model)
        after.append(state(model))
    for key, value in after[0].items():
        assert torch.allclose(value, after[1][key], rtol=1e-3, atol=1e-4), key


@pytest.mark.parametrize("method", ["none", "loss"])
def test_the_first_step_of_the_heads_is_the_one_behind_an_encoder_that_learns(method):
    options = {"n_steps": 16, "batch_size": 64, "n_epochs": 1, "max_grad_norm": 1e9, "method": method, "weight": 10.0}
    after = []
    for freeze in (True, False):
        model = frozen("CartPole", "mlp", "ppo", options, freeze)
        begin = state(model)
        after.append(state(model.learn(64)))
    for name in ("action_net.weight", "action_net.bias", "value_net.weight"):
        assert not torch.equal(after[0][name], begin[name])
        assert torch.allclose(after[0][name], after[1][name], atol=1e-7), name


def test_a_frozen_encoder_drops_nothing():
    model = frozen(*QUICK["PPO"])
    model.policy.set_training_mode(True)
    (encoder,) = encoders_of(model.policy).values()
    assert not encoder.training and not dropouts(model.policy)
    assert dropouts(frozen(*QUICK["PPO"], freeze=False).policy)


def test_a_frozen_encoder_is_saved_under_the_same_names_and_is_not_frozen_when_it_is_loaded(tmp_path):
    model = frozen(*QUICK["PPO"])
    assert state(model).keys() == state(frozen(*QUICK["PPO"], freeze=False)).keys()
    loaded = load_policy(save_policy(model, tmp_path / "policy"), device="cpu")
    assert all(parameter.requires_grad for parameter in loaded.module.parameters())
    assert "freeze" not in loaded.spec["head"]
