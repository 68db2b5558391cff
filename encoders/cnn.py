"""CNN: the same small filter everywhere, so local patterns are recognised wherever they are (LeCun et al. 1989)."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.preprocessing import is_image_space_channels_first
from torch import Tensor, nn

from encoders.base import Encoder, kind_of
from encoders.layers import convolution
from encoders.layers.dropout import observation_key
from encoders.layers.regularization import Regularization
from encoders.layers.stem import Context, Observation, Stem
from encoders.ranges import require_choice, require_whole

POOLINGS = ("flatten", "max", "avg", "adaptive")
TRUNKS = {"grid": ("cells",), "image": ("nature", "impala")}


class CNN(Encoder):
    """Convolutions over cells (grids) or pixels (images), then one linear layer.

    Grids: the shared stem, then equal convolutions, by default 3×3 with padding 1, so every cell keeps its place.
    Images: the trunk of Mnih et al. (2015) or of Espeholt et al. (2018), whose linear layers had `width` 512 and 256;
    direction and mission, where there are any, join before the linear layer.

    Args:
        observation_space: a grid or an image.
        width: number of features.
        channels: channels of each convolution (grids only).
        layers: number of convolutions (grids only).
        embedding: size of a cell's embedding (grids only).
        pooling: how the linear layer reads the last maps. "flatten" keeps every position; "max" and "avg" are over all
            cells, so any grid size fits; "adaptive" averages over `pooled` × `pooled` parts, and fits any size too.
        pooled: parts per axis for "adaptive".
        kernel, stride, padding: of each convolution (grids only).
        layer_pooling: after each convolution, "max" or "avg" of 2×2 cells, or "none" (grids only).
        trunk: "nature" or "impala" for images, "cells" for grids; "auto": cells, nature.
        normalization, groups, dropout, drops: see `encoders.layers.regularization`.

    Raises:
        ValueError: an unknown option, or observations too small for the filters.
    """

    reads = ("grid", "image")
    scaled = ("width", "channels", "embedding")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        channels: int = 32,
        layers: int = 2,
        embedding: int = 32,
        pooling: str = "flatten",
        pooled: int = 3,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
        layer_pooling: str = "none",
        trunk: str = "auto",
        normalization: str = "none",
        groups: int = 8,
        dropout: float = 0.0,
        drops: str = "features",
    ):
        require_whole(
            1, width=width, channels=channels, embedding=embedding, pooled=pooled, kernel=kernel, stride=stride
        )
        require_whole(0, layers=layers, padding=padding)
        require_choice(POOLINGS, pooling=pooling)
        super().__init__(observation_space, width)
        kind = kind_of(observation_space)
        require_choice(("auto", *TRUNKS[kind]), trunk=trunk)
        regularization = Regularization(normalization, groups, dropout, drops)
        self.pooling, self.pooled, self.drops = pooling, pooled, dropout > 0
        self.is_grid = kind == "grid"
        joining = 0
        if self.is_grid:
            self.stem = Stem(observation_space, embedding)
            size = (embedding, *self.stem.grid)
            self.trunk = convolution.cells(
                embedding, channels, layers, regularization, kernel, stride, padding, layer_pooling
            )
        else:
            image: Any = observation_space["image"] if isinstance(observation_space, spaces.Dict) else observation_space
            self.channels_first = is_image_space_channels_first(image)
            size = image.shape if self.channels_first else (image.shape[2], *image.shape[:2])
            made = convolution.impala if trunk == "impala" else convolution.nature
            self.trunk = made(size[0], regularization)
            context = Context(observation_space, 64)
            self.context = context if context.keys else None
            joining = 64 if context.keys else 0
        maps = convolution.remaining(self.trunk, *size)
        if not maps[0] and not self.is_grid:
            raise ValueError(f"encoder CNN needs images of at least 36x36 pixels, got {image.shape}")
        if not maps[0]:
            raise ValueError(
                f"encoder.kernel={kernel}, encoder.stride={stride}, encoder.layer_pooling={layer_pooling} and "
                f"encoder.layers={layers} leave nothing of a grid of {size[1]}x{size[2]} cells"
            )
        if normalization == "instance" and maps[1:] == (1, 1):
            raise ValueError(
                "encoder.normalization=instance normalizes over cells, and only one cell is left; use layer or group"
            )
        flat = maps[0] * {"flatten": maps[1] * maps[2], "adaptive": pooled**2}.get(pooling, 1)
        self.out = nn.Sequential(nn.Linear(flat + joining, width), nn.ReLU())

    def _pooled(self, maps: Float[Tensor, "batch channels x y"]) -> Float[Tensor, "batch flat"]:
        if self.pooling == "flatten":
            return maps.flatten(1)
        if self.pooling == "adaptive":
            return nn.functional.adaptive_avg_pool2d(maps, self.pooled).flatten(1)
        return maps.amax((2, 3)) if self.pooling == "max" else maps.mean((2, 3))

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        key = (observation_key(obs),) if self.drops else ()
        if self.is_grid:
            return self.out(self._pooled(self.trunk(self.stem(obs).permute(0, 3, 1, 2), *key)))
        pixels = obs["image"] if isinstance(obs, dict) else obs
        channels_first = pixels if self.channels_first else pixels.permute(0, 3, 1, 2)
        flat = self._pooled(self.trunk(channels_first, *key))
        if self.context is not None:
            assert isinstance(obs, dict)
            flat = torch.cat([flat, self.context(obs)], dim=1)
        return self.out(flat)
