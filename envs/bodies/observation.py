"""Bodies as observations: graphs of one size, padded, with the types of their nodes from one vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.bodies.features import FEATURES, MOST
from envs.bodies.graph import EDGES, Body, vocabulary


class Layout:
    """The size and the vocabulary that several bodies are shown in.

    Attributes:
        nodes, edges: the most that any of them has.
        types: the names of the types of nodes.
        space: of observations, a graph of `encoders.layers.graph` with the types of its nodes, and which of them act.
        actions: a number from -1 to 1 for every node; those of nodes that do not act are not read.

    Args:
        bodies: all that may be shown.
        types: None: those of the bodies.

    Raises:
        ValueError: a body has a node of a type that is not among `types`.
    """

    def __init__(self, bodies: Sequence[Body], names: Sequence[str], types: Sequence[str] | None = None):
        self.types = vocabulary(bodies) if types is None else tuple(types)
        for body, name in zip(bodies, names, strict=True):
            if unknown := sorted({*body.types} - {*self.types}):
                raise ValueError(
                    f"{name} has nodes of the type {', '.join(unknown)}; known here are {', '.join(self.types)}"
                )
        self.nodes = max(body.nodes for body in bodies)
        self.edges = max(body.edges[0].shape[1] for body in bodies)
        n, e = self.nodes, self.edges
        self.space = spaces.Dict(
            {
                "nodes": spaces.Box(-MOST, MOST, (n, FEATURES), np.float32),
                "edge_index": spaces.Box(0, n - 1, (2, e), np.int16),
                "edge_type": spaces.Box(0, len(EDGES) - 1, (e,), np.int16),
                "node_mask": spaces.Box(0, 1, (n,), np.int8),
                "edge_mask": spaces.Box(0, 1, (e,), np.int8),
                "node_type": spaces.Box(0, len(self.types) - 1, (n,), np.int16),
                "actuated": spaces.Box(0, 1, (n,), np.int8),
            }
        )
        self.actions = spaces.Box(-1, 1, (n,), np.float32)

    def still(self, body: Body) -> dict[str, np.ndarray]:
        """What does not change while a body moves; its nodes are zeros."""
        boxes: dict[str, Any] = dict(self.space.spaces)
        shown = {key: np.zeros(box.shape, box.dtype) for key, box in boxes.items()}
        ends, kinds = body.edges
        n, e = body.nodes, ends.shape[1]
        shown["edge_index"][:, :e], shown["edge_type"][:e] = ends, kinds
        shown["node_mask"][:n], shown["edge_mask"][:e] = 1, 1
        shown["node_type"][:n] = [self.types.index(kind) for kind in body.types]
        shown["actuated"][:n] = body.motors >= 0
        return shown
