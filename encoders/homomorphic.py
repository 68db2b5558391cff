"""Homomorphic: a network whose every layer commutes with the environment's symmetry (van der Pol et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.average import check_sizes
from encoders.base import Encoder, activation_named, describe, encoders_reading, items, kind_of
from encoders.layers.equivariant import EquivariantGrid, regular
from encoders.layers.stem import Observation
from encoders.nodes import NodeFeatures, acting, node_types, one_hot_types
from encoders.ranges import require_choice, require_whole
from symmetry import Arrays, EquivariantLinear, Representation, Symmetry

OF_BODIES = ("nodes", "node_mask", "actuated")  # what is read of a body, flattened, as an mlp reads it


class Homomorphic(Encoder):
    """f(φ(g)s) = ρ(g) f(s) for every g, ρ copies of the regular representation.

    Vectors pass through equivariant linear layers: ρ permutes features without signs, so any pointwise activation keeps
    the law. So do the nodes of bodies, flattened; which of them act is among the features too. Grids pass through
    equivariant convolutions (`encoders.layers.equivariant`). With equivariant heads behind it (`encoders.heads`),
    π(ψ(g)a | φ(g)s) = π(a | s) and V(φ(g)s) = V(s).

    Args:
        observation_space: vectors, grids or bodies whose environment declares a symmetry.
        symmetry: that declaration.
        channels: vectors and bodies: copies of the regular representation in each layer, hence channels·|G| features.
        layers: number of linear layers (vectors and bodies) or 3×3 convolutions (grids).
        activation: "tanh" or "relu" (vectors and bodies only).
        width: number of features (grids only); this and `filters` are rounded up to multiples of |G|.
        filters: channels of each convolution (grids only).
        pooling: "flatten" keeps every position; "max", the maximum over cells, fits any grid size (grids only).

    Raises:
        ValueError: no symmetry, one whose sizes do not match the observation, or an unknown activation or pooling.
    """

    reads = ("vector", "grid", "body")
    equivariant = True
    scaled = ("width", "filters", "channels")

    def __init__(
        self,
        observation_space: spaces.Space,
        symmetry: Symmetry | None = None,
        channels: int = 64,
        layers: int = 2,
        activation: str = "tanh",
        width: int = 128,
        filters: int = 32,
        pooling: str = "flatten",
    ):
        if symmetry is None:
            others = ", ".join(name for name in encoders_reading("vector") if name != "homomorphic")
            raise ValueError(
                "encoder Homomorphic needs an environment that declares a symmetry, and this one declares none; "
                f"encoders that need none: {others}"
            )
        require_whole(1, channels=channels, layers=layers, width=width, filters=filters)
        require_choice(("flatten", "max"), pooling=pooling)
        kind = kind_of(observation_space)
        hidden = regular(symmetry, width) if kind == "grid" else Representation.regular(symmetry.group) * channels
        super().__init__(observation_space, hidden.size)
        self.out_rep = hidden
        chosen = activation_named(activation)
        parts = dict(items(observation_space))
        check_sizes(symmetry, observation_space)
        if kind == "vector" and len(parts) > 1:
            raise ValueError(f"encoder Homomorphic reads one vector or a grid; got {describe(observation_space)}")
        if kind == "grid":
            vocabulary = int(parts["mission"].high.max()) + 1 if "mission" in parts else 0
            grid = parts["image"].shape[:2]
            self.trunk: nn.Module = EquivariantGrid(grid, symmetry, vocabulary, width, filters, layers, pooling)
            return
        if kind == "body":
            self.order = symmetry.group.order
            self.per_node = NodeFeatures(parts["nodes"].shape[0], node_types(observation_space), channels, 0)
            self.out_rep = Representation.regular(symmetry.group) * self.per_node.size
            self._features_dim = self.out_rep.size
        reps = [flat(symmetry, OF_BODIES if kind == "body" else [*parts])] + [hidden] * layers
        self.trunk = nn.Sequential(
            *(
                module
                for inputs, outputs in zip(reps, reps[1:], strict=False)
                for module in (EquivariantLinear(inputs, outputs), chosen())
            )
        )

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        if self.per_node is None:
            return self.trunk(obs)
        assert isinstance(obs, dict)
        pooled = self.trunk(torch.cat([obs[key].flatten(1) for key in OF_BODIES], dim=1))
        acts = acting(obs, one_hot_types(obs, self.per_node.types)).flatten(1)  # of the mirrored body too
        return torch.cat([pooled, acts.repeat_interleave(self.order, 1)], dim=1)

    def stages(self) -> tuple[nn.Module, ...] | None:
        return (self.trunk,) if self.per_node is None else None


def flat(symmetry: Symmetry, keys: Sequence[str]) -> Representation:
    """How these vectors and arrays of an observation transform, flattened and joined."""
    parts: list[Any] = [symmetry.observation[key] for key in keys]
    return reduce(add, [part.flat if isinstance(part, Arrays) else part for part in parts])
