"""Convolutional trunks: one for the cells of a grid, and the two usual ones for pixels.

    nature   8×8 stride 4, 4×4 stride 2, 3×3, with 32, 64 and 64 channels (Mnih et al. 2015)
    impala   three sequences of 16, 32 and 32 channels: 3×3, 3×3 maximum of stride 2, two residual blocks of two 3×3
             (Espeholt et al. 2018, figure 3, the large one)

`remaining(trunk, channels, x, y)` is the size of the maps that a trunk returns.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from encoders.layers.dropout import Keyed, Layers
from encoders.layers.regularization import Regularization
from encoders.ranges import require_choice

BETWEEN = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
NATURE = ((32, 8, 4), (64, 4, 2), (64, 3, 1))  # channels, kernel, stride
IMPALA = (16, 32, 32)


def cells(
    inputs: int,
    channels: int,
    layers: int,
    regularization: Regularization,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 1,
    pooling: str = "none",
) -> Layers:
    """Equal convolutions, each followed by a ReLU and by "max" or "avg" pooling of 2×2 cells.

    Raises:
        ValueError: another pooling.
    """
    require_choice(("none", *BETWEEN), layer_pooling=pooling)
    modules: list[nn.Module] = []
    for before, after in pairwise([inputs] + [channels] * layers):
        modules += [nn.Conv2d(before, after, kernel, stride, padding), *regularization.around(nn.ReLU(), after)]
        modules += [BETWEEN[pooling](2)] if pooling != "none" else []
    return Layers(*modules)


def nature(inputs: int, regularization: Regularization) -> Layers:
    """The trunk of Mnih et al. (2015)."""
    modules: list[nn.Module] = []
    for outputs, kernel, stride in NATURE:
        modules += [nn.Conv2d(inputs, outputs, kernel, stride), *regularization.around(nn.ReLU(), outputs)]
        inputs = outputs
    return Layers(*modules)


def impala(inputs: int, regularization: Regularization) -> Layers:
    """The trunk of Espeholt et al. (2018); regularized after each convolution, as by Cobbe et al. (2019)."""
    modules: list[nn.Module] = []
    for outputs in IMPALA:
        modules += [nn.Conv2d(inputs, outputs, 3, padding=1), *regularization.around(None, outputs)]
        modules += [nn.MaxPool2d(3, 2, padding=1), *(Residual(outputs, regularization) for _ in range(2))]
        inputs = outputs
    return Layers(*modules, nn.ReLU())


class Residual(Keyed):
    """x + f(x), f = ReLU, 3×3, ReLU, 3×3 (He et al. 2016, as in IMPALA)."""

    def __init__(self, channels: int, regularization: Regularization):
        super().__init__()
        modules: list[nn.Module] = []
        for _ in range(2):
            modules += [nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]
            modules += regularization.around(None, channels)
        self.layers = Layers(*modules)

    def forward(
        self, x: Float[Tensor, "batch channels x y"], key: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channels x y"]:
        return x + self.layers(x, key)


def remaining(trunk: Layers, channels: int, x: int, y: int) -> tuple[int, int, int]:
    """(channels, x, y) of the maps that a trunk returns for input maps of this size; zeros if they are too small."""
    for module in trunk:
        if isinstance(module, nn.Conv2d):
            channels = module.out_channels
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            kernel, stride, padding = (_side(each) for each in (module.kernel_size, module.stride, module.padding))
            x, y = ((length + 2 * padding - kernel) // stride + 1 for length in (x, y))
            if min(x, y) < 1:
                return 0, 0, 0
    return channels, x, y


def _side(size: Any) -> int:
    """The one number of a square."""
    return size[0] if isinstance(size, tuple) else size
