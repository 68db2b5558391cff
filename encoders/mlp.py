"""MLP: the observation flattened, no inductive bias at all. The baseline."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, Flatten, activation_named, kind_of
from encoders.layers.dropout import Layers, observation_key
from encoders.layers.regularization import Regularization
from encoders.layers.stem import Observation, Stem
from encoders.nodes import NodeFeatures, acting, node_types, one_hot_types
from encoders.ranges import require_whole


class MLP(Encoder):
    """features = σ(W₂ σ(W₁ flatten(obs))); grids pass the shared stem first.

    Of a body it reads the numbers of its nodes and which there are, not the edges: it is tied to their number.

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

    reads = ("vector", "grid", "graph", "body", "image", "window", "array")
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
        elif kind_of(observation_space) == "body":
            assert isinstance(observation_space, spaces.Dict)
            seen: dict[str, Any] = {key: observation_space[key] for key in ("nodes", "node_mask", "actuated")}
            self.flatten = Flatten(spaces.Dict(seen))
            size = self.flatten.size
            self.per_node = NodeFeatures(seen["nodes"].shape[0], node_types(observation_space), width, 0)
            self._features_dim = self.per_node.size
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
        features = self.trunk(self.flatten(obs), *key)
        if self.per_node is None:
            return features
        assert isinstance(obs, dict)
        return self.per_node.join(features, None, acting(obs, one_hot_types(obs, self.per_node.types)))

    def stages(self) -> tuple[nn.Module, ...] | None:
        return (self.flatten, self.trunk) if self.per_node is None else None
