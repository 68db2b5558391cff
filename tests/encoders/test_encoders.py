"""Laws of the encoders, on observations of real environments."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from conftest import PROJECT, command
from encoder_cases import ENCODERS, NEEDS_MUJOCO, case, history, needs_symmetry, reading
from gymnasium import spaces
from stable_baselines3.common.preprocessing import preprocess_obs
from strange_options import defaults
from torch import nn

from agents.make import encoder_named
from configs.compose import compose
from encoders.gnn import GNN
from encoders.homomorphic import Homomorphic
from encoders.hypernetwork import Hypernetwork
from encoders.layers.hyper import HyperLinear
from encoders.layers.relational import GridRGCN
from encoders.layers.relations import RELATION_SETS, neighbours
from encoders.layers.stem import Mission, Stem
from encoders.lstm import LSTM
from encoders.resolve import resolve
from encoders.transformer import Transformer
from envs import make_vec_env
from learning.build import encoder_options


def observed(env_id: str, n: int = 6, steps: int = 5, **options):
    """A space, and a batch of observations after some random steps, as SB3 hands it to an encoder."""
    env = make_vec_env(env_id, n_envs=n, seed=0, **options)
    observation = env.reset()
    for _ in range(steps):
        observation = env.step([env.action_space.sample() for _ in range(n)])[0]
    as_tensors = {k: torch.as_tensor(v) for k, v in observation.items()} if isinstance(observation, dict) else None
    raw = as_tensors if as_tensors is not None else torch.as_tensor(observation)
    return env, preprocess_obs(raw, env.observation_space)


def build(name: str, env, **options):
    torch.manual_seed(0)
    symmetry = {"symmetry": env.symmetry} if needs_symmetry(name) else {}
    return encoder_named(name)(env.observation_space, **symmetry, **options)


CASES = [
    *[(name, "DoorKey-5x5", {}) for name in reading("grid")],
    *[(name, "DoorKey-5x5", {"view": "full"}) for name in reading("grid")],
    *[(name, "BabyAI-GoToLocal-v0", {}) for name in reading("grid")],
    *[(name, "CartPole", {}) for name in reading("vector")],
    *[(name, "DoorKey-5x5", {"view": "rgb"}) for name in reading("image")],
    *[pytest.param(name, "Centipede-4", {}, marks=NEEDS_MUJOCO) for name in reading("body")],
]


def test_the_cases_are_those_that_exist():
    assert {"mlp", "cnn", "lstm", "gnn", "transformer", "hypernetwork", "homomorphic", "modular"} <= {*ENCODERS}
    assert {"cnn", "lstm", "mlp"} <= {*reading("image")} and "gnn" not in reading("vector")
    assert {"gnn", "mlp", "modular", "transformer"} <= {*reading("body")} and "modular" not in reading("grid")


@pytest.mark.parametrize(("name", "env_id", "options"), CASES)
def test_a_gradient_reaches_every_parameter(name, env_id, options):
    env, observation = observed(env_id, **options, **history(name))
    encoder = build(name, env)
    features = encoder(observation)
    assert features.shape == (6, encoder.features_dim)
    # a random projection: a plain sum would be blind where a normalization fixes the sum
    (features * torch.randn_like(features)).sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", reading("grid"))
@pytest.mark.parametrize(("key", "env_id"), [("direction", "DoorKey-5x5"), ("mission", "BabyAI-GoToLocal-v0")])
def test_grid_encoders_read_direction_and_mission(name, key, env_id):
    env, observation = observed(env_id, **history(name))
    encoder = build(name, env).eval()
    changed = {**observation, key: observation[key].clone()}
    changed[key][..., 0] = (changed[key][..., 0] + 1) % 4 + (1 if key == "mission" else 0)
    assert not torch.allclose(encoder(observation), encoder(changed), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ENCODERS if "array" not in encoder_named(name).reads])
def test_an_observation_it_cannot_read_is_refused_with_those_that_can(name):
    options = {"symmetry": make_vec_env("CartPole", n_envs=1).symmetry} if needs_symmetry(name) else {}
    space = spaces.Box(-1, 1, (3, 4, 5, 6), np.float32)
    assert encoder_named("mlp")(space)  # reads anything
    with pytest.raises(ValueError, match=r"reads .*; got Box.* Encoders that read it: mlp"):
        encoder_named(name)(space, **options)


def test_an_lstm_without_a_window_says_how_to_get_one():
    with pytest.raises(ValueError, match=r"env\.history=4"):
        LSTM(make_vec_env("CartPole", n_envs=1).observation_space)


@pytest.mark.parametrize("name", ENCODERS)
def test_yaml_and_constructor_have_the_same_options_with_the_same_defaults(name):
    config = compose("train", [f"encoder={name}", f"env={case(name)[0]}"])
    written = {key: None if value == {} else value for key, value in encoder_options(config).items()}
    assert written == defaults(encoder_named(name))
    assert resolve(config["encoder"]["class"]) is encoder_named(name)


@pytest.mark.slow
def test_every_option_works_or_is_refused_by_its_name_whatever_its_value():
    done = command("tests/strange_options.py", PYTHONPATH=str(PROJECT))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_options_that_do_not_exist_are_refused():
    env, _ = observed("DoorKey-5x5")
    window, _ = observed("DoorKey-5x5", history=2)
    for name, where, options, message in [
        ("cnn", env, {"pooling": "mean"}, "flatten, max, avg or adaptive"),
        ("gnn", env, {"relations": "b4"}, "local, b3"),
        ("gnn", env, {"positions": "sine"}, "auto, learned or none"),
        ("transformer", env, {"heads": 5}, "does not divide"),
        ("transformer", env, {"positions": "cosine"}, "learned, sine or none"),
        ("lstm", window, {"cell": "peephole"}, "lstm, gru or rnn"),
        ("lstm", window, {"trunk": "transformer"}, "auto, cnn"),
    ]:
        with pytest.raises(ValueError, match=message):
            build(name, where, **options)


# ---- GNN


@pytest.mark.parametrize("relations", RELATION_SETS)
@pytest.mark.parametrize("grid", [(7, 7), (5, 3), (1, 6), (4, 1), (1, 1)])
def test_the_structured_r_gcn_equals_its_definition(relations, grid):
    torch.manual_seed(0)
    layer = GridRGCN(3, 5, grid, relations).double()
    nn.init.normal_(layer.bias)
    h = torch.randn(2, *grid, 3, dtype=torch.float64)
    assert (layer(h) - dense(layer, h)).abs().max() < 1e-12
    if grid == (7, 7):  # and the comparison notices: one relation's weights, altered
        other = copy.deepcopy(layer)
        with torch.no_grad():
            other.weight[-1] += 0.1
        assert (layer(h) - dense(other, h)).abs().max() > 1e-3


def dense(layer: GridRGCN, h: torch.Tensor) -> torch.Tensor:
    """h' = W₀h + Σ_r (row-normalised adjacency of r) h W_rᵀ + b, over all pairs of cells."""
    nodes = h.flatten(1, 2)
    out = nodes @ layer.weight[0].T + layer.bias
    for index, relation in enumerate(layer.relations):
        adjacency = neighbours(relation, *h.shape[1:3]).to(h)
        out = out + (adjacency / adjacency.sum(1, keepdim=True).clamp_min(1)) @ nodes @ layer.weight[1 + index].T
    return out.reshape(*h.shape[:3], -1)


def test_a_full_view_gnn_fits_every_grid_size_and_a_partial_one_its_own():
    small, _ = observed("DoorKey-5x5", view="full")
    large, observation = observed("DoorKey-8x8", view="full")
    parameters = build("gnn", small).state_dict()
    encoder = build("gnn", large)
    encoder.load_state_dict(parameters)
    assert encoder(observation).shape == (6, 128)
    partial, _ = observed("DoorKey-5x5")
    assert GNN(partial.observation_space).columns is not None and encoder.columns is None


# ---- Transformer


def test_padding_words_do_not_change_the_features():
    env, observation = observed("BabyAI-GoToLocal-v0")
    encoder = build("transformer", env).double()
    alone = {key: value[:1] for key, value in observation.items()}
    longer = {key: value[:2].clone() for key, value in observation.items()}
    longer["mission"][1, :60] = 5
    assert (encoder(alone)[0] - encoder(longer)[0]).abs().max() < 1e-12
    assert isinstance(encoder, Transformer)


# ---- Hypernetwork


def test_the_generator_starts_from_an_ordinary_layer():
    torch.manual_seed(0)
    layer, c = HyperLinear(128, 64, 32), torch.randn(50, 32)
    weights = layer.generated(c)
    assert (weights - layer.constant).std() < 0.15 * layer.constant.std()
    ordinary = nn.Linear(128, 64)
    assert abs(layer.constant[:, :-1].std() / ordinary.weight.std() - 1) < 0.05


def test_a_hypernetwork_is_the_same_for_a_batch_and_for_its_samples():
    env, observation = observed("BabyAI-GoToLocal-v0")
    encoder = build("hypernetwork", env).double()
    together = encoder(observation)
    alone = torch.cat([encoder({k: v[i : i + 1] for k, v in observation.items()}) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert isinstance(encoder, Hypernetwork)


# ---- LSTM


def test_an_lstm_reads_only_valid_observations_from_the_first_of_them_on():
    env, observation = observed("DoorKey-5x5", history=4, steps=1)
    assert observation["valid"].sum(1).tolist() == [2] * 6
    encoder = build("lstm", env).double()
    rubbish = {**observation, "image": observation["image"].clone()}
    rubbish["image"][:, :2] = 7
    assert torch.equal(encoder(observation), encoder(rubbish))
    rubbish["image"][:, 2] = 7
    assert not torch.equal(encoder(observation), encoder(rubbish))

    frames = {key: observation[key][:, 2:].flatten(0, 1) for key in ("image", "direction")}
    states, _ = encoder.lstm(encoder.trunk(frames).reshape(6, 2, -1))
    torch.testing.assert_close(encoder(observation), states[:, -1], rtol=0, atol=1e-12)


def test_pixels_arrive_scaled_alone_and_in_windows():
    for options in ({}, {"history": 2}):
        env, observation = observed("DoorKey-5x5", view="rgb", steps=3, **options)
        seen = []
        encoder = build("lstm" if options else "cnn", env)
        trunk = encoder.trunk.trunk if options else encoder.trunk
        trunk[0].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].max().item()))
        encoder(observation)
        assert 0.2 < seen[0] <= 1.0


# ---- the stem, and names


def test_the_stem_is_a_sum_of_one_hot_embeddings():
    env, observation = observed("DoorKey-5x5")
    stem = Stem(env.observation_space, 8, context=False).double()
    one_hot = nn.functional.one_hot(observation["image"].long(), 11).flatten(-2).double()
    torch.testing.assert_close(stem(observation), one_hot @ stem.cells.table, rtol=0, atol=1e-12)


def test_a_mission_is_read_to_its_last_word_whoever_shares_the_batch():
    reader = Mission(60, 8).double()
    ids = torch.zeros(3, 72)
    ids[0, :3] = torch.tensor([5.0, 6, 7])
    ids[1, :5] = torch.tensor([5.0, 6, 7, 8, 9])
    ids[2] = ids[0]
    out = reader(ids)
    torch.testing.assert_close(out[0], out[2])
    torch.testing.assert_close(out[:1], reader(ids[:1]), rtol=0, atol=1e-12)
    assert (out[0] - out[1]).abs().max() > 1e-3


def test_homomorphic_needs_a_symmetry_of_the_right_size():
    with pytest.raises(ValueError, match="declares none"):
        Homomorphic(spaces.Box(-1, 1, (4,)))
    with pytest.raises(ValueError, match="acts on shape"):
        Homomorphic(spaces.Box(-1, 1, (3,)), symmetry=make_vec_env("CartPole", n_envs=1).symmetry)


def test_only_this_project_s_encoders_and_trusted_modules_are_imported(tmp_path, monkeypatch):
    (tmp_path / "outside_package.py").write_text(
        "from stable_baselines3.common.torch_layers import FlattenExtractor\nclass Mine(FlattenExtractor): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("encoders.gnn.GNN") is GNN
    assert resolve("outside_package.Mine", trust=["outside_package"]).__name__ == "Mine"
    for name, trust, message in [
        ("outside_package.Mine", [], r"trust=\[outside_package\]"),
        ("os.system", [], "outside this project"),
        ("encoders.gnn.os.system", [], "outside this project"),
        ("os.system", ["os"], "not an encoder"),
        ("GNN", [], "module.Class"),
        ("encoders.gnn.Gnn", [], "no class Gnn"),
        ("no_such_module.X", ["no_such_module"], "No module named"),
    ]:
        with pytest.raises(ValueError, match=message):
            resolve(name, trust)
