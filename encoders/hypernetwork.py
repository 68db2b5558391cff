"""Hypernetwork: one view of the observation generates the weights that are applied to the other (Ha et al. 2017)."""

from __future__ import annotations

from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, Flatten, kind_of, mlp
from encoders.layers.distinct import distinct
from encoders.layers.hyper import HyperLinear
from encoders.layers.stem import Context, Observation, Stem


class Hypernetwork(Encoder):
    """Linear layers on x whose weights depend on a context x': multiplicative interaction (Jayakumar et al. 2020).

    Grids: x is the cells (the shared stem, flattened into one linear layer), x' direction, carried object and mission.
    Vectors and grids without any of those: x' is the observation itself.

    Args:
        observation_space: a grid or a vector.
        width: units of each generated layer, and number of features.
        layers: number of generated layers.
        context: size of the embedding of x'.
        embedding: size of a cell's embedding (grids only).
    """

    reads = ("grid", "vector")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 64,
        layers: int = 2,
        context: int = 32,
        embedding: int = 32,
    ):
        super().__init__(observation_space, width)
        if kind_of(observation_space) == "grid":
            stem = Stem(observation_space, embedding, context=False)
            flat = stem.grid[0] * stem.grid[1] * embedding
            self.flatten: nn.Module = nn.Sequential(stem, nn.Flatten())
            self.x = mlp(flat, 2 * width)
            size = 2 * width
            reader = Context(observation_space, context)
        else:
            self.flatten = Flatten(observation_space)
            self.x = nn.Sequential()
            flat = size = self.flatten.size
            reader = Context(spaces.Dict(), context)
        self.reader = reader if reader.keys else None
        self.own_context = mlp(flat, context) if self.reader is None else None
        sizes = [size] + [width] * layers
        self.layers = nn.ModuleList(HyperLinear(i, o, context) for i, o in zip(sizes, sizes[1:], strict=False))

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        flat = self.flatten(obs)
        x = self.x(flat)
        if self.reader is None:
            assert self.own_context is not None
            context = self.own_context(flat)
            for layer in self.layers:
                x = layer.bilinear(x, context).relu()  # type: ignore[operator]
            return x
        assert isinstance(obs, dict)
        contexts, group = distinct({key: obs[key] for key in self.reader.keys})
        embedded = self.reader(contexts)
        for layer in self.layers:
            x = layer.grouped(x, embedded, group).relu()  # type: ignore[operator]
        return x
