"""Convolution and pooling on grids whose group moves cells (Cohen & Welling 2016, group equivariant networks).

A field f: cells → R^n transforms as (g·f)(p) = ρ(g) f(g⁻¹p): the group moves the cells and ρ acts on what is in them. A
convolution with weights W[o, i, δ] commutes with that if W[:, :, gδ] = ρ_out(g) W[:, :, δ] ρ_in(g)⁻¹: its weights are
those of a linear map from ρ_in ⊗ (how the offsets move) to ρ_out. Tensors are (batch, channels, x, y).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from symmetry.plane import Grid, cells, check_plane, exchanges_axes, moved_axes
from symmetry.representation import Representation
from symmetry.tied import Tied


class EquivariantConv2d(Tied):
    """A convolution with conv(g·f) = g·conv(f) on a grid, its border included.

    Args:
        rep_in, rep_out: how the channels of a cell transform; sizes are the numbers of channels.
        plane: how the group acts on the plane, see `symmetry.plane`.
        grid: cells along x and y of the input.
        kernel: cells along both sides of the kernel.
        stride: every so many cells there is an output.
        padding: "same" (zeros around, kernels of odd size) or "valid" (none).
        bias, gain: as in `EquivariantLinear`.

    Attributes:
        out_grid: cells along x and y of the output.

    Raises:
        ValueError: different groups, only zero is equivariant, an even kernel with "same" padding, a stride that does
            not start and end at opposite borders, a kernel larger than the grid, or a grid that is not square where
            the group exchanges its axes.
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
                f"a kernel of size {kernel} is larger than the grid {grid[0]}x{grid[1]}; use a smaller one"
            )
        for axis, (rest, moved) in enumerate(zip(steps, moved_axes(plane), strict=True)):
            if moved and rest % stride:
                fitting = [s for s in range(1, rest + 1) if rest % s == 0]
                raise ValueError(
                    f"stride {stride} over {grid[axis]} cells is not symmetric under {plane.group.name}: the last "
                    f"output is not at the border; strides that are: {', '.join(map(str, fitting))}"
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
        """An ordinary layer with this weight and bias."""
        out_channels, in_channels, kernel, _ = self.shape
        plain = nn.Conv2d(
            in_channels, out_channels, kernel, self.stride, self.border, bias=self.free_bias is not None, device="meta"
        )
        return self._filled(plain)

    def extra_repr(self) -> str:
        kernel = f"kernel {self.shape[-1]}, stride {self.stride}"
        return f"{self.rep_in} -> {self.rep_out}, {kernel}, free weights {self.free_weight.numel()}"


class EquivariantPool2d(nn.Module):
    """The largest or the mean value of each channel in windows that tile the grid; over the whole grid: window=grid.

    Args:
        rep: how the channels of a cell transform.
        plane: how the group acts on the plane, see `symmetry.plane`.
        grid: cells along x and y of the input.
        window: cells along both sides of a window, or along x and along y.
        mode: "max" (representations without signs only) or "mean".

    Attributes:
        out_grid: cells along x and y of the output.

    Raises:
        ValueError: windows that do not tile the grid, or that the group does not move onto each other, the maximum of
            numbers that change sign, or a grid that is not square where the group exchanges its axes.
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
        """The ordinary layer."""
        return self.pool
