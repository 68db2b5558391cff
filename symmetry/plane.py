"""Groups that act on the plane, and so on the cells of grids: mirrors and quarter turns about the centre.

An action on the plane is a `Representation` of size 2 (axes x and y): mirrors are signs, quarter turns and diagonal
mirrors exchange the axes. The mirror of the x axis, and the square's group, a quarter turn and a mirror:

    Representation(cyclic(2), [([0, 1], [-1, 1])])
    Representation(dihedral(4), [([1, 0], [1, -1]), ([0, 1], [1, -1])])
"""

from __future__ import annotations

import torch
from torch import Tensor

from symmetry.representation import Representation

Grid = tuple[int, int]


def check_plane(plane: Representation, grid: Grid) -> None:
    """Check that the plane's group maps the cells of a grid (x, y) onto cells.

    Raises:
        ValueError: `plane` does not act on a plane, or exchanges the axes of a grid that is not square.
    """
    if plane.size != 2:
        raise ValueError(f"an action on the plane is a representation of size 2 (axes x and y), got {plane}")
    if exchanges_axes(plane) and grid[0] != grid[1]:
        raise ValueError(
            f"{plane.group.name} exchanges the axes, which needs a square grid, got {grid[0]}x{grid[1]}; "
            "use the mirrors of both axes, C2xC2"
        )


def exchanges_axes(plane: Representation) -> bool:
    """Whether some element takes the x axis to the y axis."""
    return bool((plane.source[:, 0] == 1).any())


def moved_axes(plane: Representation) -> tuple[bool, bool]:
    """For each axis, whether some element turns it around or to the other one."""
    moved = ((plane.source != torch.arange(2)) | (plane.sign < 0)).any(0)
    return bool(moved[0]), bool(moved[1])


def cells(plane: Representation, grid: Grid) -> Representation:
    """How the cells of a grid (x, y) are permuted, about its centre; cell (x, y) is number x · height + y (C order).

    A field of `channels` on the grid, a tensor (channels, x, y), flattens to one that transforms under
    `channels.tensor(cells(plane, grid))`.

    Raises:
        ValueError: `plane` does not act on a plane, or exchanges the axes of a grid that is not square.
    """
    check_plane(plane, grid)
    x, y = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    last = torch.tensor(grid) - 1
    position = 2 * torch.stack([x.flatten(), y.flatten()], dim=1) - last  # from the centre, in half cells
    source: list[Tensor] = []
    for g in range(plane.group.order):
        x_from, y_from = ((plane(plane.group.inverse(g), position) + last) // 2).unbind(1)
        source.append(x_from * grid[1] + y_from)
    return Representation.derived(plane.group, torch.stack(source))
