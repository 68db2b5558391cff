"""MLP: the observation flattened, no inductive bias at all. The baseline."""

from __future__ import annotations

from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, Flatten, activation_named, kind_of, mlp
from encoders.layers.stem import Observation, Stem


class MLP(Encoder):
    """features = σ(W₂ σ(W₁ flatten(obs))); grids pass the shared stem first.

    Args:
        observation_space: anything.
        width: units of each layer, and the number of features.
        layers: number of layers.
        embedding: size of a cell's embedding (grids only).
        activation: σ, "relu" or "tanh".

    Raises:
        ValueError: another activation.
    """

    reads = ("vector", "grid", "graph", "image", "window", "array")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 128,
        layers: int = 2,
        embedding: int = 32,
        activation: str = "relu",
    ):
        super().__init__(observation_space, width)
        if kind_of(observation_space) == "grid":
            stem = Stem(observation_space, embedding)
            self.flatten: nn.Module = nn.Sequential(stem, nn.Flatten())
            size = stem.grid[0] * stem.grid[1] * embedding
        else:
            self.flatten = Flatten(observation_space)
            size = self.flatten.size
        self.trunk = mlp(size, *[width] * layers, activation=activation_named(activation))

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        return self.trunk(self.flatten(obs))
