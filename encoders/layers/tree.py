"""The trees within observed bodies: messages from children to their parent, and from parents to their children."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from encoders.layers.graph import Graph
from encoders.torch_internals import traced

CHILD = 0  # the type of the edges that lead from a node to its children


class Tree:
    """Who is whose parent, in every body of a batch; a node without a parent is the root of a tree.

    Attributes:
        depth: edges from a root to the deepest node of all, at least 1. It is not known on another device than the CPU,
            where to ask would be to wait, nor while the computation is traced or compiled: there it is the most that so
            many nodes can have.

    Args:
        graph: of the bodies. The edges of the type `CHILD` are read, padding is not.

    Raises:
        ValueError: a node has several parents, or is an ancestor of its own. Checked where the depth is known.
    """

    def __init__(self, graph: Graph):
        batch, nodes = self.size = graph.size
        leads = graph.edges.flatten() & (graph.types.flatten() == CHILD)
        # nodes count from 1 over the whole batch; 0 is nobody, to whom all other edges lead
        children, parents = ((ends + 1) * leads for ends in (graph.targets, graph.sources))
        self.parents = children.new_zeros(batch * nodes + 1).scatter(0, children, parents)
        if children.device.type == "cpu" and not traced(children):
            self.depth = max(1, self._measured(children))
        else:
            self.depth = max(1, nodes - 1)

    def sum_of_children(self, messages: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        """What a node's children say; 0 at leaves."""
        sums = messages.new_zeros(self.parents.shape[0], messages.shape[2])
        return sums.index_add(0, self.parents[1:], messages.flatten(0, 1))[1:].unflatten(0, self.size)

    def of_parent(self, messages: Float[Tensor, "batch nodes features"]) -> Float[Tensor, "batch nodes features"]:
        """What a node's parent says; 0 at roots."""
        said = F.pad(messages.flatten(0, 1), (0, 0, 1, 0))
        return said.index_select(0, self.parents[1:]).unflatten(0, self.size)

    def _measured(self, children: Tensor) -> int:
        """The depth."""
        nodes = self.size[1]
        if (several := torch.bincount(children)[1:] > 1).any():
            sample, node = divmod(int(several.nonzero()[0]), nodes)
            raise ValueError(f"body observation: node {node} of sample {sample} has several parents; a tree has one")
        depth, ancestors = 0, self.parents
        while ancestors.any():
            depth, ancestors = depth + 1, self.parents[ancestors]
            if depth == nodes:
                sample, node = divmod(int(ancestors.nonzero()[0]) - 1, nodes)
                raise ValueError(f"body observation: the parents of node {node} of sample {sample} are a circle")
        return depth
