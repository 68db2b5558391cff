"""Representations of finite groups by orthogonal matrices, such as rotations of the plane by 120°."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from symmetry.group import Group
from symmetry.representation import Representation

TOLERANCE = 1e-9  # within which float64 matrices must be orthogonal and multiply as the group does


class OrthogonalRepresentation:
    """A homomorphism ρ from a group to orthogonal matrices: ρ(gh) = ρ(g) ρ(h), ρ(g)⁻¹ = ρ(g)ᵀ.

    Args:
        group: the group.
        generators: one matrix (n, n) for each generator of the group.

    Attributes:
        size: the dimension n.
        matrices: ρ(g) for every g, float64 (|G|, n, n).

    Raises:
        ValueError: a matrix is not orthogonal, sizes differ, or the matrices do not extend to a homomorphism (the
            message names a product for which they do not).
    """

    is_permutation = False

    def __init__(self, group: Group, generators: Sequence[Tensor]):
        if len(generators) != len(group.generators):
            raise ValueError(f"{group} has {len(group.generators)} generators, got matrices for {len(generators)}")
        given = [torch.as_tensor(matrix, dtype=torch.float64) for matrix in generators]
        size = len(given[0])
        identity = torch.eye(size, dtype=torch.float64)
        for matrix in given:
            if matrix.shape != (size, size) or not torch.allclose(matrix @ matrix.T, identity, rtol=0, atol=TOLERANCE):
                raise ValueError(f"not an orthogonal {size}x{size} matrix (MMᵀ = 1 in float64): {matrix.tolist()}")
        matrices = [identity]
        for factor in group.factors[1:]:
            assert factor is not None
            generator, parent = factor
            matrices.append(given[generator] @ matrices[parent])
        self.group, self.size, self.matrices = group, size, torch.stack(matrices)
        for k, matrix in enumerate(given):
            error = (matrix @ self.matrices - self.matrices[group.products[k]]).abs().amax((1, 2))
            if error.max() > TOLERANCE:
                raise ValueError(
                    f"not a homomorphism of {group}: ρ(g)ρ(h) differs from ρ(gh) by {error.max():.1e} for the "
                    f"generator g = {group.generators[k]} and h = {group.elements[int(error.argmax())]}"
                )

    @classmethod
    def of(cls, rep: Representation | OrthogonalRepresentation) -> OrthogonalRepresentation:
        """The same representation, as matrices."""
        if isinstance(rep, OrthogonalRepresentation):
            return rep
        return cls(rep.group, [rep.matrix(rep.group.generator(k)) for k in range(len(rep.group.generators))])

    def __call__(self, g: int, x: Tensor) -> Tensor:
        """ρ(g)x along the last axis of x (..., n)."""
        return x @ self.matrices[g].to(x).T

    def matrix(self, g: int) -> Tensor:
        """ρ(g) as a float64 matrix (n, n)."""
        return self.matrices[g]

    def __add__(self, other: Representation | OrthogonalRepresentation) -> OrthogonalRepresentation:
        """The direct sum ρ ⊕ ρ'."""
        if other.group != self.group:
            raise ValueError(f"cannot add representations of {self.group} and {other.group}")
        generators = [self.group.generator(k) for k in range(len(self.group.generators))]
        return OrthogonalRepresentation(
            self.group, [torch.block_diag(self.matrix(g), other.matrix(g)) for g in generators]
        )

    def __mul__(self, copies: int) -> OrthogonalRepresentation:
        """The direct sum of `copies` copies, one copy after another."""
        if copies < 1:
            raise ValueError(f"a multiple of a representation needs at least one copy, got {copies}")
        generators = [self.group.generator(k) for k in range(len(self.group.generators))]
        return OrthogonalRepresentation(self.group, [torch.block_diag(*[self.matrix(g)] * copies) for g in generators])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, OrthogonalRepresentation)
            and self.group == other.group
            and torch.equal(self.matrices, other.matrices)
        )

    def __hash__(self) -> int:
        return hash((self.group, self.size))

    def __repr__(self) -> str:
        return f"OrthogonalRepresentation({self.group.name}, size {self.size})"
