"""Matrices that commute with a group, from as many free numbers as they have degrees of freedom.

The law is W ρ_in(g) = ρ_out(g) W for every g. For signed permutations it says that entries of W on one orbit of index
pairs are equal up to sign, W[π_out(o), π_in(i)] = s_out(o) s_in(i) W[o, i]: the matrix is gathered from one number per
orbit (`Orbits`; Ravanbakhsh et al. 2017). For orthogonal matrices it is a combination of a basis of the image of the
projection W ↦ 1/|G| Σ_g ρ_out(g)⁻¹ W ρ_in(g) (`Basis`; van der Pol et al. 2020, section 4). Both are exact by
construction, whatever the optimizer does to the free numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from symmetry.orthogonal import OrthogonalRepresentation
from symmetry.representation import Representation

Plain = TypeVar("Plain", bound=nn.Module)
AnyRepresentation = Representation | OrthogonalRepresentation
LARGEST_BASIS = 2**24  # numbers


class Orbits(nn.Module):
    """W[o, i] = sign[o, i] · free[index[o, i]], row after row: one free number for each orbit that need not be 0.

    Attributes:
        count: how many free numbers.
        scale: (count,) √(in / entries of the row that are not 0), which keeps the activation scale of a full row.
    """

    index: Tensor
    sign: Tensor | None

    def __init__(self, rep_in: Representation, rep_out: Representation):
        super().__init__()
        # Element carrier[o] takes output o to the first output of its orbit, the row. W[row, :] is tied by the elements
        # that fix the row, and W[o, i] = ±W[row, source_in[carrier[o], i]].
        row, carrier = rep_out.source.min(dim=0)
        rows, number = row.unique(return_inverse=True)
        sign_in, sign_out = rep_in.sign.to(torch.int8), rep_out.sign.to(torch.int8)
        stays = rep_out.source[:, rows, None] == rows[:, None]  # (|G|, rows, 1)
        moved = rep_in.source[:, None].expand(-1, len(rows), -1)
        first, element = torch.where(stays, moved, rep_in.size).min(dim=0)  # of the orbit of each entry of the row
        signs = sign_out[:, rows, None] * sign_in[:, None]
        row_sign = signs.gather(0, element[None])[0]
        row_sign[(stays & (moved == first) & (signs != row_sign)).any(0)] = 0  # ρ takes the entry to its own negative
        leads = (first == torch.arange(rep_in.size)) & (row_sign != 0)
        row_index = (leads.flatten().cumsum(0) - 1).view(leads.shape).gather(1, first).clamp_min(0)
        self.count = int(leads.sum())
        self.scale = torch.sqrt(rep_in.size / (row_sign != 0).sum(1).clamp_min(1))[:, None].expand(leads.shape)[leads]
        source = rep_in.source[carrier]
        sign = row_sign[number].gather(1, source) * sign_in[carrier] * sign_out.gather(0, carrier[None])[0][:, None]
        # not saved: the layer's constructor computes them from the representations
        self.register_buffer("index", row_index[number].gather(1, source).flatten(), persistent=False)
        signs_differ = bool((sign != 1).any())
        self.register_buffer(
            "sign", sign.flatten().to(torch.get_default_dtype()) if signs_differ else None, persistent=False
        )

    def forward(self, free: Float[Tensor, " count"]) -> Float[Tensor, " entries"]:
        # index_select is 3-4 times as fast on the CPU; on the GPU it would add gradients up in no fixed order
        entries = free[self.index] if free.is_cuda else free.index_select(0, self.index)
        return entries if self.sign is None else entries * self.sign


class Basis(nn.Module):
    """W = Σ_k free[k] B_k, with B_1, ..., B_count an orthonormal basis of the matrices that commute with the group.

    The group does not determine the basis (any rotation of it is a basis too), so it is saved in files, in the dtype
    that was the default at construction.

    Raises:
        ValueError: the basis would be too large.
    """

    basis: Tensor

    def __init__(self, rep_in: AnyRepresentation, rep_out: AnyRepresentation):
        super().__init__()
        shape, size = (rep_out.size, rep_in.size), rep_out.size * rep_in.size
        characters = [rep_in.matrix(g).trace() * rep_out.matrix(g).trace() for g in range(rep_in.group.order)]
        self.count = round(sum(float(c) for c in characters) / rep_in.group.order)  # the trace of the projection
        if self.count * size > LARGEST_BASIS:
            raise ValueError(
                f"a basis of the equivariant maps from {rep_in} to {rep_out} has {self.count} matrices of {size} "
                "numbers; use fewer channels, or signed permutations, which need no basis"
            )
        images = torch.randn(self.count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        for _ in range(2):  # the second time from a well-conditioned start, which brings it to rounding error
            images = symmetrize(images, rep_in, rep_out).flatten(1)
            images = torch.linalg.qr(images.T).Q.T.reshape(self.count, *shape)
        self.register_buffer("basis", images.flatten(1).T.contiguous().to(torch.get_default_dtype()))
        self.scale = torch.full((self.count,), math.sqrt(size / max(self.count, 1)))

    def forward(self, free: Float[Tensor, " count"]) -> Float[Tensor, " entries"]:
        return self.basis @ free


def symmetrize(
    weight: Float[Tensor, "*batch out in"], rep_in: AnyRepresentation, rep_out: AnyRepresentation
) -> Float[Tensor, "*batch out in"]:
    """The projection onto equivariant matrices, W_h = 1/|G| Σ_g ρ_out(g)⁻¹ W ρ_in(g) (van der Pol et al. 2020)."""
    total = torch.zeros_like(weight)
    for g in range(rep_in.group.order):
        # the matrices are orthogonal, so the inverse is the transpose
        total += rep_out.matrix(g).to(weight).T @ weight @ rep_in.matrix(g).to(weight)
    return total / rep_in.group.order


class Tied(nn.Module):
    """What equivariant layers share: an ordinary weight matrix and bias, computed from free parameters at every call.

    No result is cached, so optimizers, target networks and loading need no special treatment. For many calls with the
    same parameters, see `expanded`.

    Args:
        rep_in, rep_out: how the columns and the rows of the weight transform.
        bias_rep: how the bias transforms, None for none.
        gain: scale of the initial weights relative to `nn.Linear`'s uniform ±1/√fan_in; the bias starts at zero.

    Raises:
        ValueError: the representations are of different groups, or only the zero map is equivariant.
    """

    def __init__(
        self, rep_in: AnyRepresentation, rep_out: AnyRepresentation, bias_rep: AnyRepresentation | None, gain: float
    ):
        super().__init__()
        if rep_in.group != rep_out.group:
            raise ValueError(f"input and output transform under different groups: {rep_in.group}, {rep_out.group}")
        self.shape: tuple[int, ...] = (rep_out.size, rep_in.size)
        self.expand = expansion(rep_in, rep_out)
        if not self.expand.count:
            raise ValueError(f"the only equivariant map from {rep_in} to {rep_out} is zero")
        bound = gain / math.sqrt(rep_in.size)
        free = torch.empty(self.expand.count).uniform_(-bound, bound)
        self.free_weight = nn.Parameter(free * self.expand.scale.to(free))
        self.free_bias: nn.Parameter | None = None
        if bias_rep is not None:
            expand_bias = expansion(Representation.trivial(rep_in.group), bias_rep)
            if expand_bias.count:  # where every output changes sign under some g, no constant is invariant
                self.expand_bias = expand_bias
                self.free_bias = nn.Parameter(torch.zeros(expand_bias.count))
        self._expanded: tuple[nn.Parameter, Tensor, Tensor | None] | None = None

    @property
    def weight(self) -> Tensor:
        """The ordinary weight that this layer applies."""
        return self.expand(self.free_weight).view(self.shape)

    @property
    def bias(self) -> Float[Tensor, " out"] | None:
        """The ordinary bias b, or None."""
        return None if self.free_bias is None else self.expand_bias(self.free_bias)

    def weight_and_bias(self) -> tuple[Tensor, Tensor | None]:
        """Computed from the parameters; without gradients, those that `expanded` has computed."""
        if self._expanded is not None and not torch.is_grad_enabled():
            parameter, weight, bias = self._expanded
            if parameter is self.free_weight:  # `functional_call` puts others in its place
                return weight, bias
        return self.weight, self.bias

    def _filled(self, plain: Plain) -> Plain:
        """An ordinary layer, given on the device "meta", with this weight and bias."""
        with torch.no_grad():
            state = {"weight": self.weight, "bias": self.bias}
        plain.load_state_dict({name: value for name, value in state.items() if value is not None}, assign=True)
        return plain.train(self.training)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_expanded": None}  # copies and files are of the parameters


def expansion(rep_in: AnyRepresentation, rep_out: AnyRepresentation) -> Orbits | Basis:
    """From free numbers to the matrices that commute with the group."""
    if isinstance(rep_in, Representation) and isinstance(rep_out, Representation):
        return Orbits(rep_in, rep_out)
    return Basis(rep_in, rep_out)


@contextmanager
def expanded(module: nn.Module) -> Iterator[None]:
    """Within this context, `module` without gradients costs as much as a network of ordinary layers.

    Every equivariant layer computes its ordinary weight once, at the beginning, so the parameters must not change until
    the end. Use it for acting (a rollout, an evaluation), between updates. With gradients enabled nothing changes.

        with torch.no_grad(), expanded(policy):
            ...  # act
    """
    layers = [layer for layer in module.modules() if isinstance(layer, Tied)]
    before = [layer._expanded for layer in layers]
    with torch.no_grad():
        for layer in layers:
            layer._expanded = (layer.free_weight, layer.weight, layer.bias)
    try:
        yield
    finally:
        for layer, previous in zip(layers, before, strict=True):
            layer._expanded = previous
