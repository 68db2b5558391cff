"""Equivariant convolution and pooling on grids (Cohen & Welling 2016, Group Equivariant Convolutional Networks).

A field f: cells → R^n transforms as (g·f)(p) = ρ(g) f(g⁻¹p): the group moves the cells, and ρ acts on the channels. A
convolution with weights W[o, i, δ] is equivariant if W[:, :, gδ] = ρ_out(g) W[:, :, δ] ρ_in(g)⁻¹. Its weights are then
those of an equivariant linear map from ρ_in ⊗ κ to ρ_out, where κ permutes the offsets δ of the kernel. Tensors are
(batch, channels, x, y).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from symmetry.plane import Grid, cells, check_plane, exchanges_axes, moved_axes
from symmetry.representation import Representation
from symmetry.tied import Tied


class EquivariantConv2d(Tied):
    """A convolution with conv(g·f) = g·conv(f) on the whole grid, borders included.

    Args:
        rep_in, rep_out: how the channels of input and output transform; their sizes are the numbers of channels.
        plane: how the group acts on the plane; see `symmetry.plane`.
        grid: numbers of cells of the input along x and y.
        kernel: number of cells along each side of the square kernel.
        stride: distance between neighbouring outputs, in cells.
        padding: "same" (zeros around the grid; the kernel needs an odd size) or "valid" (none).
        bias, gain: as in `EquivariantLinear`.

    Attributes:
        out_grid: numbers of cells of the output along x and y.

    Raises:
        ValueError: the groups differ, the only equivariant map is zero, the kernel is even with "same" padding or
            larger than the grid, the stride does not divide the way from the first to the last position of the kernel
            along an axis that the group moves, or the group exchanges the axes and the grid is not square.
    """

    def __init__(
        self,
        rep_in: Representation,
        rep_out: Representation,
        plane: Representation,
        grid: Grid,
        kernel: int = 3,
        stride: int = 1,
        padding: str = "same",
        bias: bool = True,
        gain: float = 1.0,
    ):
        check_plane(plane, grid)
        if padding not in ("same", "valid"):
            raise ValueError(f'padding is "same" or "valid", got {padding!r}')
        if padding == "same" and kernel % 2 == 0:
            raise ValueError(
                f'a kernel of even size {kernel} has no centre, so "same" padding shifts the grid; use kernel '
                f'{kernel + 1}, or padding="valid"'
            )
        if kernel < 1 or stride < 1:
            raise ValueError(f"kernel and stride are at least 1, got {kernel} and {stride}")
        border = (kernel - 1) // 2 if padding == "same" else 0
        steps = [cells_along + 2 * border - kernel for cells_along in grid]
        if min(steps) < 0:
            raise ValueError(
                f"a kernel of size {kernel} is larger than the grid {grid[0]}x{grid[1]}; use a smaller kernel"
            )
        for axis, (rest, moved) in enumerate(zip(steps, moved_axes(plane), strict=True)):
            if moved and rest % stride:
                fitting = [s for s in range(1, rest + 1) if rest % s == 0]
                raise ValueError(
                    f"stride {stride} over {grid[axis]} cells is not symmetric under {plane.group.name}: the last "
                    f"output is not at the border; symmetric strides: {', '.join(map(str, fitting))}"
                )
        super().__init__(rep_in.tensor(cells(plane, (kernel, kernel))), rep_out, rep_out if bias else None, gain)
        self.shape = (rep_out.size, rep_in.size, kernel, kernel)
        self.rep_in, self.rep_out, self.plane, self.grid = rep_in, rep_out, plane, grid
        self.out_grid: Grid = (steps[0] // stride + 1, steps[1] // stride + 1)
        self.stride, self.border = stride, border

    def forward(self, x: Float[Tensor, "batch in x y"]) -> Float[Tensor, "batch out x2 y2"]:
        if x.shape[2:] != self.grid:
            raise ValueError(f"this layer was made for a grid of {self.grid} cells, got {tuple(x.shape[2:])}")
        return F.conv2d(x, *self.weight_and_bias(), stride=self.stride, padding=self.border)

    def to_plain(self) -> nn.Conv2d:
        """A plain `nn.Conv2d` with the weight and bias of this layer."""
        out_channels, in_channels, kernel, _ = self.shape
        plain = nn.Conv2d(
            in_channels, out_channels, kernel, self.stride, self.border, bias=self.free_bias is not None, device="meta"
        )
        return self._filled(plain)

    def extra_repr(self) -> str:
        kernel = f"kernel {self.shape[-1]}, stride {self.stride}"
        return f"{self.rep_in} -> {self.rep_out}, {kernel}, free weights {self.free_weight.numel()}"


class EquivariantPool2d(nn.Module):
    """The maximum or the mean of each channel over windows that tile the grid; window=grid pools the whole grid.

    Args:
        rep: how the channels of a cell transform.
        plane: how the group acts on the plane; see `symmetry.plane`.
        grid: numbers of cells of the input along x and y.
        window: number of cells along both sides of a window, or a pair (along x, along y).
        mode: "max" (representations without signs only) or "mean".

    Attributes:
        out_grid: numbers of cells of the output along x and y.

    Raises:
        ValueError: the groups differ, the windows do not tile the grid, the representation changes signs and mode is
            "max", or the group exchanges the axes and the grid or the windows are not square.
    """

    def __init__(
        self, rep: Representation, plane: Representation, grid: Grid, window: int | Grid = 2, mode: str = "max"
    ):
        super().__init__()
        check_plane(plane, grid)
        if rep.group != plane.group:
            raise ValueError(f"channels and plane transform under different groups: {rep.group}, {plane.group}")
        if mode not in ("max", "mean"):
            raise ValueError(f'mode is "max" or "mean", got {mode!r}')
        if mode == "max" and not rep.is_permutation:
            raise ValueError(f'{rep} changes signs, and the maximum of -x is not minus that of x; use mode="mean"')
        self.window: Grid = (window, window) if isinstance(window, int) else window
        if exchanges_axes(plane) and self.window[0] != self.window[1]:
            raise ValueError(f"{plane.group.name} exchanges the axes, which needs square windows, got {self.window}")
        if min(self.window) < 1 or any(along % size for along, size in zip(grid, self.window, strict=True)):
            raise ValueError(
                f"windows of {self.window[0]}x{self.window[1]} cells do not tile the grid {grid[0]}x{grid[1]}; use "
                f"sizes that divide it, or window={grid} for the whole grid"
            )
        self.rep, self.plane, self.grid, self.mode = rep, plane, grid, mode
        self.out_grid: Grid = (grid[0] // self.window[0], grid[1] // self.window[1])
        self.pool = nn.MaxPool2d(self.window) if mode == "max" else nn.AvgPool2d(self.window)

    def forward(self, x: Float[Tensor, "batch channels x y"]) -> Float[Tensor, "batch channels x2 y2"]:
        if x.shape[2:] != self.grid:
            raise ValueError(f"this layer was made for a grid of {self.grid} cells, got {tuple(x.shape[2:])}")
        return self.pool(x)

    def to_plain(self) -> nn.MaxPool2d | nn.AvgPool2d:
        """The plain PyTorch layer."""
        return self.pool
