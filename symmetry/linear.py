"""Linear layers that commute with a group (van der Pol et al. 2020, section 4)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from symmetry.tied import AnyRepresentation, Tied


class EquivariantLinear(Tied):
    """y = Wx + b with W ρ_in(g) = ρ_out(g) W and ρ_out(g) b = b for every g of the group.

    On CartPole's mirror (ρ_in = -1, ρ_out = the swap) it is W_h = ½W + ½P⁻¹WΦ: rows w and -w, biases b and b.

    Args:
        rep_in, rep_out: how input and output transform; sizes are their `size`.
        bias: whether to add the invariant bias.
        gain: scale of the initial weights relative to `nn.Linear`'s uniform ±1/√fan_in; the bias starts at zero.

    Raises:
        ValueError: the representations are of different groups, or only the zero map is equivariant.
    """

    def __init__(self, rep_in: AnyRepresentation, rep_out: AnyRepresentation, bias: bool = True, gain: float = 1.0):
        super().__init__(rep_in, rep_out, rep_out if bias else None, gain)
        self.rep_in, self.rep_out = rep_in, rep_out

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        return F.linear(x, *self.weight_and_bias())

    def to_plain(self) -> nn.Linear:
        """An ordinary layer with this weight and bias."""
        inputs, outputs = self.rep_in.size, self.rep_out.size
        return self._filled(nn.Linear(inputs, outputs, bias=self.free_bias is not None, device="meta"))

    def extra_repr(self) -> str:
        return f"{self.rep_in} -> {self.rep_out}, free weights {self.free_weight.numel()}"
