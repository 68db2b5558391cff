"""MLP: the observation flattened, no inductive bias at all. The baseline."""

from __future__ import annotations

from itertools import pairwise

from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, Flatten, activation_named, kind_of
from encoders.layers.dropout import Layers, observation_key
from encoders.layers.regularization import Regularization
from encoders.layers.stem import Observation, Stem
from encoders.ranges import require_whole


class MLP(Encoder):
    """features = σ(W₂ σ(W₁ flatten(obs))); grids pass the shared stem first.

    Args:
        observation_space: anything.
        width: units of each layer, and the number of features.
        layers: number of layers.
        embedding: size of a cell's embedding (grids only).
        activation: σ, "relu" or "tanh".
        normalization, groups, dropout: of each layer's units, see `encoders.layers.regularization`; not "instance".

    Raises:
        ValueError: an unknown option.
    """

    reads = ("vector", "grid", "graph", "image", "window", "array")
    scaled = ("width", "embedding")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        layers: int = 2,
        embedding: int = 32,
        activation: str = "relu",
        normalization: str = "none",
        groups: int = 8,
        dropout: float = 0.0,
    ):
        require_whole(1, width=width, layers=layers, embedding=embedding)
        super().__init__(observation_space, width)
        if normalization == "instance":
            raise ValueError(
                "encoder.normalization=instance normalizes over cells, and an mlp has none; use layer or group"
            )
        if kind_of(observation_space) == "grid":
            stem = Stem(observation_space, embedding)
            self.flatten: nn.Module = nn.Sequential(stem, nn.Flatten())
            size = stem.grid[0] * stem.grid[1] * embedding
        else:
            self.flatten = Flatten(observation_space)
            size = self.flatten.size
        made, regularization = activation_named(activation), Regularization(normalization, groups, dropout)
        self.drops = dropout > 0
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise([size] + [width] * layers):
            modules += [nn.Linear(inputs, outputs), *regularization.around(made(), outputs)]
        self.trunk = Layers(*modules)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        key = (observation_key(obs),) if self.drops else ()
        return self.trunk(self.flatten(obs), *key)

    def stages(self) -> tuple[nn.Module, ...]:
        return self.flatten, self.trunk
