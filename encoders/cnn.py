"""CNN: the same small filter everywhere, so local patterns are recognised wherever they are (LeCun et al. 1989)."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.preprocessing import is_image_space_channels_first
from torch import Tensor, nn

from encoders.base import Encoder, kind_of
from encoders.layers.stem import Context, Observation, Stem


class CNN(Encoder):
    """Convolutions over cells (grids) or pixels (images), flattened into one linear layer.

    Grids: the shared stem, then 3×3 convolutions with padding 1, so every cell keeps its place. Images: the trunk of
    Mnih et al. (2015), 8×8 stride 4, 4×4 stride 2, 3×3; direction and mission, where there are any, join before the
    linear layer.

    Args:
        observation_space: a grid or an image.
        width: number of features.
        channels: channels of each 3×3 convolution (grids only).
        layers: number of 3×3 convolutions (grids only).
        embedding: size of a cell's embedding (grids only).
        pooling: "flatten" keeps where things are; "max", the maximum over cells, fits any grid size (grids only).

    Raises:
        ValueError: an unknown pooling, or an image too small for the filters.
    """

    reads = ("grid", "image")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        channels: int = 32,
        layers: int = 2,
        embedding: int = 32,
        pooling: str = "flatten",
    ):
        super().__init__(observation_space, width)
        if pooling not in ("flatten", "max"):
            raise ValueError(f"encoder.pooling is flatten or max, got {pooling!r}")
        self.pooling = pooling
        self.is_grid = kind_of(observation_space) == "grid"
        if self.is_grid:
            self.stem = Stem(observation_space, embedding)
            sizes = [embedding] + [channels] * layers
            self.trunk = nn.Sequential(
                *(
                    module
                    for inputs, outputs in zip(sizes, sizes[1:], strict=False)
                    for module in (nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())
                )
            )
            flat = sizes[-1] * (self.stem.grid[0] * self.stem.grid[1] if pooling == "flatten" else 1)
        else:
            image: Any = observation_space["image"] if isinstance(observation_space, spaces.Dict) else observation_space
            self.channels_first = is_image_space_channels_first(image)
            channels_in = image.shape[0] if self.channels_first else image.shape[2]
            self.trunk = nn.Sequential(
                nn.Conv2d(channels_in, 32, 8, stride=4),
                nn.ReLU(),
                nn.Conv2d(32, 64, 4, stride=2),
                nn.ReLU(),
                nn.Conv2d(64, 64, 3),
                nn.ReLU(),
            )
            with torch.no_grad():
                try:
                    flat = self.trunk(self._channels_first(torch.zeros(1, *image.shape))).numel()
                except RuntimeError as error:
                    raise ValueError(f"encoder CNN needs images of at least 36x36 pixels, got {image.shape}") from error
            context = Context(observation_space, 64)
            self.context = context if context.keys else None
            flat += 64 if context.keys else 0
        self.out = nn.Sequential(nn.Linear(flat, width), nn.ReLU())

    def _channels_first(self, pixels: Tensor) -> Float[Tensor, "batch channels height width"]:
        return pixels if self.channels_first else pixels.permute(0, 3, 1, 2)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        if self.is_grid:
            maps = self.trunk(self.stem(obs).permute(0, 3, 1, 2))
            return self.out(maps.amax((2, 3)) if self.pooling == "max" else maps.flatten(1))
        pixels = obs["image"] if isinstance(obs, dict) else obs
        flat = self.trunk(self._channels_first(pixels)).flatten(1)
        if self.context is not None:
            assert isinstance(obs, dict)
            flat = torch.cat([flat, self.context(obs)], dim=1)
        return self.out(flat)
