"""The groups that laws are tested on."""

from __future__ import annotations

import math

import torch

from symmetry import Group, Representation, cyclic, dihedral, product, symmetric

C2, C3, C4 = cyclic(2), cyclic(3), cyclic(4)
D4, S3 = dihedral(4), symmetric(3)
KLEIN = product(C2, C2)
GROUPS = [C2, C3, C4, D4, S3, KLEIN]


def sign(group: Group) -> Representation:
    """Minus one for every generator: a representation of groups whose relations have even length."""
    return Representation.one_dimensional(group, [-1] * len(group.generators))


def turn(degrees: float) -> torch.Tensor:
    """The rotation of the plane."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def representations(group: Group) -> list[Representation]:
    """Free, trivial, natural, and signed ones where the group has a sign."""
    regular = Representation.regular(group)
    some = [regular, regular * 2, Representation.trivial(group, 2) + regular, Representation.permutation(group)]
    return [*some, sign(group) + regular] if group in (C2, C4, D4, KLEIN) else some
