"""Normalization of channels: y = γ (x - μ) / √(σ² + ε) + β. The kinds differ in what μ and σ² are taken over.

batch      of a channel, over samples and cells (Ioffe & Szegedy 2015); here stored ones, see `BatchNorm`
layer      of a sample, over all channels and cells (Ba et al. 2016): one group
instance   of a sample and channel, over its cells (Ulyanov et al. 2016): as many groups as channels
group      of a sample and a group of channels, over their cells (Wu & He 2018, section 3, where the last two are
           shown to be its extremes)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

NORMALIZATIONS = ("none", "batch", "layer", "instance", "group")
EPSILON = 1e-3  # Keras's; with less, a channel that hardly varied in the stored statistics would blow up later inputs


def normalization(name: str, channels: int, groups: int) -> list[nn.Module]:
    """The layer of that name for these channels; "none": no layer.

    Raises:
        ValueError: groups of unequal size.
    """
    if name == "none":
        return []
    if name == "batch":
        return [BatchNorm(channels)]
    if name == "group" and channels % groups:
        raise ValueError(f"encoder.groups={groups} does not divide the {channels} channels that are normalized")
    return [nn.GroupNorm({"layer": 1, "instance": channels, "group": groups}[name], channels)]


class BatchNorm(nn.Module):
    """Batch normalization by *stored* statistics, when acting and when learning alike.

    y = γ (x - μ) / √(σ² + ε) + β. Ordinary batch normalization takes μ and σ² from the minibatch while it learns and
    running ones while it acts, so the policy that learns is not the one that acted. Here learning only *records* the
    minibatch's,

        μ' ← (1 - m) μ' + m mean(x),    σ²' ← (1 - m) σ²' + m var(x),

    and μ ← μ', σ² ← σ²' when learning stops: once per rollout. Between an update's first and last step the network is
    a function of the observation alone. At first μ = 0 and σ² = 1.

    (The buffers have torch's names, by which SB3 copies statistics to target networks.)

    Args:
        channels: size of the second axis.
        momentum: m.

    Raises:
        ValueError: it learns from one sample, which has no variance.
    """

    running_mean: Tensor
    running_var: Tensor
    met_mean: Tensor
    met_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1):
        super().__init__()
        self.momentum = momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        for name in ("running", "met"):
            self.register_buffer(f"{name}_mean", torch.zeros(channels))
            self.register_buffer(f"{name}_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channels *cells"]) -> Float[Tensor, "batch channels *cells"]:
        if self.training:
            self._meet(x.detach())
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, EPSILON)

    @torch.no_grad()
    def _meet(self, x: Tensor) -> None:
        if len(x) == 1:
            raise ValueError(SINGLE)
        variance, mean = torch.var_mean(x.transpose(0, 1).flatten(1), dim=1)
        self.met_mean.lerp_(mean, self.momentum)
        self.met_var.lerp_(variance, self.momentum)

    def train(self, mode: bool = True) -> BatchNorm:
        if self.training and not mode:
            self.running_mean.copy_(self.met_mean)
            self.running_var.copy_(self.met_var)
        return super().train(mode)


SINGLE = (
    "encoder.normalization=batch cannot learn from a minibatch of one sample, which has no variance; choose "
    "agent.batch_size so that none is left with one, or encoder.normalization=group"
)


def counts_samples(module: nn.Module) -> bool:
    """Whether a module's output depends on how often each sample occurs in a minibatch."""
    return any(isinstance(part, BatchNorm) for part in module.modules())
