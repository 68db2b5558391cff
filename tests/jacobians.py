"""The norms of Jacobians from all their entries, which Lipschitz bounds are compared with."""

from __future__ import annotations

import torch
from torch import nn


def jacobian_norms(module: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """‖J(x)‖₂ at each point, from all entries of J."""
    x = points.clone().requires_grad_()
    output = module(x).flatten(1)
    rows = [torch.autograd.grad(output[:, row].sum(), x, retain_graph=True)[0] for row in range(output.shape[1])]
    return torch.linalg.matrix_norm(torch.stack(rows, 1).flatten(2), 2)
