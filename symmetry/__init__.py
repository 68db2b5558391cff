"""Finite groups, their representations and the maps that commute with them. Imports torch alone."""

from symmetry.arrays import Arrays
from symmetry.codes import Codes
from symmetry.conv import EquivariantConv2d, EquivariantPool2d
from symmetry.group import Group, cyclic, dihedral, product, symmetric
from symmetry.linear import EquivariantLinear
from symmetry.nonlinearity import nonlinearity
from symmetry.orthogonal import OrthogonalRepresentation
from symmetry.plain import to_plain
from symmetry.plane import cells
from symmetry.representation import Representation
from symmetry.symmetry import Symmetry
from symmetry.tied import expanded, symmetrize

__all__ = [
    "Arrays",
    "Codes",
    "EquivariantConv2d",
    "EquivariantLinear",
    "EquivariantPool2d",
    "Group",
    "OrthogonalRepresentation",
    "Representation",
    "Symmetry",
    "cells",
    "cyclic",
    "dihedral",
    "expanded",
    "nonlinearity",
    "product",
    "symmetric",
    "symmetrize",
    "to_plain",
]
