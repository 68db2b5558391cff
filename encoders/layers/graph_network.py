"""The full graph network block (Battaglia et al. 2018, algorithm 1): edges, nodes, and a global attribute."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.layers.topology import AGGREGATIONS, Topology, reduce
from encoders.ranges import require_choice


class GraphNetwork(nn.Module):
    """One block, for an edge from node s to node r, with ρ the mean, the sum or the maximum:

        e' = φᵉ(e, v_s, v_r, u)          for every edge
        v' = φᵛ(ρ e', v, u)              for every node, over the edges that lead to it
        u' = φᵘ(ρ e', ρ v', u)           over all edges, and over all nodes

    Each φ is a linear layer with ReLU; all attributes have the same number of features.

    Args:
        features: per edge, per node, and of the global attribute.
        aggregation: ρ, "mean", "sum" or "max".

    Raises:
        ValueError: another aggregation.
    """

    def __init__(self, features: int, aggregation: str = "mean"):
        super().__init__()
        require_choice((*AGGREGATIONS,), aggregation=aggregation)
        self.aggregation = aggregation
        self.edge = nn.Linear(4 * features, features)
        self.node = nn.Linear(3 * features, features)
        self.whole = nn.Linear(3 * features, features)

    def forward(
        self,
        nodes: Float[Tensor, "batch nodes features"],
        edges: Float[Tensor, "#batch edges features"],
        whole: Float[Tensor, "batch features"],
        graph: Topology,
    ) -> tuple[
        Float[Tensor, "batch nodes features"], Float[Tensor, "batch edges features"], Float[Tensor, "batch features"]
    ]:
        # a product with joined attributes is the sum of products, and nodes are fewer than edges
        own, sent, received, everywhere = self.edge.weight.chunk(4, dim=1)
        everyone = F.linear(whole, everywhere, self.edge.bias)[:, None]
        edges = graph.to_edges(nodes @ sent.T, nodes @ received.T + everyone).add_(edges @ own.T).relu_()
        arriving, degrees = graph.to_targets(edges, self.aggregation), graph.degrees()[..., None]
        context = whole[:, None].expand(-1, nodes.shape[1], -1)
        nodes = self.node(torch.cat([arriving, nodes, context], dim=2)).relu()
        # every edge leads to one node, so the edges of all are those of each: ρ e' comes from what arrived
        if self.aggregation == "mean":
            all_edges = (arriving * degrees).sum(1) / degrees.sum(1).clamp_min(1)
        else:
            all_edges = reduce(arriving, degrees > 0, self.aggregation)
        all_nodes = reduce(nodes, None if graph.nodes is None else graph.nodes[..., None], self.aggregation)
        return nodes, edges, self.whole(torch.cat([all_edges, all_nodes, whole], dim=1)).relu()
