"""Features of each node of a body, in the one vector that SB3 passes from an encoder to its heads.

    features = pooled ⊕ (h_1 ⊕ acting_1) ⊕ ... ⊕ (h_N ⊕ acting_N)

h_i is the state of node i. acting_i is the one-hot of its type if the node acts, else zeros: it tells heads with which
weights to read h_i, and which actions are nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True)
class NodeFeatures:
    """How the features of an encoder are laid out.

    Attributes:
        nodes: N, padding included.
        types: T, of nodes.
        pooled: features of the body as a whole, which values are read from.
        width: of a node's state; 0: actions are read from the pooled features too.
    """

    nodes: int
    types: int
    pooled: int
    width: int

    @property
    def size(self) -> int:
        """Of the features."""
        return self.pooled + self.nodes * (self.width + self.types)

    def join(
        self,
        pooled: Float[Tensor, "batch pooled"],
        states: Float[Tensor, "batch nodes width"] | None,
        acting: Float[Tensor, "batch nodes types"],
    ) -> Float[Tensor, "batch features"]:
        """The features; `states` is None for a width of 0."""
        nodes = acting if states is None else torch.cat([states, acting], dim=2)
        return torch.cat([pooled, nodes.flatten(1)], dim=1)

    def split(
        self, features: Float[Tensor, "batch features"]
    ) -> tuple[Float[Tensor, "batch pooled"], Float[Tensor, "batch nodes width"], Float[Tensor, "batch nodes types"]]:
        """The parts that were joined."""
        nodes = features[:, self.pooled :].unflatten(1, (self.nodes, -1))
        return features[:, : self.pooled], nodes[..., : self.width], nodes[..., self.width :]


def layout_of(encoder: nn.Module) -> NodeFeatures | None:
    """How the features of an encoder are laid out where each node of a body acts; None elsewhere."""
    return getattr(encoder, "per_node", None)


def node_types(space: spaces.Space) -> int:
    """How many types of nodes the bodies of a space may have."""
    assert isinstance(space, spaces.Dict)
    return int(space["node_type"].high.max()) + 1  # type: ignore[attr-defined]


def action_space(space: spaces.Space) -> spaces.Box:
    """The actions of the bodies of a space: a number from -1 to 1 for every node."""
    assert isinstance(space, spaces.Dict)
    return spaces.Box(-1, 1, space["node_mask"].shape, np.float32)


def one_hot_types(obs: dict[str, Tensor], types: int) -> Float[Tensor, "batch nodes types"]:
    """The type of each node, all zeros for padding."""
    numbers = torch.arange(types, device=obs["nodes"].device)
    is_type = obs["node_type"][..., None] == numbers
    return (is_type & (obs["node_mask"] > 0)[..., None]).to(obs["nodes"].dtype)


def acting(obs: dict[str, Tensor], is_type: Float[Tensor, "batch nodes types"]) -> Float[Tensor, "batch nodes types"]:
    """The type of each node that acts, all zeros for the others."""
    return is_type * (obs["actuated"] > 0).to(is_type.dtype)[..., None]


def present(obs: dict[str, Tensor]) -> Bool[Tensor, "batch nodes"]:
    """Which nodes are no padding."""
    return obs["node_mask"] > 0


class TypedLinear(nn.Module):
    """A linear layer of its own for each type of node: h_i = W_t(i) x_i + b_t(i); padding gives zeros.

    It is one product with the outer product of a node's one-hot type and its numbers.

    Args:
        inputs, outputs: per node.
        types: of nodes.
    """

    def __init__(self, inputs: int, outputs: int, types: int):
        super().__init__()
        self.linear = nn.Linear(types * (inputs + 1), outputs, bias=False)
        bound = (inputs + 1) ** -0.5
        nn.init.uniform_(self.linear.weight, -bound, bound)  # as wide as the layer of one type

    def forward(
        self, x: Float[Tensor, "batch nodes inputs"], is_type: Float[Tensor, "batch nodes types"]
    ) -> Float[Tensor, "batch nodes outputs"]:
        there = is_type.amax(2, keepdim=True) > 0
        x = torch.cat([x.masked_fill(~there, 0), torch.ones_like(x[..., :1])], dim=2)
        return self.linear((is_type[..., None] * x[..., None, :]).flatten(2))
