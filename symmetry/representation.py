"""Representations of finite groups by signed permutations.

ρ(g) e_j = s_g(j) e_{π_g(j)} with s_g(j) = ±1: each coordinate moves to another one and may change its sign. These are
the symmetries of simulators (mirror a state, swap two actions), and they need no linear algebra: applying one is a
gather and a multiplication, exact in every floating-point format.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from symmetry.group import Group

SignedPermutation = tuple[tuple[int, ...], tuple[int, ...]]


class Representation:
    """A homomorphism ρ from a group to signed permutation matrices: ρ(gh) = ρ(g) ρ(h).

    Args:
        group: the group.
        generators: one (permutation, signs) pair for each generator of the group: coordinate j goes to
            permutation[j] and is multiplied by signs[j].

    Attributes:
        size: the dimension n of the space acted upon.
        source, sign: tensors (|G|, n) with (ρ(g)x)[i] = sign[g, i] · x[source[g, i]].

    Raises:
        ValueError: a pair is no signed permutation, sizes differ, or the pairs do not extend to a homomorphism
            (the message names the product that breaks it).
    """

    def __init__(self, group: Group, generators: Sequence[tuple[Sequence[int], Sequence[int]]]):
        if len(generators) != len(group.generators):
            raise ValueError(f"{group} has {len(group.generators)} generators, got images for {len(generators)}")
        self.group = group
        self.generators: tuple[SignedPermutation, ...] = tuple(
            (tuple(int(i) for i in permutation), tuple(int(s) for s in signs)) for permutation, signs in generators
        )
        self.size = len(self.generators[0][0])
        for permutation, signs in self.generators:
            if sorted(permutation) != list(range(self.size)):
                raise ValueError(f"{list(permutation)} is not a permutation of 0..{self.size - 1}")
            if len(signs) != self.size or any(s not in (-1, 1) for s in signs):
                raise ValueError(f"signs must be {self.size} values of +1 or -1, got {list(signs)}")
        self._images = self._extend()
        source = [_inverse(permutation) for permutation, _ in self._images]
        self.source = torch.tensor(source, dtype=torch.long).reshape(group.order, self.size)
        self.sign = torch.tensor(
            [[signs[j] for j in row] for row, (_, signs) in zip(source, self._images, strict=True)],
            dtype=torch.float64,
        ).reshape(group.order, self.size)

    def _extend(self) -> list[SignedPermutation]:
        """Images of all elements by their factorisations, then the homomorphism law for every generator and element."""
        images: list[SignedPermutation] = [(tuple(range(self.size)), (1,) * self.size)]
        for factor in self.group.factors[1:]:
            assert factor is not None
            generator, parent = factor
            images.append(_compose(self.generators[generator], images[parent]))
        for k, image in enumerate(self.generators):
            g = self.group.generator(k)
            for h in range(self.group.order):
                if _compose(image, images[h]) != images[self.group.multiply(g, h)]:
                    raise ValueError(
                        f"not a homomorphism of {self.group}: ρ(g)ρ(h) differs from ρ(gh) for the generator "
                        f"g = {self.group.elements[g]} and h = {self.group.elements[h]}"
                    )
        return images

    def __call__(self, g: int, x: Tensor) -> Tensor:
        """ρ(g)x along the last axis of x (..., n)."""
        return x[..., self.source[g].to(x.device)] * self.sign[g].to(x)

    def matrix(self, g: int) -> Tensor:
        """ρ(g) as a float64 matrix (n, n)."""
        return self(g, torch.eye(self.size, dtype=torch.float64)).T

    def unsigned(self) -> Representation:
        """|ρ|: the same permutations without signs; how scales (standard deviations) transform."""
        return Representation(self.group, [(permutation, (1,) * self.size) for permutation, _ in self.generators])

    @property
    def is_permutation(self) -> bool:
        """Whether no sign is negative, so that every pointwise nonlinearity commutes with ρ."""
        return all(s == 1 for _, signs in self.generators for s in signs)

    def __add__(self, other: Representation) -> Representation:
        """The direct sum ρ ⊕ ρ'."""
        if other.group != self.group:
            raise ValueError(f"cannot add representations of {self.group} and {other.group}")
        return Representation(
            self.group,
            [
                (p + tuple(self.size + i for i in q), s + t)
                for (p, s), (q, t) in zip(self.generators, other.generators, strict=True)
            ],
        )

    def __mul__(self, copies: int) -> Representation:
        """The direct sum of `copies` copies, laid out copy after copy."""
        if copies < 1:
            raise ValueError(f"a multiple of a representation needs at least one copy, got {copies}")
        return Representation(
            self.group,
            [
                (tuple(c * self.size + i for c in range(copies) for i in permutation), signs * copies)
                for permutation, signs in self.generators
            ],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Representation) and (self.group, self.generators) == (other.group, other.generators)

    def __hash__(self) -> int:
        return hash((self.group, self.generators))

    def __repr__(self) -> str:
        return f"Representation({self.group.name}, size {self.size})"

    @classmethod
    def trivial(cls, group: Group, size: int = 1) -> Representation:
        """Nothing moves: ρ(g) = 1."""
        return cls(group, [(range(size), [1] * size)] * len(group.generators))

    @classmethod
    def regular(cls, group: Group) -> Representation:
        """The group acting on itself: ρ(g) e_h = e_{gh}."""
        return cls(
            group,
            [
                ([group.multiply(group.generator(k), h) for h in range(group.order)], [1] * group.order)
                for k in range(len(group.generators))
            ],
        )


def _compose(a: SignedPermutation, b: SignedPermutation) -> SignedPermutation:
    """First b, then a."""
    return tuple(a[0][i] for i in b[0]), tuple(a[1][i] * s for i, s in zip(b[0], b[1], strict=True))


def _inverse(permutation: tuple[int, ...]) -> list[int]:
    return sorted(range(len(permutation)), key=permutation.__getitem__)
