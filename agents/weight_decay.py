"""Decoupled weight decay: every Adam of a policy becomes an AdamW."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from encoders.layers.normalization import BatchNorm

NORMALIZATIONS = (BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._BatchNorm)


class Decayed:
    """An SB3 policy whose optimizers decay its weights.

    Args:
        weight_decay: λ, see `decay`.
        args, kwargs: SB3's.
    """

    def __init__(self, *args: Any, weight_decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if weight_decay:
            decay(self, weight_decay)


def decay(policy: Any, weight_decay: float) -> None:
    """Replace every Adam of a policy by AdamW, θ ← θ - η λ θ beside the step (Loshchilov & Hutter 2019, algorithm 2).

    Biases, the gains of normalizations and the logarithms of standard deviations do not decay.

    Raises:
        ValueError: λ is negative, or an optimizer is not Adam.
    """
    if not weight_decay > 0:
        raise ValueError(f"agent.weight_decay is at least 0, like 1e-2; got {weight_decay!r}")
    alone = spared(policy)
    owners: list[Any] = [policy, getattr(policy, "actor", None), getattr(policy, "critic", None)]
    for owner in owners:
        adam = getattr(owner, "optimizer", None)
        if adam is None:
            continue
        if type(adam) is not torch.optim.Adam:
            hint = "; use agent.use_rms_prop=false" if "RMSprop" in type(adam).__name__ else ""
            raise ValueError(f"agent.weight_decay is AdamW's, and the optimizer is {type(adam).__name__}{hint}")
        parameters = adam.param_groups[0]["params"]
        groups = [
            {"params": [p for p in parameters if id(p) not in alone], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) in alone], "weight_decay": 0.0},
        ]
        owner.optimizer = torch.optim.AdamW(groups, **{key: adam.defaults[key] for key in ("lr", "betas", "eps")})


def spared(policy: nn.Module) -> set[int]:
    """The ids of the parameters that do not decay."""
    return {
        id(parameter)
        for module in policy.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if "bias" in name or name == "log_std" or isinstance(module, NORMALIZATIONS)
    }
