"""Codes and words: as many as the observation space has room for, each with an embedding of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.make import encoder_named
from encoders.base import encoders_reading, kind_of
from encoders.layers.stem import Context, Stem
from envs.missions import WORDS
from envs.symmetries import minigrid_symmetry


def grid(largest: int) -> spaces.Dict:
    """A full view whose codes run from 0 to `largest`."""
    return spaces.Dict(
        image=spaces.Box(0, largest, (5, 5, 3), np.uint8),
        direction=spaces.Box(0, 3, (1,), np.uint8),
        carrying=spaces.Box(0, largest, (2,), np.uint8),
    )


def built(name: str, space: spaces.Dict, codes: int):
    symmetry = minigrid_symmetry(space, "full", WORDS, codes=(codes, codes, codes))
    torch.manual_seed(0)
    return encoder_named(name)(space, **({"symmetry": symmetry} if name == "homomorphic" else {})).eval()


@pytest.mark.parametrize("largest", [11, 40, 254])
@pytest.mark.parametrize("name", encoders_reading("grid"))
def test_every_grid_encoder_sees_every_code_of_its_space(name, largest):
    encoder = built(name, grid(largest), largest + 1)
    seen = {"image": torch.ones(1, 5, 5, 3), "direction": torch.zeros(1, 1), "carrying": torch.zeros(1, 2)}
    with torch.no_grad():
        for key in ("image", "carrying"):
            for channel in range(seen[key].shape[-1]):
                outputs = []
                for code in (0, 5, largest - 1, largest):
                    changed = {**seen, key: seen[key].clone()}
                    changed[key].reshape(-1, seen[key].shape[-1])[0, channel] = code
                    outputs.append(encoder(changed))
                assert torch.pdist(torch.cat(outputs)).min() > 1e-5, (key, channel)


@pytest.mark.parametrize("largest", [3, 10])
def test_parameters_have_room_for_minigrid_s_codes_and_the_same_shapes_as_ever(largest):
    space = grid(largest)
    assert Stem(space, 8).cells.table.shape == (33, 8) and Context(space, 8).carrying.weight.shape == (22, 8)


def test_what_stays_below_255_is_a_grid_and_what_does_not_an_image():
    for largest in (1, 10, 11, 254):
        assert kind_of(grid(largest)) == "grid"
    assert kind_of(grid(255)) == "image"
    assert kind_of(spaces.Box(0, 1, (10, 10, 4), np.uint8)) == "image"  # four numbers per cell are no MiniGrid cell
