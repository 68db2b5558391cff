"""A graph hypernetwork: from a computation graph to the parameters of its module.

    h_v = embedding(kind of v) + MLP(log₂ of the extents of v)
    m_v = Σ_{u → v} MLP(h_u) + Σ_{1 < d(u, v) ≤ FARTHEST} MLP'(h_u) / d(u, v),    h_v ← GRU(m_v, h_v)

along the edges, each node after those before it, and then against them. The second sum is that over virtual edges,
d the length of the shortest path; MLP and MLP' share their first layer (Knyazev et al. 2021, section 3.2 and equation
4; without virtual edges, Zhang et al. 2019).

A node with a parameter is decoded into a kernel, W[o, i, x, y] = Σ_k basis[o, i, k] z[k, x, y] with z = ReLU(A h), of
`TILE` numbers; each kind of parameter has a basis. What is smaller takes the first outputs and inputs and the cells in
the middle, what is larger repeats it. Kernels are normalized by √(2 / fan-in), biases lie within ±1, and scales of
normalizations within 0 and 2 (section 3.3 and the authors' code).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from laboratory.prediction.graph import Graph, Node, shaped

TILE = (32, 64, 7, 7)  # outputs, inputs, cells along x and y
FARTHEST = 5  # the length of the longest virtual edge


class GraphHypernetwork(nn.Module):
    """Predicts every parameter of a module from its graph.

    Args:
        graphs: whose kinds of operations it tells apart.
        width: of a node's state.
        hidden: length of k above.
    """

    def __init__(self, graphs: Sequence[Graph], width: int = 32, hidden: int = 64):
        super().__init__()
        self.kinds = sorted({node.kind for graph in graphs for node in graph.nodes})
        self.kind = nn.Embedding(len(self.kinds), width)
        self.shape = _two_layers(4, width)
        self.message = _two_layers(width, 2 * width)
        self.update = nn.GRUCell(width, width)
        self.norm = nn.LayerNorm(width)
        self.cells = nn.Linear(width, hidden * TILE[2] * TILE[3])
        self.decoded = sorted({node.kind for graph in graphs for node in graph.nodes if node.parameter})
        self.bases = nn.ParameterList(torch.randn(*TILE[:2], hidden) / hidden**0.5 for _ in self.decoded)
        nn.init.kaiming_normal_(self.cells.weight)

    def forward(self, graphs: Sequence[Graph]) -> list[dict[str, Tensor]]:
        """The predicted parameters of each graph's module, by name.

        Raises:
            ValueError: a graph has an operation that none of the hypernetwork's had.
        """
        states = self.norm(self._passed(graphs)).split([len(graph.nodes) for graph in graphs])
        return [
            {
                node.parameter: self._decoded(node, state)
                for node, state in zip(graph.nodes, own, strict=True)
                if node.parameter is not None
            }
            for graph, own in zip(graphs, states, strict=True)
        ]

    def _passed(self, graphs: Sequence[Graph]) -> Tensor:
        """The states of all nodes after messages went there and back: (nodes of all graphs, width)."""
        nodes = [node for graph in graphs for node in graph.nodes]
        if unknown := sorted({node.kind for node in nodes} - {*self.kinds}):
            raise ValueError(
                f"the hypernetwork was made for graphs of {', '.join(self.kinds)}, and this one has "
                f"{', '.join(unknown)}; make and train one with such a graph among its own"
            )
        kinds = torch.tensor([self.kinds.index(node.kind) for node in nodes])
        extents = torch.tensor([node.extents for node in nodes], dtype=self.kind.weight.dtype)
        h = self.kind(kinds) + self.shape((extents + 1).log2())
        distances = torch.block_diag(*(torch.from_numpy(_finite(graph.distances)) for graph in graphs)).to(h)
        depths = np.concatenate([graph.depths for graph in graphs])
        layers = [torch.from_numpy(np.flatnonzero(depths == depth)) for depth in range(depths.max() + 1)]
        for back in (False, True):
            along = distances if back else distances.T  # row v: the distances of what v hears from
            far = torch.where((along > 1) & (along <= FARTHEST), 1 / along.clamp_min(1), 0.0)
            weights = torch.cat([(along == 1).to(h), far], dim=1)
            said = self._said(h)
            for now in reversed(layers) if back else layers:
                new = self.update(weights[now] @ said.flatten(0, 1), h[now])
                h, said = h.index_copy(0, now, new), said.index_copy(1, now, self._said(new))
        return h

    def _said(self, h: Tensor) -> Tensor:
        """What nodes say to their neighbours, and to those farther away: (2, nodes, width)."""
        return torch.stack(self.message(h).chunk(2, dim=1))

    def _decoded(self, node: Node, state: Tensor) -> Tensor:
        outputs, inputs, *cells = node.extents
        z = self.cells(state).relu().view(-1, *TILE[2:])
        for axis, count in enumerate(cells, 1):
            first = max(TILE[axis + 1] - count, 0) // 2
            z = _repeated(z.narrow(axis, first, min(count, TILE[axis + 1])), axis, count)
        basis = self.bases[self.decoded.index(node.kind)]
        kernel = torch.tensordot(basis[:outputs, :inputs], z, 1)
        kernel = _repeated(_repeated(kernel, 0, outputs), 1, inputs)
        if len(node.shape) > 1:
            kernel = kernel * (2 / kernel[0].numel()) ** 0.5
        elif node.kind.endswith("weight"):
            kernel = 2 * torch.sigmoid(kernel / 2)
        else:
            kernel = torch.tanh(kernel / 5)
        return shaped(node, kernel)


def _finite(distances: np.ndarray) -> np.ndarray:
    """Distances in which 0 stands for no path."""
    return np.where(np.isinf(distances), 0, distances)


def _repeated(tensor: Tensor, axis: int, count: int) -> Tensor:
    """The first `count` entries along an axis, after which they begin again."""
    times = -(-count // tensor.shape[axis])
    return tensor if tensor.shape[axis] == count else torch.cat([tensor] * times, axis).narrow(axis, 0, count)


def _two_layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs))
