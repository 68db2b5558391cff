"""The law of `lstm`: one call over padded windows is a cell stepped over what is valid, whatever the padding."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from encoders.layers.normalization import BatchNorm
from encoders.lstm import CELLS, LSTM
from envs import make_vec_env

STEPPED = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}


def vectors(history: int) -> spaces.Dict:
    window = spaces.Box(-1, 1, (history, 3), np.float32)
    return spaces.Dict({"observation": window, "valid": spaces.Box(0, 1, (history,), np.uint8)})


def grids(history: int, grid: tuple[int, int] = (4, 3)) -> spaces.Dict:
    image = spaces.Box(0, 10, (history, *grid, 3), np.uint8)
    direction = spaces.Box(0, 3, (history, 1), np.uint8)
    valid = spaces.Box(0, 1, (history,), np.uint8)
    return spaces.Dict({"image": image, "direction": direction, "valid": valid})


def windows(space: spaces.Dict, lengths: list[int]) -> dict[str, torch.Tensor]:
    """Random windows of which the last `lengths` observations are valid; the others hold random numbers, too."""
    made = {key: torch.stack([torch.as_tensor(space[key].sample()) for _ in lengths]).double() for key in space.spaces}
    history = made["valid"].shape[1]
    made["valid"] = (torch.arange(history) >= history - torch.tensor(lengths)[:, None]).double()
    return made


def stepped(encoder: LSTM, obs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The definition: sample after sample, layer after layer, direction after direction, step after step."""
    features = []
    for i, valid in enumerate(obs["valid"]):
        frames = {key: part[i][valid > 0] for key, part in obs.items() if key != "valid"}
        sequence = encoder.trunk(frames.get("observation", frames))
        for layer in range(encoder.lstm.num_layers):
            ways = [run(encoder.lstm, layer, sequence)]
            if encoder.bidirectional:
                ways.append(run(encoder.lstm, layer, sequence.flip(0), "_reverse").flip(0))
            sequence = torch.cat(ways, dim=1)
        last = [way[0 if number else -1] for number, way in enumerate(ways)]
        features.append(torch.cat(last))
    return torch.stack(features)


def run(layers: nn.RNNBase, layer: int, sequence: torch.Tensor, way: str = "") -> torch.Tensor:
    """The states of one layer in one direction, a cell of torch's stepped from a zero state."""
    name = next(name for name, kind in CELLS.items() if type(layers) is kind)
    cell = STEPPED[name](sequence.shape[1], layers.hidden_size).double()
    cell.load_state_dict(
        {key: getattr(layers, f"{key}_l{layer}{way}") for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    )
    state, states = None, []
    for features in sequence:
        state = cell(features[None], state)
        states.append(state[0] if name == "lstm" else state)
    return torch.cat(states)


@given(
    cell=st.sampled_from(list(CELLS)),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    space=st.sampled_from([vectors, grids]),
    windows_=st.integers(1, 5).flatmap(
        lambda history: st.tuples(st.just(history), st.lists(st.integers(1, history), min_size=1, max_size=5))
    ),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_one_call_over_padded_windows_is_a_cell_stepped_over_what_is_valid(
    cell, layers, bidirectional, space, windows_, seed
):
    history, lengths = windows_
    torch.manual_seed(seed)
    window = space(history)
    window.seed(seed)
    encoder = LSTM(window, 5, cell=cell, layers=layers, bidirectional=bidirectional).double()
    obs = windows(window, lengths)
    features = encoder(obs)
    assert features.shape == (len(lengths), encoder.features_dim) == (len(lengths), 10 if bidirectional else 5)
    assert (features - stepped(encoder, obs)).abs().max() < 1e-12
    # a perturbed module is noticed, and so is an observation that is valid
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.lstm.bias_hh_l0 += 0.1
        if bidirectional:
            other.lstm.bias_hh_l0_reverse += 0.1
    assert (features - stepped(other, obs)).abs().max() > 1e-6


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("trunk", ["cnn", "gnn", "mlp"])
def test_what_lies_before_the_episode_has_no_influence(trunk, bidirectional):
    torch.manual_seed(0)
    space = grids(4)
    encoder = LSTM(space, 5, trunk=trunk, bidirectional=bidirectional).double()
    obs, others = (windows(space, [1, 2, 4]) for _ in range(2))
    mixed = {
        key: torch.where(obs["valid"].reshape(3, 4, *[1] * (part.dim() - 2)) > 0, part, others[key])
        for key, part in obs.items()
    }
    assert torch.equal(encoder(mixed), encoder(obs)) and not torch.equal(mixed["image"], obs["image"])
    assert (encoder(others) - encoder(obs)).abs().max() > 1e-3


def test_without_the_mask_s_care_the_way_back_would_begin_in_the_padding():
    torch.manual_seed(0)
    encoder = LSTM(vectors(4), 5, bidirectional=True).double()
    obs = windows(vectors(4), [2, 3])
    naive = copy.deepcopy(obs)
    naive["valid"] = torch.ones_like(obs["valid"])
    assert (encoder(naive) - stepped(encoder, obs)).abs().max() > 1e-3


def test_the_oldest_observation_reaches_both_ways():
    torch.manual_seed(0)
    encoder = LSTM(vectors(3), 5, bidirectional=True).double()
    obs = windows(vectors(3), [3])
    for step in range(3):
        changed = copy.deepcopy(obs)
        changed["observation"][:, step] += 1
        moved = (encoder(changed) - encoder(obs)).abs()[0]
        assert moved[:5].max() > 1e-6 and moved[5:].max() > 1e-6


def test_batch_statistics_are_of_the_valid_observations_and_count_each():
    torch.manual_seed(0)
    space = grids(4)
    encoder = LSTM(space, 5, trunk_options={"normalization": "batch"}).double()
    plain = copy.deepcopy(encoder.trunk)
    obs = windows(space, [1, 2, 4])
    encoder(obs)
    plain({key: part.flatten(0, 1)[obs["valid"].flatten() > 0] for key, part in obs.items() if key != "valid"})
    met = [
        [part.met_mean for part in trunk.modules() if isinstance(part, BatchNorm)] for trunk in (encoder.trunk, plain)
    ]
    assert len(met[0]) == 2
    for mine, theirs in zip(*met, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_options_of_the_trunk_are_reached():
    env = make_vec_env("DoorKey-5x5", n_envs=2, seed=0, history=3)
    encoder = LSTM(env.observation_space, trunk="gnn", trunk_options={"channels": 8, "width": 24})
    assert encoder.trunk.features_dim == 24 and encoder.trunk.layers[0].bias.shape == (8,)
    for options, message in [
        ({"trunk_options": {"kernels": 3}}, r"trunk_options\.kernels: the trunk cnn has width, channels"),
        ({"cell": "peephole"}, "encoder.cell is lstm, gru or rnn"),
        ({"layers": 0}, "at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            LSTM(env.observation_space, **options)
