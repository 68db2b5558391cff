"""LSTM: a window of the last observations, read in order (Hochreiter & Schmidhuber 1997), or a GRU or a plain RNN."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from encoders.base import Encoder, describe, kind_of, pixel_scale
from encoders.layers.normalization import counts_samples
from encoders.layers.stem import Observation
from encoders.layers.unique import unique_rows
from encoders.ranges import require_choice, require_whole
from encoders.resolve import resolve

TRUNKS = {"cnn": "encoders.cnn.CNN", "gnn": "encoders.gnn.GNN", "mlp": "encoders.mlp.MLP"}
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class LSTM(Encoder):
    """A spatial trunk encodes every observation of the window, an LSTM reads them, its last state is the features.

    The window comes from `env.history=K`: every key with a leading axis K (oldest first) and `valid`, which says which
    of the K belong to this episode. The LSTM starts at the first valid one from a zero state; the others have no
    influence.

    Args:
        observation_space: a window of grids, images or vectors.
        width: units of the LSTM, and number of features (twice as many if bidirectional).
        trunk: "cnn", "gnn" or "mlp"; "auto": cnn for grids and images, mlp for vectors.
        cell: "lstm", "gru" (Cho et al. 2014) or "rnn" (Elman 1990), h ← tanh(W x + U h + b).
        layers: LSTMs on top of each other.
        bidirectional: whether another one reads from the newest back to the oldest (Schuster & Paliwal 1997); the
            features are the last states of both.
        trunk_options: options of the trunk.

    Raises:
        ValueError: no window, an unknown option, or a trunk that cannot read the observations of the window.
    """

    reads = ("window",)

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        trunk: str = "auto",
        cell: str = "lstm",
        layers: int = 1,
        bidirectional: bool = False,
        trunk_options: Mapping[str, Any] | None = None,
    ):
        if kind_of(observation_space) in ("vector", "grid", "image"):
            raise ValueError(
                "encoder LSTM reads a window of observations, and this is a single one: give the environment a history "
                f"(env.history=4, or envs.make_vec_env(..., history=4)); got "
                f"{describe(observation_space)}"
            )
        require_whole(1, width=width, layers=layers)
        require_choice((*CELLS,), cell=cell)
        require_choice((True, False), bidirectional=bidirectional)
        require_choice(("auto", *TRUNKS), trunk=trunk)
        if not isinstance(trunk_options or {}, Mapping):
            raise ValueError(f"encoder.trunk_options is a mapping, like {{channels: 64}}; got {trunk_options!r}")
        super().__init__(observation_space, width * (2 if bidirectional else 1))
        frames = frame_space(observation_space)
        assert isinstance(observation_space, spaces.Dict)
        self.scale = {key: pixel_scale(observation_space[key]) for key in frame_keys(observation_space)}
        self.trunk = trunk_of(chosen(trunk, frames), frames, trunk_options or {})
        self.counts_samples = counts_samples(self.trunk)
        # windows overlap and grids repeat: each distinct one is encoded once
        self.repeats = isinstance(frames, spaces.Dict) and kind_of(frames) == "grid" and not self.counts_samples
        self.bidirectional = bidirectional
        self.lstm = CELLS[cell](
            self.trunk.features_dim, width, num_layers=layers, batch_first=True, bidirectional=bidirectional
        )

    @classmethod
    def sizes(cls, space: spaces.Space, options: Mapping[str, Any]) -> dict[str, Any]:
        frames = frame_space(space)
        trunk: Any = resolve(TRUNKS[chosen(options.get("trunk", "auto"), frames)])
        within = trunk.sizes(frames, options.get("trunk_options") or {})
        return super().sizes(space, options) | {f"trunk_options.{name}": value for name, value in within.items()}

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
        features = self._encoded(frames, (steps < length[:, None]).flatten()).reshape(batch, history, -1)
        if not self.bidirectional:
            states, _ = self.lstm(features)
            return states[torch.arange(batch, device=valid.device), length - 1]
        # packed, so that the backward pass over time starts at the newest frame and not in the padding
        _, last = self.lstm(pack_padded_sequence(features, length.cpu(), batch_first=True, enforce_sorted=False))
        forwards, backwards = (last[0] if isinstance(last, tuple) else last)[-2:]
        return torch.cat([forwards, backwards], dim=1)

    def _encoded(self, frames: dict[str, Tensor], valid: Bool[Tensor, " frames"]) -> Float[Tensor, "frames features"]:
        """The trunk's features of each frame; those of invalid frames are not used."""
        if self.repeats:
            once, which = unique_rows(frames)
            return self.trunk(once)[which]
        if self.counts_samples:
            encoded = self.trunk(_only({key: frame[valid] for key, frame in frames.items()}))
            return encoded.new_zeros(len(valid), encoded.shape[1]).index_put((valid,), encoded)
        return self.trunk(_only(frames))


def chosen(trunk: str, frames: spaces.Space) -> str:
    """The name of the trunk, with "auto" decided."""
    if trunk != "auto":
        return trunk
    return "cnn" if kind_of(frames) in ("grid", "image") else "mlp"


def trunk_of(name: str, frames: spaces.Space, options: Mapping[str, Any]) -> BaseFeaturesExtractor:
    """The trunk of that name.

    Raises:
        ValueError: an option that it does not have, or a value that an option cannot have.
    """
    trunk = resolve(TRUNKS[name])
    known = [option for option in inspect.signature(trunk).parameters if option != "observation_space"]
    for option in options:
        if option not in known:
            raise ValueError(f"encoder.trunk_options.{option}: the trunk {name} has {', '.join(known)}")
    try:
        return trunk(frames, **options)
    except ValueError as error:
        raise ValueError(str(error).replace("encoder.", "encoder.trunk_options.", 1)) from error


def _only(frames: dict[str, Tensor]) -> Observation:
    """A single array without the key that a window gives it; a Dict stays as it is."""
    return frames["observation"] if list(frames) == ["observation"] else frames


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
