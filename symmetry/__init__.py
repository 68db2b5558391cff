"""Finite groups, their representations and the linear maps that commute with them. Imports torch alone."""

from symmetry.group import Group, cyclic
from symmetry.linear import EquivariantLinear, symmetrize
from symmetry.representation import Representation
from symmetry.symmetry import Symmetry

__all__ = ["EquivariantLinear", "Group", "Representation", "Symmetry", "cyclic", "symmetrize"]
