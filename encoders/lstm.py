"""LSTM: a window of the last observations, read in order (Hochreiter & Schmidhuber 1997)."""

from __future__ import annotations

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, describe, kind_of, pixel_scale
from encoders.layers.distinct import distinct
from encoders.layers.stem import Observation
from encoders.resolve import resolve

TRUNKS = {"cnn": "encoders.cnn.CNN", "gnn": "encoders.gnn.GNN", "mlp": "encoders.mlp.MLP"}


class LSTM(Encoder):
    """A spatial trunk encodes every observation of the window, an LSTM reads them, its last state is the features.

    The window comes from `env.history=K`: every key with a leading axis K (oldest first) and `valid`, which of the K
    are observations of this episode. The LSTM starts at the first valid one from a zero state.

    Args:
        observation_space: a window of grids, images or vectors.
        width: units of the LSTM, and number of features.
        trunk: "cnn", "gnn" or "mlp"; "auto": cnn for grids and images, mlp for vectors.
        cell: "lstm"; gru and rnn are not there yet.

    Raises:
        ValueError: no window, an unknown option, or a trunk that cannot read the observations of the window.
    """

    reads = ("window",)

    def __init__(self, observation_space: spaces.Space, width: int = 128, trunk: str = "auto", cell: str = "lstm"):
        if kind_of(observation_space) in ("vector", "grid", "image"):
            raise ValueError(
                "encoder LSTM reads a window of observations, and this is a single one: give the environment a history "
                f"(env.history=4, or envs.make_vec_env(..., history=4)); got "
                f"{describe(observation_space)}"
            )
        super().__init__(observation_space, width)
        if cell != "lstm":
            raise ValueError(f"encoder.cell={cell} is not available, only lstm is")
        frames = frame_space(observation_space)
        if trunk == "auto":
            trunk = "cnn" if kind_of(frames) in ("grid", "image") else "mlp"
        if trunk not in TRUNKS:
            raise ValueError(f"encoder.trunk is auto, {', '.join(TRUNKS)}, got {trunk!r}")
        assert isinstance(observation_space, spaces.Dict)
        self.scale = {key: pixel_scale(observation_space[key]) for key in frame_keys(observation_space)}
        self.trunk = resolve(TRUNKS[trunk])(frames)
        # windows overlap and grids repeat: each distinct one is encoded once
        self.repeats = isinstance(frames, spaces.Dict) and kind_of(frames) == "grid"
        self.lstm = nn.LSTM(self.trunk.features_dim, width, batch_first=True)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        assert isinstance(obs, dict)
        valid = obs["valid"]
        batch, history = valid.shape
        length = valid.long().sum(1).clamp_min(1)
        # Valid frames are the last ones; bring them to the front, so that the LSTM begins with the first of them.
        steps = torch.arange(history, device=valid.device)
        order = (steps + history - length[:, None]) % history
        rows = (torch.arange(batch, device=valid.device)[:, None] * history + order).flatten()
        frames = {key: obs[key].flatten(0, 1)[rows] * scale for key, scale in self.scale.items()}
        if self.repeats:
            once, which = distinct(frames)
            features = self.trunk(once)[which]
        else:
            features = self.trunk(frames["observation"] if list(frames) == ["observation"] else frames)
        states, _ = self.lstm(features.reshape(batch, history, -1))
        return states[torch.arange(batch, device=valid.device), length - 1]


def frame_keys(space: spaces.Space) -> list[str]:
    """The observation's own keys in a window: all but the mask."""
    assert isinstance(space, spaces.Dict)
    return [key for key in space.spaces if key != "valid"]


def frame_space(space: spaces.Space) -> spaces.Space:
    """The space of one observation of a window: the leading axis and the mask removed."""
    assert isinstance(space, spaces.Dict)
    parts: dict[str, spaces.Space] = {}
    for key in frame_keys(space):
        box = space[key]
        assert isinstance(box, spaces.Box)
        parts[key] = spaces.Box(box.low[0], box.high[0], dtype=box.dtype.type)
    return parts["observation"] if list(parts) == ["observation"] else spaces.Dict(parts)
