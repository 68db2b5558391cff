"""Representations of finite groups by signed permutations.

ρ(g) e_j = s_g(j) e_{π_g(j)} with s_g(j) = ±1: a group element permutes the coordinates and may change their signs. Most
symmetries of simulators have this form, such as mirroring a state or swapping two actions. ρ(g) is applied by a gather
and a multiplication by ±1, which are exact in every floating-point format.
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
        generators: one pair (permutation, signs) for each generator of the group; coordinate j moves to
            permutation[j] and is multiplied by signs[j].

    Attributes:
        size: the dimension n of the space on which ρ acts.
        source, sign: tensors (|G|, n) with (ρ(g)x)[i] = sign[g, i] · x[source[g, i]].

    Raises:
        ValueError: a pair is not a signed permutation, sizes differ, or the pairs do not extend to a homomorphism
            (the message names a product for which they do not).
    """

    group: Group
    size: int
    source: Tensor
    sign: Tensor

    def __init__(self, group: Group, generators: Sequence[tuple[Sequence[int], Sequence[int]]]):
        if len(generators) != len(group.generators):
            raise ValueError(f"{group} has {len(group.generators)} generators, got images for {len(generators)}")
        size = len(generators[0][0])
        for permutation, signs in generators:
            if sorted(permutation) != list(range(size)):
                raise ValueError(f"{list(permutation)} is not a permutation of 0..{size - 1}")
            if len(signs) != size or any(s not in (-1, 1) for s in signs):
                raise ValueError(f"signs must be {size} values of +1 or -1, got {list(signs)}")
        sources = torch.tensor([list(permutation) for permutation, _ in generators], dtype=torch.long).argsort(1)
        signs_at = torch.tensor([list(signs) for _, signs in generators], dtype=torch.float64).gather(1, sources)
        self._set(group, *_extend(group, sources, signs_at))
        for k, (source, sign) in enumerate(zip(sources, signs_at, strict=True)):
            products = group.products[k]  # the index of gh for this generator g and every h
            same = (self.source[:, source] == self.source[products]) & (
                self.sign[:, source] * sign == self.sign[products]
            )
            if not same.all():
                h = int(same.all(1).int().argmin())
                raise ValueError(
                    f"not a homomorphism of {group}: ρ(g)ρ(h) differs from ρ(gh) for the generator "
                    f"g = {group.generators[k]} and h = {group.elements[h]}"
                )

    def _set(self, group: Group, source: Tensor, sign: Tensor) -> None:
        self.group, self.size, self.source, self.sign = group, source.shape[1], source, sign

    @classmethod
    def derived(cls, group: Group, source: Tensor, sign: Tensor | None = None) -> Representation:
        """A representation with these `source` and `sign`, without a check that they are a homomorphism."""
        representation = cls.__new__(cls)
        representation._set(group, source, torch.ones(source.shape, dtype=torch.float64) if sign is None else sign)
        return representation

    @property
    def generators(self) -> tuple[SignedPermutation, ...]:
        """The (permutation, signs) pair of each generator, as the constructor takes them."""
        pairs = []
        for k in range(len(self.group.generators)):
            g = self.group.generator(k)
            permutation = self.source[g].argsort()
            pairs.append((tuple(permutation.tolist()), tuple(self.sign[g, permutation].int().tolist())))
        return tuple(pairs)

    def __call__(self, g: int, x: Tensor) -> Tensor:
        """ρ(g)x along the last axis of x (..., n)."""
        return x[..., self.source[g].to(x.device)] * self.sign[g].to(x)

    def matrix(self, g: int) -> Tensor:
        """ρ(g) as a float64 matrix (n, n)."""
        return self(g, torch.eye(self.size, dtype=torch.float64)).T

    def unsigned(self) -> Representation:
        """|ρ|: the same permutations without signs, as standard deviations transform."""
        return self.derived(self.group, self.source)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the vectors on which ρ acts: (size,)."""
        return (self.size,)

    @property
    def is_permutation(self) -> bool:
        """Whether all signs are positive, so that every pointwise nonlinearity commutes with ρ."""
        return bool((self.sign > 0).all())

    def __add__(self, other: Representation) -> Representation:
        """The direct sum ρ ⊕ ρ'."""
        self._same_group(other, "add")
        source = torch.cat([self.source, self.size + other.source], dim=1)
        return self.derived(self.group, source, torch.cat([self.sign, other.sign], dim=1))

    def __mul__(self, copies: int) -> Representation:
        """The direct sum of `copies` copies, one copy after another."""
        if copies < 1:
            raise ValueError(f"a multiple of a representation needs at least one copy, got {copies}")
        return self.trivial(self.group, copies).tensor(self)

    def tensor(self, other: Representation) -> Representation:
        """The tensor product ρ ⊗ ρ'; the pair (i, j) has coordinate i · other.size + j."""
        self._same_group(other, "multiply")
        source = self.source[:, :, None] * other.size + other.source[:, None]
        return self.derived(self.group, source.flatten(1), (self.sign[:, :, None] * other.sign[:, None]).flatten(1))

    __matmul__ = tensor

    def _same_group(self, other: Representation, verb: str) -> None:
        if other.group != self.group:
            raise ValueError(f"cannot {verb} representations of {self.group} and {other.group}")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Representation)
            and self.group == other.group
            and torch.equal(self.source, other.source)
            and torch.equal(self.sign, other.sign)
        )

    def __hash__(self) -> int:
        return hash((self.group, self.size))

    def __repr__(self) -> str:
        return f"Representation({self.group.name}, size {self.size})"

    @classmethod
    def trivial(cls, group: Group, size: int = 1) -> Representation:
        """The trivial representation: ρ(g) = 1."""
        return cls.derived(group, torch.arange(size).repeat(group.order, 1))

    @classmethod
    def one_dimensional(cls, group: Group, signs: Sequence[int]) -> Representation:
        """A one-dimensional representation: generator k multiplies by signs[k]."""
        return cls(group, [((0,), (s,)) for s in signs])

    @classmethod
    def permutation(cls, group: Group, images: Sequence[Sequence[int]] | None = None) -> Representation:
        """Generator k moves coordinate j to `images[k][j]`; default: the group's own action on its points."""
        images = group.generators if images is None else images
        return cls(group, [(image, (1,) * len(image)) for image in images])

    @classmethod
    def regular(cls, group: Group) -> Representation:
        """The group acting on itself: ρ(g) e_h = e_{gh}."""
        return cls.derived(group, *_extend(group, torch.tensor(group.products).argsort(1)))


def _extend(group: Group, sources: Tensor, signs: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`source` and `sign` of every element, from those of the generators and the factorisation of each element."""
    size = sources.shape[1]
    source = torch.empty(group.order, size, dtype=torch.long)
    sign = torch.ones(group.order, size, dtype=torch.float64)
    source[0] = torch.arange(size)
    for g, factor in enumerate(group.factors):
        if factor is not None:
            generator, parent = factor
            source[g] = source[parent, sources[generator]]
            if signs is not None:
                sign[g] = signs[generator] * sign[parent, sources[generator]]
    return source, sign
