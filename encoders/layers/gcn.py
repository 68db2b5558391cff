"""Graph convolution (Kipf & Welling 2017, eq. 2): one matrix for all neighbours, whatever the type of edge."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from encoders.layers.topology import Topology


class GCN(nn.Module):
    """H' = D̃^-½ Ã D̃^-½ H Wᵀ + b with Ã = A + I and D̃ᵢᵢ = Σⱼ Ãᵢⱼ, where Aᵢⱼ is the number of edges from j to i.

    Args:
        inputs, outputs: features per node.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, h: Float[Tensor, "batch nodes inputs"], graph: Topology) -> Float[Tensor, "batch nodes outputs"]:
        scale = (1 + graph.degrees()).to(h.dtype).rsqrt()[..., None]
        scaled = h * scale
        return self.linear((scaled + graph.sum_neighbours(scaled)) * scale)
