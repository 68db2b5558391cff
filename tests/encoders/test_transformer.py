"""Laws of the transformer: what positions do to permutations, what is read, and that attention maps tell the truth."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agents import make_agent, save_policy
from encoders.hypernetwork import Hypernetwork
from encoders.transformer import AttentionLayer, Transformer, sines
from envs import make_vec_env
from envs.missions import MISSION_LENGTH, word_ids
from evaluate import evaluate

POOLINGS = ("class", "mean", "max")
SIZES = {"x": st.integers(1, 6), "y": st.integers(1, 6)}


def grid(x: int, y: int) -> spaces.Dict:
    parts = {"image": (x, y, 3, 10), "direction": (1, 3), "carrying": (2, 10), "mission": (MISSION_LENGTH, 50)}
    return spaces.Dict({key: spaces.Box(0, high, shape, np.uint8) for key, (*shape, high) in parts.items()})


def observations(x: int, y: int, words: tuple[int, ...] = (3, 7, 5)) -> dict[str, torch.Tensor]:
    """One for each number of words, of that many."""
    n = len(words)
    mission = torch.zeros(n, MISSION_LENGTH)
    for row, count in zip(mission, words, strict=True):
        row[:count] = torch.randint(1, 50, (count,))
    parts = {"image": (11, (n, x, y, 3)), "direction": (4, (n, 1)), "carrying": (11, (n, 2))}
    return {key: torch.randint(0, end, shape).float() for key, (end, shape) in parts.items()} | {"mission": mission}


def build(x: int, y: int, **options) -> Transformer:
    torch.manual_seed(0)
    return Transformer(grid(x, y), **{"width": 16, "heads": 2, **options}).double()


def cells_of(encoder: Transformer, obs) -> torch.Tensor:
    """The last states of the cells (batch, cells, width), where all tokens are read."""
    seen = []
    with encoder.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        encoder(obs)
    return seen[0][:, : encoder.tokens.sizes["cells"]]


@settings(max_examples=15, deadline=None)
@given(**SIZES, pooling=st.sampled_from(POOLINGS))
def test_the_order_of_cells_does_not_matter_exactly_where_there_are_no_positions(x, y, pooling):
    torch.manual_seed(x * y)
    obs, order = observations(x, y), torch.arange(x * y).roll(1)
    permuted = {**obs, "image": obs["image"].flatten(1, 2)[:, order].reshape(-1, x, y, 3)}
    for positions in ("none", "learned", "sine"):
        encoder = build(x, y, positions=positions, pooling=pooling)
        difference = (encoder(obs) - encoder(permuted)).abs().max()
        same = [torch.allclose(encoder(obs), encoder(permuted), rtol=0, atol=1e-12)]
        if pooling != "class":
            same.append(torch.allclose(cells_of(encoder, obs)[:, order], cells_of(encoder, permuted), atol=1e-12))
        assert all(same) if positions == "none" or x * y == 1 else not any(same), difference


@pytest.mark.parametrize("pooling", POOLINGS)
def test_words_that_only_pad_change_nothing_and_the_order_of_real_ones_does(pooling):
    encoder = build(3, 3, pooling=pooling, positions="none")
    obs = observations(3, 3, words=(3, 9))
    alone = {key: part[:1] for key, part in obs.items()}
    torch.testing.assert_close(encoder(alone), encoder(obs)[:1], rtol=0, atol=1e-12)
    alone["mission"] = alone["mission"].clone()
    alone["mission"][:, :3] = alone["mission"][:, [2, 0, 1]]
    assert not torch.allclose(encoder(alone), encoder(obs)[:1], atol=1e-6)


def test_a_mission_longer_than_the_limit_is_one_clear_message():
    obs = observations(3, 3)
    obs["mission"] = torch.nn.functional.pad(obs["mission"], (0, 5))
    message = f"at most {MISSION_LENGTH} words in this encoder's observation space, got {MISSION_LENGTH + 5}"
    for encoder in (build(3, 3), Hypernetwork(grid(3, 3)).double()):
        with pytest.raises(ValueError, match=message):
            encoder(obs)
    long = "go to the " * 30
    with pytest.raises(ValueError, match=r"at most 72 words, got 90; shorten 'go to .{40,60}'$"):
        word_ids(long)


@settings(max_examples=15, deadline=None)
@given(
    heads=st.integers(1, 4),
    size=st.integers(1, 5),
    tokens=st.integers(1, 9),
    queries=st.sampled_from([None, 1]),
    masked=st.booleans(),
)
def test_attention_weights_times_values_are_what_the_fused_kernel_gives(heads, size, tokens, queries, masked):
    torch.manual_seed(tokens)
    layer = AttentionLayer(heads * size, heads).double()
    h = torch.randn(3, tokens, heads * size, dtype=torch.float64)
    mask = torch.rand(3, 1, 1, tokens) < 0.7 if masked else None
    if mask is not None:
        mask[..., 0] = True

    def again(explained: AttentionLayer) -> torch.Tensor:
        attended = explained.weights(h, mask, queries) @ layer.projected(h, queries)[2]
        state = h[:, :queries] + layer.out(attended.transpose(1, 2).flatten(2))
        return state + layer.mlp(layer.norm_mlp(state))

    weights = layer.weights(h, mask, queries)
    torch.testing.assert_close(weights.sum(3), torch.ones_like(weights[..., 0]), rtol=0, atol=1e-12)
    assert mask is None or (weights * ~mask == 0).all()
    torch.testing.assert_close(again(layer), layer(h, mask, queries), rtol=0, atol=1e-10)
    if tokens > 1 and mask is None and size > 1:
        other = copy.deepcopy(layer)
        with torch.no_grad():
            other.qkv.weight[: heads * size] += torch.randn(heads * size, heads * size)
        assert not torch.allclose(again(other), layer(h, mask, queries), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_attention_maps_name_every_token_and_sum_to_one(pooling):
    encoder = build(4, 3, pooling=pooling, layers=3)
    obs = observations(4, 3, words=(3, 8))
    maps = encoder.attention(obs)
    own = {"class"} if pooling == "class" else set()
    assert maps.keys() == {"cells", "direction", "carrying", "mission"} | own
    assert maps["cells"].shape == (2, 3, 2, 4, 3) and maps["mission"].shape == (2, 3, 2, 8)
    total = sum(part.flatten(3).sum(3) for part in maps.values())
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)
    assert (maps["mission"][0, ..., 3:] == 0).all() and (maps["mission"][1] > 0).all()


def test_a_cell_s_attention_is_found_where_the_cell_is():
    """Keys that a lone different cell alone has: the map is brightest there, or darkest."""
    encoder = build(5, 4, positions="none")
    obs = {key: torch.zeros_like(part[:1]) for key, part in observations(5, 4).items()}
    obs["image"][0, 3, 1] = 4
    cells = encoder.attention(obs)["cells"][0, 0, 0]
    elsewhere = torch.ones(5, 4, dtype=torch.bool)
    elsewhere[3, 1] = False
    assert cells[elsewhere].std() < 1e-12 and abs(cells[3, 1] - cells[0, 0]) > 1e-4


def test_numbers_of_a_vector_are_tokens_that_are_attended_to():
    space = spaces.Box(-1, 1, (5,))
    for pooling in POOLINGS:
        encoder = Transformer(space, width=8, heads=2, pooling=pooling)
        x = torch.randn(3, 5)
        maps = encoder.attention(x)
        assert maps["numbers"].shape == (3, 2, 2, 5) and ("class" in maps) == (pooling == "class")
        assert encoder(x).shape == (3, 8)


def test_mean_and_max_are_taken_over_the_real_tokens():
    obs = observations(3, 2, words=(2, 6))
    real = torch.tensor([6 + 1 + 1 + 2, 6 + 1 + 1 + 6])
    for pooling, pool in (("mean", lambda states: states.mean(0)), ("max", lambda states: states.amax(0))):
        encoder = build(3, 2, pooling=pooling)
        seen = []
        with encoder.norm.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output)):
            features = encoder(obs)
        expected = torch.stack([pool(states[:n]) for states, n in zip(seen[0], real, strict=True)])
        torch.testing.assert_close(features, expected, rtol=0, atol=1e-12)
        padded = torch.stack([pool(states) for states in seen[0]])
        assert not torch.allclose(features, padded, atol=1e-6)


def test_sines_are_those_of_the_paper():
    table = sines(50, 8)
    for p in (0, 1, 49):
        for i in range(4):
            angle = p / 10_000 ** (2 * i / 8)
            expected = torch.tensor([np.sin(angle), np.cos(angle)], dtype=torch.float32)
            torch.testing.assert_close(table[p, 2 * i : 2 * i + 2], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("positions", ["sine", "none", "learned"])
def test_a_larger_grid_takes_the_parameters_unless_positions_are_learned(positions):
    parameters = build(3, 3, positions=positions).state_dict()
    larger = build(5, 4, positions=positions)
    if positions == "learned":
        with pytest.raises(RuntimeError, match="size mismatch"):
            larger.load_state_dict(parameters)
        return
    larger.load_state_dict(parameters)
    assert larger(observations(5, 4)).shape == (3, 16)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("positions", ["learned", "sine", "none"])
def test_a_gradient_reaches_every_parameter_of_every_option(positions, pooling):
    encoder = build(3, 4, positions=positions, pooling=pooling)
    features = encoder(observations(3, 4))
    (features * torch.randn_like(features)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "encoder.heads=3 does not divide encoder.width=16"),
        ({"heads": 0}, "encoder.heads is a whole number, at least 1; got 0"),
        ({"layers": 0}, "encoder.layers is a whole number, at least 1; got 0"),
        ({"positions": "cosine"}, "encoder.positions is learned, sine or none; got 'cosine'"),
        ({"positions": "sine", "width": 18}, "needs an encoder.width that 4 divides, got 18"),
        ({"pooling": "sum"}, "encoder.pooling is class, mean or max; got 'sum'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(3, 3, **options)


def policy_file(folder: str, env_id: str, encoder: str, **options) -> str:
    env = make_vec_env(env_id, n_envs=1, bank=0)
    agent = make_agent(env, encoder, n_steps=8, batch_size=8, encoder_options=options)
    save_policy(agent, folder, environment={"id": env_id})
    return folder


@pytest.mark.slow
def test_attention_is_drawn_and_refused_where_there_is_none():
    policy = policy_file("mine", "MiniGrid-Empty-5x5-v0", "transformer", layers=1)
    evaluate(policy=policy, episodes=1, attention="maps.png")
    with Image.open("maps.png") as picture:
        assert picture.size[0] > 700 and len(picture.getcolors(10**6)) > 50
    with pytest.raises(ValueError, match=r"attention is the name of a \.png file; got maps.jpg"):
        evaluate(policy=policy, attention="maps.jpg")
    with pytest.raises(ValueError, match="there is no folder nowhere"):
        evaluate(policy=policy, attention="nowhere/maps.png")
    for env_id, encoder, message in [
        ("MiniGrid-Empty-5x5-v0", "mlp", "need a policy with encoder=transformer; this one has encoders.mlp"),
        ("CartPole", "transformer", "drawn over a grid; this policy reads Box"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(policy=policy_file(encoder, env_id, encoder), attention="other.png")
    assert not Path("other.png").exists()
