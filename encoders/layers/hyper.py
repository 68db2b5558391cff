"""A linear layer whose weights are generated from a context (Ha et al. 2017).

    y = W(c) x + b(c),    [W(c), b(c)] = G c + g

The generator's constant g starts as an ordinary layer's weights and G small (Bias-HyperInit, Beck et al. 2022), so that
at first every context has nearly the same, well-scaled layer. As a function of (c, x) the layer is a bilinear form
(Jayakumar et al. 2020), which gives two exact ways to compute it, chosen by what the contexts are:

    grouped     contexts repeat (directions, missions): generate one matrix for each distinct context
    bilinear    every sample has its own: y = Σ_k c_k (G_k x) + W(0) x, no matrix for any sample
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class HyperLinear(nn.Module):
    """y = W(c) x + b(c); see the module's text.

    Args:
        inputs, outputs: sizes of x and y.
        context: size of c.
    """

    def __init__(self, inputs: int, outputs: int, context: int):
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        # one more input stands for the bias, as x is followed by a 1
        self.constant = nn.Parameter(torch.empty(outputs, inputs + 1).uniform_(-bound, bound))
        spread = 0.1 * bound / math.sqrt(context)
        self.generator = nn.Parameter(torch.empty(context, outputs, inputs + 1).uniform_(-spread, spread))

    def generated(self, c: Float[Tensor, "contexts context"]) -> Float[Tensor, "contexts outputs columns"]:
        """The matrices [W(c), b(c)], one for each row of c."""
        return self.constant + (c @ self.generator.flatten(1)).reshape(len(c), *self.constant.shape)

    def grouped(
        self,
        x: Float[Tensor, "batch inputs"],
        contexts: Float[Tensor, "contexts context"],
        group: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch outputs"]:
        """y for samples whose context is contexts[group[i]]: one generated matrix and one product for each context."""
        weights = self.generated(contexts)
        order = group.argsort(stable=True)
        sizes = group.bincount(minlength=len(contexts)).tolist()
        chunks = F.pad(x, (0, 1), value=1.0)[order].split(sizes)
        y = torch.cat([chunk @ weight.T for chunk, weight in zip(chunks, weights, strict=True)])
        return torch.empty_like(y).index_copy(0, order, y)

    def bilinear(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        """y for samples that each have a context of their own: (batch, outputs)."""
        x = F.pad(x, (0, 1), value=1.0)
        products = F.linear(x, self.generator.flatten(0, 1)).reshape(len(x), *self.generator.shape[:2])
        return F.linear(x, self.constant) + (c[:, :, None] * products).sum(1)
