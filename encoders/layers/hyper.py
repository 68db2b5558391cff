"""Layers on x in which a context c takes part, from addition to generated weights (Jayakumar et al. 2020, eq. 1).

    y = cᵀWx + Uc + Vx + b

    hyper     all of it: the linear layer W(c) x + b(c), whose weights are generated (Ha et al. 2017)
    film      (1 + Γc) ⊙ (Vx + b) + Uc, that is W(c) = diag(1 + Γc) V (Perez et al. 2018)
    gate      2σ(Γc + g) ⊙ (Vx + b), which is the identity where the gate is undecided
    bilinear  cᵀWx + b
    concat    Vx + Uc + b, a linear layer on [x, c]: nothing is multiplied

With K numbers in c, n in x and m in y that is m(n+1) parameters for V and b, and beside them Km(n+1) for hyper, 2Km for
film, (K+1)m for gate and Km for concat; bilinear has Kmn + m in all. Weights W of rank r, W_k = P diag(a_k) Q, have
r(K+m+n+1) for hyper and r(K+m+n) for bilinear.

All but bilinear, which has no V, start as nearly the same ordinary layer for every context: in a hypernetwork this is
Bias-HyperInit (Beck et al. 2022).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 0.1  # initial size of what differs between contexts, relative to what they share


class HyperLinear(nn.Module):
    """y = W(c) x + b(c), [W(c), b(c)] = [V, b] + Σ_k c_k G_k: affine in c, hence a bilinear form in c and x.

    There are three exact ways to compute it:

        grouped     contexts repeat (directions, missions): one matrix for each distinct context
        paired      contexts are few (directions): every sample with every context, then one is selected
        bilinear    every sample has its own: y = Σ_k c_k (G_k x) + W(0) x, no matrix for any sample

    Args:
        inputs, outputs: sizes of x and y.
        context: size of c.
        rank: of the generated matrices, G_k = P diag(a_k) Q; None: free ones.
    """

    difference: float = SMALL

    def __init__(self, inputs: int, outputs: int, context: int, rank: int | None = None):
        super().__init__()
        self.rank = rank
        bound = 1 / math.sqrt(inputs)
        columns = self._fixed(inputs, outputs, bound)
        if rank is None:
            spread = self.difference * bound / math.sqrt(context)
            self.generator = nn.Parameter(torch.empty(context, outputs, columns).uniform_(-spread, spread))
            return
        # keeps the variance of the sums over k and over the rank
        mix, left = math.sqrt(3 / context), math.sqrt(3 / rank)
        self.mix = nn.Parameter(torch.empty(context, rank).uniform_(-mix, mix))
        self.left = nn.Parameter(torch.empty(outputs, rank).uniform_(-left, left))
        self.right = nn.Parameter(
            torch.empty(rank, columns).uniform_(-self.difference * bound, self.difference * bound)
        )

    def _fixed(self, inputs: int, outputs: int, bound: float) -> int:
        """Make the parameters that do not depend on c; returns how many columns G_k has."""
        # one more input stands for the bias, as x is followed by a 1
        self.constant = nn.Parameter(torch.empty(outputs, inputs + 1).uniform_(-bound, bound))
        return inputs + 1

    def forward(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        """`bilinear`."""
        return self.bilinear(x, c)

    def generated(self, c: Float[Tensor, "contexts context"]) -> Float[Tensor, "contexts outputs columns"]:
        """The matrices [W(c), b(c)], one for each row of c."""
        return self.constant + self._sums(c)

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

    def paired(
        self,
        x: Float[Tensor, "batch inputs"],
        contexts: Float[Tensor, "contexts context"],
        group: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch outputs"]:
        """The same by a product of every sample with every context, for few contexts; no shape depends on values."""
        count = contexts.shape[0]
        y = F.pad(x, (0, 1), value=1.0) @ self.generated(contexts).flatten(0, 1).T
        its_own = group[:, None, None] == torch.arange(count, device=x.device)[:, None]
        return (y.unflatten(1, (count, -1)) * its_own).sum(1)

    def bilinear(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        """y for samples that each have a context of their own: (batch, outputs)."""
        x = F.pad(x, (0, 1), value=1.0)
        return F.linear(x, self.constant) + self._products(x, c)

    def _sums(self, c: Float[Tensor, "contexts context"]) -> Float[Tensor, "contexts outputs columns"]:
        """Σ_k c_k G_k."""
        if self.rank is None:
            return (c @ self.generator.flatten(1)).unflatten(1, self.generator.shape[1:])
        return (self.left * (c @ self.mix)[:, None]) @ self.right

    def _products(self, x: Float[Tensor, "batch columns"], c: Float[Tensor, "batch context"]) -> Tensor:
        """Σ_k c_k (G_k x): (batch, outputs)."""
        if self.rank is None:
            products = F.linear(x, self.generator.flatten(0, 1)).unflatten(1, self.generator.shape[:2])
            return (c[:, :, None] * products).sum(1)
        return F.linear((c @ self.mix) * F.linear(x, self.right), self.left)


class Bilinear(HyperLinear):
    """y = Σ_k c_k (G_k x) + b: a hypernetwork's layer without weights of its own."""

    difference = 1.0

    def _fixed(self, inputs: int, outputs: int, bound: float) -> int:
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        return inputs

    def generated(self, c: Float[Tensor, "contexts context"]) -> Float[Tensor, "contexts outputs columns"]:
        return torch.cat([self._sums(c), self.bias[:, None].expand(len(c), -1, 1)], dim=2)

    def bilinear(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        return self._products(x, c) + self.bias


class FiLM(nn.Module):
    """y = (1 + Γc) ⊙ (Vx + b) + Uc.

    A hypernetwork's layer with G_k = diag(Γ_k) [V, b] + [0, U_k].
    """

    def __init__(self, inputs: int, outputs: int, context: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.modulation = nn.Linear(context, 2 * outputs, bias=False)  # Γ, then U
        with torch.no_grad():
            self.modulation.weight.mul_(SMALL)

    def forward(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        scale, shift = self.modulation(c).chunk(2, dim=1)
        return (1 + scale) * self.linear(x) + shift


class Gate(nn.Module):
    """y = 2σ(Γc + g) ⊙ (Vx + b)."""

    def __init__(self, inputs: int, outputs: int, context: int):
        super().__init__()
        self.linear, self.gate = nn.Linear(inputs, outputs), nn.Linear(context, outputs)
        with torch.no_grad():
            self.gate.weight.mul_(SMALL)
            self.gate.bias.zero_()

    def forward(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        return 2 * self.gate(c).sigmoid() * self.linear(x)


class Concat(nn.Module):
    """y = Vx + Uc + b."""

    def __init__(self, inputs: int, outputs: int, context: int):
        super().__init__()
        self.linear = nn.Linear(inputs + context, outputs)

    def forward(self, x: Float[Tensor, "batch inputs"], c: Float[Tensor, "batch context"]) -> Tensor:
        return self.linear(torch.cat([x, c], dim=1))


INTERACTIONS: dict[str, type[nn.Module]] = {
    "hyper": HyperLinear,
    "film": FiLM,
    "gate": Gate,
    "bilinear": Bilinear,
    "concat": Concat,
}
