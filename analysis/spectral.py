"""The largest singular value of a linear map that is given as a function, not as a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

CLOSE = 1e-9  # relative error of the square, at which the iteration ends
MOST, EVERY = 400, 5  # steps; how often the end is looked for


def spectral_norm(layer: Callable[[Tensor], Tensor], shape: Sequence[int]) -> float:
    """‖A‖₂ of an affine map y = Ax + b, by power iteration on AᵀA: x → Ax by the map, y → Aᵀy by its gradient.

    All iterates are kept, and the best combination of them is taken (Lanczos 1950; Golub & Van Loan 2013, section
    10.1): as exact as power iteration, in the square root of its number of steps. The iteration ends at a residual
    r = ‖AᵀAv - θv‖ below 1e-9 θ, and √(θ + r) is returned, so that rounding does not turn an upper bound into a lower.

    Args:
        layer: takes and returns batches in float64; differentiable.
        shape: of one input, without the batch.
    """
    offset = layer(torch.zeros(1, *shape, dtype=torch.float64)).detach()

    def squared(vector: Tensor) -> Tensor:
        x = vector.reshape(1, *shape).requires_grad_()
        with torch.enable_grad():
            output = layer(x)
            return torch.autograd.grad(output, x, output.detach() - offset)[0].detach().flatten()

    size = math.prod(shape)
    start = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = [start / start.norm()]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    while True:
        image = squared(basis[-1].clone())
        diagonal.append(image @ basis[-1])
        kept = torch.stack(basis)
        for _ in range(2):  # the second time against the rounding of the first
            image = image - kept.T @ (kept @ image)
        beside.append(image.norm())
        if len(basis) in (size, MOST) or len(basis) % EVERY == 0 or beside[-1] <= CLOSE * diagonal[-1]:
            off = torch.stack(beside)[:-1]
            values, vectors = torch.linalg.eigh(torch.stack(diagonal).diag() + off.diag(1) + off.diag(-1))
            largest, residual = float(values[-1]), float(beside[-1] * vectors[-1, -1].abs())
            if residual <= CLOSE * largest or len(basis) in (size, MOST):
                return math.sqrt(max(largest, 0.0) + residual)
        basis.append(image / beside[-1])
