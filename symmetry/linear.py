"""Linear maps that commute with a group (van der Pol et al. 2020, section 4; Ravanbakhsh et al. 2017, tied weights).

The law is W ρ_in(g) = ρ_out(g) W for every g. For signed permutations it says that entries of W on one orbit of index
pairs are equal up to sign, W[π_out(o), π_in(i)] = s_out(o) s_in(i) W[o, i], so an equivariant layer is an ordinary
one whose weight is gathered from one free parameter per orbit: exact by construction, under any optimizer.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from symmetry.representation import Representation


class EquivariantLinear(nn.Module):
    """y = Wx + b with W ρ_in(g) = ρ_out(g) W and ρ_out(g) b = b for every g of the group.

    On CartPole's mirror (ρ_in = -1, ρ_out = the swap) it is W_h = ½W + ½P⁻¹WΦ: rows w and -w, biases b and b.

    Args:
        rep_in, rep_out: how input and output transform; sizes are their `size`.
        bias: whether to add the invariant bias.
        gain: scale of the initial weights relative to `nn.Linear`'s uniform ±1/√fan_in; the bias starts at zero.

    Raises:
        ValueError: the representations are of different groups, or only the zero map is equivariant.
    """

    def __init__(self, rep_in: Representation, rep_out: Representation, bias: bool = True, gain: float = 1.0):
        super().__init__()
        if rep_in.group != rep_out.group:
            raise ValueError(f"input and output transform under different groups: {rep_in.group}, {rep_out.group}")
        self.rep_in, self.rep_out = rep_in, rep_out
        index, sign, free = orbits(rep_in, rep_out)
        if not free:
            raise ValueError(f"the only equivariant map from {rep_in} to {rep_out} is zero")
        bound = gain / math.sqrt(rep_in.size)
        self.free_weight = nn.Parameter(torch.empty(free).uniform_(-bound, bound))
        # Rebuilt from the representations wherever the layer is built, so they never enter a file.
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("sign", sign.to(self.free_weight), persistent=False)
        self.free_bias: nn.Parameter | None = None
        if bias:
            bias_index, bias_sign, free_bias = orbits(Representation.trivial(rep_in.group), rep_out)
            if free_bias:  # where every output changes sign under some g, no constant is invariant
                self.free_bias = nn.Parameter(torch.zeros(free_bias))
                self.register_buffer("bias_index", bias_index[:, 0], persistent=False)
                self.register_buffer("bias_sign", bias_sign[:, 0].to(self.free_weight), persistent=False)

    index: Tensor
    sign: Tensor
    bias_index: Tensor
    bias_sign: Tensor

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The ordinary weight matrix W that this layer applies."""
        return self.free_weight[self.index] * self.sign

    @property
    def bias(self) -> Float[Tensor, " out"] | None:
        """The ordinary bias b, or None."""
        return None if self.free_bias is None else self.free_bias[self.bias_index] * self.bias_sign

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.rep_in} -> {self.rep_out}, free weights {self.free_weight.numel()}"


def orbits(rep_in: Representation, rep_out: Representation) -> tuple[Tensor, Tensor, int]:
    """The orbits of index pairs (o, i) of a matrix W that commutes with the group.

    Returns (index, sign, count): W[o, i] = sign[o, i] · free[index[o, i]] for `count` free values; sign is 0 where an
    element maps a pair to itself with a minus, which forces W[o, i] = 0.
    """
    # (ρx)[i] = sign[i]·x[source[i]] moves entry (source_out[o], source_in[i]) to (o, i).
    target = rep_out.source[:, :, None] * rep_in.size + rep_in.source[:, None, :]
    sign = rep_out.sign[:, :, None] * rep_in.sign[:, None, :]
    representative, element = target.flatten(1).min(dim=0)
    signs = sign.flatten(1)
    agreement = (signs * (target.flatten(1) == representative)).sum(0)
    allowed = agreement.abs() == (target.flatten(1) == representative).sum(0)
    kept = representative[allowed].unique()
    index = torch.searchsorted(kept, representative).clamp_max(max(len(kept) - 1, 0))
    signs = signs.gather(0, element[None])[0] * allowed
    shape = (rep_out.size, rep_in.size)
    return index.reshape(shape), signs.reshape(shape), len(kept)


def symmetrize(weight: Float[Tensor, "out in"], rep_in: Representation, rep_out: Representation) -> Tensor:
    """The projection onto equivariant matrices, W_h = 1/|G| Σ_g ρ_out(g)⁻¹ W ρ_in(g) (van der Pol et al. 2020)."""
    total = torch.zeros_like(weight)
    for g in range(rep_in.group.order):
        # signed permutations are orthogonal, so the inverse is the transpose
        total += rep_out.matrix(g).to(weight).T @ weight @ rep_in.matrix(g).to(weight)
    return total / rep_in.group.order
