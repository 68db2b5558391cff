"""Lipschitz constants: the least L with ‖f(x) - f(y)‖ ≤ L ‖x - y‖, enclosed from below and from above.

    lower   the largest ‖J(x)‖₂ over given inputs, J the Jacobian: power iteration on JᵀJ (Yoshida & Miyato 2017)
    upper   the product of the constants of the layers: ‖A‖₂ of a linear one, 1 of a ReLU, 1 + L of a residual sum
            (Szegedy et al. 2014, section 4.3; Gouk et al. 2021); `analysis.constants` lists the layers

The upper bound holds everywhere, and grows with every layer that the network could not use in full. A linear layer's
norm is that of the layer itself with its stride, padding and input size: the norm of a convolution's kernel, reshaped
to a matrix, is neither a bound nor close (Sedghi et al. 2019).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis import encoders as _register  # noqa: F401
from analysis.constants import constant_of

STEPS = 100  # of power iteration
SETTLED = 1e-6  # relative change of every norm at which it ends


def gradient_norms(function: Callable[[Tensor], Tensor], inputs: Tensor, steps: int = STEPS) -> Tensor:
    """‖J(x)‖₂ at each input, (batch,): v ← JᵀJv, normalized, for all inputs at once; the norm is at least ‖Jv‖.

    Jv is the derivative of Jᵀu with respect to u, so the network is run once for all steps.

    Args:
        function: takes and returns batches; each output depends on its own input alone.
        inputs: (batch, ...).
        steps: at most; fewer where all norms have settled.
    """
    x = inputs.detach().clone().requires_grad_()
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the other kernels have no second derivative
        output = function(x)
        if not output.requires_grad:
            return torch.zeros(len(x))  # constant
        u = torch.zeros_like(output, requires_grad=True)
        (pulled,) = torch.autograd.grad(output, x, u, create_graph=True)
        random = torch.Generator(device="cpu").manual_seed(0)
        v = _normalized(torch.randn(x.shape, generator=random, dtype=torch.float64).to(x))
        norms = torch.zeros(len(x)).to(x)
        for _ in range(steps):
            (pushed,) = torch.autograd.grad(pulled, u, v, retain_graph=True, allow_unused=True)
            if pushed is None:
                return norms
            before, norms = norms, torch.maximum(norms, pushed.flatten(1).norm(dim=1))
            (v,) = torch.autograd.grad(output, x, pushed, retain_graph=True)
            v = _normalized(v)
            if ((norms - before) <= SETTLED * norms).all():
                break
    return norms.detach()


def _normalized(v: Tensor) -> Tensor:
    norms = v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    return v / norms.reshape(-1, *[1] * (v.dim() - 1))


def lower_bound(function: Callable[[Tensor], Tensor], inputs: Tensor, steps: int = STEPS) -> float:
    """The largest `gradient_norms` over the inputs: no Lipschitz constant of the function is below it."""
    return float(gradient_norms(function, inputs, steps).max())


def upper_bound(module: nn.Module, shape: Sequence[int]) -> float:
    """A Lipschitz constant of a module in evaluation mode: no two inputs anywhere are moved apart by more.

    It is the least one where the module is one linear layer.

    Args:
        module: made of the layers that `analysis.constants` and `analysis.encoders` know.
        shape: of one input, without the batch; codes count in their one-hot form.

    Raises:
        ValueError: it has a layer that is not known here, or that has no Lipschitz constant; the message says which.
    """
    with torch.no_grad():
        return constant_of(copy.deepcopy(module).double().eval(), tuple(shape))[0]
