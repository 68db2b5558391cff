"""Modular: one module, the same at every joint of a body, whose copies send messages along its limbs."""

from __future__ import annotations

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.base import Encoder, mlp
from encoders.layers.graph import Graph, graph_sizes
from encoders.layers.pooling import Pooling
from encoders.layers.tree import Tree
from encoders.nodes import NodeFeatures, TypedLinear, acting, node_types, one_hot_types, present
from encoders.ranges import require_choice, require_whole


class Modular(Encoder):
    """Shared modular policies (Huang, Mordatch & Pathak 2020, "One Policy to Control Them All").

    With x the token of node i, from a linear layer of its type, c its children and p its parent:

        up_i = u(x_i, Σ_c up_c)                     from the leaves to the root
        down_i = d(x_i, Σ_c up_c, down_p)           from the root to the leaves
        h_i = f(x_i, Σ_c up_c, down_p)              the state, which the head of the node reads

    Without messages in one of the directions, what they say is missing. Networks u, d and f are the same at every node.
    Messages have the length 1, so they do not grow along a chain. The value is read from the mean of the states.

    Args:
        observation_space: a body.
        width: of tokens, states and hidden layers, and number of features of the body as a whole.
        messages: "bottom_up", "top_down" or "both", first up, then down.
        message: numbers in a message.
        layers: hidden layers of u, d and f.

    Raises:
        ValueError: an unknown option, a malformed graph space, or an observation that is not a tree.
    """

    reads = ("body",)
    scaled = ("width", "message")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 64,
        messages: str = "both",
        message: int = 32,
        layers: int = 1,
    ):
        require_whole(1, width=width, message=message)
        require_whole(1, layers=layers)
        require_choice(("bottom_up", "top_down", "both"), messages=messages)
        super().__init__(observation_space, width)
        self.message = message
        self.size, features, self.types = graph_sizes(observation_space)
        self.per_node = NodeFeatures(self.size, node_types(observation_space), width, width)
        self._features_dim = self.per_node.size
        self.read = TypedLinear(features, width, self.per_node.types)

        def network(heard: int, outputs: int) -> nn.Module:
            hidden = mlp(width + heard * message, *[width] * layers, activation=nn.Tanh)
            return nn.Sequential(hidden, nn.Linear(width, outputs))

        rising, falling = messages != "top_down", messages != "bottom_up"
        self.up = network(1, message) if rising else None
        self.down = network(rising + 1, message) if falling else None
        self.state = network(rising + falling, width)
        self.pooling = Pooling(width, "mean")
        self.out = mlp(width, width)

    def forward(self, obs: dict[str, Tensor]) -> Float[Tensor, "batch features"]:
        assert self.per_node is not None
        is_type = one_hot_types(obs, self.per_node.types)
        tree = Tree(Graph(obs, self.size, self.types))
        states = self.states(self.read(obs["nodes"], is_type).tanh(), tree)
        return self.per_node.join(self.out(self.pooling(states, present(obs))), states, acting(obs, is_type))

    def states(self, known: Float[Tensor, "batch nodes width"], tree: Tree) -> Float[Tensor, "batch nodes width"]:
        """The states of nodes with these tokens.

        All nodes speak at once, once for each edge of the longest path: then each has been told what its farthest
        descendant, or ancestor, had to say, and what was said too early has been said again.
        """
        for speak, to in ((self.up, tree.sum_of_children), (self.down, tree.of_parent)):
            if speak is None:
                continue
            told = F.pad(known, (0, self.message))  # nothing yet
            for _ in range(tree.depth):
                told = torch.cat([known, to(F.normalize(speak(told), dim=2))], dim=2)
            known = told
        return self.state(known)
